"""Photographs with truth and detections, the wrong ones in the colour of their error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from kzoo.metrics.error_analysis import NAMES, ImageErrors, Mistake
from kzoo.metrics.errors import KINDS, LEFT_OUT, RIGHT
from kzoo.structures.draw import drawn_name
from kzoo.structures.lettering import text_size, write
from kzoo.structures.placing import place_labels

# Told apart by those who see colours differently, too: Okabe and Ito's, and a blue that is light on dark ground.
COLORS = dict(
    zip(
        KINDS,
        [(0, 114, 178), (230, 159, 0), (204, 121, 167), (240, 228, 66), (213, 94, 0), (86, 200, 255)],
        strict=True,
    )
)
RIGHT_COLOR, TRUTH_COLOR, LEFT_OUT_COLOR = (0, 200, 130), (255, 255, 255), (150, 150, 150)
DARK = (25, 25, 25)
SIDE = 1000  # of a picture in pixels, the longer one
DASH = 9
FONT_SIZE = 13  # pixels


def draw_errors(photograph: np.ndarray, errors: ImageErrors, names: Sequence[str] = ()) -> np.ndarray:
    """What is on a photograph and what was found there.

    Truth is dashed: white, grey if it is difficult or a crowd, in the colour of `missed` if it is that. Detections
    are solid: thin green where right, grey where they do not count, else thick in the colour of their error and
    with a word on it.

    Args:
        photograph: (H, W, 3) uint8 RGB.
        errors: what is wrong on this photograph, with its truth and detections.
        names: class names, in the order of the labels; a label beyond them shows as "class 7".

    Returns:
        (h, w, 3) uint8 RGB, the longer side of 1000 pixels.
    """
    scale = SIDE / max(photograph.shape[:2])
    size = tuple(max(1, round(side * scale)) for side in photograph.shape[1::-1])
    canvas = cv2.resize(photograph, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    image, verdict = errors.image, errors.verdict
    for kind, paint in ((LEFT_OUT, LEFT_OUT_COLOR), (RIGHT, RIGHT_COLOR)):
        for box in image.found[verdict.kinds == kind] * scale:
            cv2.rectangle(canvas, *_corners(box), paint, 1, cv2.LINE_AA)
    for box, counted in zip(
        image.boxes[~verdict.missed] * scale, image.counted[~verdict.missed], strict=True
    ):
        _dashed(canvas, box, TRUTH_COLOR if counted else LEFT_OUT_COLOR)
    # The most costly last, hence on top.
    for mistake in reversed(errors.mistakes):
        box, paint = np.array(mistake.box) * scale, COLORS[mistake.kind]
        if mistake.kind == NAMES[-1]:
            _dashed(canvas, box, paint, 3)
        else:
            cv2.rectangle(canvas, *_corners(box), paint, 2, cv2.LINE_AA)
    texts = [caption(mistake, names) for mistake in errors.mistakes]
    wrong = np.array([mistake.box for mistake in errors.mistakes]).reshape(-1, 4) * scale
    sizes = np.array([text_size(text, FONT_SIZE) for text in texts]).reshape(-1, 2)
    harmless = image.found[np.isin(verdict.kinds, (LEFT_OUT, RIGHT))]
    others = np.concatenate([harmless, image.boxes[~verdict.missed]]) * scale
    places = place_labels(wrong, sizes, canvas.shape[:2], others)
    # The most costly last here, too, where labels have to lie on each other.
    for mistake, text, place in reversed(list(zip(errors.mistakes, texts, places.tolist(), strict=True))):
        _write(canvas, place, text, COLORS[mistake.kind])
    return canvas


def caption(mistake: Mistake, names: Sequence[str]) -> str:
    """What is written on a wrong box: "dog .87, is cat"."""
    name = drawn_name(names, mistake.label)
    if mistake.score is None:
        return f"missed {name}"
    text = f"{name} {mistake.score:.2f}"
    if mistake.true_label is not None and mistake.true_label != mistake.label:
        text += f", is {drawn_name(names, mistake.true_label)}"
    return text


def _corners(box: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    x1, y1, x2, y2 = (round(float(side)) for side in box.clip(-1e6, 1e6))
    return (x1, y1), (x2, y2)


def _dashed(canvas: np.ndarray, box: np.ndarray, paint: tuple[int, int, int], line: int = 2) -> None:
    """A dashed outline on a dark one, so that it shows on any ground."""
    low, high = _corners(box)
    cv2.rectangle(canvas, low, high, DARK, line, cv2.LINE_AA)
    for start, end in _dashes(low, high):
        cv2.line(canvas, start, end, paint, line, cv2.LINE_AA)


def _dashes(low: tuple[int, int], high: tuple[int, int]) -> Iterator[tuple]:
    (x1, y1), (x2, y2) = low, high
    for x in range(x1, x2, 2 * DASH):
        for y in (y1, y2):
            yield (x, y), (min(x + DASH, x2), y)
    for y in range(y1, y2, 2 * DASH):
        for x in (x1, x2):
            yield (x, y), (x, min(y + DASH, y2))


def _write(canvas: np.ndarray, place: list[int], text: str, paint: tuple[int, int, int]) -> None:
    """A label on ground of its colour, at a place given as xyxy."""
    left, top, right, bottom = place
    ground = canvas[top:bottom, left:right]
    ground[:] = paint
    write(ground, text, 0, 0, FONT_SIZE, DARK if sum(paint) > 384 else TRUTH_COLOR)
