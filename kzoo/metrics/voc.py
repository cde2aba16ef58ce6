"""Pascal VOC's two average precisions: 11-point (2007 to 2009) and all-point (2010 on)."""

from __future__ import annotations

import numpy as np


def average_precision_11point(recall: np.ndarray, precision: np.ndarray) -> float:
    """The mean of the best precision reached at a recall of at least 0, .1, ..., 1.

    Args:
        recall: (D,) rising, after each detection in order of score.
        precision: (D,) after the same detections.

    Source: Everingham et al. 2010, The Pascal Visual Object Classes (VOC) Challenge, section 4.2.
    """
    # 3 of 10 objects are a recall of .3, whichever way the two floats were rounded.
    reached = recall[None, :] >= np.linspace(0, 1, 11)[:, None] - 1e-9
    return float(np.where(reached, precision[None, :], 0.0).max(1, initial=0.0).mean())


def average_precision_all(recall: np.ndarray, precision: np.ndarray) -> float:
    """The area under the precision-recall curve, precision made to fall monotonically.

    Args:
        recall: (D,) rising, after each detection in order of score.
        precision: (D,) after the same detections.

    Source: Everingham et al., The VOC2012 Development Kit, section 3.4.1.
    """
    steps = np.diff(recall, prepend=0.0)
    return float((steps * envelope(precision)).sum())


def envelope(precision: np.ndarray) -> np.ndarray:
    """(D,) the best precision at the same or a higher recall."""
    return np.maximum.accumulate(precision[::-1])[::-1]
