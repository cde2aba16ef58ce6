"""Selective search: what its boxes promise, what it finds in drawn scenes, and images with little in them."""

import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzoo.metrics.matching import iou
from kzoo.proposals import MODES, Search, recall, selective_search
from kzoo.proposals.grouping import group
from kzoo.proposals.search import _ranked
from kzoo.proposals.segments import COLOUR_SPACES, derivatives, describe

pytest.importorskip("skimage", reason="pip install -e '.[proposals]'")

SMALL = Search(("lab",), (150,), (("colour", "texture", "size", "fill"),), smallest=20)


def scene():
    """A striped disc, a rectangle of two colours and a dark triangle before a slope of grey, and their boxes."""
    image = np.repeat(np.linspace(120, 200, 160).astype(np.uint8)[None, :, None], 120, 0).repeat(3, 2).copy()
    cv2.circle(image, (40, 40), 25, (200, 40, 40), -1)
    image[30:34, 18:63], image[44:48, 18:63] = np.where(
        (image[[[30], [44]], 18:63] == [200, 40, 40]).all(-1, keepdims=True),
        [240, 220, 40],
        image[[[30], [44]], 18:63],
    ).astype(np.uint8)
    cv2.rectangle(image, (90, 15), (119, 64), (30, 60, 200), -1)
    cv2.rectangle(image, (120, 15), (149, 64), (40, 160, 90), -1)
    cv2.fillPoly(image, [np.array([[70, 110], [130, 110], [100, 75]])], (20, 20, 20))
    return image, np.float32([[15, 15, 66, 66], [90, 15, 150, 65], [90, 15, 120, 65], [70, 75, 131, 111]])


def noise(seed, height, width):
    """Blurred noise of many colours: regions of all shapes."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(image, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


@pytest.mark.parametrize("mode", ["fast", pytest.param("quality", marks=pytest.mark.slow), "rcnn"])
def test_every_object_of_a_scene_is_found(mode):
    image, objects = scene()
    boxes = selective_search(image, mode)
    assert (iou(objects, boxes).max(1) > 0.8).all()
    assert len(boxes) < 1500


@given(st.integers(0, 2**32 - 1), st.integers(8, 40), st.integers(8, 40))
@settings(max_examples=8)
def test_boxes_are_what_they_promise(seed, height, width):
    image = noise(seed, height, width)
    boxes = selective_search(image, SMALL, seed=3)
    assert boxes.dtype == np.float32 and boxes.shape[1] == 4
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= [width, height]).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert len(np.unique(boxes, axis=0)) == len(boxes)
    assert (boxes == [0, 0, width, height]).all(-1).any()
    np.testing.assert_array_equal(selective_search(image, SMALL, seed=3), boxes)


def test_another_seed_gives_the_same_boxes_in_another_order():
    image, _ = scene()
    first, second = (selective_search(image, seed=seed) for seed in (0, 1))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(np.unique(first, axis=0), np.unique(second, axis=0))


def test_a_box_found_twice_counts_once():
    boxes = np.arange(40).reshape(10, 4)
    rng = np.random.default_rng(0)
    alone, thrice = _ranked([boxes], rng), _ranked([boxes] * 3, rng)
    assert sorted(map(tuple, alone)) == sorted(map(tuple, thrice)) == sorted(map(tuple, boxes))


def test_what_is_merged_last_ranks_first():
    boxes = np.arange(400).reshape(100, 4)  # in the order of making
    places = np.concatenate([_ranked([boxes], np.random.default_rng(seed))[:20, 0] for seed in range(20)]) / 4
    assert places.mean() > 65 and places.min() < 20


def test_small_boxes_go_and_scaling_is_undone():
    image, objects = scene()
    boxes, every = selective_search(image, SMALL, min_side=20), selective_search(image, SMALL)
    assert len(boxes) and (boxes[:, 2:] - boxes[:, :2] >= 20).all()
    np.testing.assert_array_equal(boxes, every[(every[:, 2:] - every[:, :2] >= 20).all(-1)])
    assert len(boxes) < len(every)
    scaled = selective_search(image, SMALL, width=320, min_side=40)
    assert (scaled[:, 2:] - scaled[:, :2] >= 20).all() and (scaled == [0, 0, 160, 120]).all(-1).any()
    assert (iou(objects, scaled).max(1) > 0.8).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 1), (1, 9, 3), (9, 1, 3), (20, 30, 3), (20, 30)])
def test_an_image_of_one_colour_is_one_box(shape, mode):
    boxes = selective_search(np.full(shape, 130, np.uint8), mode)
    np.testing.assert_array_equal(boxes, [[0, 0, shape[1], shape[0]]])
    assert selective_search(np.full(shape, 130, np.uint8), mode, min_side=31).shape == (0, 4)


def test_grey_images_are_those_with_three_equal_channels():
    grey = noise(0, 60, 90)[..., 0]
    boxes = selective_search(grey, SMALL)
    assert len(boxes) > 5
    for same in (grey[..., None], np.repeat(grey[..., None], 3, -1)):
        np.testing.assert_array_equal(selective_search(same, SMALL), boxes)


def plain_similarity(a, b, strategy, regions, pixels):
    """Of two sets of first regions, from their pixels' own numbers."""
    sizes, parts = [regions.sizes[list(x)].sum() for x in (a, b)], {}
    for name in ("colour", "texture"):
        histograms = getattr(regions, name).astype("float64")
        means = [
            (histograms[list(x)] * regions.sizes[list(x), None]).sum(0) / size
            for x, size in zip((a, b), sizes, strict=True)
        ]
        parts[name] = np.minimum(*means).sum()
    box = regions.boxes[list(a | b)]
    bounding = np.prod(box[:, 2:].max(0) - box[:, :2].min(0))
    parts["size"] = 1 - sum(sizes) / pixels
    parts["fill"] = 1 - (bounding - sum(sizes)) / pixels
    return sum(parts[name] for name in strategy)


