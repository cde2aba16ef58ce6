"""Mask files to the numbers that are stored in them.

OpenCV shows a palette PNG in its palette's colours and stretches files of 1, 2 and 4 bits to 0..255. A PNG's
pixels are stored alike whether they are palette indices or shades of grey, so a palette PNG, told that it is grey,
decodes to its indices: https://www.w3.org/TR/png-3/, 11.2.1 (IHDR), 4.4 (sample depth scaling).
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from kzoo.data.fault import Fault, FaultError
from kzoo.data.formats.masks.indices import with_plain_palette
from kzoo.data.painting.mask_faults import unreadable_mask
from kzoo.sources.claims import complaint, png_damage
from kzoo.sources.header import JPEG, read_header
from kzoo.system.reading import UnfitFileError, beginning, read_bytes

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3


def read_levels(path: str | Path, colours: bool = False) -> np.ndarray:
    """The numbers in a mask file: palette indices, shades of grey or, of a file in colour, its RGB.

    Alpha is dropped, and of several frames or pages the first is read. The indices of a BMP or TIFF are read where
    its palette has colours; one of greys reads as these. So does a GIF, whose writers number colours as they like.

    Args:
        path: a PNG, or a BMP, TIFF, GIF or lossless WebP in grey or colour.
        colours: whether a palette's colours are wanted, of all but a PNG.

    Returns:
        (H, W) or (H, W, 3) uint8.

    Raises:
        ValueError: there is no such file, or it is no image, smeared by compression, truncated, too large or larger
            than its bytes can hold, or has more than 8 bits a channel.
    """
    path = Path(path)
    try:
        raw, depth = read_bytes(path), 8
    except FileNotFoundError:
        fault = Fault(path, None, "missing-mask", "no such mask file")
        raise FaultError(fault, "add it, or leave the image out with --skip-faulty") from None
    except UnfitFileError as error:
        raise unreadable_mask(path, error.reason) from None
    if not raw:
        raise unreadable_mask(path, "an empty file")
    _refuse(path, raw)
    if raw.startswith(_SIGNATURE):
        raw, depth = _as_grey(path, raw)
    levels = _decode(path, raw)
    if levels.ndim == 3 and not colours:
        indexed = with_plain_palette(raw)
        levels = levels if indexed is None else _decode(path, indexed)
    if levels.dtype != np.uint8:
        bits = f"{8 * levels.dtype.itemsize} bits a pixel, a mask has 8"
        raise FaultError(
            Fault(path, None, "deep-mask", bits),
            "save class numbers 0 to 254 as 8 bits; if these are instances, join them into classes first",
        )
    if depth < 8:
        levels = levels // (255 // (2**depth - 1))
    if levels.ndim == 2:
        return levels
    if levels.shape[2] < 3:
        return np.ascontiguousarray(levels[..., 0])
    return cv2.cvtColor(np.ascontiguousarray(levels[..., :3]), cv2.COLOR_BGR2RGB)


def _refuse(path: Path, raw: bytes) -> None:
    """Raises where a file is not to be decoded: smeared, or larger than it can be or may be."""
    header = read_header(memoryview(raw))
    if (header is not None and header.lossy) or raw.startswith(JPEG):
        kind = "JPEG" if header is None or header.kind != "webp" else "lossy WebP"
        message = f"a {kind}, which smears the numbers of the classes along their borders"
        raise FaultError(Fault(path, None, "lossy-mask", message), "save masks as PNG")
    reason = complaint(header, len(raw)) or (
        png_damage(memoryview(raw)) if raw.startswith(_SIGNATURE) else None
    )
    if header is None and not reason:
        reason = "not an image that OpenCV can decode"
    if reason:
        raise unreadable_mask(path, reason)


def is_palette(path: Path) -> bool:
    """Whether a file is a PNG with a palette."""
    head = beginning(path, 26)
    return head.startswith(_SIGNATURE) and head[25:26] == bytes([_PALETTE])


def _as_grey(path: Path, raw: bytes) -> tuple[bytes, int]:
    """A PNG of indices or shades as one of shades with nothing but its pixels; and its bits a pixel.

    One in colour, or with alpha, comes back as it is.
    """
    try:
        chunks = list(_chunks(raw))
        width, height, depth, kind, *rest = struct.unpack(">IIBBBBB", chunks[0][1])
    except (struct.error, IndexError):
        raise unreadable_mask(path, "a broken PNG") from None
    if chunks[-1][0] != b"IEND":
        raise unreadable_mask(path, "a truncated PNG (no IEND chunk)")
    if kind not in (_GREY, _PALETTE):
        return raw, 8
    header = struct.pack(">IIBBBBB", width, height, depth, _GREY, *rest)
    kept = [(b"IHDR", header), *(chunk for chunk in chunks if chunk[0] == b"IDAT"), (b"IEND", b"")]
    return _SIGNATURE + b"".join(_packed(*chunk) for chunk in kept), depth


def _chunks(raw: bytes):
    """The chunks of a PNG as (kind, content); at a break it ends."""
    position = len(_SIGNATURE)
    while position + 12 <= len(raw):
        length, kind = struct.unpack_from(">I4s", raw, position)
        content = raw[position + 8 : position + 8 + length]
        if len(content) < length:
            return
        yield kind, content
        position += 12 + length
        if kind == b"IEND":
            return


def _packed(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _decode(path: Path, raw: bytes) -> np.ndarray:
    try:
        levels = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise unreadable_mask(path, f"cannot be decoded: {' '.join(error.err.split())}") from None
    if levels is None:
        raise unreadable_mask(path, "not an image that OpenCV can decode")
    return levels
