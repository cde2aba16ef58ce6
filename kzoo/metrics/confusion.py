"""The confusion matrix of a detector: what was taken for what, missed, or seen in plain background."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kzoo.metrics.matching import EvaluatedImage, covered, iou


def confusion_matrix(
    images: Iterable[EvaluatedImage], classes: int, threshold: float = 0.5, score: float = 0.25
) -> np.ndarray:
    """Counts objects by their true class (row) and the class they were taken for (column).

    Objects and detections are paired whatever their classes, greatest overlap first, each once. The last row is
    background: detections that found no object. The last column is background too: objects that no detection found.
    Difficult objects and crowds count nowhere, nor does a detection that is left over and overlaps one.

    Args:
        images: truth and detections of each image.
        classes: the number of classes, C.
        threshold: the least intersection over union of a pair, 0 to 1.
        score: the least score of the detections that count, 0 to 1.

    Returns:
        (classes + 1, classes + 1) int64, `[true, predicted]`.
    """
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    for image in images:
        shown = image.scores >= score
        found, found_labels = image.found[shown], image.found_labels[shown]  # (D, 4), (D,)
        boxes, labels = image.boxes[image.counted], image.labels[image.counted]  # (G, 4), (G,)
        detections, objects = _pairs(
            found, found_labels, boxes, labels, threshold
        )  # (P,) positions of each pair
        np.add.at(matrix, (labels[objects], found_labels[detections]), 1)
        np.add.at(matrix, (np.delete(labels, objects), classes), 1)  # objects that nothing found
        unpaired = np.delete(found, detections, axis=0)  # (D - P, 4)
        excused = (iou(unpaired, image.boxes[image.difficult]) >= threshold).any(1)
        excused |= (covered(unpaired, image.boxes[image.crowd]) >= threshold).any(1)
        np.add.at(matrix, (classes, np.delete(found_labels, detections)[~excused]), 1)
    return matrix


def _pairs(found, found_labels, boxes, labels, threshold) -> tuple[np.ndarray, np.ndarray]:
    """Greedy one-to-one pairs: positions in `found` and in `boxes`."""
    overlap = iou(found, boxes)  # (D, G)
    rows, columns = np.nonzero(overlap >= threshold)
    # Of equal overlaps the one of the right class goes first, then that of the better score.
    order = np.lexsort((rows, found_labels[rows] != labels[columns], -overlap[rows, columns]))
    used_rows, used_columns, pairs = set(), set(), []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in used_rows and column not in used_columns:
            used_rows.add(row)
            used_columns.add(column)
            pairs.append((row, column))
    paired = np.array(pairs, np.int64).reshape(-1, 2)
    return paired[:, 0], paired[:, 1]
