"""The classifier's head on logits as they come, as Darknet's `[softmax]` reads them."""

import keras
import numpy as np
import pytest

from kzoo.heads import ClassifyHead


def built(shape, **arguments):
    head = ClassifyHead(5, project=False, **arguments)
    head.build([shape])
    return head


@pytest.mark.parametrize("shape", [(3, 5), (3, 1, 1, 5)])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_logits_of_any_shape(shape, temperature):
    raw = np.random.default_rng(0).normal(0, 2, shape).astype(np.float32)
    head = built((None, *shape[1:]), temperature=temperature)
    assert not head.weights
    found = head.decode(head([raw]))
    powers = np.exp(raw.reshape(3, 5).astype(float) / temperature)
    np.testing.assert_allclose(found["scores"], powers / powers.sum(-1, keepdims=True), rtol=1e-5)
    np.testing.assert_array_equal(found["label"], raw.reshape(3, 5).argmax(-1))


def test_it_trains_and_serialises():
    head = built((None, 1, 1, 5), temperature=2.0)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(head))
    again.build([(None, 1, 1, 5)])
    raw = np.random.default_rng(0).normal(0, 2, (3, 1, 1, 5)).astype(np.float32)
    label = np.int32([0, 4, 2])
    losses = [float(h.loss({"label": label}, h([raw]))["class"]) for h in (head, again)]
    logits = raw.reshape(3, 5).astype(float) / 2
    wanted = np.log(np.exp(logits).sum(-1)) - logits[range(3), label]
    assert losses[0] == losses[1] == pytest.approx(wanted.mean(), rel=1e-5)


def test_another_number_of_logits_is_named():
    with pytest.raises(
        ValueError, match=r"num_classes=5: the network ends in 8 numbers .*\(2, 2, 2\)"
    ) as caught:
        built((None, 2, 2, 2))
    assert "\n" not in str(caught.value)


def test_a_temperature_below_zero_is_refused():
    with pytest.raises(ValueError, match="temperature=0"):
        ClassifyHead(5, temperature=0)
