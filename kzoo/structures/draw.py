"""Drawing boxes and names on photographs, with OpenCV. NumPy in, NumPy out."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from kzoo.structures.labels import IGNORED, class_name
from kzoo.structures.lettering import readable, text_size, write
from kzoo.structures.overlay import lay_masks
from kzoo.structures.placing import place_labels

GOLDEN_RATIO = 0.618033988749895
SMALL = 400  # pixels: images with a shorter longer side are enlarged before anything is drawn on them
LARGE_ENOUGH = 640  # pixels that the longer side has then, or more
SMALLEST_LETTERS = 11  # pixels from line to line; less cannot be read
MOST_COVERED = 0.08  # the share of a picture that its names take, as far as they can be read
_COUNTED = (255, 230, 60)  # of lines and zones, and of what is written at them
CELL = 480  # pixels: the side of a picture on a contact sheet


def color(label: int) -> tuple[int, int, int]:
    """A vivid RGB colour for a class: hues a golden ratio apart, so that neighbours differ."""
    hue = int(180 * ((0.07 + label * GOLDEN_RATIO) % 1.0))
    pixel = cv2.cvtColor(np.array([[[hue, 200, 240]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0]
    return tuple(int(v) for v in pixel)


def drawn_name(names: Sequence[str], label: int) -> str:
    """What to call a class in a picture: its name, in letters that there is a font for."""
    return readable(class_name(names, label), f"class {label}")


def automatic_scale(height: int, width: int) -> int:
    """How many times as large as its image a picture is drawn: 1, unless the image is small.

    On few pixels, letters that can be read hide the objects. So where the longer side has less than 400 pixels, it is
    the whole number that makes it 640 or more.

    Args:
        height: the image's height in pixels.
        width: the image's width in pixels.
    """
    side = max(height, width, 1)
    return 1 if side >= SMALL else -(-LARGE_ENOUGH // side)


def scale_into(cell: int, image: np.ndarray) -> float:
    """The scale at which an image fits into a square cell: drawn so, names keep their size on a contact sheet.

    Args:
        cell: side of the cell in pixels.
        image: (H, W, 3), the image.
    """
    return cell / max(image.shape[:2])


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray | None = None,
    names: Sequence[str] = (),
    scale: float | None = None,
    masks: np.ndarray | None = None,
    ids: np.ndarray | None = None,
) -> np.ndarray:
    """Boxes, each with its name and score, on a copy of the image; under them the objects' masks where there are some.

    Names stand where they hide the least, see `kzoo.structures.placing.place_labels`; their letters are as large as
    the picture asks for, and smaller where there are many of them.

    Args:
        image: (H, W, 3) uint8 RGB.
        boxes: (N, 4) xyxy in pixels of the image, those of the best scores first.
        labels: (N,) int, the class of each box.
        scores: (N,) in 0..1, or None for ground truth.
        names: class names; a label beyond them shows as "class 7".
        scale: how many times as large as the image the picture is, above 0; where None 1, or more for small images
            (`automatic_scale`).
        masks: (N, H, W) bool in pixels of the image, or None: drawn as veils with outlines.
        ids: (N,) int, which of a video's objects each is: it stands before the name, "#3 dog", and gives the colour
            in the place of the class; None, or -1 for a box of which it is not known.

    Returns:
        (h, w, 3) uint8 RGB, the image's size times the scale.

    Raises:
        ValueError: the scale is not above 0.
    """
    canvas, ratio = _resized(image, scale)
    line = max(1, round(max(canvas.shape[:2]) / 400))
    # Weights that have diverged give NaN and infinity, which no whole number holds.
    corners = np.nan_to_num(np.asarray(boxes, np.float64).reshape(-1, 4) * ratio).clip(-1e6, 1e6)
    frames = np.rint(corners).astype(int)  # (N, 4)
    numbers = np.full(len(frames), -1) if ids is None else np.asarray(ids)
    kinds = np.where(numbers > 0, numbers, labels) if len(frames) else labels
    paints = [color(int(kind)) for kind in kinds]
    texts = [drawn_name(names, int(label)) for label in labels]
    if scores is not None:
        texts = [f"{text} {float(score):.2f}" for text, score in zip(texts, scores, strict=True)]
    texts = [f"#{number} {text}" if number > 0 else text for number, text in zip(numbers, texts, strict=True)]
    if masks is not None:
        lay_masks(canvas, masks, paints, line)
    # The best score is drawn last, hence on top.
    for (x1, y1, x2, y2), paint in reversed(list(zip(frames.tolist(), paints, strict=True))):
        cv2.rectangle(canvas, (x1, y1), (x2, y2), paint, line, cv2.LINE_AA)
    # A line lies half outside of its box, and reaches one pixel beyond right and bottom.
    outer = frames + np.array([0, 0, 1, 1]) + line // 2 * np.array([-1, -1, 1, 1])
    _write_labels(canvas, outer, texts, paints)
    return canvas


def _resized(image: np.ndarray, scale: float | None) -> tuple[np.ndarray, np.ndarray]:
    """A copy of an image at a scale, and its size over the image's as it turned out, x y x y: (4,)."""
    height, width = image.shape[:2]
    scale = automatic_scale(height, width) if scale is None else scale
    if not scale > 0:
        raise ValueError(
            f"draw: scale is {scale}; give a number above 0, 1 for a picture of the image's own size"
        )
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == (width, height):
        return np.ascontiguousarray(image).copy(), np.ones(4)
    # Averages where pixels become fewer; where they become more, curves, for steps would look like what is there.
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas = cv2.resize(np.ascontiguousarray(image), size, interpolation=interpolation)
    return canvas, np.array([size[0] / width, size[1] / height] * 2)


