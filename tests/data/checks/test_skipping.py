"""What `--skip-faulty` leaves out is what `kzoo data check` reports, in every format, whatever is mixed."""

import json
import logging
import re

import numpy as np
import pytest
from PIL import Image

import kzoo.data
from kzoo.data.checks.check import check, require_sound

SIDE = 40
SOUND = (5, 5, 20, 25)
# Corners of boxes that are faulty in one way each.
FAULTY = {
    "zero-area": (5, 5, 5, 25),
    "inverted": (20, 5, 8, 25),
    "out-of-range": (5, 5, SIDE + 9, 25),
}
WHOLE = ("missing", "broken")  # of images


def mixture(seed: int) -> list[dict]:
    """Images, each with boxes of which some are faulty, and some that are no images."""
    rng = np.random.default_rng(seed)
    images = [{"name": "sound", "state": "sound", "boxes": [("cat", SOUND)]}]
    for number in range(12):
        boxes = []
        for _ in range(int(rng.integers(0, 4))):
            kind = rng.choice(["sound", "sound", "unknown", *FAULTY])
            # Boxes that are the same twice are told as that: these differ.
            shift = float(rng.integers(0, 12)) / 4
            corners = np.add(FAULTY.get(kind, SOUND), (0, shift, 0, shift)).tolist()
            boxes.append(("cow" if kind == "unknown" else "cat", corners))
        state = rng.choice(["sound", "sound", "sound", *WHOLE])
        images.append({"name": f"image{number}", "state": state, "boxes": boxes})
    return images


def picture(path, state):
    if state == "broken":
        path.write_bytes(b"no picture")
    elif state != "missing":
        Image.new("RGB", (SIDE, SIDE), (90, 30, 200)).save(path)


def write_coco(root, images):
    rows = []
    for number, image in enumerate(images):
        picture(root / f"{image['name']}.png", image["state"])
        for name, (x1, y1, x2, y2) in image["boxes"]:
            rows.append(
                {
                    "image_id": number,
                    "category_id": 1 if name == "cat" else 7,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                }
            )
    rows.append({"image_id": 0, "category_id": 1, "bbox": [1, 2, "3", 4]})
    rows.append({"image_id": 0, "category_id": 1})
    rows.append({"image_id": 999, "category_id": 1, "bbox": [1, 2, 3, 4]})
    content = {
        "images": [{"id": n, "file_name": f"{image['name']}.png"} for n, image in enumerate(images)],
        "annotations": [{"id": n, **row} for n, row in enumerate(rows)],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (root / "annotations.json").write_text(json.dumps(content))


def write_voc(root, images):
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    (root / "classes.txt").write_text("cat\n")
    for image in images:
        picture(root / "JPEGImages" / f"{image['name']}.png", image["state"])
        objects = "".join(
            f"<object><name>{name}</name><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin>"
            f"<xmax>{x2 + (x1 == x2)}</xmax><ymax>{y2}</ymax></bndbox></object>\n"
            for name, (x1, y1, x2, y2) in image["boxes"]
        )
        objects += "<object><name>cat</name></object>\n" if image["name"] == "sound" else ""
        (root / "Annotations" / f"{image['name']}.xml").write_text(f"<annotation>\n{objects}</annotation>\n")
    picture(root / "JPEGImages" / "listed.png", "sound")
    picture(root / "JPEGImages" / "torn.png", "sound")
    (root / "Annotations" / "torn.xml").write_text("<annotation><object>")
    names = [*(image["name"] for image in images), "listed", "torn"]
    (root / "ImageSets" / "Main" / "train.txt").write_text("\n".join(names) + "\n")


def write_yolo(root, images):
    for folder in ("images", "labels"):
        (root / folder).mkdir()
    (root / "data.yaml").write_text("train: train.txt\nnames: [cat]\n")
    for image in images:
        picture(root / "images" / f"{image['name']}.png", image["state"])
        lines = []
        for name, corners in image["boxes"]:
            x1, y1, x2, y2 = np.array(corners) / SIDE
            lines.append(f"{0 if name == 'cat' else 7} {(x1 + x2) / 2} {(y1 + y2) / 2} {x2 - x1} {y2 - y1}")
        lines += ["0 .5 .5", "cat"] if image["name"] == "sound" else []
        (root / "labels" / f"{image['name']}.txt").write_text("\n".join(lines) + "\n")
    (root / "labels" / "orphan.txt").write_text("0 .5 .5 .1 .1\n")
    (root / "train.txt").write_text("".join(f"images/{image['name']}.png\n" for image in images))


def write_csv(root, images):
    lines = ["filename,class,xmin,ymin,xmax,ymax"]
    for image in images:
        picture(root / f"{image['name']}.png", image["state"])
        lines += [
            f"{image['name']}.png,{name},{x1},{y1},{x2},{y2}" for name, (x1, y1, x2, y2) in image["boxes"]
        ]
    (root / "boxes.csv").write_text("\n".join(lines) + "\n")
    (root / "classes.csv").write_text("cat,0\n")


WRITERS = {"coco": write_coco, "voc": write_voc, "yolo": write_yolo, "csv": write_csv}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("seed", range(3))
def test_left_out_is_what_is_reported(tmp_path, caplog, name, seed):
    WRITERS[name](tmp_path, mixture(seed))
    data = kzoo.data.load(tmp_path)
    report = check(data)
    assert report.errors
    with caplog.at_level(logging.WARNING, "kzoo"):
        sound = require_sound(data, skip_faulty=True)
    text = caplog.text.splitlines()[-1]
    boxes, images = map(int, re.search(r"left out (\d+) box(?:es)? and (\d+) image", text).groups())
    passed = int((re.search(r"passed over (\d+) label", text) or [0, 0])[1])
    assert re.search(r"finds, (\d+) errors?$", text)[1] == str(len(report.errors))
    assert images == len(data) - len(sound)
    # What is left has no errors, and is all that had none.
    assert not check(sound).errors
    left = {sound.record(i).id for i in range(len(sound))}
    complete = [data.record(i) for i in range(len(data)) if data.record(i).id in left]
    kept = sum(len(sound.record(i)) for i in range(len(sound)))
    unread = sum(fault.kind == "malformed" for record in complete for fault in record.problems)
    assert boxes == sum(map(len, complete)) - kept + unread
    assert passed == sum(fault.kind == "label-without-image" for fault in report.errors)
    for sample in sound:
        assert (sample.labels == 0).all() and (sample.boxes[:, 2:] > sample.boxes[:, :2]).all()


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_through_a_training_and_without_decoding(tmp_path, caplog, name):
    from kzoo.training.inputs import open_datasets

    WRITERS[name](tmp_path, mixture(5))
    train, _ = open_datasets(tmp_path, None, skip_faulty=True)
    expected = require_sound(kzoo.data.load(tmp_path, train.split), skip_faulty=True)
    assert [train.record(i).id for i in range(len(train))] == [
        expected.record(i).id for i in range(len(expected))
    ]
    with pytest.raises(ValueError) as caught:
        open_datasets(tmp_path, None)
    assert f"{len(check(tmp_path, train.split).errors)} faults" in str(caught.value)
