"""Damaged Pascal VOC files end in a report or in one line with the file, in time and memory that follow from them."""

import re
import time
import tracemalloc

import numpy as np
import pytest

import kzoo.data
from kzoo.data.checks.check import check, require_sound
from kzoo.data.formats.voc.xml import parse
from kzoo.structures.draw import encode_png

SECONDS, BYTES = 5, 2**25
SOUND = b"""<?xml version="1.0" encoding="utf-8"?>
<annotation>
  <folder>JPEGImages</folder><filename>a.png</filename><path>C:\\set\\a.png</path>
  <size><width>80</width><height>60</height><depth>3</depth></size>
  <object><name>cup</name><difficult>0</difficult>
    <bndbox><xmin>21</xmin><ymin>11</ymin><xmax>60</xmax><ymax>40</ymax></bndbox></object>
  <object><name>caf\xc3\xa9</name><difficult>1</difficult><part><name>ear</name></part>
    <bndbox><xmin>1.5</xmin><ymin>1</ymin><xmax>80</xmax><ymax>60</ymax></bndbox></object>
</annotation>
"""
INSERTED = (
    b"\0", b"\xff", b"\xe9", b"<", b">", b"&", b"&x;", b"]]>", b"<!--", b"<a>" * 200, b"</object>", b"<object>", b" ",
    b"</annotation>", b"<v:x>", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"9" * 5000, b"-1", b"1e400", b"nan", b"inf",
    b"x" * 3000, b"\xed\xa0\x80", b'<?xml version="1.0" encoding="punycode"?>', b'encoding="utf-16"',
    b'encoding="gbk"', b"\xef\xbb\xbf", b"\xff\xfe", "\u2028\u0663".encode(),
)  # fmt: skip


def damaged(content, rng):
    """One to three bytes, tags, numbers or stretches turned, put in, left out or doubled; or another encoding."""
    for _ in range(int(rng.integers(1, 4))):
        at, length = int(rng.integers(len(content) + 1)), int(rng.integers(1, 40))
        inserted = INSERTED[int(rng.integers(len(INSERTED)))]
        marks = list(re.finditer(rb"<[^<>]*>|[\d.]+", content)) or [re.match(b"", content)]
        mark = marks[int(rng.integers(len(marks)))]
        match int(rng.integers(8)):
            case 0:
                content = content[:at] + inserted + content[at:]
            case 1:
                content = content[:at] + content[at + length :]
            case 2:
                content = content[: at + length] + content[at:]
            case 3:
                content = content[:at]
            case 4 | 5:
                content = content[: mark.start()] + inserted + content[mark.end() :]
            case 6:
                content = content[: mark.start()] + content[mark.end() :]
            case _:
                flipped = bytes([content[at] ^ 1 << int(rng.integers(8))]) if at < len(content) else b""
                content = content[:at] + flipped + content[at + 1 :]
    encoding = ("utf-16", "latin-1", "utf-16-le", "utf-8-sig")[int(rng.integers(4))]
    return content.decode("utf-8", "replace").encode(encoding, "replace") if rng.random() < 0.1 else content


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voc")
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    (folder / "JPEGImages" / "a.png").write_bytes(encode_png(np.zeros((60, 80, 3), np.uint8)))
    (folder / "Annotations" / "b.xml").write_bytes(SOUND.replace(b"a.png", b"c.png"))
    return folder


def outcome(read, *names):
    """Whether something is read without an error; what is raised names the file, and nothing takes long."""
    began = time.process_time()
    try:
        return read()
    except (ValueError, OSError) as error:
        text = str(error)
        assert not isinstance(error, UnicodeError) and any(name in text for name in names), repr(error)
        return False
    finally:
        assert time.process_time() - began < SECONDS


def look(root):
    """All that is asked of a folder."""
    report = check(root, decode=False)
    assert all("\n" not in str(fault) for fault in report.faults)
    data = kzoo.data.load(root)
    data.problems()
    sound = require_sound(data, skip_faulty=True, decode=False)
    assert all(sample.labels.max(initial=0) < len(sound.classes) for sample in sound)
    return not report.errors


def run_parser(path, count, seed):
    rng, sound = np.random.default_rng(seed), set()
    tracemalloc.start()
    try:
        for _ in range(count):
            path.write_bytes(damaged(SOUND, rng))
            began = time.process_time()
            found = parse(path)
            assert time.process_time() - began < SECONDS
            assert all(fault.file == path and "\n" not in str(fault) for fault in found.problems)
            assert len(found.boxes) == len(found.names) == len(found.lines) == len(found.crowd)
            sound.add(not found.problems)
        assert tracemalloc.get_traced_memory()[1] < BYTES
    finally:
        tracemalloc.stop()
    assert sound == {True, False}, "some are read and some have faults, or this tests nothing"


def test_a_thousand_damaged_files(tmp_path):
    run_parser(tmp_path / "a.xml", 1000, seed=0)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(1, 6))
def test_many_damaged_files(tmp_path, seed):
    run_parser(tmp_path / "a.xml", 20_000, seed)


@pytest.mark.parametrize("count", [100, pytest.param(3000, marks=pytest.mark.exhaustive)])
def test_folders_with_a_damaged_file(root, count):
    rng = np.random.default_rng(count)
    for _ in range(count):
        (root / "Annotations" / "a.xml").write_bytes(damaged(SOUND, rng))
        outcome(lambda: look(root), "a.xml", "b.xml", root.name)


@pytest.mark.parametrize("line", ["/", ".", "..", "//", "./", "/.", "a/..", "~"])
def test_a_line_that_names_no_file(root, line):
    (root / "Annotations" / "a.xml").write_bytes(SOUND)
    listed = root / "ImageSets" / "Main" / "train.txt"
    listed.write_text(f"a\n{line}\n")
    try:
        outcome(lambda: look(root), "train.txt", "b.xml", root.name)
    finally:
        listed.unlink()


@pytest.mark.parametrize("count", [100, pytest.param(3000, marks=pytest.mark.exhaustive)])
def test_folders_with_a_damaged_list(root, count):
    rng = np.random.default_rng(count)
    (root / "Annotations" / "a.xml").write_bytes(SOUND)
    listed = root / "ImageSets" / "Main" / "train.txt"
    try:
        for _ in range(count):
            listed.write_bytes(damaged(b"a\nb\nJPEGImages/a.png\nC:\\x\\a.png\na 1\n../a\n", rng))
            outcome(lambda: look(root), "train.txt", "b.xml", root.name)
    finally:
        listed.unlink()
