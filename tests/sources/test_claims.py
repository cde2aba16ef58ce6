"""How large a picture may be: what a small file may take of the memory, of each kind that is decoded."""

import io
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import kzoo
from kzoo.data.formats.masks.levels import read_levels
from kzoo.sources.claims import DENSE, MOST_PIXELS, SMALL_MEMORY, complaint
from kzoo.sources.header import Header, read_header
from kzoo.sources.image import image_size, probe_image, read_image

SIDE = 20_000  # claimed


def written(kind, side=8, **options):
    """A small sound file; its pixels are all alike."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (9, 9, 9)).save(buffer, kind, **options)
    return buffer.getvalue()


def altered(raw, place, form, *values):
    raw = bytearray(raw)
    struct.pack_into(form, raw, place, *values)
    return bytes(raw)


def codestream(raw):
    """JPEG 2000 that claims a large picture where its decoder looks, and in a .jp2 file a small one elsewhere."""
    return altered(raw, raw.index(b"\xff\x4f\xff\x51") + 8, ">II", SIDE, SIDE)


def progressive(padding=b""):
    """A JPEG of several passes that claims a large picture, and is as long as its blocks would need."""
    raw = written("JPEG", progressive=True)
    frame = raw.index(b"\xff\xc2")
    raw = altered(raw, frame + 5, ">HH", SIDE, SIDE)
    return raw[:frame] + padding + raw[frame:-2] + bytes(SIDE * SIDE // 512) + b"\xff\xd9"


CLAIMS = {
    "j2k": lambda: codestream(written("JPEG2000", no_jp2=True)),
    "jp2": lambda: codestream(written("JPEG2000")),
    "jpg": progressive,
    "garbage in a jpg": lambda: progressive(b"garbage"),
    "png": lambda: one_bit_png(SIDE),
    "pam": lambda: b"P7\nWIDTH %d\nHEIGHT %d\nDEPTH 1\nMAXVAL 255\nENDHDR\n" % (SIDE, SIDE) + bytes(99),
    "pfm": lambda: b"PF\n%d %d\n-1\n" % (SIDE, SIDE) + bytes(99),
    "hdr": lambda: b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % (SIDE, SIDE) + bytes(99),
    "webp": lambda: altered(written("WEBP", lossless=True), 21, "<I", 0x3FFF | 0x3FFF << 14),
}


def one_bit_png(side):
    buffer = io.BytesIO()
    Image.new("1", (side, side)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("kind", CLAIMS)
def test_a_small_file_that_claims_much_is_refused_by_its_header(tmp_path, kind):
    path = tmp_path / "a.img"
    path.write_bytes(CLAIMS[kind]())
    assert path.stat().st_size < 10**6
    for read in (read_image, probe_image, read_levels):
        with pytest.raises(ValueError, match=rf"^{path}: .*(000 x \d+ pixels|163\d\d x|smears)") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_the_message_has_the_limit_and_the_way_beyond_it(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(one_bit_png(9000))
    few = SMALL_MEMORY // 7
    count = path.stat().st_size
    with pytest.raises(ValueError) as caught:
        read_image(path)
    assert str(caught.value) == (
        f"{path}: 9000 x 9000 pixels in {count} bytes, and more than {few} are decoded only where there is a byte for "
        f"{DENSE} of them; cut it up, or set KZOO_MAX_PIXELS=81000000"
    )
    monkeypatch.setenv("KZOO_MAX_PIXELS", "81000000")
    assert complaint(read_header(memoryview(path.read_bytes())), count) is None


@pytest.mark.parametrize(
    ("pixels_a_byte", "fits"), [(1, True), (20, True), (DENSE, True), (DENSE + 1, False)]
)
def test_photographs_may_be_as_large_as_their_files_say(pixels_a_byte, fits):
    phone = Header("jpeg", 12_240, 16_320)  # 200 million
    assert (complaint(phone, 12_240 * 16_320 // pixels_a_byte) is None) == fits
    assert "not decoded" in complaint(Header("jpeg", 2**14, 2**14 + 1), MOST_PIXELS)


def test_what_stands_between_segments_is_passed_over_as_decoders_do(tmp_path):
    raw = written("JPEG", 24)
    frame, path = raw.index(b"\xff\xc0"), tmp_path / "a.jpg"
    for padding in (b"garbage", b"\xff\xff", b"\x00\xff\x00", b"\xff\xd0"):
        path.write_bytes(raw[:frame] + padding + raw[frame:])
        assert read_image(path).shape == (24, 24, 3) and image_size(path) == (24, 24)


@pytest.mark.parametrize("suffix", ["hdr", "pfm", "pam"])
def test_rarer_kinds_are_known_by_their_headers(tmp_path, suffix):
    path, picture = tmp_path / f"a.{suffix}", np.full((30, 40, 3), 90, np.uint8)
    cv2.imwrite(str(path), picture if suffix == "pam" else picture.astype(np.float32) / 255)
    header = read_header(memoryview(path.read_bytes()))
    assert (header.kind, header.size) == (suffix, (30, 40)) == (suffix, probe_image(path))
    assert read_image(path).shape == (30, 40, 3)


def test_what_has_no_header_is_not_given_to_a_decoder(tmp_path):
    for content in (
        b"P7\n",
        b"PF\n",
        b"#?RGBE\n",
        b"\xff\x4f\xff\x51",
        b"\0\0\0\x20ftypmif1",
        b"v/1\x01" + bytes(99),
    ):
        (tmp_path / "a.png").write_bytes(content)
        for read in (read_image, probe_image, read_levels):
            with pytest.raises(ValueError, match=r"a\.png: not an image that OpenCV can decode"):
                read(tmp_path / "a.png")


MEASURE = """
import os, resource, sys
from pathlib import Path
from kzoo.data.formats.masks.levels import read_levels
from kzoo.sources.image import read_image

