"""Which way up a camera was held: EXIF's tag of orientation."""

from __future__ import annotations

import struct

ORIENTATION = 0x0112  # the number of the tag


def exif_orientation(tiff: bytes) -> int:
    """The orientation tag of an EXIF block: 1 to 8, and 1 where it has none or is broken."""
    try:
        order = {b"II": "<", b"MM": ">"}[tiff[:2]]
        (offset,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, offset)
        for entry in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except (KeyError, struct.error):
        pass
    return 1
