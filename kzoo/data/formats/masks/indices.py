"""Files with a palette, altered so that decoders give the indices of pixels and not their colours.

The pixels of a BMP stand for entries of its colour table: with a table of 0, 1, 2, ... in grey they decode to
themselves (https://learn.microsoft.com/windows/win32/gdi/bitmap-storage). A TIFF says in one tag whether its numbers
are indices or shades of grey (TIFF 6.0, PhotometricInterpretation, 3 and 1).
"""

from __future__ import annotations

import struct

from kzoo.sources.header import tiff_tags

_PHOTOMETRIC, _BITS, _COLOURS = 262, 258, 320
_GREY, _PALETTE = 1, 3
_CORE = 12  # bytes of the oldest header, whose table has three bytes an entry


def with_plain_palette(raw: bytes) -> bytes | None:
    """The file with a palette that shows its indices as greys; None where it has no palette of colours.

    Args:
        raw: the whole of a BMP or TIFF; of other kinds there is None.
    """
    try:
        if raw.startswith(b"BM"):
            return _bmp(raw)
        if raw.startswith((b"II", b"MM")):
            return _tiff(raw)
    except (struct.error, KeyError):
        pass
    return None


def _bmp(raw: bytes) -> bytes | None:
    pixels, header = struct.unpack_from("<II", raw, 10)
    bits = struct.unpack_from("<H", raw, 24 if header == _CORE else 28)[0]
    if bits not in (1, 4, 8):
        return None
    entry = 3 if header == _CORE else 4
    start = 14 + header
    count = min(2**bits, (pixels - start) // entry)
    if count < 1 or pixels > len(raw):
        return None
    table = b"".join(bytes([index] * 3 + [0] * (entry - 3)) for index in range(count))
    return raw[:start] + table + raw[start + len(table) :]


def _tiff(raw: bytes) -> bytes | None:
    order, tags = tiff_tags(memoryview(raw))
    place, kind = tags.get(_PHOTOMETRIC, (0, None))
    if kind != _PALETTE or tags.get(_BITS, (0, 1))[1] != 8:
        return None
    table = tags[_COLOURS][0]
    red, green, blue = (
        raw[table + at : table + at + 512] for at in (0, 512, 1024)
    )  # 256 numbers of 16 bits each
    if red == green == blue:
        return None
    return raw[:place] + struct.pack(order + "H", _GREY) + raw[place + 2 :]
