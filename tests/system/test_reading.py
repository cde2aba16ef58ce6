"""Pipes, devices and files of terabytes: each reader says in one line what they are, and waits for nothing."""

import os
import signal
import tracemalloc

import numpy as np
import pytest

import kzoo.data
from kzoo.data.checks.check import check
from kzoo.data.formats.parsing import read_json
from kzoo.data.formats.text import peek, read_text
from kzoo.sources import Video
from kzoo.sources.image import image_size, probe_image, read_image
from kzoo.structures.draw import encode_png
from kzoo.system.reading import MOST_BYTES, UnfitFileError, beginning, open_file, read_bytes

PNG = encode_png(np.zeros((20, 30, 3), np.uint8))


@pytest.fixture(autouse=True)
def soon():
    """Whoever waits for a pipe is woken, and fails."""

    def wake(*_):
        raise TimeoutError("somebody waits for a pipe")

    before = signal.signal(signal.SIGALRM, wake)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def terabyte(path):
    """A file of a terabyte without a byte on the disk."""
    with path.open("wb") as file:
        os.truncate(file.fileno(), 2**40)


SPECIAL = {"a pipe": pipe, "a device": device, "1099511627776 bytes": terabyte}


@pytest.mark.parametrize("what", SPECIAL)
@pytest.mark.parametrize("read", [read_bytes, read_text, read_json, read_image, image_size, probe_image])
def test_what_is_no_file_is_refused(tmp_path, what, read):
    path = tmp_path / "a.png"
    SPECIAL[what](path)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as caught:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
    said = str(caught.value)
    assert said.startswith(f"{path}: {what}") and "\n" not in said


@pytest.mark.parametrize("what", ["a pipe", "a device"])
def test_to_tell_what_it_is_nothing_is_waited_for(tmp_path, what):
    SPECIAL[what](tmp_path / "a.txt")
    assert beginning(tmp_path / "a.txt", 10) == b"" and peek(tmp_path / "a.txt") == []
    with pytest.raises(ValueError, match=what):
        Video(tmp_path / "a.txt")


def test_more_bytes_where_the_user_needs_them(tmp_path, monkeypatch):
    path = tmp_path / "a"
    with path.open("wb") as file:
        os.truncate(file.fileno(), MOST_BYTES + 1)
    with pytest.raises(UnfitFileError, match=f"set KZOO_MAX_BYTES={MOST_BYTES + 1}"):
        open_file(path)
    monkeypatch.setenv("KZOO_MAX_BYTES", str(MOST_BYTES + 1))
    open_file(path).close()
    monkeypatch.setenv("KZOO_MAX_BYTES", "many")
    with pytest.raises(ValueError, match="KZOO_MAX_BYTES=many"):
        open_file(path)


def yolo(root):
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for stem in "ab":
        (root / "images" / f"{stem}.png").write_bytes(PNG)
        (root / "labels" / f"{stem}.txt").write_text("0 .5 .5 .2 .2\n")
    (root / "list.txt").write_text("images/a.png\nimages/b.png\n")
    (root / "data.yaml").write_text("names: [cup]\ntrain: images\nval: list.txt\n")
    (root / "flags.json").write_text("{}")


def voc(root):
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for stem in "ab":
        (root / "JPEGImages" / f"{stem}.png").write_bytes(PNG)
        text = f"<annotation><object><name>cup</name>{box}</object></annotation>"
        (root / "Annotations" / f"{stem}.xml").write_text(text)
    (root / "ImageSets" / "Main" / "train.txt").write_text("a\nb\n")
    (root / "classes.txt").write_text("cup\n")


def masks(root):
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
        for stem in "ab":
            (root / folder / f"{stem}.png").write_bytes(encode_png(np.zeros((20, 30), np.uint8)))
    (root / "classes.txt").write_text("ground\ncup\n")
    (root / "splits.json").write_text('{"train": ["a"], "val": ["b"]}')


def arrays(root):
    root.mkdir()
    np.save(root / "images.npy", np.zeros((2, 20, 30, 3), np.uint8))
    np.save(root / "masks.npy", np.ones((2, 20, 30), np.uint8))
    (root / "classes.txt").write_text("ground\ncup\n")


def boxes(root):
    root.mkdir()
    (root / "a.png").write_bytes(PNG)
    (root / "boxes.csv").write_text("a.png,1,1,9,9,cup\n")


def coco(root):
    (root / "annotations").mkdir(parents=True)
    (root / "a.png").write_bytes(PNG)
    (root / "annotations" / "instances_train.json").write_text('{"images": [], "annotations": []}')


@pytest.mark.parametrize("what", SPECIAL)
@pytest.mark.parametrize("make", [yolo, voc, masks, arrays, boxes, coco])
def test_each_file_of_a_dataset(tmp_path, make, what):
    """A fault, an error in one line, or a file that is not looked for: never a wait, nor the memory."""
    make(tmp_path / "whole")
    names = [
        path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*") if path.is_file()
    ]
    for number, name in enumerate(sorted(names)):
        root = tmp_path / f"data{number}"
        make(root)
        (root / name).unlink()
        SPECIAL[what](root / name)
        for decode in (True, False):
            try:
                said = "\n".join(map(str, check(kzoo.data.load(root), decode=decode).faults))
            except (ValueError, OSError) as error:
                said = str(error)
                assert "\n" not in said and str(root) in said, (name, said)
            # Arrays are mapped, COCO's file here lists nothing, and a list of zeros is none.
            if what[0].isdecimal() and make in (yolo, voc, masks):
                assert "1099511627776 bytes" in said, (name, said)
