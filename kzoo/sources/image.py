"""Image files to RGB arrays, whatever they hold, the way up a person sees them; and pictures to files."""

from __future__ import annotations

import mmap
from pathlib import Path

import cv2
import numpy as np

from kzoo.sources.claims import complaint, png_damage
from kzoo.sources.header import JPEG, PNG, Header, read_header
from kzoo.system.files import write_atomically
from kzoo.system.messages import one_line
from kzoo.system.reading import beginning, open_file

# OpenCV's own complaints on stderr say less than the ValueError does, and name no file. (0 is silence; the
# function moved in OpenCV 5.)
(cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel)(0)

_RGB = getattr(cv2, "IMREAD_COLOR_RGB", None)  # OpenCV >= 4.11 writes RGB straight from the decoder
_COLOUR = cv2.IMREAD_COLOR if _RGB is None else _RGB
_LEAST_BITS, _MOST_BITS = 8, 16
# What cameras and microscopes give, to guess from.
_USUAL_BITS = (10, 12, 14)
_NO_IMAGE = "not an image that OpenCV can decode"
_SEVERAL = {"gif": "frames", "png": "frames", "webp": "frames", "avif": "frames", "tiff": "pages"}


def read_image(path: str | Path, bits: int | None = None) -> np.ndarray:
    """Reads an image file.

    EXIF rotation is applied, greyscale and palette images become RGB, 16-bit images are scaled to 8 bits,
    and an alpha channel is dropped: colours stay as stored, not blended with a ground. Of several frames or pages
    the first is read. At most 2**28 pixels are decoded, and less of small files (see `kzoo.sources.claims`); the
    environment's KZOO_MAX_PIXELS sets another number.

    Args:
        path: a JPEG, PNG, BMP, TIFF, WebP or whatever else OpenCV reads.
        bits: how many of the bits of a 16-bit image are in use, 8 to 16: 12 where levels go from 0 to 4095, as
            microscopes and thermal cameras write them. All 16 where None. It has no effect on images of 8 bits.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is empty, truncated or no image, holds too many pixels or levels beyond `bits`, or its levels
            are floats, signed or of 32 bits.

    Example:
        >>> read_image("thermal.png", bits=12).max()
        255
    """
    return decode_image(_content(path), path, bits)


def decode_image(data: np.ndarray | bytes, name: str | Path = "image", bits: int | None = None) -> np.ndarray:
    """As `read_image`, from the bytes of a file.

    Args:
        data: the whole file, as bytes or (K,) uint8.
        name: what errors call the image.
        bits: how many of the bits of a 16-bit image are in use, 8 to 16; all 16 where None.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: it is no image, or not one that `read_image` reads.
    """
    check_bits(bits)
    name = one_line(name)
    data = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
    header = read_header(memoryview(data))
    _refuse(data, header, name)
    deep = bits is not None and header.bits == _MOST_BITS
    _refuse_levels(header, name, bits)
    try:
        image = cv2.imdecode(data, _COLOUR | cv2.IMREAD_ANYDEPTH if deep else _COLOUR)
    except cv2.error as error:
        raise ValueError(f"{name}: cannot be decoded: {' '.join(error.err.split())}") from None
    if image is None:
        raise ValueError(f"{name}: {_NO_IMAGE}; replace or remove the file")
    if deep:
        image = _to_8_bits(image, bits, name)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image) if _RGB is None else image


def check_bits(bits: int | None) -> None:
    """Raises a ValueError where `bits` is not what `read_image` takes."""
    if bits is not None and not (isinstance(bits, int) and _LEAST_BITS <= bits <= _MOST_BITS):
        raise ValueError(f"bits={bits}: give how many bits of 16 are in use, {_LEAST_BITS} to {_MOST_BITS}")


def save_picture(path: str | Path, image: np.ndarray) -> Path:
    """Writes an RGB picture; the suffix tells the format (.jpg, .png, ...)."""
    path = Path(path)
    ok, data = cv2.imencode(path.suffix or ".png", image[..., ::-1])
    if not ok:
        raise ValueError(f"{path}: cannot encode as {path.suffix}; use .jpg or .png")
    return write_atomically(path, data.tobytes())


def _refuse(data: np.ndarray, header: Header | None, name: str | Path, checksums: bool = False) -> None:
    """Raises where a file's header or its end show that it is not to be decoded; or a PNG's checksums, if wanted."""
    reason = complaint(header, data.size)
    if reason:
        raise ValueError(f"{name}: {reason}")
    reason = _truncation(data, checksums)
    if reason:
        raise ValueError(f"{name}: {reason}; fetch the file anew or remove it")
    if header is None:  # how much a decoder would make of it nobody knows
        raise ValueError(f"{name}: {_NO_IMAGE}; replace or remove the file")


def _refuse_levels(header: Header, name: str | Path, bits: int | None) -> None:
    """Raises where levels are not of a kind that a picture is made of."""
    what = {"float": "floats", "signed": "signed numbers"}.get(header.levels, "numbers")
    usable = header.levels == "unsigned" or (header.levels == "signed" and bits is not None)
    if header.bits > _MOST_BITS or not usable:
        raise ValueError(
            f"{name}: its levels are {what} of {header.bits} bits; scale them to what is to be seen and save 8 bits"
        )


