"""Boxes of an annotation whose declared size is not its image's: put right by a rule, or refused."""

import json

import numpy as np
import pytest
from PIL import Image, ImageOps

import kzoo.data
from kzoo.data.checks.check import check, require_sound
from kzoo.data.formats.convert import convert
from kzoo.sources.image import orientation as orientation_of

STORED = (60, 100)  # height, width
THING = (20, 10, 45, 35)  # the only red pixels of the stored picture, x1 y1 x2 y2


def picture(path, orientation=1, scale=1.0):
    """A grey image with a red rectangle, and its EXIF orientation."""
    pixels = np.full((*STORED, 3), 90, np.uint8)
    x1, y1, x2, y2 = THING
    pixels[y1:y2, x1:x2] = (250, 10, 10)
    size = (round(STORED[1] * scale), round(STORED[0] * scale))
    exif = Image.Exif()
    exif[0x0112] = orientation
    small = Image.fromarray(pixels).resize(size, Image.NEAREST)
    small.save(path, exif=exif, lossless=True, quality=95)


def voc(root, size, box, orientation=1, scale=1.0):
    for part in ("JPEGImages", "Annotations"):
        (root / part).mkdir(parents=True)
    picture(root / "JPEGImages" / "a.png", orientation, scale)
    height, width = size
    corners = (box[0] + 1, box[1] + 1, box[2], box[3])
    bounds = "".join(
        f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    (root / "Annotations" / "a.xml").write_text(
        f"<annotation><size><width>{width}</width><height>{height}</height></size>"
        f"<object><name>cat</name><bndbox>{bounds}</bndbox></object></annotation>"
    )
    return root


def coco(root, size, box, orientation=1, scale=1.0, segmentation=None):
    root.mkdir(parents=True)
    picture(root / "a.png", orientation, scale)
    x1, y1, x2, y2 = box
    row = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1),
    }
    row["segmentation"] = segmentation or [[x1, y1, x2, y1, x2, y2, x1, y2]]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": size[0], "width": size[1]}],
        "annotations": [row],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (root / "annotations.json").write_text(json.dumps(content))
    return root


def csv(root, size, box, orientation=1, scale=1.0):
    root.mkdir(parents=True)
    picture(root / "a.png", orientation, scale)
    row = ["a.png", size[1], size[0], "cat", *box]
    header = "filename,width,height,class,xmin,ymin,xmax,ymax"
    (root / "boxes.csv").write_text(f"{header}\n{','.join(map(str, row))}\n")
    return root


READERS = {"voc": voc, "coco": coco, "csv": csv}
readers = pytest.mark.parametrize("write", READERS.values(), ids=READERS)


def red(image) -> list[int]:
    """The rectangle of red pixels in an image."""
    rows, columns = np.nonzero((image[..., 0] > 200) & (image[..., 1] < 60))
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@readers
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_are_turned_as_exif_turns_the_pixels(tmp_path, write, orientation):
    data = kzoo.data.load(write(tmp_path / "set", STORED, THING, orientation))
    sample, record = data[0], data.record(0)
    assert sample.image.shape == (100, 60, 3) and record.size == (100, 60)
    assert sample.boxes[0].tolist() == red(sample.image) != list(THING)
    if record.xywh is not None:
        x, y, wide, high = record.xywh[0]
        assert [x, y, x + wide, y + high] == red(sample.image)
    report = check(data)
    assert {(fault.kind, fault.severity) for fault in report.faults} == {
        ("exif-rotation", "warning"),
        ("size-mismatch", "warning"),
    }


@readers
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("scale", [0.5, 2.0, 0.31])
def test_boxes_of_another_scale_are_scaled(tmp_path, write, scale, orientation):
    data = kzoo.data.load(write(tmp_path / "set", STORED, THING, orientation, scale))
    sample = data[0]
    np.testing.assert_allclose(sample.boxes[0], red(sample.image), atol=0.75)
    assert [fault.severity for fault in data.record(0).problems] == ["warning"]


