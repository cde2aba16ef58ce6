"""How many bits are in use, how many pixels and pictures a file holds: said, settable, and bounded by the file."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import kzoo.data
from kzoo.cli.data import app
from kzoo.data.checks.check import check
from kzoo.data.loading.cache import cached
from kzoo.sources.header import read_header
from kzoo.sources.image import image_size, oddities, probe_image, read_image


def greys(bits: int, size=(24, 40)) -> np.ndarray:
    """Levels from 0 to the highest of so many bits."""
    return np.linspace(0, 2**bits - 1, size[0] * size[1]).astype(np.uint16).reshape(size)


def yolo_set(root, levels, name="a.png"):
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    cv2.imwrite(str(root / "images" / name), levels)
    (root / "labels" / f"{name.rpartition('.')[0]}.txt").write_text("0 .5 .5 .2 .2\n")
    (root / "data.yaml").write_text("train: images\nnames: [cell]\n")
    return root


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_bits_in_use_become_8(tmp_path, suffix, bits):
    levels = greys(bits)
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), levels)
    image = read_image(path, bits=bits)
    assert image.dtype == np.uint8 and image.max() == 255
    np.testing.assert_array_equal(image, (levels >> (bits - 8))[..., None].repeat(3, 2))
    np.testing.assert_array_equal(read_image(path), (levels >> 8)[..., None].repeat(3, 2))


def test_colours_keep_their_order_and_8_bits_stay(tmp_path):
    levels = np.zeros((4, 6, 3), np.uint16)
    levels[..., 0] = 4095  # blue, as OpenCV writes it
    cv2.imwrite(str(tmp_path / "a.png"), levels)
    assert read_image(tmp_path / "a.png", bits=12)[0, 0].tolist() == [0, 0, 255]
    cv2.imwrite(str(tmp_path / "b.png"), levels.astype(np.uint8))
    np.testing.assert_array_equal(read_image(tmp_path / "b.png", bits=12), read_image(tmp_path / "b.png"))


def test_levels_beyond_the_bits_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), greys(13))
    with pytest.raises(ValueError, match=r"a\.png: a level of 8191, beyond the 0 to 4095 of 12 bits"):
        read_image(tmp_path / "a.png", bits=12)
    for bits in (7, 17, 12.5, "12"):
        with pytest.raises(ValueError, match=r"bits=.*8 to 16"):
            read_image(tmp_path / "a.png", bits=bits)


@pytest.mark.parametrize(
    "levels, message",
    [
        (np.float32, "floats of 32 bits"),
        (np.int16, "signed numbers of 16 bits"),
        (np.int32, "signed numbers of 32 bits"),
    ],
)
def test_levels_of_other_kinds_are_refused_in_words(tmp_path, levels, message):
    cv2.imwrite(str(tmp_path / "a.tif"), greys(12).astype(levels))
    with pytest.raises(ValueError, match=rf"a\.tif: its levels are {message}; .* save 8 bits"):
        read_image(tmp_path / "a.tif")


def test_signed_levels_can_be_given_a_range(tmp_path):
    cv2.imwrite(str(tmp_path / "a.tif"), greys(12).astype(np.int16))
    assert read_image(tmp_path / "a.tif", bits=12).max() == 255
    cv2.imwrite(str(tmp_path / "a.tif"), greys(12).astype(np.int16) - 1000)
    with pytest.raises(ValueError, match="a level of -1000"):
        read_image(tmp_path / "a.tif", bits=12)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("decode", [True, False])
def test_the_check_says_that_few_bits_are_in_use(tmp_path, bits, decode):
    root = yolo_set(tmp_path / "set", greys(bits))
    found = [str(fault) for fault in check(root, decode=decode).warnings]
    highest = 2**bits - 1 >> 8
    expected = f"never above {highest} of 255: a {bits}-bit image in 16 bits? give --bits {bits}"
    assert any(expected in text for text in found)
    assert not check(root, decode=decode, bits=bits).warnings
    result = CliRunner().invoke(app, ["check", str(root), "--bits", str(bits)])
    assert result.exit_code == 0 and "dark-image" not in result.output


def test_dark_pictures_of_8_and_bright_ones_of_16_bits_are_no_oddity(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((9, 9), 3, np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), greys(16))
    cv2.imwrite(str(tmp_path / "c.png"), np.zeros((9, 9), np.uint16))
    assert [oddities(tmp_path / f"{name}.png") for name in "abc"] == [[], [], []]


def test_a_dataset_reads_with_its_bits_and_so_do_its_views(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    root = yolo_set(tmp_path / "set", greys(12))
    dataset = kzoo.data.load(root, bits=12)
    plain = kzoo.data.load(root)
    assert dataset[0].image.max() == 255 and plain[0].image.max() == 15
    assert kzoo.data.Selection(dataset, [0])[0].image.max() == 255
    # What one kept on disk is not what the other reads.
    assert cached(plain, "disk")[0].image.max() == 15
    assert cached(dataset, "disk")[0].image.max() == 255
    with pytest.raises(ValueError, match="bits=12 is for image files"):
        kzoo.data.load("shapes:4:64", bits=12)


def test_frames_and_pages_beyond_the_first_are_counted(tmp_path):
    frames = [Image.fromarray(np.full((6, 8, 3), 50 * i, np.uint8)) for i in range(1, 4)]
    for name, noun in (("a.gif", "frames"), ("a.png", "frames"), ("a.webp", "frames"), ("a.tif", "pages")):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert oddities(tmp_path / name) == [
            ("several-images", f"3 {noun}, of which the first alone is read")
        ]
        assert abs(int(read_image(tmp_path / name)[0, 0, 0]) - 50) < 3
        frames[0].save(tmp_path / name)
        assert oddities(tmp_path / name) == []


# Claims of headers.


def lying_png(path, side: int, kind: int = 2) -> None:
    def chunk(name, content):
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, kind, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 9))
        + chunk(b"IEND", b"")
    )


def lying(path, suffix: str) -> None:
    """A small image whose header claims 8000 x 8000 pixels."""
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(path)
    raw = bytearray(path.read_bytes())
    if suffix == "gif":
        struct.pack_into("<HH", raw, 6, 8000, 8000)
    elif suffix == "bmp":
        struct.pack_into("<ii", raw, 18, 8000, 8000)
    elif suffix == "jpg":
        struct.pack_into(">HH", raw, raw.index(b"\xff\xc0") + 5, 8000, 8000)
    elif suffix == "ppm":
        raw = bytearray(b"P6\n8000 8000\n255\n" + b"123" * 20)
    path.write_bytes(raw)


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "jpg", "ppm"])
def test_a_claim_that_the_file_cannot_hold_is_refused_before_anything_is_allocated(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "png":
        lying_png(path, 8000)
    else:
        lying(path, suffix)
    message = rf"a\.{suffix}: its header claims 8000 x 8000 pixels, which its \d+ bytes"
    for read in (read_image, probe_image):
        with pytest.raises(ValueError, match=message):
            read(path)


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "jpg", "ppm", "tif", "webp", "jp2", "avif", "ras"])
def test_the_claim_of_every_kind_is_read_and_the_emptiest_picture_is_within_it(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    blank = np.zeros((900, 1100, 3), np.uint8)
    if suffix == "ras":
        cv2.imwrite(str(path), blank)
    elif suffix == "jpg":  # a bit a block
        Image.fromarray(blank[..., 0]).save(path, optimize=True, progressive=True)
    else:
        Image.fromarray(blank).save(path)
    header = read_header(memoryview(path.read_bytes()))
    assert header.size == (900, 1100)
    assert read_image(path).shape == (900, 1100, 3) and image_size(path) == (900, 1100)


def test_too_many_pixels_are_refused_and_the_bound_can_be_lifted(tmp_path, monkeypatch):
    Image.new("1", (1000, 1000)).save(tmp_path / "a.png")
    monkeypatch.setenv("KZOO_MAX_PIXELS", "999999")
    message = r"a\.png: 1000 x 1000 pixels, and more than 999999 .* KZOO_MAX_PIXELS=1000000"
    with pytest.raises(ValueError, match=message):
        read_image(tmp_path / "a.png")
    monkeypatch.setenv("KZOO_MAX_PIXELS", "1000000")
    assert read_image(tmp_path / "a.png").shape == (1000, 1000, 3)
    monkeypatch.setenv("KZOO_MAX_PIXELS", "many")
    with pytest.raises(ValueError, match="KZOO_MAX_PIXELS=many: give a number"):
        read_image(tmp_path / "a.png")


def test_a_decompression_bomb_takes_no_memory(tmp_path):
    """One bit a pixel: 32000 x 32000 are 124 KB, and decoded 3 GB."""

    def chunk(name, content):
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(4001)) for _ in range(32000)) + packer.flush()
    header = struct.pack(">IIBBBBB", 32000, 32000, 1, 0, 0, 0, 0)
    path = tmp_path / "a.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
    with pytest.raises(ValueError, match="32000 x 32000 pixels, and more than 268435456 are not decoded"):
        read_image(path)


def test_bits_without_effect_are_told(tmp_path):
    root = yolo_set(tmp_path / "set", greys(8).astype(np.uint8))
    kinds = [fault.kind for fault in check(root, bits=12).faults]
    assert kinds == ["unused-bits"] and not check(root).faults