@pytest.mark.parametrize("strategy", [*MODES["quality"].strategies, ("colour",), ("texture",)])
def test_merging_equals_the_plain_loop(strategy):
    """At each step all pairs that touch are compared anew, from the first regions that they are made of."""
    image = COLOUR_SPACES["lab"](noise(1, 24, 30))
    labels = cv2.resize(
        np.arange(20, dtype=np.uint8).reshape(4, 5), (30, 24), interpolation=cv2.INTER_NEAREST
    )
    regions = describe(labels.astype(np.int64), image, derivatives(image))
    alive = [frozenset([i]) for i in range(len(regions))]
    touching = {tuple(pair) for pair in regions.pairs.tolist()}
    expected = [tuple(box) for box in regions.boxes.tolist()]
    while len(alive) > 1:
        pairs = [
            (plain_similarity(a, b, strategy, regions, labels.size), a, b)
            for i, a in enumerate(alive)
            for b in alive[i + 1 :]
            if any((min(x, y), max(x, y)) in touching for x in a for y in b)
        ]
        best = max(similarity for similarity, _, _ in pairs)
        ties = [pair for pair in pairs if pair[0] > best - 1e-6]
        if len(ties) > 1:  # one of several that are equal: any is right, and the rest follows from it
            break
        _, a, b = ties[0]
        alive = [x for x in alive if x not in (a, b)] + [a | b]
        box = regions.boxes[list(a | b)]
        expected.append((*box[:, :2].min(0).tolist(), *box[:, 2:].max(0).tolist()))
    found = [tuple(box) for box in group(regions, strategy).tolist()]
    assert found[: len(expected)] == expected
    assert len(found) == 2 * len(regions) - 1 and found[-1] == (0, 0, 30, 24)


def test_regions_are_described_as_their_pixels_are():
    labels = np.int64([[0, 0, 1], [0, 2, 1], [3, 2, 2]])
    image = np.arange(9, dtype=np.uint8).reshape(3, 3, 1) * 28
    regions = describe(labels, image, np.zeros((3, 3, 8), np.int64))
    assert regions.sizes.tolist() == [3, 2, 3, 1]
    assert regions.boxes.tolist() == [[0, 0, 2, 2], [2, 0, 3, 2], [1, 1, 3, 3], [0, 2, 1, 3]]
    assert regions.pairs.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [2, 3]]
    for region in range(4):
        counts = np.bincount(image[..., 0][labels == region].astype(int) * 25 // 256, minlength=25)
        np.testing.assert_allclose(regions.colour[region], counts / counts.sum(), rtol=1e-6)
    np.testing.assert_allclose(regions.texture.sum(1), 1, rtol=1e-6)


def test_derivatives_tell_directions_apart():
    right, down = (np.zeros((9, 9, 1), np.uint8) for _ in range(2))
    right[:, 5:], down[5:] = 200, 200
    steep = [np.flatnonzero(derivatives(image)[4, 4] == 9).tolist() for image in (right, down, 200 - right)]
    assert steep == [[0, 4, 6], [2, 4, 7], [1, 5, 7]]


def test_recall_counts_objects():
    proposals = [np.float32([[0, 0, 10, 10], [20, 20, 30, 30]]), np.zeros((0, 4), np.float32)]
    objects = [np.float32([[0, 0, 10, 8], [20, 20, 30, 30], [50, 50, 60, 60]]), np.float32([[0, 0, 5, 5]])]
    assert recall(proposals, objects, (1, 2)) == {1: 0.25, 2: 0.5}
    assert recall(proposals, objects, (2,), threshold=0.9) == {2: 0.25}
    assert np.isnan(recall([], [], (2,))[2])


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda image: selective_search(image, "swift"), "unknown mode 'swift'; give fast, quality, rcnn"),
        (lambda image: selective_search(image / 255), "type float64; give"),
        (lambda image: selective_search(image[..., :2]), "shape"),
        (lambda image: selective_search(image[:0]), "shape"),
        (lambda image: selective_search(image, width=0), "width=0"),
        (lambda image: Search(("cmyk",), (100,), (("size",),)), "spaces .*'cmyk'.*choose from hsv"),
        (lambda image: Search(("lab",), (100,), (("area",),)), "strategies .*'area'.*choose from colour"),
        (lambda image: Search(("lab",), (0,), (("size",),)), "scales"),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call(np.zeros((8, 9, 3), np.uint8))


def test_without_scikit_image_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(ImportError, match=r"pip install 'kzoo\[proposals\]'"):
        selective_search(np.zeros((8, 9, 3), np.uint8))