def taken(read, path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        read(path)
    except ValueError:
        return 0
    return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

for path in sorted(Path(sys.argv[1]).iterdir()):
    for read in (read_image, read_levels):
        if not os.fork():
            print(path.name, taken(read, path), flush=True)
            os._exit(0)
        os.wait()
"""
KINDS = {
    "rgb.png": {}, "rgba.png": {}, "grey.png": {}, "palette.png": {}, "deep.png": {}, "base.jpg": {},
    "passes.jpg": {"progressive": True, "subsampling": 0}, "cmyk.jpg": {"progressive": True},
    "whole.webp": {"lossless": True}, "lossy.webp": {}, "alpha.webp": {"lossless": True}, "a.gif": {},
    "a.tif": {"compression": "tiff_adobe_deflate"}, "rgba.tif": {"compression": "tiff_lzw"}, "a.bmp": {},
    "a.ppm": {}, "a.jp2": {}, "a.avif": {"speed": 10}, "a.hdr": {},
}  # fmt: skip
MODES = {"rgba": "RGBA", "alpha": "RGBA", "grey": "L", "palette": "P", "cmyk": "CMYK"}


@pytest.mark.slow
def test_decoding_takes_no_more_memory_than_is_counted(tmp_path):
    """Of each kind, in processes of their own: the highest that each has had, for each pixel."""
    side = 3000
    ramp = np.arange(side, dtype=np.uint8)
    picture = np.stack(np.broadcast_arrays(ramp, ramp[:, None], ramp[:, None] // 16), axis=-1)
    for name, options in KINDS.items():
        if name == "deep.png":
            cv2.imwrite(str(tmp_path / name), picture.astype(np.uint16) * 257)
        elif name == "a.hdr":
            cv2.imwrite(str(tmp_path / name), picture.astype(np.float32) / 255)
        else:
            Image.fromarray(picture).convert(MODES.get(name.split(".")[0], "RGB")).save(
                tmp_path / name, **options
            )
    root = str(Path(kzoo.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path], capture_output=True, text=True, check=True, cwd=root
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 2 * len(KINDS)
    for name, taken in lines:
        header = read_header(memoryview((tmp_path / name).read_bytes()))
        few = int(taken) - (tmp_path / name).stat().st_size * 2
        assert few / side**2 <= header.cost, (name, few / side**2, header.cost)
