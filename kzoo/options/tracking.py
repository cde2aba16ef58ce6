"""Options of tracking: which objects of a video are the same, and where they are counted."""

from __future__ import annotations

from kzoo.options.kinds import Flag, Option, Special
from kzoo.options.words import Word

TRACKERS = ("bytetrack", "sort")
_PANEL = "Video"


def _points(value, least: int, most: int) -> list[tuple[float, float]]:
    """Points x, y out of numbers in a row, or out of pairs of them."""
    flat = [float(number) for one in value for number in (one if isinstance(one, (list, tuple)) else [one])]
    if len(flat) % 2 or not least <= len(flat) // 2 <= most or not all(abs(one) < 1e6 for one in flat):
        raise ValueError(value)
    return list(zip(flat[::2], flat[1::2], strict=True))


_COUNTING = {
    "otherwise": "none",
    "none": True,
    "task": "detect",
    "needs": {"track": (True,)},
    "panel": _PANEL,
}

TRACKING: dict[str, Option] = {
    "track": Flag(
        help="Give the objects of each video identities that they keep from frame to frame.",
        task="detect",
        panel=_PANEL,
    ),
    "tracker": Word(
        help="How objects keep their identities.",
        otherwise="bytetrack",
        choices=TRACKERS,
        none=True,
        task="detect",
        needs={"track": (True,)},
        panel=_PANEL,
    ),
    "line": Special(
        help="Line across which tracked objects are counted.",
        reads=lambda text: text.split(","),
        takes=lambda value: _points(value, 2, 2),
        form="x1,y1,x2,y2 in pixels",
        **_COUNTING,
    ),
    "zone": Special(
        help="Corners of the zone in which tracked objects are counted.",
        reads=lambda text: text.split(","),
        takes=lambda value: _points(value, 3, 1024),
        form="x1,y1,x2,y2,x3,y3 and further corners in pixels",
        **_COUNTING,
    ),
}