def _nearest(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask (H, W) at a size (h, w), each pixel of which is the nearest one of the mask: classes are not mixed."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(size, mask.shape, strict=True)
    )
    return mask if mask.shape == size else mask[np.ix_(rows, columns)]


def _write_labels(
    canvas: np.ndarray, boxes: np.ndarray, texts: Sequence[str], paints: Sequence[tuple[int, int, int]]
) -> None:
    """Writes a text at each box (N, 4), on ground of the box's colour, in place."""
    size = _letter_size(texts, canvas.shape[:2])
    pad = size // 5  # left and right of the letters
    sizes = np.array([text_size(text, size) for text in texts]).reshape(-1, 2) + np.array([2 * pad, 0])
    placed = place_labels(boxes, sizes, canvas.shape[:2])  # (N, 4)
    for (left, top, right, bottom), text, paint in reversed(
        list(zip(placed.tolist(), texts, paints, strict=True))
    ):
        ground = canvas[top:bottom, left:right]
        ground[:] = paint
        write(ground, text, pad, 0, size, (0, 0, 0) if sum(paint) > 384 else (255, 255, 255))


def _letter_size(texts: Sequence[str], canvas: tuple[int, int]) -> int:
    """Height of a line of letters in pixels: by the picture's longer side, and so that names leave room to see it."""
    size = max(SMALLEST_LETTERS, round(max(canvas) / 48))
    covered = sum(np.prod(text_size(text, size)) for text in texts) / np.prod(canvas)
    if covered > MOST_COVERED:
        size = max(SMALLEST_LETTERS, int(size * np.sqrt(MOST_COVERED / covered)))
    return size


def draw_mask(
    image: np.ndarray,
    mask: np.ndarray,
    names: Sequence[str] = (),
    opacity: float = 0.5,
    background: int | None = 0,
    legend: bool = False,
    scale: float | None = None,
) -> np.ndarray:
    """A semantic mask over its image: a veil in the colour of each class. Ignored pixels stay as they are.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) whole numbers; 255 is ignored.
        names: class names; a value beyond them shows as "class 7".
        opacity: how much of the veil's colour a pixel takes, 0 to 1.
        background: the class that stays without a veil, or None.
        legend: whether the classes on the mask are listed on a panel at the right, which makes the picture wider.
        scale: how many times as large as the image the picture is, above 0; where None 1, or more for small images
            (`automatic_scale`).

    Returns:
        (h, w, 3) uint8 RGB, the image's size times the scale; with a legend wider, and higher where its lines need it.

    Raises:
        ValueError: image and mask differ in size, or the scale is not above 0.
    """
    if mask.shape != image.shape[:2]:
        raise ValueError(
            f"draw: a mask of shape {mask.shape} on an image of {image.shape[:2]}; resize one of them"
        )
    values = [int(value) for value in np.unique(mask) if value not in (background, IGNORED)]
    image, _ = _resized(image, scale)
    mask = _nearest(mask, image.shape[:2])
    veil = image.copy()
    for value in values:
        veil[mask == value] = color(value)
    picture = cv2.addWeighted(image, 1.0 - opacity, veil, opacity, 0.0)
    if not legend:
        return picture
    entries = [(drawn_name(names, value), color(value)) for value in values]
    return _beside(picture, _legend(entries, max(1.0, len(picture) / 600)))


def draw_counts(picture: np.ndarray, points: np.ndarray, text: str) -> None:
    """A line or a zone, and what was counted there, on a picture, in place.

    Args:
        picture: (H, W, 3) uint8 RGB.
        points: (N, 2) x, y in pixels; two are a line, more the corners of a zone.
        text: what was counted.
    """
    size = max(SMALLEST_LETTERS, round(max(picture.shape[:2]) / 48))
    corners = np.rint(np.asarray(points).clip(-1e6, 1e6)).astype(np.int32)
    cv2.polylines(picture, [corners], len(corners) > 2, _COUNTED, max(1, size // 8), cv2.LINE_AA)
    width, height = text_size(text, size)
    left, top = np.clip(
        corners[0], 0, np.maximum(0, [picture.shape[1] - width, picture.shape[0] - height])
    ).tolist()
    picture[top : top + height, left : left + width] //= 3
    write(picture, text, left, top, size, _COUNTED)


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


def contact_sheet(pictures: Sequence[np.ndarray], columns: int = 4, cell: int = CELL) -> np.ndarray:
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
