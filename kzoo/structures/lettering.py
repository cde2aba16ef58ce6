"""Text on pictures, in the letters of any script that a font at hand has. OpenCV's own writes ASCII alone.

The font is DejaVu Sans, which comes with matplotlib (Latin, Greek, Cyrillic, Arabic and Hebrew letters among others);
for other letters the fonts of the system are searched. The environment variable KZOO_FONT names a font file that goes
before them all.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
import unicodedata
from pathlib import Path

import numpy as np

log = logging.getLogger("kzoo")
_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})  # line breaks, bells, halves of letters
_OWN = "mpl-data/fonts/ttf/DejaVuSans.ttf"


def text_size(text: str, size: int) -> tuple[int, int]:
    """Width and height in pixels of what `write` draws; the height depends on the font alone.

    Args:
        text: one line, in letters that `readable` lets through.
        size: how large the font is, in pixels from one line to the next.
    """
    height, width = _alpha(text, size).shape
    return width, height


def write(canvas: np.ndarray, text: str, left: int, top: int, size: int, ink: tuple[int, int, int]) -> None:
    """Draws a line of text on a picture, in place; what lies beyond its edges is cut off.

    Args:
        canvas: (H, W, 3) uint8.
        text: one line, in letters that `readable` lets through.
        left: the column where it begins, in pixels.
        top: the row of its upper edge.
        size: how large the font is, in pixels from one line to the next.
        ink: the colour of the letters, in the canvas's own order of channels.
    """
    alpha = _alpha(text, size)  # (h, w) 0..255
    rows, columns = (
        _within(top, alpha.shape[0], canvas.shape[0]),
        _within(left, alpha.shape[1], canvas.shape[1]),
    )
    shown = alpha[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left, None]
    share = shown.astype(np.float32) / 255
    ground = canvas[rows, columns].astype(np.float32)
    canvas[rows, columns] = np.rint(ground + share * (np.float32(ink) - ground)).astype(np.uint8)


def _within(start: int, length: int, limit: int) -> slice:
    """What of a stretch of pixels lies between 0 and a limit."""
    first = max(0, start)
    return slice(first, max(first, min(limit, start + length)))


@functools.cache
def readable(text: str, stand_in: str) -> str:
    """A name as it can be written: itself where a font has its letters, else in Latin letters with a stand-in.

    Letters that no font at hand has are written as `anyascii` transliterates them. Names that differ may sound alike,
    so the stand-in is added, and the log says so once.

    Args:
        text: a class name; line breaks and other control characters count as spaces.
        stand_in: what tells this name from others, such as "class 3".

    Example:
        >>> readable("théière", "class 0"), readable("茶壶", "class 0")   # where no font has Chinese letters
        ('théière', 'ChaHu (class 0)')
    """
    text = "".join(" " if unicodedata.category(letter) in _CONTROLS else letter for letter in text)
    if _covering(frozenset(text)) is not None:
        return text
    from anyascii import anyascii

    own = _charmap(own_font())
    latin = "".join(letter if ord(letter) in own else anyascii(letter) for letter in text).strip()
    shown = f"{latin} ({stand_in})" if latin else stand_in
    log.warning(
        "%r is drawn as %r: no font here has its letters; install one, or set KZOO_FONT to its file",
        text,
        shown,
    )
    return shown


def font_file(text: str) -> Path:
    """The font that a text is written in: the first that has all its letters, DejaVu Sans where none has."""
    return _covering(frozenset(text)) or own_font()


@functools.lru_cache(4096)
def _alpha(text: str, size: int) -> np.ndarray:
    """How much of each pixel a line of text covers: (h, w) uint8."""
    from PIL import Image, ImageDraw

    font = _font(font_file(text), size)
    ascent, descent = font.getmetrics()
    width = max(1, int(np.ceil(font.getlength(text))))
    picture = Image.new("L", (width, ascent + descent))
    ImageDraw.Draw(picture).text((0, 0), text, fill=255, font=font)
    return np.asarray(picture)


@functools.lru_cache(64)
def _font(path: Path, size: int):
    from PIL import ImageFont

    return ImageFont.truetype(str(path), size)


@functools.lru_cache(4096)
def _covering(letters: frozenset[str]) -> Path | None:
    """The first font that has all letters; None where there is none."""
    codes = {ord(letter) for letter in letters}
    chosen = os.environ.get("KZOO_FONT")
    if chosen and codes <= _charmap(Path(chosen)):
        return Path(chosen)
    if codes <= _charmap(own_font()):
        return own_font()
    return next((path for path in _system_fonts() if codes <= _charmap(path)), None)


@functools.cache
def own_font() -> Path:
    """The file of DejaVu Sans that comes with matplotlib."""
    return Path(importlib.util.find_spec("matplotlib").origin).parent / _OWN


@functools.cache
def _system_fonts() -> tuple[Path, ...]:
    from matplotlib.font_manager import findSystemFonts

    return tuple(sorted(Path(path) for path in findSystemFonts()))


@functools.lru_cache(1024)
def _charmap(path: Path) -> frozenset[int]:
    """The code points that a font file has letters for; none where it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(str(path)).get_charmap())
    except (OSError, RuntimeError, ValueError) as error:
        log.warning("%s: no font that can be read (%s)", path, " ".join(str(error).split()))
        return frozenset()
