"""What an image file says of itself before its pixels: size, depth, orientation, and how many pixels it can hold.

Decoders make room for what the header claims, be it true or not. So the claim is read first, and compared with the
file (`kzoo.sources.claims`): no PNG holds more than 1032 times its own bytes, for one.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from kzoo.sources.exif import ORIENTATION, exif_orientation

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
# Start-of-frame markers; C4, C8 and CC lie among them and are tables.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ARITHMETIC = frozenset(range(0xC9, 0xD0))
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
# Markers without a segment, and what stands after an FF that begins none.
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xD9), 0xFF})
_STEPS = 2**16  # segments, and bytes that are passed over
# Bytes that a byte of the file can become: deflate's longest match in two bits; LZW's longest string in a code.
_DEFLATE, _LZW, _RUNS = 1032, 4096, 128
_TIFF_GROWTH = {1: 1, 5: _LZW, 8: _DEFLATE, 32946: _DEFLATE, 32773: _RUNS}
_TIFF_JPEG = (6, 7)
_SIGNED, _FLOAT = 2, 3  # TIFF's SampleFormat
_CODESTREAM = b"\xff\x4f\xff\x51"
_PAM_FIELDS = re.compile(rb"(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+(\d{1,9})\s")
_PFM_START = re.compile(rb"P([Ff])\s+(\d{1,9})\s+(\d{1,9})\s")
_HDR_SIZE = re.compile(rb"\n[-+]Y\s+(\d{1,9})\s+[-+]X\s+(\d{1,9})\s")
_PNM_TOKENS = re.compile(rb"(?:\s+|#[^\n]*\n)*([^\s#]+)")


@dataclass(frozen=True)
class Header:
    """What a file claims.

    Attributes:
        kind: "png", "jpeg", "gif", "bmp", "webp", "tiff", "pnm", "pam", "pfm", "hdr", "ras", "jp2" or "avif".
        height: rows of pixels as they are stored, before EXIF turns them.
        width: columns of pixels as they are stored, before EXIF turns them.
        bits: bits of one channel of a pixel; 8 but for deep images.
        levels: kind of the numbers that pixels are, "unsigned", "signed" or "float".
        orientation: EXIF's orientation of a JPEG, PNG, WebP or TIFF, 1 (upright) to 8.
        most: how many pixels the file's bytes can hold; None where there is no bound.
        lossy: whether the compression smears levels.
        cost: bytes of memory that decoding takes for each pixel, besides the file: the picture itself, a copy of it,
            and what the decoder keeps for itself.
    """

    kind: str
    height: int
    width: int
    bits: int = 8
    levels: str = "unsigned"
    orientation: int = 1
    most: int | None = None
    lossy: bool = False
    cost: int = 7

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
    except (struct.error, IndexError, ValueError, KeyError, AttributeError):
        return None
    return header if header is not None and header.height > 0 and header.width > 0 else None


def _u(view: memoryview, place: int, form: str) -> int:
    """The one number at a place, by the `struct` format."""
    return struct.unpack_from(form, view, place)[0]


def _cost(bits: int, alpha: bool = False) -> int:
    """Bytes a pixel where all that is kept is the picture, once as it is decoded and once as it is given out."""
    return (12 if alpha else 7) + (9 if bits > 8 else 0)


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
    return Header("png", height, width, bits, orientation=turned, most=most, cost=_cost(bits, colour == 6))


def _jpeg(view: memoryview) -> Header | None:
    place, turned = 2, 1
    for _ in range(_STEPS):
        marker = view[place + 1]
        if view[place] != 0xFF or marker in _BARE:
            place += 1  # as decoders pass over what stands between two segments
            continue
        if marker == 0xDA:
            return None
        length = _u(view, place + 2, ">H")
        if marker in _FRAMES:
            bits, height, width = struct.unpack_from(">BHH", view, place + 4)
            # Huffman codes spend a bit on each block of 8 x 8 pixels; arithmetic ones may spend nothing.
            most = None if marker in _ARITHMETIC else 512 * len(view)
            # In several passes all coefficients are kept, two bytes each.
            cost = 13 if marker in _PROGRESSIVE else 7
            return Header("jpeg", height, width, bits, orientation=turned, most=most, lossy=True, cost=cost)
        body = bytes(view[place + 4 : place + 2 + length]) if marker == 0xE1 else b""
        if body.startswith(b"Exif\x00\x00"):
            turned = exif_orientation(body[6:])
        place += 2 + length
    return None


def _gif(view: memoryview) -> Header:
    width, height = struct.unpack_from("<HH", view, 6)
    return Header("gif", height, width, most=_LZW * len(view), cost=10)


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
        return Header("webp", (packed >> 14 & 0x3FFF) + 1, (packed & 0x3FFF) + 1, cost=12)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", view, 26)
        return Header("webp", height & 0x3FFF, width & 0x3FFF, lossy=True)
    if kind == b"VP8X":
        width, height = (int.from_bytes(view[at : at + 3], "little") + 1 for at in (24, 27))
        chunks = _riff_chunks(view)
        exif = bytes(chunks.get(b"EXIF", b"")).removeprefix(b"Exif\0\0")
        return Header(
            "webp", height, width, orientation=exif_orientation(exif), lossy=b"VP8 " in chunks, cost=12
        )
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
    turned = tags.get(ORIENTATION, 1)
    turned = turned if 1 <= turned <= 8 else 1
    cost = 3 + _cost(bits, alpha=tags.get(277, 1) > 3)  # a strip may be the whole picture
    return Header("tiff", height, width, bits, levels, turned, most, compression in _TIFF_JPEG, cost)


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


def _pam(view: memoryview) -> Header:
    fields = {name: int(value) for name, value in _PAM_FIELDS.findall(bytes(view[:1024]))}
    width, height, channels, highest = (fields[n] for n in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    pixel = channels * (1 if highest < 256 else 2)  # bytes
    return Header("pam", height, width, 8 if highest < 256 else 16, most=len(view) // max(pixel, 1))


def _pfm(view: memoryview) -> Header:
    kind, width, height = _PFM_START.match(bytes(view[:1024])).groups()
    channels = 3 if kind == b"F" else 1
    return Header("pfm", int(height), int(width), most=len(view) // (4 * channels), cost=22)


def _hdr(view: memoryview) -> Header:
    height, width = _HDR_SIZE.search(bytes(view[: 2**16])).groups()
    # Runs of at most 127 in two bytes, of four channels.
    return Header("hdr", int(height), int(width), most=16 * len(view), cost=22)


def _jp2(view: memoryview) -> Header:
    place = 0
    while bytes(view[place + 4 : place + 8]) != b"jp2c":
        length = _u(view, place, ">I")
        # A length of 1 says that it follows, in 64 bits; one of less than a box's head is none.
        place += max(_u(view, place + 8, ">Q") if length == 1 else length, 8)
    return _codestream(view[place + (16 if _u(view, place, ">I") == 1 else 8) :])


def _codestream(view: memoryview) -> Header:
    right, bottom, left, top = struct.unpack_from(">IIII", view, 8)
    bits = view[42]
    levels = "signed" if bits & 0x80 else "unsigned"
    return Header("jp2", bottom - top, right - left, (bits & 0x7F) + 1, levels, cost=22)


def _avif(view: memoryview) -> Header:
    head = bytes(view[: 2**20])
    boxes = [struct.unpack_from(">II", head, match.end() + 4) for match in re.finditer(b"ispe", head)]
    width, height = max(boxes, key=lambda sides: sides[0] * sides[1])
    return Header("avif", height, width, cost=22)


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
    (lambda start: start.startswith(_CODESTREAM), _codestream),
    (lambda start: start[4:8] == b"ftyp", _avif),
    (lambda start: start.startswith(b"P7"), _pam),
    (lambda start: start.startswith((b"PF", b"Pf")), _pfm),
    (lambda start: start.startswith((b"#?RGBE", b"#?RADIANCE")), _hdr),
)
