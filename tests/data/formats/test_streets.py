"""The synthetic streets: the same every time, boxes and masks as they are painted."""

import numpy as np
import pytest

from kzoo import data
from kzoo.data.checks.check import check
from kzoo.data.formats.roads import Roads, make_splits


@pytest.fixture(scope="module")
def streets():
    return [Roads(40, (128, 128))[i] for i in range(40)]


def test_an_image_is_the_same_every_time_and_no_two_are_alike():
    parts = make_splits(8, (64, 96), seed=3)
    again = make_splits(8, (64, 96), seed=3)
    seen = set()
    for name, part in parts.items():
        for one, other in zip(part, again[name], strict=True):
            np.testing.assert_array_equal(one.image, other.image)
            np.testing.assert_array_equal(one.mask, other.mask)
            seen.add(one.image.tobytes())
    assert len(seen) == 8 + 2 + 2
    assert one.image.shape == (64, 96, 3) and one.mask.shape == (64, 96)


def test_all_four_values_are_there_but_under_cars_there_is_no_road(streets):
    assert {int(v) for s in streets for v in np.unique(s.mask)} == {0, 1, 3} | {2}
    for sample in streets:
        for x1, y1, x2, y2 in sample.boxes.astype(int):
            assert not sample.mask[y1:y2, x1:x2].any()


def test_lines_are_lighter_than_the_road_and_few(streets):
    lines = np.concatenate([s.image[s.mask == 3].mean(-1) for s in streets])
    road = np.concatenate([s.image[s.mask == 1].mean(-1) for s in streets])
    assert np.quantile(lines, 0.01) > np.quantile(road, 0.99)
    shares = np.array([(s.mask >= 2).mean() for s in streets])
    assert shares.min() > 0.005 and shares.max() < 0.12
    # Two to four pixels wide: runs along the rows, of lines that lean a little more.
    runs = [np.diff(np.flatnonzero(np.diff(np.pad(row >= 2, 1)))[:2]) for s in streets for row in s.mask[60:]]
    widths = np.concatenate([run for run in runs if len(run)])
    assert 2 <= np.median(widths) <= 5


def test_cars_are_on_images_and_large_enough(streets):
    boxes = np.concatenate([s.boxes for s in streets])
    assert boxes.min() >= 0 and boxes.max() <= 128
    assert (boxes[:, 2:] - boxes[:, :2]).min() >= 8
    assert {len(s.boxes) for s in streets} >= {1, 2, 3}


def test_names_parts_and_tasks():
    train, val = data.load("roads:40:64"), data.load("roads:40:64", "val", task="drive")
    assert (len(train), len(val)) == (40, 10) and train.roads and train.format == "roads"
    assert data.splits("roads") == ["train", "val", "test"]
    boxes = data.load("roads:4:64", task="detect")
    assert not boxes.roads and boxes[0].mask is None
    for name in ("roads:a", "roads:4:64:1", "roads:0"):
        with pytest.raises(ValueError, match="write roads, roads:COUNT or roads:COUNT:SIZE"):
            data.load(name)
    with pytest.raises(ValueError, match="open it with task='drive'"):
        data.load("roads:4:64", task="segment")
    with pytest.raises(ValueError, match="image size"):
        data.load("roads:4:16")


def test_they_are_sound():
    assert not check("roads:12:64").errors


def test_augmentation_moves_boxes_and_masks_alike():
    """What is a car on the picture stays without a road, whatever is turned or mixed."""
    batches = data.batches(data.load("roads:16:64"), 64, 8, ["flip"], workers=0, seed=1)
    _, targets = next(iter(batches))
    assert set(targets) == {"boxes", "labels", "mask"} and targets["mask"].dtype == np.uint8
    for mask, boxes, labels in zip(targets["mask"], targets["boxes"], targets["labels"], strict=True):
        for x1, y1, x2, y2 in np.rint(boxes[labels >= 0]).astype(int):
            assert not mask[y1:y2, x1:x2].any()
    mosaic = data.batches(data.load("roads:16:64"), 64, 8, ["mosaic", "mixup"], workers=0, seed=1)
    _, targets = next(iter(mosaic))
    assert set(targets) == {"boxes", "labels", "mask", "weights"}
    assert targets["weights"].shape == targets["labels"].shape


def test_masks_are_not_relabelled_with_the_classes():
    from kzoo.data.relabel import relabelled

    streets = data.load("roads:4:64")
    other = relabelled(streets, ["bus", "car"])
    assert other.roads and other[0].labels.tolist() == [1] * len(streets[0].labels)
    np.testing.assert_array_equal(other[0].mask, streets[0].mask)


def test_boxes_are_written_in_other_formats_and_that_masks_are_not_is_said(tmp_path):
    from kzoo.data.formats.convert import convert

    written = convert("roads:4:64", tmp_path / "out", "coco")
    assert "masks of roads are left behind" in written.summary()
    again = data.load(tmp_path / "out", "train")
    np.testing.assert_allclose(again[0].boxes, data.load("roads:4:64")[0].boxes)
    np.testing.assert_array_equal(again[0].image, data.load("roads:4:64")[0].image)
