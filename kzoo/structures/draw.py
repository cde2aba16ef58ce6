"""Drawing boxes and names on photographs, with OpenCV. NumPy in, NumPy out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from kzoo.structures.labels import IGNORED, class_name
from kzoo.structures.lettering import readable, text_size, write

GOLDEN_RATIO = 0.618033988749895


def color(label: int) -> tuple[int, int, int]:
    """A vivid RGB colour for a class: hues a golden ratio apart, so that neighbours differ."""
    hue = int(180 * ((0.07 + label * GOLDEN_RATIO) % 1.0))
    pixel = cv2.cvtColor(np.array([[[hue, 200, 240]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0]
    return tuple(int(v) for v in pixel)


def drawn_name(names: Sequence[str], label: int) -> str:
    """What to call a class in a picture: its name, in letters that there is a font for."""
    return readable(class_name(names, label), f"class {label}")


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray | None = None,
    names: Sequence[str] = (),
) -> np.ndarray:
    """Boxes, each with its name and score, on a copy of the image.

    Args:
        image: (H, W, 3) uint8 RGB.
        boxes: (N, 4) xyxy pixels.
        labels: (N,) int.
        scores: (N,) in 0..1, or None for ground truth.
        names: class names; a label beyond them shows as "class 7".

    Returns:
        (H, W, 3) uint8 RGB.
    """
    canvas = np.ascontiguousarray(image).copy()
    height, width = canvas.shape[:2]
    line = max(1, round(max(height, width) / 400))
    size = max(11, round(max(height, width) / 48))  # of the font
    # The best score is drawn last, hence on top.
    for i in reversed(range(len(boxes))):
        label = int(labels[i])
        paint = color(label)
        x1, y1, x2, y2 = (round(float(v)) for v in np.nan_to_num(boxes[i]).clip(-1e6, 1e6))
        cv2.rectangle(canvas, (x1, y1), (x2, y2), paint, line, cv2.LINE_AA)
        text = drawn_name(names, label)
        if scores is not None:
            text += f" {float(scores[i]):.2f}"
        text_width, text_height = text_size(text, size)
        top = max(0, y1 - text_height)
        left = int(np.clip(x1, 0, max(0, width - text_width)))
        cv2.rectangle(canvas, (left, top), (left + text_width, top + text_height), paint, -1)
        write(canvas, text, left, top, size, (0, 0, 0) if sum(paint) > 384 else (255, 255, 255))
    return canvas


def draw_mask(
    image: np.ndarray,
    mask: np.ndarray,
    names: Sequence[str] = (),
    opacity: float = 0.5,
    background: int | None = 0,
    legend: bool = False,
) -> np.ndarray:
    """A semantic mask over its image: a veil in the colour of each class. Ignored pixels stay as they are.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) whole numbers; 255 is ignored.
        names: class names; a value beyond them shows as "class 7".
        opacity: of the veil, 0 to 1.
        background: the class that stays without a veil, or None.
        legend: whether the classes on the mask are listed on a panel at the right, which makes the picture wider.

    Returns:
        (H, W, 3) uint8 RGB; with a legend wider, and higher where its lines need it.

    Raises:
        ValueError: image and mask differ in size.
    """
    if mask.shape != image.shape[:2]:
        raise ValueError(
            f"draw: a mask of shape {mask.shape} on an image of {image.shape[:2]}; resize one of them"
        )
    values = [int(value) for value in np.unique(mask) if value not in (background, IGNORED)]
    veil = image.copy()
    for value in values:
        veil[mask == value] = color(value)
    picture = cv2.addWeighted(image, 1.0 - opacity, veil, opacity, 0.0)
    if not legend:
        return picture
    entries = [(drawn_name(names, value), color(value)) for value in values]
    return _beside(picture, _legend(entries, max(1.0, image.shape[0] / 600)))


def _legend(entries: Sequence[tuple[str, tuple[int, int, int]]], scale: float) -> np.ndarray:
    """Names beside patches of their colours, each a line of 20 pixels times the scale: (h, w, 3) uint8."""
    line, patch, size = round(20 * scale), round(12 * scale), round(13 * scale)
    widths = [text_size(text, size)[0] for text, _ in entries]
    shape = (line * len(entries) + patch, 3 * patch + max(widths, default=0), 3)
    panel = np.full(shape, 32, np.uint8)
    for row, (text, paint) in enumerate(entries):
        bottom = row * line + line
        cv2.rectangle(panel, (patch // 2, bottom - patch), (patch // 2 + patch, bottom), paint, -1)
        write(panel, text, 2 * patch, bottom - size, size, (235, 235, 235))
    return panel


def _beside(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two pictures side by side, the lower one filled up with dark ground."""
    sheet = np.full((max(len(left), len(right)), left.shape[1] + right.shape[1], 3), 32, np.uint8)
    sheet[: len(left), : left.shape[1]] = left
    sheet[: len(right), left.shape[1] :] = right
    return sheet


def contact_sheet(pictures: Sequence[np.ndarray], columns: int = 4, cell: int = 320) -> np.ndarray:
    """Pictures side by side, each fitted into a square cell on dark ground: (rows*cell, columns*cell, 3) uint8."""
    columns = max(1, min(columns, len(pictures)))
    rows = max(1, -(-len(pictures) // columns))
    sheet = np.full((rows * cell, columns * cell, 3), 32, np.uint8)
    for i, picture in enumerate(pictures):
        ratio = min(cell / picture.shape[0], cell / picture.shape[1])
        size = (max(1, round(picture.shape[1] * ratio)), max(1, round(picture.shape[0] * ratio)))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        top, left = i // columns * cell, i % columns * cell
        sheet[top : top + small.shape[0], left : left + small.shape[1]] = small
    return sheet


def encode_png(image: np.ndarray) -> bytes:
    """A picture as PNG: RGB (H, W, 3), RGBA (H, W, 4) or grey levels (H, W)."""
    # OpenCV writes blue, green, red.
    ok, data = cv2.imencode(".png", image if image.ndim == 2 else image[..., [2, 1, 0, 3][: image.shape[-1]]])
    if not ok:
        raise ValueError(f"cannot encode a picture of shape {image.shape} as PNG")
    return data.tobytes()


def save_picture(path: str | Path, image: np.ndarray) -> Path:
    """Writes an RGB picture; the suffix tells the format (.jpg, .png, ...)."""
    from kzoo.system.files import write_atomically

    path = Path(path)
    ok, data = cv2.imencode(path.suffix or ".png", image[..., ::-1])
    if not ok:
        raise ValueError(f"{path}: cannot encode as {path.suffix}; use .jpg or .png")
    return write_atomically(path, data.tobytes())
