"""Proposals as networks take them: so many an image, each image searched once, the same in batches and on images."""

import functools
import pickle

import numpy as np
import pytest

import kzoo
from kzoo.data import batches
from kzoo.proposals import ProposalCache, Proposer, proposer, selective_search


def picture(seed=0, height=60, width=80):
    image = np.full((height, width, 3), 90, np.uint8)
    rng = np.random.default_rng(seed)
    for colour in rng.integers(0, 256, (5, 3)):
        x, y = rng.integers(0, (width - 24, height - 24))
        image[y : y + 20, x : x + 22] = colour
    return image


def test_the_best_of_a_search():
    image = picture()
    found = Proposer(10, "fast", min_side=8)(image)
    np.testing.assert_array_equal(found, selective_search(image, "fast", min_side=8)[:10])
    np.testing.assert_array_equal(found, Proposer(10, "fast", min_side=8)(image.astype(np.float32) + 0.2))


def test_wider_images_are_scaled_before_and_narrower_ones_are_not():
    image = picture()
    wanted = selective_search(image, "fast", width=40)
    np.testing.assert_array_equal(Proposer(999, "fast", width=40, min_side=0)(image), wanted)
    own = selective_search(image, "fast")
    np.testing.assert_array_equal(Proposer(999, "fast", width=500, min_side=0)(image), own)


def test_batches_are_padded():
    images = np.stack([picture(), np.full((60, 80, 3), 7, np.uint8)])
    boxes = Proposer(30, "fast", min_side=8).batch(images)
    assert boxes.shape == (2, 30, 4) and boxes.dtype == np.float32
    assert (boxes[1, 1:] == 0).all() and boxes[1, 0].tolist() == [0, 0, 80, 60]


def test_each_image_is_searched_once_here_and_on_disk(monkeypatch, tmp_path):
    searched = []

    @functools.wraps(selective_search)
    def search(image, **settings):
        searched.append(settings)
        return np.float32([[1, 2, 30, 40]])

    monkeypatch.setattr(proposer, "selective_search", search)
    monkeypatch.setattr("kzoo.proposals.cache.selective_search", search)
    one = Proposer(5)
    for image in (picture(0), picture(1), picture(0)):
        one(image)
    assert len(searched) == 2
    kept = Proposer(5, cache=ProposalCache(tmp_path))
    kept(picture(0))
    again = pickle.loads(pickle.dumps(kept))  # as a worker process gets it
    np.testing.assert_array_equal(again(picture(0)), [[1, 2, 30, 40]])
    assert len(searched) == 3


def test_refuses_no_boxes():
    with pytest.raises(ValueError, match="count=0"):
        Proposer(0)


@pytest.fixture(scope="module")
def dataset():
    return kzoo.data.load("shapes:6:64")


def test_batches_carry_them(dataset, tmp_path):
    search = Proposer(40, "fast", min_side=6, cache=ProposalCache(tmp_path))
    made = batches(dataset, 48, 2, shuffle=False, proposals=search)
    inputs, targets = next(iter(made))
    assert inputs["images"].shape == (2, 48, 48, 3) and set(targets) == {"boxes", "labels"}
    for row, index in enumerate((0, 1)):
        wanted = search(dataset[index].image) * 48 / 64
        np.testing.assert_allclose(inputs["proposals"][row, : len(wanted)], wanted, atol=1e-4)
        assert (inputs["proposals"][row, len(wanted) :] == 0).all()


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_workers_make_the_same(dataset, kind, tmp_path):
    def made(**options):
        search = Proposer(40, "fast", min_side=6, cache=ProposalCache(tmp_path))
        return list(batches(dataset, 48, 2, "mosaic", seed=3, proposals=search, **options))

    for (one, _), (other, _) in zip(made(), made(workers=2, worker_kind=kind), strict=True):
        for name in ("images", "proposals"):
            np.testing.assert_array_equal(one[name], other[name])


def test_proposals_of_samples_and_of_callables_of_your_own(dataset):
    class Mine:
        count = 3

        def __call__(self, image):
            return np.float32([[0, 0, 32, 64], [0, 0, 64, 64]])

    inputs, _ = next(iter(batches(dataset, 64, 2, shuffle=False, proposals=Mine())))
    np.testing.assert_array_equal(inputs["proposals"][0], [[0, 0, 32, 64], [0, 0, 64, 64], [0, 0, 0, 0]])


def test_a_transform_that_loses_them_is_named(dataset):
    def careless(rng, sample):
        return kzoo.Sample(sample.image, sample.boxes, sample.labels, id=sample.id)

    with pytest.raises(ValueError, match="a transform has lost its proposals"):
        next(iter(batches(dataset, 64, 2, [careless], proposals=Proposer(9, "fast", min_side=6))))
