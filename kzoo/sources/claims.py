"""What an image file claims, against what its bytes can hold and what memory there is to be for it.

A small file is not to take much: a PNG of 124 kB can hold a picture of 3 GB. A large one may take what it needs.
"""

from __future__ import annotations

import os
import struct
import zlib

from kzoo.sources.header import PNG, Header

MOST_PIXELS = 2**28  # of one image, if not told otherwise: 16,384 x 16,384
SMALL_MEMORY = 500 * 10**6  # bytes, for any file
DENSE = 64  # pixels for a byte of the file, beyond that: photographs have less than 20
_LIFT = "KZOO_MAX_PIXELS"


def complaint(header: Header | None, count: int) -> str | None:
    """Why a file of `count` bytes is not to be decoded, as a message and a remedy; None where it is.

    More pixels than the bytes can hold are not, nor more than `MOST_PIXELS`, nor what would take more than
    `SMALL_MEMORY` of a file with less than a byte for `DENSE` pixels. The environment's KZOO_MAX_PIXELS sets another
    number in the place of the latter two.

    Args:
        header: what the file claims; None where that is not known, which is no complaint.
        count: number of the file's bytes.

    Raises:
        ValueError: KZOO_MAX_PIXELS is no number.
    """
    if header is None:
        return None
    pixels, claim = header.height * header.width, f"{header.width} x {header.height} pixels"
    if header.most is not None and pixels > header.most:
        return f"its header claims {claim}, which its {count} bytes cannot hold; fetch the file anew or remove it"
    asked = _asked_pixels()
    most = MOST_PIXELS if asked is None else asked
    if pixels > most:
        return f"{claim}, and more than {most} are not decoded; cut it up, or set {_LIFT}={pixels}"
    few = SMALL_MEMORY // header.cost
    if asked is None and pixels > max(few, DENSE * count):
        return (
            f"{claim} in {count} bytes, and more than {few} are decoded only where there is a byte for {DENSE} of "
            f"them; cut it up, or set {_LIFT}={pixels}"
        )
    return None


def png_damage(view: memoryview, checksums: bool = False) -> str | None:
    """What is wrong with the chunks of a PNG, one after the other up to the last; None where nothing is.

    A decoder makes room for as many bytes as a chunk claims, be it gigabytes.

    Args:
        view: the whole file.
        checksums: whether those of the chunks that hold the picture are compared, too.
    """
    place = len(PNG)
    while place + 12 <= len(view):
        length, kind = struct.unpack_from(">I4s", view, place)
        end = place + 12 + length
        if end > len(view):
            break
        looked_at = checksums and kind in (b"IHDR", b"PLTE", b"IDAT")
        if looked_at and zlib.crc32(view[place + 4 : end - 4]) != struct.unpack_from(">I", view, end - 4)[0]:
            return f"a damaged PNG (chunk {kind.decode()} has not its checksum)"
        if kind == b"IEND":
            return None
        place = end
    return "a truncated PNG (no IEND chunk)"


def _asked_pixels() -> int | None:
    most = os.environ.get(_LIFT)
    if not most:
        return None
    if not most.isdecimal() or not int(most):
        raise ValueError(f"{_LIFT}={most}: give a number of pixels, such as {2**30}")
    return int(most)
