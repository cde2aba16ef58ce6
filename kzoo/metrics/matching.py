"""Which detections of an image find which objects: overlap, and Pascal VOC's rule of assignment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

HIT, MISS, IGNORED = 1, 0, -1  # outcomes of a detection


@dataclass(frozen=True)
class EvaluatedImage:
    """One image's truth and detections, in the same pixels.

    Attributes:
        boxes: (G, 4) float64 xyxy of the objects.
        labels: (G,) int64 class of each object.
        difficult: (G,) bool, neither hit nor miss.
        crowd: (G,) bool, a group under one box: neither hit nor miss, and it absorbs any number of detections.
        areas: (G,) float64 square pixels by which COCO tells small, medium and large.
        found: (D, 4) float64 xyxy of the detections, best score first.
        scores: (D,) float64 score of each detection, falling.
        found_labels: (D,) int64 class of each detection.
        xywh: (G, 4) float64 x, y, width, height as the annotation file has them; those of `boxes` where None.
        found_xywh: (D, 4) float64 x, y, width, height of the detections as they were given; those of `found` where
            None.
        masks: the objects' masks as COCO's compressed run lengths, one each; None where only boxes are compared.
        found_masks: the detections' masks in the same form.
        mask_areas: (G,) float64 square pixels by which COCO tells small, medium and large masks; None without masks.
    """

    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray
    found: np.ndarray
    scores: np.ndarray
    found_labels: np.ndarray
    xywh: np.ndarray | None = None
    found_xywh: np.ndarray | None = None
    masks: Sequence[dict] | None = None
    found_masks: Sequence[dict] | None = None
    mask_areas: np.ndarray | None = None

    @property
    def counted(self) -> np.ndarray:
        """(G,) bool: the objects a detector is asked to find."""
        return ~(self.difficult | self.crowd)


def area(boxes: np.ndarray) -> np.ndarray:
    """(N,) square pixels of (N, 4) xyxy boxes; an inverted box has none."""
    return np.clip(boxes[:, 2] - boxes[:, 0], 0, None) * np.clip(boxes[:, 3] - boxes[:, 1], 0, None)


def corners(xywh: np.ndarray) -> np.ndarray:
    """(N, 4) xyxy of (N, 4) x, y, width, height."""
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)


def sides(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) x, y, width, height of (N, 4) xyxy."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def shared_area(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, B) square pixels that each box of `a` shares with each of `b`."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])  # (A, B, 2)
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])  # (A, B, 2)
    return np.clip(high - low, 0, None).prod(-1)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, B) intersection over union of (A, 4) and (B, 4) xyxy boxes; 0 where neither has an area."""
    shared = shared_area(a, b)
    return _ratio(shared, area(a)[:, None] + area(b)[None, :] - shared)


def covered(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, B) the share of each box of `a` that lies in each of `b`: COCO's overlap with a crowd."""
    shared = shared_area(a, b)
    return _ratio(shared, np.broadcast_to(area(a)[:, None], shared.shape))


def match(image: EvaluatedImage, threshold: float = 0.5) -> np.ndarray:
    """Judges an image's detections class by class as the Pascal VOC devkit does.

    A detection belongs to the object of its class that it overlaps most. From `threshold` on it is a hit if it is
    the first one there (by score), ignored if the object is difficult, a miss otherwise. VOC knows no crowds; here
    a detection that would be a miss is ignored where a crowd of its class covers `threshold` of it.

    Args:
        image: truth and detections.
        threshold: the least intersection over union of a hit, 0 to 1.

    Returns:
        (D,) int8: `HIT`, `MISS` or `IGNORED` for each detection.

    Source: VOCevaldet.m of the development kit, Everingham et al. 2010.
    """
    outcome = np.full(len(image.scores), MISS, np.int8)
    if not len(outcome) or not len(image.boxes):
        return outcome
    same = image.found_labels[:, None] == image.labels[None, :]  # (D, G) of one class
    overlap = np.where(same & ~image.crowd, iou(image.found, image.boxes), -1.0)  # (D, G)
    nearest = overlap.argmax(1)  # (D,) the object that each detection overlaps most
    near = overlap[np.arange(len(nearest)), nearest] >= threshold  # (D,)
    difficult = near & image.difficult[nearest]
    outcome[difficult] = IGNORED
    candidates = np.flatnonzero(near & ~difficult)
    # Detections lie by falling score, so the first at an object is the best; `unique` gives just the first of each.
    _, first = np.unique(nearest[candidates], return_index=True)
    outcome[candidates[first]] = HIT
    absorbed = (np.where(same & image.crowd, covered(image.found, image.boxes), -1.0) >= threshold).any(1)
    outcome[absorbed & (outcome == MISS)] = IGNORED
    return outcome
