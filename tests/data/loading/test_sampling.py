"""Rare classes are shown more often, by the square root of how rare they are."""

from types import SimpleNamespace

import numpy as np
import pytest

import kzoo
from kzoo.data.loading.loader import batches
from kzoo.data.loading.sampling import repeat_factors, repeated_order


class Labels:
    """A dataset of nothing but labels."""

    def __init__(self, *labels, classes=3):
        self.labels, self.classes = labels, [f"class {i}" for i in range(classes)]

    def __len__(self):
        return len(self.labels)

    def record(self, index):
        return SimpleNamespace(labels=np.array(self.labels[index], int))


def test_factors_of_the_paper():
    # Class 0 on 9 images of 10, class 1 on 1, class 2 on none; one image is empty.
    dataset = Labels(*[[0, 0]] * 8, [0, 1], [])
    factors = repeat_factors(dataset, 0.4)
    assert factors[:8] == pytest.approx([1] * 8) and factors[9] == 1
    assert factors[8] == pytest.approx(np.sqrt(0.4 / 0.1))
    assert (repeat_factors(dataset, 0.05) == 1).all()


def test_an_epoch_shows_each_as_often_as_its_factor():
    factors = np.array([1.0] * 50 + [2.5] * 10)
    length = round(factors.sum())
    orders = [repeated_order(factors, length, np.random.default_rng((0, epoch))) for epoch in range(200)]
    assert all(len(order) == length for order in orders)
    counts = np.bincount(np.concatenate(orders), minlength=60) / 200
    assert counts[:50].mean() == pytest.approx(1, rel=0.03)
    assert counts[50:].mean() == pytest.approx(2.5, rel=0.03)
    again = repeated_order(factors, length, np.random.default_rng((0, 7)))
    assert np.array_equal(again, orders[7]) and not np.array_equal(again, orders[8])


@pytest.mark.parametrize("threshold", [0, -1, 1.5])
def test_a_threshold_that_is_no_share(threshold):
    with pytest.raises(ValueError, match="balance="):
        repeat_factors(Labels([0]), threshold)


def test_labels_have_to_be_known():
    with pytest.raises(ValueError, match="record"):
        repeat_factors([1, 2], 0.5)


def test_batches_show_rare_classes_more_often_whatever_the_workers():
    dataset = kzoo.data.load("shapes:24:64", "train")
    plain, balanced = (batches(dataset, 32, 3, "light", balance=share) for share in (None, 1.0))
    factors = repeat_factors(dataset, 1.0)
    assert factors.max() > 1
    assert len(balanced) == round(factors.sum()) // 3 > len(plain)
    counts = np.bincount(balanced.maker.order(0), minlength=len(dataset))
    assert counts.max() == 2
    # An image that is shown twice is not shown twice alike.
    twice = int(counts.argmax())
    first, second = np.flatnonzero(balanced.maker.order(0) == twice)
    size = (32, 32)
    one, other = (balanced.maker.sample(0, twice, size, int(place)) for place in (first, second))
    assert not np.array_equal(one.image, other.image)
    threaded = batches(dataset, 32, 3, "light", balance=1.0, workers=2)
    for (images, targets), (again, same) in zip(balanced, threaded, strict=True):
        assert np.array_equal(images, again) and np.array_equal(targets["boxes"], same["boxes"])


def test_balance_wants_a_shuffled_order():
    with pytest.raises(ValueError, match="shuffle=False"):
        batches(kzoo.data.load("shapes:8:64", "train"), 32, 4, shuffle=False, balance=0.5)
