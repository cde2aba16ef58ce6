"""Damaged images, masks, legends, lists and arrays end in a result or in one line with the file, soon and in bounds."""

import io
import json
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from mask_files import SIZE, numbers, squares, write_image, write_instances
from mutations import mutations, with_checksums
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import kzoo.data
from kzoo.data.checks.check import check
from kzoo.data.formats.arrays import Arrays
from kzoo.data.formats.lists import read_lists
from kzoo.data.formats.masks.legend import read_legend
from kzoo.data.formats.masks.levels import read_levels
from kzoo.sources.image import image_size, oddities, orientation, probe_image, read_image

FAST = 1000
MANY = 30_000
_SECONDS = 2  # of the processors
# What a small file may take: a byte of a PNG is 1032 of pixels, of three channels, held more than once.
_BYTES = 2**25


def picture(kind: str) -> bytes:
    buffer, remarks = io.BytesIO(), PngInfo()
    remarks.add_text("Comment", "what no decoder looks at " * 200)
    if kind == "palette":
        image = Image.fromarray(numbers(0), "P")
        image.putpalette(bytes(range(256)) * 3)
        image.save(buffer, "PNG", pnginfo=remarks)
    elif kind == "rgb":
        noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(noise).save(buffer, "PNG", pnginfo=remarks)
    else:
        Image.fromarray(numbers(0)).save(buffer, kind)
    return buffer.getvalue()


def outcome(read, path: Path, *, of: Path | None = None) -> bool:
    """Whether reading gives a result; what is raised names the file in one line, and neither takes long nor much."""
    began = time.process_time()
    try:
        read(path)
    except (ValueError, OSError) as error:
        text = str(error)
        assert type(error) is not UnicodeDecodeError and str(of or path) in text and "\n" not in text, text
        return False
    finally:
        assert time.process_time() - began < _SECONDS
    return True


def run(read, path: Path, content: bytes, count: int, seed: int = 0, mend=None, of: Path | None = None):
    """Reads so many altered versions of a file."""
    outcomes = set()
    for raw in mutations(content, count, seed):
        path.write_bytes(mend(raw) if mend else raw)
        outcomes.add(outcome(read, path, of=of))
    assert outcomes == {True, False}, "some are read and some are refused, or this tests nothing"


def run_in_bounds(read, path: Path, content: bytes, count: int, seed: int = 0, mend=None) -> None:
    """As `run`, and sees what memory is taken."""
    tracemalloc.start()
    try:
        run(read, path, content, count, seed, mend)
        assert tracemalloc.get_traced_memory()[1] < _BYTES
    finally:
        tracemalloc.stop()


def look(path: Path):
    """All that is asked of an image file."""
    probe_image(path)
    assert read_image(path).shape[:2] == image_size(path)
    orientation(path)
    oddities(path)


KINDS = ["PNG", "palette", "rgb", "BMP", "GIF", "TIFF", "PPM"]


@pytest.mark.parametrize("kind", KINDS)
def test_masks(tmp_path, kind):
    count = FAST // 2 if kind in ("PNG", "palette") else FAST // 10
    run_in_bounds(read_levels, tmp_path / "a.png", picture(kind), count)


