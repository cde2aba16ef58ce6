"""What an image file says of itself before its pixels: size, depth, orientation, and how many pixels it can hold.

Decoders make room for what the header claims, be it true or not. So the claim is read first, and compared with the
file: no PNG holds more than 1032 times its own bytes, for one.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from dataclasses import dataclass

MOST_PIXELS = 2**28  # of one image, if not told otherwise: 16,384 x 16,384
_LIFT = "KZOO_MAX_PIXELS"
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_ORIENTATION = 0x0112
# Start-of-frame markers; C4, C8 and CC lie among them and are tables.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ARITHMETIC = frozenset(range(0xC9, 0xD0))
# Bytes that a byte of the file can become: deflate's longest match in two bits; LZW's longest string in a code.
_DEFLATE, _LZW, _RUNS = 1032, 4096, 128
_TIFF_GROWTH = {1: 1, 5: _LZW, 8: _DEFLATE, 32946: _DEFLATE, 32773: _RUNS}
_TIFF_JPEG = (6, 7)
_SIGNED, _FLOAT = 2, 3  # TIFF's SampleFormat
_PNM_TOKENS = re.compile(rb"(?:\s+|#[^\n]*\n)*([^\s#]+)")


@dataclass(frozen=True)
class Header:
    """What a file claims.

    Attributes:
        kind: "png", "jpeg", "gif", "bmp", "webp", "tiff", "pnm", "ras", "jp2" or "avif".
        height: rows of pixels as they are stored, before EXIF turns them.
        width: columns of pixels as they are stored, before EXIF turns them.
        bits: bits of one channel of a pixel; 8 but for deep images.
        levels: kind of the numbers that pixels are, "unsigned", "signed" or "float".
        orientation: EXIF's orientation of a JPEG, PNG, WebP or TIFF, 1 (upright) to 8.
        most: how many pixels the file's bytes can hold; None where there is no bound.
        lossy: whether the compression smears levels.
    """

    kind: str
    height: int
    width: int
    bits: int = 8
    levels: str = "unsigned"
    orientation: int = 1
    most: int | None = None
    lossy: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the upright image."""
        turned = self.orientation >= 5
        return (self.width, self.height) if turned else (self.height, self.width)


def read_header(view: memoryview) -> Header | None:
    """What the bytes of a file claim; None where they are broken, or of a kind not known here.

    Args:
        view: the whole file, as bytes; no more of it is looked at than is needed.
    """
    start = bytes(view[:16])
    try:
        reader = next((read for tell, read in _READERS if tell(start)), None)
        header = None if reader is None else reader(view)
    except (struct.error, IndexError, ValueError, KeyError):
        return None
    return header if header is not None and header.height > 0 and header.width > 0 else None


