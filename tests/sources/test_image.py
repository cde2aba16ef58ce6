"""Image files become upright RGB uint8, or one clear error. Pillow writes them and says what they should look like."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from kzoo.sources.image import decode_image, image_size, orientation, probe_image, read_image


@pytest.fixture
def picture() -> np.ndarray:
    """(40, 60, 3) RGB, smooth, its four corners of four colours."""
    corners = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], np.uint8)
    return cv2.resize(corners, (60, 40), interpolation=cv2.INTER_LINEAR)


def jpeg(picture, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("turned", range(1, 9))
def test_exif_orientation(tmp_path, picture, suffix, turned):
    exif = Image.Exif()
    exif[0x0112] = turned
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture).save(path, exif=exif)
    with Image.open(path) as stored:
        upright = np.asarray(ImageOps.exif_transpose(stored))
    assert np.abs(read_image(path).astype(int) - upright).max() <= 2
    assert image_size(path) == probe_image(path) == upright.shape[:2]
    assert orientation(path) == turned


def test_big_endian_exif(tmp_path, picture):
    tiff = (
        b"MM\x00*\x00\x00\x00\x08"
        + b"\x00\x01"
        + b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
        + bytes(4)
    )
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(picture, exif=b"Exif\x00\x00" + tiff))
    assert orientation(path) == 6
    assert image_size(path) == read_image(path).shape[:2] == (60, 40)


def test_broken_exif_is_upright(tmp_path, picture):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(picture, exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff"))
    assert image_size(path) == read_image(path).shape[:2] == (40, 60)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "RGB"])
def test_modes_of_png_become_rgb(tmp_path, picture, mode):
    stored = Image.fromarray(picture).convert(mode)
    stored.save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8 and image.flags.c_contiguous
    assert np.array_equal(image, np.asarray(stored.convert("RGB")))


def test_alpha_is_dropped_not_blended(tmp_path, picture):
    rgba = np.dstack([picture, np.full(picture.shape[:2], 7, np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), picture)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_become_8(tmp_path, picture, suffix, channels):
    deep = picture.astype(np.uint16) * 257  # white stays white
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), deep[..., 0] if channels == 1 else deep[..., ::-1])
    image = read_image(tmp_path / f"a.{suffix}")
    assert image.dtype == np.uint8
    assert np.array_equal(image, picture[..., :1].repeat(3, axis=2) if channels == 1 else picture)


def test_grey_progressive_and_cmyk_jpeg(tmp_path, picture):
    for name, stored in {
        "grey": Image.fromarray(picture).convert("L"),
        "cmyk": Image.fromarray(picture).convert("CMYK"),
    }.items():
        stored.save(tmp_path / f"{name}.jpg", quality=95, progressive=True)
        with Image.open(tmp_path / f"{name}.jpg") as again:
            expected = np.asarray(again.convert("RGB")).astype(int)
        assert np.abs(read_image(tmp_path / f"{name}.jpg") - expected).max() <= 6
        assert image_size(tmp_path / f"{name}.jpg") == (40, 60)


def test_other_formats_are_sized_by_decoding(tmp_path, picture):
    for suffix in ("bmp", "tiff", "webp"):
        Image.fromarray(picture).save(tmp_path / f"a.{suffix}")
        assert image_size(tmp_path / f"a.{suffix}") == (40, 60)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (6000, 8000)])
def test_smallest_and_large(tmp_path, height, width):
    Image.new("RGB", (width, height), (1, 2, 3)).save(tmp_path / "a.png", compress_level=1)
    assert read_image(tmp_path / "a.png").shape == (height, width, 3)
    assert image_size(tmp_path / "a.png") == (height, width)


def broken(picture) -> dict[str, bytes]:
    whole = jpeg(picture)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    png = buffer.getvalue()
    thumbnail = b"Exif\x00\x00" + whole  # has an end marker of its own
    return {
        "half.jpg": whole[: len(whole) // 2],
        "thumbnail.jpg": jpeg(picture, exif=thumbnail)[:-2],
        "header.jpg": whole[:30],
        "text.jpg": b"not a picture at all\n",
        "empty.jpg": b"",
        "half.png": png[: len(png) // 2],
        "gap.png": png[:60] + bytes(20) + png[80:],
    }


@pytest.mark.parametrize(
    "name", ["half.jpg", "thumbnail.jpg", "header.jpg", "text.jpg", "empty.jpg", "half.png", "gap.png"]
)
def test_broken_files_are_one_line_errors(tmp_path, picture, name, capfd):
    path = tmp_path / name
    path.write_bytes(broken(picture)[name])
    with pytest.raises(ValueError) as error:
        read_image(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert capfd.readouterr().out == ""
    if name != "gap.png":  # damage in the middle shows in decoding alone
        with pytest.raises(ValueError):
            probe_image(path)


def test_bytes_after_the_end_marker_are_no_fault(tmp_path, picture):
    (tmp_path / "a.jpg").write_bytes(jpeg(picture) + b"maker's notes" * 9)
    assert read_image(tmp_path / "a.jpg").shape == (40, 60, 3)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.jpg: no such image file"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(ValueError, match="a folder"):
        image_size(tmp_path)


def test_decode_image_takes_bytes(picture):
    image = decode_image(jpeg(picture), "upload")
    assert np.abs(image.astype(int) - picture).max() < 40
    with pytest.raises(ValueError, match=r"^upload: "):
        decode_image(b"nothing", "upload")


@pytest.mark.parametrize("content", [None, b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_what_is_wrong_with_a_file_is_one_line_whatever_it_is_called(tmp_path, content):
    path = tmp_path / "a\nb.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        read_image(path)
    assert "\n" not in str(caught.value) and r"a\nb.png" in str(caught.value)
