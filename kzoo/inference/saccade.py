"""Looking again where a first look says that there is something, closer at what is small, as CornerNet-Saccade does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from kzoo.augment.letterbox import RESIZES
from kzoo.inference.decoded import kept
from kzoo.inference.fusing import Found, is_cut, softened

_FIRST = (1.0, 192 / 255)  # of the size that fills the input, in the two views of the first look
_TOLD, _SURE = 0.3, 0.5  # scores from which boxes of the first look count, and are looked at again
# Longer sides of such boxes in the photograph's pixels, up to which they are enlarged or shrunk to so many.
_LONGER_SIDES = ((32.0, 24.0), (96.0, 64.0), (np.inf, 192.0))
# Views at more of the first are not looked into; no part is enlarged more.
_ENLARGED, _MOST_ENLARGED = 2.0, 4.0
# Pixels of the input, and ratio of two enlargements: what is within is looked at once.
_NEAR, _ALIKE = 16.0, (0.8, 1.2)
_MOST_CROPS, _MOST_FOUND = 30, 100
_SIGMA = 0.7


class Place(NamedTuple):
    """Where to look.

    Attributes:
        x: pixels of the photograph from its left edge to what lies in the input's middle.
        y: the same from its upper edge.
        scale: pixels of the input for one of the photograph.
        score: how much there is to see, 0 to 1.
    """

    x: float
    y: float
    scale: float
    score: float = 1.0


def second_looks(detector, image: np.ndarray, score_threshold: float, batch_size: int) -> Found:
    """What is on a photograph: `boxes` (N, 4) xyxy in its pixels, `scores` and `labels` (N,), best score first.

    The first look is at the whole photograph in two sizes. It gives boxes, and places that attention or boxes point at.
    The second one is at those, so enlarged that what is there has a size which the detector knows well: at most 30,
    of which each is seen in a window of the input's size. Boxes that end where a window does are pieces, and left out.

    Args:
        detector: a model or an exported file that gives `looks`, as `kzoo.heads.saccade.SaccadeHead` does.
        image: (H, W, 3) uint8 RGB.
        score_threshold: score below which detections are left out, 0 to 1.
        batch_size: number of windows that the detector gets at once.

    Source: Law et al. 2019, CornerNet-Lite, arXiv:1904.08900, section 3; numbers as its authors' code has them.
    """
    (height, width), (rows, columns) = image.shape[:2], detector.image_size
    whole = min(rows / height, columns / width)
    first = [Place(width / 2, height / 2, share * whole) for share in _FIRST]
    found, places = [], []
    for place, result in zip(first, _seen(detector, image, first, batch_size), strict=True):
        view = _in_photograph(kept(result, _TOLD), place, image.shape[:2], detector.image_size)
        found.append(view)
        places += _attended(result["looks"], place, image.shape[:2], detector.image_size)
        places += _pointed_at(view)
    places = _without_near(places)[:_MOST_CROPS]
    for place, result in zip(places, _seen(detector, image, places, batch_size), strict=True):
        view = _in_photograph(kept(result, 0.0), place, image.shape[:2], detector.image_size)
        area = np.add(
            _corner(place, detector.image_size) * 2, [0, 0, columns / place.scale, rows / place.scale]
        )
        whole_ones = ~is_cut(view["boxes"], area, image.shape[:2])
        found.append({name: value[whole_ones] for name, value in view.items()})
    together = {name: np.concatenate([view[name] for view in found]) for name in found[0]}
    best = softened(together, _SIGMA, _MOST_FOUND)
    return {name: value[best["scores"] >= score_threshold] for name, value in best.items()}


def window(image: np.ndarray, place: Place, size: tuple[int, int], fill: Sequence[int]) -> np.ndarray:
    """What is seen at a place: (h, w, 3) uint8.

    Args:
        image: (H, W, 3) uint8 RGB.
        place: where to look.
        size: height and width of the window in pixels.
        fill: red, green and blue beside the photograph.
    """
    height, width = image.shape[:2]
    source = image
    if place.scale < 0.5:  # bilinear interpolation would skip pixels
        smaller = [max(1, round(side * place.scale)) for side in (width, height)]
        source = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
    share = np.divide(source.shape[1::-1], (width, height))  # x and y
    # Middles of pixels are half a pixel from their edges, in the window as in the source.
    step = share / place.scale
    start = np.array(_corner(place, size)) * share + 0.5 * step - 0.5
    matrix = np.array([[step[0], 0.0, start[0]], [0.0, step[1], start[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(source, matrix, size[::-1], flags=flags, borderValue=tuple(map(int, fill)))


def _corner(place: Place, size: tuple[int, int]) -> tuple[float, float]:
    """Where a window of (height, width) begins: x and y in the photograph's pixels."""
    return place.x - size[1] / 2 / place.scale, place.y - size[0] / 2 / place.scale