def complaint(header: Header | None, count: int) -> str | None:
    """Why a file of `count` bytes is not to be decoded, as a message and a remedy; None where it is.

    More than `MOST_PIXELS` pixels are not, unless the environment's KZOO_MAX_PIXELS says so; nor are more than the
    bytes can hold.

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
    most = _most_pixels()
    if pixels > most:
        return f"{claim}, and more than {most} are not decoded; cut it up, or set {_LIFT}={pixels}"
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
        if looked_at and zlib.crc32(view[place + 4 : end - 4]) != _u(view, end - 4, ">I"):
            return f"a damaged PNG (chunk {kind.decode()} has not its checksum)"
        if kind == b"IEND":
            return None
        place = end
    return "a truncated PNG (no IEND chunk)"


def _most_pixels() -> int:
    most = os.environ.get(_LIFT)
    if not most:
        return MOST_PIXELS
    if not most.isdecimal() or not int(most):
        raise ValueError(f"{_LIFT}={most}: give a number of pixels, such as {2**30}")
    return int(most)


def _u(view: memoryview, place: int, form: str) -> int:
    """The one number at a place, by the `struct` format."""
    return struct.unpack_from(form, view, place)[0]


def _png(view: memoryview) -> Header | None:
    place, turned, fields = len(PNG), 1, None
    while place + 8 <= len(view):
        length, kind = struct.unpack_from(">I4s", view, place)
        if kind == b"IHDR":
            fields = struct.unpack_from(">IIBB", view, place + 8)
        elif kind == b"eXIf":
            turned = exif_orientation(bytes(view[place + 8 : place + 8 + length]))
        elif kind in (b"IDAT", b"IEND"):
            break
        place += 12 + length
    if fields is None:
        return None
    width, height, bits, colour = fields
    pixel = bits * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]  # bits, by the channels of the colour type
    most = _DEFLATE * len(view) * 8 // max(pixel, 1)
    return Header("png", height, width, bits, orientation=turned, most=most)


def _jpeg(view: memoryview) -> Header | None:
    place, turned = 2, 1
    while view[place] == 0xFF:
        while view[place] == 0xFF:
            place += 1
        marker, length = view[place], _u(view, place + 1, ">H")
        if marker in _FRAMES:
            bits, height, width = struct.unpack_from(">BHH", view, place + 3)
            # Huffman codes spend a bit on each block of 8 x 8 pixels; arithmetic ones may spend nothing.
            most = None if marker in _ARITHMETIC else 512 * len(view)
            return Header("jpeg", height, width, bits, orientation=turned, most=most, lossy=True)
        if marker == 0xDA:
            return None
        body = bytes(view[place + 3 : place + 1 + length]) if marker == 0xE1 else b""
        if body.startswith(b"Exif\x00\x00"):
            turned = exif_orientation(body[6:])
        place += 1 + length
    return None


def _gif(view: memoryview) -> Header:
    width, height = struct.unpack_from("<HH", view, 6)
    return Header("gif", height, width, most=_LZW * len(view))


def _bmp(view: memoryview) -> Header:
    if _u(view, 14, "<I") == 12:
        (width, height), bits, compression = struct.unpack_from("<HH", view, 18), _u(view, 24, "<H"), 0
    else:
        (width, height), bits = struct.unpack_from("<ii", view, 18), _u(view, 28, "<H")
        compression = _u(view, 30, "<I")
    runs = compression in (1, 2)
    # Run lengths may leave out whole rows.
    most = _LZW * len(view) if runs else 8 * len(view) // max(bits, 1)
    return Header("bmp", abs(height), abs(width), most=most)


def _webp(view: memoryview) -> Header | None:
    kind = bytes(view[12:16])
    if kind == b"VP8L":
        packed = _u(view, 21, "<I")
        return Header("webp", (packed >> 14 & 0x3FFF) + 1, (packed & 0x3FFF) + 1)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", view, 26)
        return Header("webp", height & 0x3FFF, width & 0x3FFF, lossy=True)
    if kind == b"VP8X":
        width, height = (int.from_bytes(view[at : at + 3], "little") + 1 for at in (24, 27))
        chunks = _riff_chunks(view)
        exif = bytes(chunks.get(b"EXIF", b"")).removeprefix(b"Exif\0\0")
        return Header("webp", height, width, orientation=exif_orientation(exif), lossy=b"VP8 " in chunks)
    return None


def _riff_chunks(view: memoryview) -> dict[bytes, memoryview]:
    """The chunks by their kind; of several of a kind the last."""
    place, chunks = 12, {}
    while place + 8 <= len(view):
        length = _u(view, place + 4, "<I")
        chunks[bytes(view[place : place + 4])] = view[place + 8 : place + 8 + length]
        place += 8 + length + length % 2
    return chunks


def tiff_tags(view: memoryview) -> tuple[str, dict[int, tuple[int, int]]]:
    """The byte order, "<" or ">", and of each tag of the first page where its value lies and the value itself.

    Values that do not lie in the entry are read there: of several the first.

    Raises:
        struct.error, KeyError: it is broken.
    """
    order = {b"II": "<", b"MM": ">"}[bytes(view[:2])]
    big = _u(view, 2, order + "H") == 43
    first = _u(view, 8 if big else 4, order + ("Q" if big else "I"))
    count = _u(view, first, order + ("Q" if big else "H"))
    entry, start, room = (20, first + 8, 8) if big else (12, first + 2, 4)
    tags = {}
    for place in range(start, start + entry * min(count, 2**12), entry):
        tag, form, values = struct.unpack_from(order + ("HHQ" if big else "HHI"), view, place)
        letter = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(form)
        if letter is None:
            continue
        at = place + entry - room
        if struct.calcsize("<" + letter) * values > room:
            at = _u(view, at, order + ("Q" if big else "I"))
        tags[tag] = at, _u(view, at, order + letter)
    return order, tags


def _tiff(view: memoryview) -> Header:
    tags = {tag: value for tag, (_, value) in tiff_tags(view)[1].items()}
    width, height, bits, compression = tags[256], tags[257], tags.get(258, 1), tags.get(259, 1)
    growth = _TIFF_GROWTH.get(compression)
    most = None if growth is None else growth * len(view) * 8 // max(bits * tags.get(277, 1), 1)
    levels = {_SIGNED: "signed", _FLOAT: "float"}.get(tags.get(339), "unsigned")
    turned = tags.get(_ORIENTATION, 1)
    turned = turned if 1 <= turned <= 8 else 1
    return Header("tiff", height, width, bits, levels, turned, most, compression in _TIFF_JPEG)


def _pnm(view: memoryview) -> Header:
    head = bytes(view[:1024])
    plain, bitmap = head[1:2] in b"123", head[1:2] in b"14"
    tokens = [int(token) for token in _PNM_TOKENS.findall(head[2:])[: 2 if bitmap else 3]]
    width, height, highest = (*tokens, 1)[:3]
    channels = 3 if head[1:2] in b"36" else 1
    pixel = channels * (8 if highest < 256 else 16)  # bits
    if bitmap:
        pixel = 1
    if plain:
        pixel = 8 * channels  # a digit each, at the least
    return Header("pnm", height, width, 8 if highest < 256 else 16, most=8 * len(view) // pixel)


def _ras(view: memoryview) -> Header:
    width, height, bits, _, kind = struct.unpack_from(">IIIII", view, 4)
    grown = _LZW if kind == 2 else 1
    return Header("ras", height, width, most=grown * 8 * len(view) // max(bits, 1))


def _jp2(view: memoryview) -> Header:
    place = bytes(view[:512]).index(b"ihdr") + 4
    height, width, _, bits = struct.unpack_from(">IIHB", view, place)
    return Header("jp2", height, width, (bits & 0x7F) + 1, "signed" if bits & 0x80 else "unsigned")


def _avif(view: memoryview) -> Header:
    head = bytes(view[: 2**16])
    boxes = [struct.unpack_from(">II", head, match.end() + 4) for match in re.finditer(b"ispe", head)]
    width, height = max(boxes, key=lambda sides: sides[0] * sides[1])
    return Header("avif", height, width)


_READERS = (
    (lambda start: start.startswith(JPEG), _jpeg),
    (lambda start: start.startswith(PNG), _png),
    (lambda start: start.startswith((b"GIF87a", b"GIF89a")), _gif),
    (lambda start: start.startswith(b"BM"), _bmp),
    (lambda start: start.startswith(b"RIFF") and start[8:12] == b"WEBP", _webp),
    (lambda start: start.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")), _tiff),
    (lambda start: start[:1] == b"P" and start[1:2] in (b"1", b"2", b"3", b"4", b"5", b"6"), _pnm),
    (lambda start: start.startswith(b"\x59\xa6\x6a\x95"), _ras),
    (lambda start: start.startswith(b"\0\0\0\x0cjP  "), _jp2),
    (lambda start: start[4:12] in (b"ftypavif", b"ftypavis"), _avif),
)


def exif_orientation(tiff: bytes) -> int:
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
