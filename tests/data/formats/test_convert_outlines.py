"""Outlines on their way into YOLO's polygons and Pascal VOC's masks, and what does not go with them."""

import io
import json

import numpy as np
import pytest
from PIL import Image

import kzoo.data
from kzoo.data.formats.convert import convert, write
from kzoo.data.formats.shapes import make_splits
from kzoo.data.formats.voc.writing import indexed_png
from kzoo.data.painting.outlines import joined, to_polygons
from kzoo.data.painting.rle import draw_masks
from kzoo.structures.runs import compress_mask, encode_mask


def overlap(a, b):
    return (a & b).sum() / max((a | b).sum(), 1)


def test_drawn_shapes_keep_their_outlines_in_yolo(tmp_path):
    write(make_splits(4, (64, 96)), tmp_path / "coco", "coco")
    written = convert(tmp_path / "coco", tmp_path / "yolo", "yolo")
    assert all("ids and areas" in note for note in written.notes)
    for split in ("train", "val"):
        before, after = (kzoo.data.load(tmp_path / name, split, masks=True) for name in ("coco", "yolo"))
        for one, other in zip(before, after, strict=True):
            assert np.abs(one.boxes - other.boxes).max() < 1e-3 and np.array_equal(one.labels, other.labels)
            shared = [overlap(a, b) for a, b in zip(one.masks, other.masks, strict=True)]
            assert min(shared) > 0.85 and np.mean(shared) > 0.95


def test_drawn_shapes_become_masks_of_pascal_voc(tmp_path):
    write(make_splits(4, (64, 96)), tmp_path / "coco", "coco")
    written = convert(tmp_path / "coco", tmp_path / "voc", "voc")
    assert {name: count for name, (count, _) in written.parts.items()} == {"train": 4, "val": 1, "test": 1}
    boxes = kzoo.data.load(tmp_path / "voc", "train")
    assert boxes.classes == kzoo.data.load(tmp_path / "coco").classes and not boxes.semantic
    before = kzoo.data.load(tmp_path / "coco", "train", task="segment")
    after = kzoo.data.load(tmp_path / "voc", "train", task="segment", masks=True)
    assert after.classes == before.classes and after.semantic
    for one, other in zip(before, after, strict=True):
        assert np.array_equal(one.mask, other.mask), "masks of classes are the pixels that outlines paint"
        assert len(other.masks) <= len(one.boxes) and set(other.labels) <= set(one.labels)


def outlined(tmp_path, *rows, classes=("cup", "void cup"), size=(60, 80)):
    """A COCO folder of one image."""
    picture = np.zeros((*size, 3), np.uint8)
    (tmp_path / "in").mkdir()
    Image.fromarray(picture).save(tmp_path / "in" / "a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": size[0], "width": size[1]}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, "iscrowd": 0, **row} for i, row in enumerate(rows)
        ],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(classes)],
    }
    (tmp_path / "in" / "train.json").write_text(json.dumps(content))
    return tmp_path / "in"


PARTS = [[10, 10, 30, 10, 30, 30, 10, 30], [50, 20, 60, 20, 60, 40, 50, 40]]


def test_an_outline_of_several_parts_is_joined_and_said(tmp_path):
    written = convert(outlined(tmp_path, {"segmentation": PARTS}), tmp_path / "out", "yolo")
    assert any("several parts" in note for note in written.notes)
    before, after = (kzoo.data.load(tmp_path / name, "train", masks=True)[0] for name in ("in", "out"))
    assert after.boxes.tolist() == [[10, 10, 60, 40]] and overlap(before.masks[0], after.masks[0]) > 0.95


def test_a_mask_with_a_hole_keeps_it(tmp_path):
    mask = np.zeros((60, 80), bool)
    mask[10:50, 10:60] = True
    mask[20:40, 20:50] = False
    convert(outlined(tmp_path, {"segmentation": encode_mask(mask)}), tmp_path / "out", "yolo")
    after = kzoo.data.load(tmp_path / "out", "train", masks=True)[0].masks[0]
    assert overlap(after, mask) > 0.9 and not after[25:35, 25:45].any()


def test_crowds_and_difficult_objects_keep_their_flags(tmp_path):
    rows = {"segmentation": PARTS[:1], "iscrowd": 1}, {"segmentation": PARTS[1:], "difficult": 1}
    source = outlined(tmp_path, *rows)
    convert(source, tmp_path / "yolo", "yolo")
    record = kzoo.data.load(tmp_path / "yolo", "train").record(0)
    assert record.crowd.tolist() == [True, False] and record.difficult.tolist() == [False, True]
    written = convert(source, tmp_path / "voc", "voc")
    assert any("2 crowds and difficult" in note for note in written.notes)
    mask = kzoo.data.load(tmp_path / "voc", "train", task="segment")[0].mask
    assert mask[20, 20] == mask[30, 55] == 255 and mask[55, 5] == 0


