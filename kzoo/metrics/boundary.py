"""How well the boundaries of two masks agree."""

from __future__ import annotations

import math

import cv2
import numpy as np

TOLERANCE = 0.0075  # of the image's diagonal, as Csurka et al. have it


def edges(mask: np.ndarray) -> np.ndarray:
    """The pixels of which a neighbour, above, below, left or right, has another value: (H, W) -> (H, W) bool.

    The picture's own frame is no edge.
    """
    on_edge = np.zeros(mask.shape, bool)
    differ = mask[1:] != mask[:-1]  # (H - 1, W) from the row above
    on_edge[1:] |= differ
    on_edge[:-1] |= differ
    differ = mask[:, 1:] != mask[:, :-1]  # (H, W - 1) from the column to the left
    on_edge[:, 1:] |= differ
    on_edge[:, :-1] |= differ
    return on_edge


def boundary_f1(
    truth: np.ndarray, predicted: np.ndarray, num_classes: int, tolerance: float = TOLERANCE
) -> np.ndarray:
    """Each class's boundary F1 in one image.

    A boundary is the class's own pixels beside others, be those ignored ones. Precision is the share of the predicted
    boundary that has true boundary within the tolerance, recall the reverse.

    Args:
        truth: (H, W) integers; what is not in 0 .. num_classes - 1 belongs to no class.
        predicted: (H, W) integers; what is not in 0 .. num_classes - 1 belongs to no class.
        num_classes: the number of classes, C.
        tolerance: the distance that is allowed between boundaries, as a share of the image's diagonal; at least 1 pixel
            is.

    Returns:
        (num_classes,) float: NaN where neither mask has a boundary of the class, 0 where only one has, which makes
        it symmetric in truth and prediction.

    Source: Csurka et al. 2013, "What is a good evaluation measure for semantic segmentation?", section 3.
    """
    reach = max(1.0, tolerance * math.hypot(*truth.shape))
    true_edges, predicted_edges = edges(truth), edges(predicted)  # (H, W)
    scores = np.full(num_classes, math.nan)
    for label in range(num_classes):
        true, found = true_edges & (truth == label), predicted_edges & (predicted == label)
        if true.any() and found.any():
            # Distances are measured in the box around both: elsewhere there is nothing to measure from or to.
            true, found = _around(true, found)
            precision, recall = _share_near(found, true, reach), _share_near(true, found, reach)
            total = precision + recall
            scores[label] = 2 * precision * recall / total if total else 0.0
        elif true.any() or found.any():
            scores[label] = 0.0
    return scores


def _around(*maps: np.ndarray) -> list[np.ndarray]:
    """The maps, cut down to the box that holds all they mark."""
    marked = np.logical_or(*maps)
    rows, columns = np.flatnonzero(marked.any(1)), np.flatnonzero(marked.any(0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return [each[box] for each in maps]


def _share_near(pixels: np.ndarray, target: np.ndarray, reach: float) -> float:
    """The share of the pixels that have a target within reach."""
    away = np.where(target, np.uint8(0), np.uint8(1))
    distance = cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float(np.mean(distance[pixels] <= reach))
