"""Files altered at random, as disks, transfers and ill will alter them; the same ones for the same seed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

# Numbers at the edge of what fields hold.
_EDGES = (
    *(
        b"\xff",
        b"\xff\xff",
        b"\xff\xff\xff\xff",
        b"\xff\xff\xff\x7f",
        b"\x7f\xff\xff\xff",
        b"\x80\x00\x00\x00",
    ),
    *(b"\x00", b"\x00\x00\x00\x00", b"99999999999999999999", b"-1", b"\xe9", b"\n", b" " * 50),
)


def mutations(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """So many altered versions of a file: bytes turned, cut out, doubled, put in, and the end cut off."""
    rng = np.random.default_rng((seed, len(content)))
    for _ in range(count):
        raw = bytearray(content)
        for _ in range(int(rng.integers(1, 4))):
            place = int(rng.integers(len(raw) + 1)) if raw else 0
            length = int(rng.integers(1, 20))
            edge = _EDGES[int(rng.integers(len(_EDGES)))]
            match int(rng.integers(6)):
                case 0 if raw:
                    raw[min(place, len(raw) - 1)] ^= 1 << int(rng.integers(8))
                case 1:
                    raw[place : place + len(edge)] = edge
                case 2:
                    del raw[place : place + length]
                case 3:
                    raw[place:place] = raw[place : place + length]
                case 4:
                    raw[place:place] = edge
                case 5:
                    del raw[place:]
        yield bytes(raw)


def with_checksums(png: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what is in them, so that decoders look at it."""
    place, parts = 8, [png[:8]]
    while place + 12 <= len(png):
        (length,) = struct.unpack_from(">I", png, place)
        body = png[place + 4 : place + 8 + length]
        parts += [png[place : place + 4], body, struct.pack(">I", zlib.crc32(body))]
        place += 12 + length
    return b"".join(parts)
