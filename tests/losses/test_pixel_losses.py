"""Cross-entropy and focal loss of masks against torch's and Keras's own."""

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.losses import border, cross_entropy, focal

CLASS_WEIGHTS = [0.5, 1.0, 2.0, 4.0]


def scene(classes=4, seed=0, ignored=0.2, size=(3, 6, 5)):
    """Labels with ignored pixels, and logits; one channel where there are two classes of a sigmoid."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, max(classes, 2), size).astype(np.uint8)
    labels[rng.random(size) < ignored] = 255
    return labels, rng.normal(0, 2, (*size, classes)).astype(np.float32)


@pytest.mark.backends
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("class_weights", [None, CLASS_WEIGHTS])
def test_cross_entropy_equals_torch(class_weights, smoothing):
    torch = pytest.importorskip("torch")
    labels, logits = scene()
    theirs = torch.nn.CrossEntropyLoss(
        weight=None if class_weights is None else torch.tensor(class_weights),
        ignore_index=255,
        label_smoothing=smoothing,
    )
    wanted = theirs(torch.tensor(logits).permute(0, 3, 1, 2), torch.tensor(labels.astype(np.int64)))
    ours = cross_entropy(labels, logits, class_weights=class_weights, label_smoothing=smoothing)
    assert float(ours) == pytest.approx(float(wanted), rel=1e-5)


@pytest.mark.backends
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_of_one_channel_equals_torch(smoothing):
    torch = pytest.importorskip("torch")
    labels, logits = scene(1)
    two = np.concatenate([np.zeros_like(logits), logits], -1)
    theirs = torch.nn.CrossEntropyLoss(torch.tensor([1.0, 3.0]), ignore_index=255, label_smoothing=smoothing)
    wanted = theirs(torch.tensor(two).permute(0, 3, 1, 2), torch.tensor(labels.astype(np.int64)))
    ours = cross_entropy(labels, logits, class_weights=[1, 3], label_smoothing=smoothing)
    assert float(ours) == pytest.approx(float(wanted), rel=1e-5)


def test_cross_entropy_equals_keras():
    labels, logits = scene()
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    wanted = float(theirs(labels.astype(np.int32), logits))
    assert float(cross_entropy(labels, logits)) == pytest.approx(wanted, rel=1e-5)


def test_cross_entropy_of_one_channel_equals_keras():
    labels, logits = scene(1, ignored=0.0)
    wanted = keras.losses.BinaryCrossentropy(from_logits=True)(labels[..., None], logits)
    assert float(cross_entropy(labels, logits)) == pytest.approx(float(wanted), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("alpha", [0.25, CLASS_WEIGHTS])
def test_focal_equals_keras(alpha, gamma):
    labels, logits = scene()
    counted = labels != 255
    wanted = keras.losses.CategoricalFocalCrossentropy(alpha=alpha, gamma=gamma, from_logits=True)(
        np.eye(4, dtype=np.float32)[labels[counted]], logits[counted]
    )
    assert float(focal(labels, logits, alpha=alpha, gamma=gamma)) == pytest.approx(float(wanted), rel=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_focal_of_one_channel_equals_keras(gamma):
    labels, logits = scene(1)
    counted = labels != 255
    theirs = keras.losses.BinaryFocalCrossentropy(
        apply_class_balancing=True, alpha=0.75, gamma=gamma, from_logits=True
    )
    wanted = theirs(labels[counted][:, None], logits[counted])
    ours = focal(labels, logits, alpha=0.75, gamma=gamma)
    assert float(ours) == pytest.approx(float(wanted), rel=1e-4)
    assert float(focal(labels, logits, alpha=[0.25, 0.75], gamma=gamma)) == pytest.approx(
        float(ours), rel=1e-6
    )


def test_the_hardest_pixels():
    labels, logits = scene(size=(1, 10, 10))
    counted = labels != 255
    each = keras.losses.sparse_categorical_crossentropy(labels[counted], logits[counted], from_logits=True)
    hardest = np.sort(np.asarray(each))[::-1]
    for share in (0.1, 0.25, 1.0):
        wanted = hardest[: int(np.ceil(share * len(hardest)))].mean()
        assert float(cross_entropy(labels, logits, hardest=share)) == pytest.approx(wanted, rel=1e-5)
    with pytest.raises(ValueError, match="hardest is 0"):
        cross_entropy(labels, logits, hardest=0)


def test_border_is_the_map_times_cross_entropy():
    labels, logits = scene(2)
    counted = labels != 255
    weights = np.random.default_rng(1).uniform(1, 10, labels.shape).astype(np.float32)
    each = keras.losses.sparse_categorical_crossentropy(labels[counted], logits[counted], from_logits=True)
    wanted = np.mean(np.asarray(each) * weights[counted])
    assert float(border(labels, logits, weights=weights)) == pytest.approx(wanted, rel=1e-5)
    assert float(border(labels, logits, weights=np.ones_like(weights))) == pytest.approx(
        float(cross_entropy(labels, logits)), rel=1e-6
    )
    with pytest.raises(ValueError, match="'border' needs the targets' 'weights'"):
        border(labels, logits)


@pytest.mark.parametrize("loss", [cross_entropy, focal])
def test_ignored_pixels_have_no_part(loss):
    labels, logits = scene()
    other = logits.copy()
    other[labels == 255] = 77.0
    assert float(loss(labels, logits)) == float(loss(labels, other))
    # So has a value that is no class.
    odd = np.where(labels == 255, 200, labels)
    assert float(loss(odd, logits)) == float(loss(labels, logits))


@pytest.mark.parametrize("loss", [cross_entropy, focal])
def test_half_precision_is_computed_in_float32(loss):
    labels, logits = scene()
    half = ops.cast(logits, "float16")
    ours = loss(labels, half)
    assert keras.backend.standardize_dtype(ours.dtype) == "float32"
    assert float(ours) == pytest.approx(float(loss(labels, np.asarray(half, np.float32))), rel=1e-6)


def test_class_weights_must_fit():
    labels, logits = scene()
    with pytest.raises(ValueError, match=r"class weights \[1, 2\] are 2, not one for each of 4 classes"):
        cross_entropy(labels, logits, class_weights=[1, 2])
    with pytest.raises(ValueError, match="not one for each of 4"):
        focal(labels, logits, alpha=[0.1])