def _seen(detector, image: np.ndarray, places: Sequence[Place], batch_size: int) -> Iterator[dict]:
    """The decoded result of each place, in the input's pixels."""
    fill = RESIZES[getattr(detector, "resize", "letterbox")].fill
    for start in range(0, len(places), batch_size):
        some = list(places[start : start + batch_size])
        # The last batch is filled up, so that the network is compiled for one shape only.
        filled = some + some[-1:] * (batch_size - len(some))
        batch = np.stack(
            [window(image, place, detector.image_size, fill) for place in filled]
        )  # (B, h, w, 3)
        results = {name: np.asarray(value) for name, value in detector.predict_on_batch(batch).items()}
        for i in range(len(some)):
            yield {name: value[i] for name, value in results.items()}


def _in_photograph(found: Found, place: Place, photograph: tuple[int, int], size: tuple[int, int]) -> Found:
    """What was found at a place in the photograph's pixels, clipped to it; what lies beside it is left out."""
    boxes = found["boxes"].astype(np.float64) / place.scale + np.tile(_corner(place, size), 2)
    boxes = np.clip(boxes, 0, np.tile(photograph[::-1], 2))
    some = (boxes[:, 2:] > boxes[:, :2]).all(1)
    whole = {"boxes": boxes, "scores": found["scores"], "labels": found["labels"]}
    return {name: value[some] for name, value in whole.items()}


def _attended(
    looks: np.ndarray, place: Place, photograph: tuple[int, int], size: tuple[int, int]
) -> list[Place]:
    """Where a view's attention asks for another look.

    Args:
        looks: (L, 4) x and y in the input's pixels, how much enlarged, attention; 0 of none.
        place: the view.
        photograph: height and width in pixels of the whole.
        size: height and width of the input in pixels.
    """
    if place.scale > _ENLARGED:
        return []
    asked = looks[looks[:, 3] > 0]
    x, y = (asked[:, :2] / place.scale + _corner(place, size)).T
    scales = asked[:, 2] * place.scale
    there = (x >= 0) & (y >= 0) & (x < photograph[1]) & (y < photograph[0]) & (scales <= _MOST_ENLARGED)
    rows = np.column_stack([x, y, scales, asked[:, 3]])[there]
    return [Place(*map(float, row)) for row in rows]


def _pointed_at(found: Found) -> list[Place]:
    """Boxes that are sure enough to be looked at again, which comes before all that attention says."""
    places = []
    for box in found["boxes"][found["scores"] > _SURE]:
        longer = max(box[2] - box[0], box[3] - box[1])
        wanted = next(pixels for most, pixels in _LONGER_SIDES if longer <= most)
        places.append(Place((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, wanted / max(longer, 1.0)))
    return places


def _without_near(places: Sequence[Place]) -> list[Place]:
    """Places by score, without those that are near a better one, and as much enlarged."""
    chosen: list[Place] = []
    for place in sorted(places, key=lambda one: -one.score):
        near = any(
            max(abs(place.x - one.x), abs(place.y - one.y)) <= _NEAR / one.scale
            and _ALIKE[0] <= one.scale / place.scale <= _ALIKE[1]
            for one in chosen
        )
        if not near:
            chosen.append(place)
    return chosen
