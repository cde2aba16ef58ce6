"""The synthetic dataset: exact, the same every time, different everywhere."""

import numpy as np
import pytest

import kzoo.data
from kzoo.data.formats.shapes import Shapes, make_splits
from kzoo.data.painting.rle import draw_masks


def test_boxes_are_tight_around_the_masks():
    data = Shapes(30, (96, 128), seed=3, masks=True)
    for sample in data:
        assert sample.image.shape == (96, 128, 3) and sample.image.dtype == np.uint8
        assert 1 <= len(sample.boxes) <= 8 and len(sample.masks) == len(sample.labels) == len(sample.boxes)
        assert sample.masks.sum(axis=0).max() == 1, "a pixel belongs to one shape"
        for box, mask in zip(sample.boxes.astype(int), sample.masks, strict=True):
            x1, y1, x2, y2 = box
            inside = mask[y1:y2, x1:x2]
            assert mask.sum() == inside.sum() > 0
            assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()


def test_sizes_and_variety():
    data = Shapes(200, (128, 128))
    records = [data.record(i) for i in range(len(data))]
    sides = np.concatenate([(r.boxes[:, 2:] - r.boxes[:, :2]).max(axis=1) for r in records])
    assert sides.min() >= 0.06 * 128 and sides.max() <= 0.4 * 128
    counts = np.bincount(np.concatenate([r.labels for r in records]), minlength=3)
    assert counts.min() > 0.25 * counts.sum()
    assert set(map(len, records)) == set(range(1, 9))


def test_a_shape_stands_out_from_its_ground():
    for sample in Shapes(40, (96, 96), masks=True):
        ground = ~sample.masks.any(axis=0)
        for mask in sample.masks:
            rows, columns = np.nonzero(mask)
            near = np.zeros_like(mask)
            near[max(rows.min() - 3, 0) : rows.max() + 4, max(columns.min() - 3, 0) : columns.max() + 4] = (
                True
            )
            around = near & ground
            if around.sum() > 20:
                distance = sample.image[mask].mean(axis=0) - sample.image[around].mean(axis=0)
                assert np.linalg.norm(distance) > 20


def test_labels_are_the_shapes():
    """Seen whole, a circle fills pi/4 of its box, a triangle about half, an upright rectangle all."""
    filled = {0: [], 1: [], 2: []}
    data = Shapes(150, (192, 192))
    for i in range(len(data)):
        record = data.record(i)
        if len(record) == 1:
            area = np.prod(record.boxes[0, 2:] - record.boxes[0, :2])
            filled[int(record.labels[0])].append(record.areas[0] / area)
    assert min(filled[0]) > 0.66 and max(filled[0]) < 0.8
    assert min(filled[1]) > 0.55 and max(filled[1]) == 1
    assert min(filled[2]) > 0.35 and max(filled[2]) < 0.65


def test_same_image_every_time_and_no_two_alike():
    again = Shapes(3, (64, 64), seed=5)
    assert all(
        np.array_equal(a.image, b.image) for a, b in zip(again, Shapes(9, (64, 64), seed=5), strict=False)
    )
    images = [
        Shapes(2, (64, 64), seed=seed, split=split)[i].image.tobytes()
        for seed in (0, 1)
        for split in ("train", "val", "test")
        for i in (0, 1)
    ]
    assert len(set(images)) == len(images)


def test_record_and_sample_agree():
    data = Shapes(2, (80, 64), split="val", masks=True)
    record, sample = data.record(1), data[1]
    assert np.array_equal(record.boxes, sample.boxes) and np.array_equal(record.labels, sample.labels)
    assert np.array_equal(draw_masks(record.polygons, (80, 64)), sample.masks)
    assert np.array_equal(data.image(1), sample.image) and record.id == sample.id
    assert np.array_equal(data[-1].image, sample.image)
    with pytest.raises(IndexError):
        data[2]


def test_names():
    assert len(kzoo.data.load("shapes")) == 500 and kzoo.data.splits("shapes") == ["train", "val", "test"]
    data = kzoo.data.load("shapes:40:64", split="val")
    assert (
        len(data) == 10
        and data.image_size == (64, 64)
        and data.classes == ["circle", "rectangle", "triangle"]
    )
    assert [len(part) for part in make_splits(8).values()] == [8, 2, 2]
    for wrong in ("shapes:", "shapes:0", "shapes:many", "shapes:1:2:3"):
        with pytest.raises(ValueError, match="shapes:COUNT:SIZE"):
            kzoo.data.load(wrong)
    for absurd, limit in (
        ("shapes:99999999999:64", "give 0 to 1000000 images"),
        ("shapes:10:10000000", "at most 4096"),
        ("shapes:" + 30 * "9", "shapes:COUNT:SIZE"),
        ("shapes:-5", "shapes:COUNT:SIZE"),
        ("shapes:10:0", "shapes:COUNT:SIZE"),
        ("shapes:1e3", "shapes:COUNT:SIZE"),
    ):
        with pytest.raises(ValueError, match=limit):
            kzoo.data.load(absurd)
    with pytest.raises(ValueError, match="seed -1"):
        Shapes(1, seed=-1)
    with pytest.raises(ValueError, match="no split 'dev2'"):
        kzoo.data.load("shapes", split="dev2")
    with pytest.raises(ValueError, match="at least 32"):
        Shapes(1, (16, 64))
