"""The Lovász losses against the extension's definition, written out in NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzoo.losses import lovasz


def jaccard_loss(true, found):
    """1 - IoU of two sets of pixels, 0 where both are empty."""
    union = np.count_nonzero(true | found)
    return 1 - np.count_nonzero(true & found) / union if union else 0.0


def extension(errors, true):
    """The Lovász extension of the Jaccard loss as a function of the set of wrong pixels: definition 1.

    The sum over falling errors of each times what its pixel adds to the loss of the set of those before it.
    """
    wrong, total, before = np.zeros(len(true), bool), 0.0, 0.0
    for pixel in np.argsort(-errors, kind="stable"):
        wrong[pixel] = True
        now = jaccard_loss(true, true ^ wrong)
        total, before = total + errors[pixel] * (now - before), now
    return total


def softmax(logits):
    odds = np.exp(logits.astype(float))
    return odds / odds.sum(-1, keepdims=True)


def scene(classes, seed=0, size=(2, 5, 6)):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, max(classes, 2), size).astype(np.uint8)
    labels[rng.random(size) < 0.2] = 255
    return labels, rng.normal(0, 2, (*size, classes)).astype(np.float32)


def of_softmax(labels, logits, classes="present"):
    """Labels (N,) and logits (N, C) of one set of pixels: each class's loss."""
    labels, logits = labels[labels != 255], logits[labels != 255]
    probabilities = softmax(logits)
    return [
        extension(np.abs((labels == c) - probabilities[:, c]), labels == c)
        for c in range(logits.shape[-1])
        if classes == "all" or (labels == c).any()
    ]


def of_hinge(labels, logits):
    labels, logits = labels[labels != 255], logits[labels != 255, 0].astype(float)
    return extension(np.maximum(1 - logits * np.where(labels == 1, 1, -1), 0), labels == 1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("classes", ["present", "all"])
def test_softmax_by_definition(seed, classes):
    labels, logits = scene(4, seed)
    labels[labels == 2] = 0
    wanted = np.mean(of_softmax(labels.reshape(-1), logits.reshape(-1, 4), classes))
    assert float(lovasz(labels, logits, classes=classes)) == pytest.approx(wanted, abs=1e-6)
    each = [of_softmax(labels[i].reshape(-1), logits[i].reshape(-1, 4), classes) for i in range(2)]
    wanted = np.mean(np.concatenate(each))
    assert float(lovasz(labels, logits, reduction="image", classes=classes)) == pytest.approx(
        wanted, abs=1e-6
    )


@pytest.mark.parametrize("seed", range(3))
def test_hinge_by_definition(seed):
    labels, logits = scene(1, seed)
    wanted = of_hinge(labels.reshape(-1), logits.reshape(-1, 1))
    assert float(lovasz(labels, logits)) == pytest.approx(wanted, abs=1e-5)
    # Nothing is to be found in one image: the loss is its largest error.
    labels[0][labels[0] == 1] = 0
    each = [of_hinge(labels[i].reshape(-1), logits[i].reshape(-1, 1)) for i in range(2)]
    assert each[0] == pytest.approx(np.max(1 + logits[0][labels[0] == 0]), abs=1e-6)
    assert float(lovasz(labels, logits, reduction="image")) == pytest.approx(np.mean(each), abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_is_the_jaccard_loss_of_hard_predictions(seed, classes):
    labels, logits = scene(classes, seed)
    found = logits.argmax(-1)
    counted = labels != 255
    wanted = np.mean(
        [jaccard_loss(labels[counted] == c, found[counted] == c) for c in np.unique(labels[counted])]
    )
    sure = 1000 * np.eye(classes, dtype=np.float32)[found]
    assert float(lovasz(labels, sure)) == pytest.approx(wanted, abs=1e-6)


def test_the_slopes_keep_their_digits():
    # Of a million pixels each adds about 1e-6, less than a float32 next to 1 can tell apart well.
    rng = np.random.default_rng(0)
    labels = (rng.random((1, 1000, 1000)) < 0.3).astype(np.uint8)
    logits = np.where(labels == 1, 1.0, -1.0).astype(np.float32)[..., None]
    # Every error is .5 but for one pixel's, so that the loss is .5 of the empty intersection's.
    logits *= 0.5
    assert float(lovasz(labels, logits)) == pytest.approx(0.5, rel=1e-4)