def _to_8_bits(image: np.ndarray, bits: int, name: str | Path) -> np.ndarray:
    if image.dtype == np.uint8:
        return image
    lowest, highest = int(image.min()), int(image.max())
    if lowest < 0 or highest >= 2**bits:
        level = lowest if lowest < 0 else highest
        raise ValueError(
            f"{name}: a level of {level}, beyond the 0 to {2**bits - 1} of {bits} bits; give the bits that are in use"
        )
    return (image >> (bits - 8)).astype(np.uint8)


def oddities(path: str | Path, bits: int | None = None, decode: bool = True) -> list[tuple[str, str]]:
    """What a person may not expect of an image that can be read, each as a short name and a message.

    That only the first of several frames or pages is read, that a 16-bit image is nearly black because it uses
    fewer bits, and that `bits` were given for one that has none to spare.

    Args:
        path: the image file.
        bits: how many of the bits of a 16-bit image are in use, 8 to 16, as `read_image` is told; None where it is not.
        decode: whether an image of 16 bits is decoded to look at its levels.
    """
    path, remarks = Path(path), []
    with _open(path) as file:
        header = _header(file)
    if header is None:
        return []
    noun = _SEVERAL.get(header.kind)
    count = _frames(path, header.kind) if noun else 1
    if count > 1:
        remarks.append(("several-images", f"{count} {noun}, of which the first alone is read"))
    if bits is not None and header.bits < _MOST_BITS:
        remarks.append(("unused-bits", f"an image of {header.bits} bits, on which bits={bits} has no effect"))
    if decode and bits is None and header.bits == _MOST_BITS and header.levels == "unsigned":
        highest = _highest(path)
        used = next((few for few in _USUAL_BITS if highest < 2**few), None)
        if highest and used:
            remarks.append(
                (
                    "dark-image",
                    f"16 bits, but never above {highest >> 8} of 255: a {used}-bit image in 16 bits? "
                    f"give --bits {used}",
                )
            )
    return remarks


def _frames(path: Path, kind: str) -> int:
    """How many pictures a file holds; what a PNG says in the chunk acTL, which comes before its pixels."""
    if kind == "png":
        start = beginning(path, 2**12)
        if b"acTL" not in start:
            return 1
    try:
        return int(cv2.imcount(str(path)))
    except cv2.error:
        return 1


def _highest(path: Path) -> int:
    """The highest level of a 16-bit image; 0 where it cannot be decoded."""
    try:
        levels = cv2.imdecode(_content(path), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return 0
    # Alpha is full where nothing is transparent.
    levels = levels[..., :3] if levels is not None and levels.ndim == 3 and levels.shape[2] == 4 else levels
    return 0 if levels is None or levels.dtype != np.uint16 else int(levels.max())


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width of the upright image, from the header of a JPEG or PNG, else by decoding it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read; of a JPEG or PNG the header alone is looked at.
    """
    path = Path(path)
    with _open(path) as file:
        header = _header(file)
    if header is None or header.kind not in ("jpeg", "png"):
        height, width = read_image(path, _MOST_BITS).shape[:2]
        return height, width
    return header.size


def orientation(path: str | Path) -> int:
    """The EXIF orientation of a JPEG, PNG, WebP or TIFF, 1 (upright) to 8; 1 where there is none."""
    with _open(Path(path)) as file:
        header = _header(file)
    return 1 if header is None else header.orientation


def probe_image(path: str | Path) -> tuple[int, int]:
    """Height and width of the upright image, and whether the file ends where it should, without decoding it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is empty, truncated or no image, or not to be decoded.
    """
    data = _content(path)
    _refuse(data, read_header(memoryview(data)), path, checksums=True)
    return image_size(path)


def _header(file) -> Header | None:
    """What the header of an open file says, with no more of the file read than that."""
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as view:
            return read_header(view)
    except (OSError, ValueError):  # an empty file, or one that cannot be mapped
        return read_header(memoryview(file.read()))


def _open(path: Path):
    try:
        return open_file(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{one_line(path)}: no such image file") from None
    except IsADirectoryError:
        raise ValueError(f"{one_line(path)}: a folder, not an image file") from None


def _content(path: str | Path) -> np.ndarray:
    with _open(Path(path)) as file:
        data = np.fromfile(file, np.uint8)
    if not data.size:
        raise ValueError(f"{one_line(path)}: an empty file, not an image; fetch it anew or remove it")
    return data


def _truncation(data: np.ndarray, checksums: bool = False) -> str | None:
    """What is wrong with the end of a JPEG or PNG: decoders fill what is missing with grey."""
    head = data[:8].tobytes()
    if head.startswith(JPEG):
        if data[-2:].tobytes() == b"\xff\xd9":
            return None
        # Cameras append things after the end marker. In the scan no pixels look like it, but a thumbnail in the
        # header has an end marker of its own.
        raw = data.tobytes()
        return None if raw.find(b"\xff\xd9", _scan_start(raw)) >= 0 else "a truncated JPEG (no end marker)"
    return png_damage(memoryview(data), checksums) if head == PNG else None


def _scan_start(raw: bytes) -> int:
    """Where the compressed pixels of a JPEG begin."""
    position = 2
    while position + 4 <= len(raw) and raw[position] == 0xFF:
        marker, length = raw[position + 1], int.from_bytes(raw[position + 2 : position + 4], "big")
        if marker == 0xDA:
            return position
        position += 1 if marker == 0xFF else 2 + length
    return len(raw)