def test_outlines_and_areas_go_with_the_boxes(tmp_path):
    mask = np.zeros(STORED, bool)
    mask[THING[1] : THING[3], THING[0] : THING[2]] = True
    from kzoo.structures.runs import encode_mask

    for name, shape in {"polygon": None, "runs": encode_mask(mask)}.items():
        root = coco(tmp_path / name, STORED, THING, 8, segmentation=shape)
        sample = kzoo.data.load(root, masks=True)[0]
        x1, y1, x2, y2 = red(sample.image)
        expected = np.zeros((100, 60), bool)
        expected[y1:y2, x1:x2] = True
        assert np.array_equal(sample.masks[0], expected), name
    scaled = kzoo.data.load(coco(tmp_path / "scaled", STORED, THING, scale=0.5)).record(0)
    assert scaled.areas.tolist() == [25 * 25 / 4] and scaled.polygons[0][0].max() == 22.5
    runs = coco(tmp_path / "scaled-runs", STORED, THING, scale=0.5, segmentation=encode_mask(mask))
    assert [fault.kind for fault in check(runs).errors] == ["size-mismatch"]


@readers
@pytest.mark.parametrize(
    ("declared", "box", "orientation"),
    [
        (STORED, THING, 1),
        ((0, 0), THING, 1),
        ((59, 100), THING, 1),
        (STORED[::-1], (70, 10, 95, 35), 1),  # sides exchanged: fits into the image alone
        (STORED, (10, 70, 35, 95), 6),  # the stored size beside a box drawn upright
        ((100, 60), (10, 70, 35, 95), 6),
    ],
)
def test_boxes_stay_where_the_size_does_not_speak_against_them(tmp_path, write, declared, box, orientation):
    data = kzoo.data.load(write(tmp_path / "set", declared, box, orientation))
    assert data[0].boxes[0].tolist() == list(box)
    assert not check(data).errors


@readers
@pytest.mark.parametrize(
    ("declared", "box"),
    [
        (STORED[::-1], THING),  # fits both ways
        (STORED[::-1], (10, 70, 35, 95)),  # of an image that was turned
        ((90, 100), THING),
        ((30, 50), (30, 20, 90, 50)),  # half the size, and a box beyond it
        ((1, 7), THING),
    ],
)
def test_another_size_stops_a_training(tmp_path, write, declared, box):
    root = write(tmp_path / "set", declared, box)
    report = check(root)
    assert [(fault.kind, fault.severity) for fault in report.errors] == [("size-mismatch", "error")]
    with pytest.raises(ValueError, match=r"declares \d+ x \d+ pixels, the image has 100 x 60"):
        require_sound(kzoo.data.load(root))
    with pytest.raises(ValueError, match="no image is left"):
        require_sound(kzoo.data.load(root), skip_faulty=True)
    with pytest.raises(ValueError, match="declares"):
        kzoo.data.load(root)[0]


def test_what_is_written_anew_is_right(tmp_path):
    convert(voc(tmp_path / "set", STORED, THING, 6), tmp_path / "yolo", "yolo")
    sample = kzoo.data.load(tmp_path / "yolo")[0]
    np.testing.assert_allclose(sample.boxes[0], red(sample.image), atol=0.01)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_every_kind_of_image_that_is_turned(tmp_path, suffix):
    root = coco(tmp_path / "set", STORED, THING, 6)
    content = json.loads((root / "annotations.json").read_text())
    content["images"][0]["file_name"] = f"a.{suffix}"
    (root / "annotations.json").write_text(json.dumps(content))
    picture(root / f"a.{suffix}", 6)
    sample = kzoo.data.load(root)[0]
    np.testing.assert_allclose(sample.boxes[0], red(sample.image), atol=1)
    assert sample.image.shape == (100, 60, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_turn_is_pillows(tmp_path, orientation):
    """Images are turned as another program turns them, and the header says how."""
    for suffix in ("png", "webp", "tiff"):
        path = tmp_path / f"a.{suffix}"
        picture(path, orientation)
        picture(tmp_path / "stored.png")
        with Image.open(tmp_path / "stored.png") as image:
            image.getexif()[0x0112] = orientation
            upright = np.asarray(ImageOps.exif_transpose(image)).astype(int)
        assert orientation_of(path) == orientation
        assert kzoo.data.image_size(path) == upright.shape[:2]
        assert np.abs(kzoo.data.read_image(path) - upright).max() == 0