@pytest.mark.parametrize(
    ("rows", "to", "note"),
    [
        ([{"segmentation": PARTS[:1], "bbox": [5, 5, 40, 40]}], "yolo", "1 images have boxes that are not"),
        ([{"segmentation": PARTS[:1]}, {"bbox": [5, 5, 40, 40]}], "voc", "1 images have boxes without an outline"),
        ([{"segmentation": PARTS[:1]}, {"segmentation": PARTS[:1]}], "voc", "1 times an object hides"),
        ([{"segmentation": PARTS[:1]}, {"bbox": [5, 5, 4, 4], "segmentation": [[1]]}], "coco", "1 outlines that"),
        ([{"bbox": [5, 5, 40, 40]}, {"bbox": [5, 5, 9, 9], "image_id": 7}], "yolo", "1 labels without an image"),
    ],
)  # fmt: skip
def test_what_is_lost_is_counted(tmp_path, rows, to, note):
    written = convert(outlined(tmp_path, *rows), tmp_path / "out", to)
    assert any(note in line for line in written.notes), written.notes
    assert note in written.summary()


def test_a_mask_in_very_many_pieces_is_written_as_a_box(tmp_path):
    mask = np.zeros((60, 80), bool)
    mask[::2, ::2] = True
    written = convert(outlined(tmp_path, {"segmentation": encode_mask(mask)}), tmp_path / "out", "yolo")
    assert any("more than 500 pieces" in note for note in written.notes)
    assert len((tmp_path / "out" / "labels" / "a.txt").read_text().split()) == 5


@pytest.mark.parametrize("classes", [("cup 1 2 3",), ("# cup",), tuple(map(str, range(256)))])
def test_classes_that_a_legend_cannot_hold_leave_the_masks_behind(tmp_path, classes):
    source = outlined(tmp_path, {"segmentation": PARTS[:1]}, classes=classes)
    written = convert(source, tmp_path / "out", "voc")
    assert any("the outlines of 1 images are left behind" in note for note in written.notes)
    assert kzoo.data.load(tmp_path / "out", "train").classes == list(classes)
    assert not (tmp_path / "out" / "SegmentationClass").exists()


def test_masks_of_pascal_voc_that_belong_to_no_box_are_said(tmp_path):
    convert(outlined(tmp_path, {"segmentation": PARTS[:1]}), tmp_path / "voc", "voc")
    assert any(
        "SegmentationClass" in note for note in convert(tmp_path / "voc", tmp_path / "out", "yolo").notes
    )


@pytest.mark.parametrize("seed", range(3))
def test_polygons_of_any_mask_cover_it(seed):
    rng = np.random.default_rng(seed)
    mask = np.kron(rng.random((8, 10)) < 0.4, np.ones((6, 6), bool))
    again = draw_masks([to_polygons(compress_mask(mask), mask.shape)], mask.shape)[0]
    assert overlap(again, mask) > 0.8


def test_seams_have_no_width():
    outline = joined([np.reshape(part, (-1, 2)).astype(float) for part in PARTS])
    x, y = outline.T
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    assert area == 20 * 20 + 10 * 20


def test_indexed_png_is_what_others_read():
    values = np.random.default_rng(0).integers(0, 256, (7, 5)).astype(np.uint8)
    image = Image.open(io.BytesIO(indexed_png(values)))
    assert image.mode == "P" and np.array_equal(np.array(image), values)
    assert image.getpalette()[3:6] == [128, 0, 0] and image.getpalette()[-3:] == [224, 224, 192]


@pytest.mark.parametrize("to", ["coco", "yolo", "voc"])
def test_a_mask_of_another_size_than_its_image_is_told_with_its_place(tmp_path, to):
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    row = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "segmentation": {"size": [10**6] * 2, "counts": [0, 10**12]},
    }
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{**row, "bbox": [1, 1, 5, 5]}],
        "categories": [{"id": 1, "name": "cup"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match=r"a\.json:annotations\[0\]: a mask of 1000000 x 1000000 pixels on an im"
    ):
        convert(tmp_path / "a.json", tmp_path / "out", to)
    assert not (tmp_path / "out").exists()