@pytest.mark.parametrize("kind", ["PNG", "palette", "rgb"])
def test_masks_whose_checksums_are_right(tmp_path, kind):
    run_in_bounds(read_levels, tmp_path / "a.png", picture(kind), FAST // 10, mend=with_checksums)


@pytest.mark.parametrize("kind", [*KINDS, "JPEG", "WEBP", "AVIF", "JPEG2000"])
def test_images(tmp_path, kind):
    run_in_bounds(look, tmp_path / "a.png", picture(kind), FAST // 16)


LEGENDS = (
    b"# a legend\nroad 128 64 128\nbus stop 70 70 70\ncar\t0 0 142\nvoid 1 2 3\nothers = nearest\n",
    b"background\nroad\ncar\nothers = ignored\n",
    b"road:128,64,128::\nbus stop:70,70,70::\n",
)


@pytest.mark.parametrize("text", LEGENDS)
def test_legends(tmp_path, text):
    run(read_legend, tmp_path / "legend.txt", text, FAST // 3)


def test_lists(tmp_path):
    content = json.dumps({"train": ["a", "b.c", "images/d.png"], "val": ["e"]}).encode()
    run(lambda path: read_lists(path.parent), tmp_path / "splits.json", content, FAST // 2)
    (tmp_path / "splits.json").unlink()
    (tmp_path / "splits").mkdir()
    run(
        lambda path: read_lists(path.parents[1]),
        tmp_path / "splits" / "train.txt",
        b"a\nb.c\nimages/d.png\n",
        FAST // 2,
    )


@pytest.mark.parametrize("which", ["images", "masks"])
def test_arrays(tmp_path, which):
    np.save(tmp_path / "images.npy", np.zeros((3, *SIZE, 3), np.uint8))
    np.save(tmp_path / "masks.npy", np.stack([numbers(seed) for seed in range(3)]).astype(np.int16))
    path = tmp_path / f"{which}.npy"

    def read(path):
        dataset = Arrays(tmp_path)
        for index in range(len(dataset)):
            dataset.size(index)
            dataset[index]

    # Of two that do not fit it may name either, and of levels that leave classes open the folder.
    run(read, path, path.read_bytes(), FAST // 2, of=tmp_path)


HEADERS = [
    "{'descr': '|u1', 'fortran_order': False, 'shape': (-3, 24, 40), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 24, 99999999999), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (9223372036854775807, 9223372036854775807, 9, 9), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': 3, }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 24, 40), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 0, 40), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (True, 24, 40), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (3, 24, 40), }",
    "{'descr': '|V99999999', 'fortran_order': False, 'shape': (3, 24, 40), }",
    "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (3, 24, 40), }",
    "{'descr': '<M8[D]', 'fortran_order': False, 'shape': (3, 24, 40), }",
    "{'descr': [1], 'fortran_order': False, 'shape': (3, 24, 40), }",
    "{'descr': '|u1', 'fortran_order': 'x', 'shape': (3, 24, 40), }",
    "{'descr': '|u1'",
    "[" * 9000,
    "(" * 200,
    "9" * 5000,
    "'''",
    "",
]


@pytest.mark.parametrize("header", range(len(HEADERS)))
@pytest.mark.parametrize("which", ["images", "masks"])
@pytest.mark.parametrize("version", [1, 2])
def test_headers_of_arrays(tmp_path, header, which, version):
    np.save(tmp_path / "images.npy", np.zeros((3, *SIZE), np.uint8))
    np.save(tmp_path / "masks.npy", np.zeros((3, *SIZE), np.uint8))
    text = (HEADERS[header] + "\n").encode()
    length = len(text).to_bytes(2 * version, "little")
    path = tmp_path / f"{which}.npy"
    path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + length + text + bytes(3 * SIZE[0] * SIZE[1]))
    assert not outcome(lambda path: check(Arrays(path.parent)), path, of=tmp_path)


def test_folders_of_instances(tmp_path):
    write_instances(tmp_path, "x", squares())
    path = tmp_path / "x" / "masks" / "001.png"

    def read(path):
        return kzoo.data.load(tmp_path, masks=True)[0]

    run(read, path, path.read_bytes(), FAST // 4, of=tmp_path)


@pytest.mark.long
def test_whole_datasets_are_checked_without_an_error_of_another_kind(tmp_path):
    """Whatever is altered, the check reports, and loading refuses what the check reports."""
    rng = np.random.default_rng(0)
    for seed, name in enumerate("abc"):
        write_image(tmp_path / "images" / f"{name}.png", seed=seed)
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(numbers(seed)).save(tmp_path / "masks" / f"{name}.png")
    (tmp_path / "classes.txt").write_text("ground\nroad\ncar\n")
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    for number in range(150):
        path = files[int(rng.integers(len(files)))]
        content = path.read_bytes()
        path.write_bytes(next(mutations(content, 1, number)))
        try:
            dataset = kzoo.data.load(tmp_path)
            for decode in (True, False):
                faults = check(dataset, decode=decode).errors
                broken = {fault.file.stem for fault in faults}
                for index in range(len(dataset)):
                    name = dataset.record(index).id
                    if name not in broken and (decode or path.parent.name == "masks"):
                        dataset[index]  # what was not told can be read
        except (ValueError, OSError) as error:
            assert str(tmp_path) in str(error) and "\n" not in str(error)
            assert path.name == "classes.txt" or path.parent.name == "masks", (
                "an image is a fault, not an error"
            )
        path.write_bytes(content)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(1, 3))
@pytest.mark.parametrize("kind", KINDS)
def test_many_masks_and_images(tmp_path, kind, seed):
    run(read_levels, tmp_path / "a.png", picture(kind), MANY // 6, seed)
    run(look, tmp_path / "b.png", picture(kind), MANY // 6, seed)
    if picture(kind).startswith(b"\x89PNG"):
        run(read_levels, tmp_path / "c.png", picture(kind), MANY // 6, seed, with_checksums)


@pytest.mark.exhaustive
def test_many_legends_lists_and_arrays(tmp_path):
    for text in LEGENDS:
        run(read_legend, tmp_path / "legend.txt", text, MANY, 1)
    np.save(tmp_path / "images.npy", np.zeros((3, *SIZE, 3), np.uint8))
    np.save(tmp_path / "masks.npy", np.stack([numbers(seed) for seed in range(3)]))
    header = (tmp_path / "masks.npy").read_bytes()
    run(lambda path: list(Arrays(path.parent)), tmp_path / "masks.npy", header, MANY // 4, 1, of=tmp_path)
