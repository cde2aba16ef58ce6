"""The head of segmenters: one or several channels, sizes, the auxiliary classifier, wrong arguments."""

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.heads import PixelHead


def built(*shapes, **arguments):
    head = PixelHead(**{"num_classes": 3, **arguments})
    head.build([(None, None, None, channels) for channels in shapes])
    return head


def features(channels, side=8, seed=0):
    return ops.convert_to_tensor(
        np.random.default_rng(seed).normal(size=(2, side, side, channels)).astype("f4")
    )


@pytest.mark.backends
def test_projects_and_enlarges_as_torch_does():
    torch = pytest.importorskip("torch")
    head, x = built(5, strides=(4,)), features(5)
    logits = ops.convert_to_numpy(head([x])["logits"])
    kernel, bias = head.classifier.get_weights()
    scores = torch.tensor(ops.convert_to_numpy(x) @ kernel[0, 0] + bias).permute(0, 3, 1, 2)
    wanted = torch.nn.functional.interpolate(scores, scale_factor=4, mode="bilinear").permute(0, 2, 3, 1)
    np.testing.assert_allclose(logits, wanted.numpy(), atol=1e-5)


def test_scores_that_are_there_already():
    head, x = built(3, project=False), features(3)
    np.testing.assert_array_equal(head([x])["logits"], x)
    assert not head.weights
    with pytest.raises(ValueError, match="ends in 4 channels, not 3"):
        built(4, project=False)


def test_one_channel_for_two_classes():
    head, x = built(1, num_classes=2, binary=True, project=False), features(1)
    result = {key: ops.convert_to_numpy(value) for key, value in head.decode(head([x])).items()}
    share = 1 / (1 + np.exp(-ops.convert_to_numpy(x)[..., 0]))
    np.testing.assert_allclose(result["probabilities"], np.stack([1 - share, share], -1), atol=1e-6)
    np.testing.assert_array_equal(result["mask"], share > 0.5)
    truth = {"mask": np.random.default_rng(1).integers(0, 2, (2, 8, 8))}
    own = float(head.loss(truth, head([x]))["ce"])
    wanted = keras.losses.binary_crossentropy(
        truth["mask"].reshape(-1), ops.reshape(x, (-1,)), from_logits=True
    )
    assert own == pytest.approx(float(wanted), abs=1e-5)


def test_equal_scores_are_the_first_class():
    head = built(3, project=False)
    scores = np.array([[[[1, 1, 0], [0, -0.0, -1], [0, 2, 2]]]], np.float32)
    assert ops.convert_to_numpy(head.decode({"logits": scores})["mask"]).tolist() == [[[0, 0, 1]]]


def test_auxiliary_classifier():
    head = built(5, 7, auxiliary=0.4, loss="ce+dice", strides=(2,))
    outputs = head([features(5), features(7, side=4)])
    assert outputs["auxiliary"].shape == outputs["logits"].shape == (2, 16, 16, 3)
    truth = {"mask": np.random.default_rng(1).integers(0, 3, (2, 16, 16))}
    losses = head.loss(truth, outputs)
    assert tuple(losses) == head.loss_names == ("ce", "dice", "auxiliary")
    alone = head.loss(truth, {**outputs, "logits": outputs["auxiliary"]})
    assert float(losses["auxiliary"]) == pytest.approx(0.4 * float(alone["ce"] + alone["dice"]), rel=1e-5)


def test_ignored_pixels_and_weights():
    head, x = built(3, project=False, class_weights=[1.0, 2.0, 0.5]), features(3)
    mask = np.random.default_rng(1).integers(0, 3, (2, 8, 8))
    half = mask.copy()
    half[:, 4:] = 255
    outputs, upper = head([x]), head([x[:, :4]])
    assert float(head.loss({"mask": half}, outputs)["ce"]) == pytest.approx(
        float(head.loss({"mask": mask[:, :4]}, upper)["ce"]), rel=1e-5
    )
    weights = np.ones((2, 8, 8), "float32")
    weights[:, 4:] = 0
    plain, border = built(3, project=False), built(3, project=False, loss="border")
    weighted = border.loss({"mask": mask, "weights": weights}, outputs)["border"]
    # Weights do not enter the divisor, as in U-Net's equation 1.
    assert float(weighted) == pytest.approx(float(plain.loss({"mask": half}, outputs)["ce"]) / 2, rel=1e-4)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_classes": 0}, "num_classes=0"),
        ({"num_classes": 256}, "255 marks"),
        ({"binary": True}, "binary=True with num_classes=3"),
        ({"class_weights": [1.0]}, "1 for 3 classes"),
        ({"auxiliary": -1}, "auxiliary=-1"),
        ({"loss": "cross"}, "cross"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        PixelHead(**{"num_classes": 3, **arguments})
    assert "\n" not in str(caught.value)


def test_comes_back_from_its_configuration():
    head = PixelHead(
        3, (8,), {"ce": 0.5, "focal_tversky": {"alpha": 0.7, "beta": 0.3}}, [1, 2, 3], auxiliary=0.4
    )
    again = PixelHead.from_config(keras.saving.serialize_keras_object(head)["config"])
    assert again.loss_names == head.loss_names and again.strides == head.strides
    assert again.multiple == 8 and again.auxiliary == 0.4
