"""Drawing boxes and names on photographs, with OpenCV. NumPy in, NumPy out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

GOLDEN_RATIO = 0.618033988749895


def color(label: int) -> tuple[int, int, int]:
    """A vivid RGB colour for a class: hues a golden ratio apart, so that neighbours differ."""
    hue = int(180 * ((0.07 + label * GOLDEN_RATIO) % 1.0))
    pixel = cv2.cvtColor(np.array([[[hue, 200, 240]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0]
    return tuple(int(v) for v in pixel)


def class_name(names: Sequence[str], label: int) -> str:
    """What to call a class; "class 7" where it has no name."""
    return str(names[label]) if 0 <= label < len(names) else f"class {label}"


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
    scale = max(0.35, max(height, width) / 1400)
    # The best score is drawn last, hence on top.
    for i in reversed(range(len(boxes))):
        label = int(labels[i])
        paint = color(label)
        x1, y1, x2, y2 = (round(float(v)) for v in np.nan_to_num(boxes[i]).clip(-1e6, 1e6))
        cv2.rectangle(canvas, (x1, y1), (x2, y2), paint, line, cv2.LINE_AA)
        text = class_name(names, label)
        if scores is not None:
            text += f" {float(scores[i]):.2f}"
        (text_width, text_height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        top = max(0, y1 - text_height - base)
        left = int(np.clip(x1, 0, max(0, width - text_width)))
        cv2.rectangle(canvas, (left, top), (left + text_width, top + text_height + base), paint, -1)
        dark = sum(paint) > 384
        cv2.putText(
            canvas,
            text,
            (left, top + text_height),
            cv2.FONT_HERSHEY_SIMPLEX,
            scale,
            (0, 0, 0) if dark else (255, 255, 255),
            max(1, line // 2),
            cv2.LINE_AA,
        )
    return canvas


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
    """An RGB picture as PNG."""
    ok, data = cv2.imencode(".png", image[..., ::-1])
    if not ok:
        raise ValueError(f"cannot encode a picture of shape {image.shape} as PNG")
    return data.tobytes()


def save_picture(path: str | Path, image: np.ndarray) -> Path:
    """Writes an RGB picture; the suffix tells the format (.jpg, .png, ...)."""
    from kzoo.files import write_atomically

    path = Path(path)
    ok, data = cv2.imencode(path.suffix or ".png", image[..., ::-1])
    if not ok:
        raise ValueError(f"{path}: cannot encode as {path.suffix}; use .jpg or .png")
    return write_atomically(path, data.tobytes())
