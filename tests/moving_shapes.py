"""A drawn video with known identities: shapes that move, cross each other, and leave."""

import cv2
import numpy as np

from kzoo.data.formats.shapes import CLASSES


def paths(frames: int, size: tuple[int, int], count: int, seed: int = 0):
    """The boxes (N, 4) xyxy and numbers (N,) of each frame: those that lie in the picture by half or more.

    Objects go straight through the picture, so that they meet; each comes in its turn and goes out at the other side.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    sides = rng.uniform(0.1, 0.2, (count, 1)) * min(size)  # (N, 1)
    begin = rng.integers(0, frames // 3, count)
    lasting = rng.integers(frames // 2, frames, count)
    starts = np.stack(
        [np.where(np.arange(count) % 2, width * 0.98, width * 0.02), rng.uniform(0.1, 0.9, count) * height], 1
    )
    ends = np.stack([width - starts[:, 0], rng.uniform(0.1, 0.9, count) * height], 1)
    for frame in range(frames):
        done = (frame - begin) / lasting
        middles = starts + (ends - starts) * done[:, None]  # (N, 2)
        there = np.flatnonzero((done >= 0) & (done <= 1))
        boxes = np.concatenate([middles - sides / 2, middles + sides / 2], 1)[there]
        yield boxes.clip(0, (width, height, width, height)), there + 1


def drawn(boxes, numbers, size, ground=(60, 70, 80)):
    """The picture (H, W, 3) uint8 RGB of a frame, and the classes (N,) of its objects: the number tells the class."""
    image = np.full((*size, 3), ground, np.uint8)
    labels = (np.asarray(numbers) - 1) % len(CLASSES)
    for (x1, y1, x2, y2), label, number in zip(
        np.rint(boxes).astype(int).tolist(), labels, numbers, strict=True
    ):
        paint = tuple(int(v) for v in np.random.default_rng(number).integers(120, 256, 3))
        if CLASSES[label] == "circle":
            cv2.ellipse(
                image,
                ((x1 + x2) // 2, (y1 + y2) // 2),
                ((x2 - x1) // 2, (y2 - y1) // 2),
                0,
                0,
                360,
                paint,
                -1,
            )
        elif CLASSES[label] == "rectangle":
            cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), paint, -1)
        else:
            corners = np.array([[(x1 + x2) // 2, y1], [x2 - 1, y2 - 1], [x1, y2 - 1]])
            cv2.fillConvexPoly(image, corners, paint)
    return image, labels


def noisy(rng: np.random.Generator, boxes, numbers, drop=0.04, spread=0.03, unsure=0.1):
    """Detections as a detector gives them, best score first: boxes (N, 4), scores (N,), classes (N,).

    Boxes are shifted by a share of their sides, some are missing, some have low scores.
    """
    keep = rng.random(len(boxes)) > drop
    boxes, numbers = boxes[keep], np.asarray(numbers)[keep]
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    boxes = boxes + rng.normal(0, spread, boxes.shape) * sides
    scores = np.where(
        rng.random(len(boxes)) < unsure, rng.uniform(0.12, 0.24, len(boxes)), rng.uniform(0.5, 1, len(boxes))
    )
    order = np.argsort(-scores)
    return boxes[order], scores[order], ((numbers - 1) % len(CLASSES))[order]
