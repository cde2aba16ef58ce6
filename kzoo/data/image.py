"""Image files to RGB arrays, whatever they hold, the way up a person sees them."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np

# OpenCV's own complaints on stderr say less than the ValueError does, and name no file. (0 is silence; the
# function moved in OpenCV 5.)
(cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel)(0)

_RGB = getattr(cv2, "IMREAD_COLOR_RGB", None)  # OpenCV >= 4.11 writes RGB straight from the decoder
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_ORIENTATION = 0x0112
# Start-of-frame markers; C4, C8 and CC lie among them and are tables.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def read_image(path: str | Path) -> np.ndarray:
    """Reads an image file.

    EXIF rotation is applied, greyscale and palette images become RGB, 16-bit images are scaled to 8 bits,
    and an alpha channel is dropped: colours stay as stored, not blended with a ground.

    Args:
        path: a JPEG, PNG, BMP, TIFF, WebP or whatever else OpenCV reads.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is empty, truncated or no image.
    """
    return decode_image(_content(path), path)


def decode_image(data: np.ndarray | bytes, name: str | Path = "image") -> np.ndarray:
    """As `read_image`, from the file's bytes; `name` is what errors call it."""
    data = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
    complaint = _truncation(data)
    if complaint:
        raise ValueError(f"{name}: {complaint}; fetch the file anew or remove it")
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR if _RGB is None else _RGB)
    except cv2.error as error:
        raise ValueError(f"{name}: cannot be decoded: {' '.join(error.err.split())}") from None
    if image is None:
        raise ValueError(f"{name}: not an image that OpenCV can decode; replace or remove the file")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image) if _RGB is None else image


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width of the upright image, from the header of a JPEG or PNG, else by decoding it.

    Raises:
        FileNotFoundError, ValueError: as `read_image`, but of a JPEG or PNG the header alone is seen.
    """
    path = Path(path)
    with _open(path) as file:
        header = _header(file)
    if header is None:
        height, width = read_image(path).shape[:2]
        return height, width
    height, width, orientation = header
    return (width, height) if orientation >= 5 else (height, width)


def orientation(path: str | Path) -> int:
    """The EXIF orientation of a JPEG or PNG, 1 (upright) to 8; 1 where there is none."""
    with _open(Path(path)) as file:
        header = _header(file)
    return 1 if header is None else header[2]


def probe_image(path: str | Path) -> tuple[int, int]:
    """Height and width of the upright image, and whether the file ends where it should, without decoding it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is empty, truncated or no image.
    """
    complaint = _truncation(_content(path))
    if complaint:
        raise ValueError(f"{path}: {complaint}; fetch the file anew or remove it")
    return image_size(path)


def _open(path: Path):
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such image file") from None
    except IsADirectoryError:
        raise ValueError(f"{path}: a folder, not an image file") from None


def _content(path: str | Path) -> np.ndarray:
    with _open(Path(path)) as file:
        data = np.fromfile(file, np.uint8)
    if not data.size:
        raise ValueError(f"{path}: an empty file, not an image; fetch it anew or remove it")
    return data


def _truncation(data: np.ndarray) -> str | None:
    """What is wrong with the end of a JPEG or PNG: decoders fill what is missing with grey."""
    head = data[:8].tobytes()
    if head.startswith(_JPEG):
        if data[-2:].tobytes() == b"\xff\xd9":
            return None
        # Cameras append things after the end marker. In the scan no pixels look like it, but a thumbnail in the
        # header has an end marker of its own.
        raw = data.tobytes()
        return None if raw.find(b"\xff\xd9", _scan_start(raw)) >= 0 else "a truncated JPEG (no end marker)"
    if head == _PNG and b"IEND" not in data[-4096:].tobytes() and b"IEND" not in data.tobytes():
        return "a truncated PNG (no IEND chunk)"
    return None


def _scan_start(raw: bytes) -> int:
    """Where the compressed pixels of a JPEG begin."""
    position = 2
    while position + 4 <= len(raw) and raw[position] == 0xFF:
        marker, length = raw[position + 1], int.from_bytes(raw[position + 2 : position + 4], "big")
        if marker == 0xDA:
            return position
        position += 1 if marker == 0xFF else 2 + length
    return len(raw)


def _header(file) -> tuple[int, int, int] | None:
    """Stored height, width and EXIF orientation of a JPEG or PNG; None for others and broken headers."""
    start = file.read(8)
    file.seek(0)
    try:
        if start.startswith(_JPEG):
            return _jpeg_header(file)
        if start == _PNG:
            return _png_header(file)
    except (struct.error, IndexError):
        return None
    return None


def _jpeg_header(file) -> tuple[int, int, int] | None:
    file.seek(2)
    turned = 1
    while True:
        byte = file.read(1)
        if byte != b"\xff":
            return None
        while byte == b"\xff":
            byte = file.read(1)
        marker = byte[0]
        (length,) = struct.unpack(">H", file.read(2))
        if marker in _FRAMES:
            _, height, width = struct.unpack(">BHH", file.read(5))
            return (height, width, turned) if height and width else None
        if marker == 0xDA:
            return None
        body = file.read(length - 2)
        if marker == 0xE1 and body.startswith(b"Exif\x00\x00"):
            turned = _exif_orientation(body[6:])


def _png_header(file) -> tuple[int, int, int] | None:
    file.seek(8)
    height = width = 0
    turned = 1
    while chunk := file.read(8):
        length, kind = struct.unpack(">I4s", chunk)
        if kind == b"IHDR":
            width, height = struct.unpack(">II", file.read(8))
            file.seek(length - 8 + 4, 1)
        elif kind == b"eXIf":
            turned = _exif_orientation(file.read(length))
            file.seek(4, 1)
        elif kind in (b"IDAT", b"IEND"):
            break
        else:
            file.seek(length + 4, 1)
    return (height, width, turned) if height and width else None


def _exif_orientation(tiff: bytes) -> int:
    """The orientation tag of an EXIF block: 1 to 8, and 1 where it has none or is broken."""
    try:
        order = {b"II": "<", b"MM": ">"}[tiff[:2]]
        (offset,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, offset)
        for entry in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except (KeyError, struct.error):
        pass
    return 1
