"""Maps of roads from a network's input back to the photograph."""

from __future__ import annotations

import cv2
import numpy as np

from kzoo.augment.letterbox import Placement

ROAD_MAPS = ("drivable", "lanes")  # what models of the task "drive" give besides boxes


def road_maps(result: dict, placement: Placement) -> dict[str, np.ndarray]:
    """What of one image's decoded result are maps of the whole image, at the original's own size.

    Args:
        result: where the detector finds them `drivable` and `lanes` (h, w) in the input's pixels, 0 or 1.
        placement: how the image lay in the input.

    Returns:
        The same by name, (H, W) bool; empty of other detectors.
    """
    height, width = placement.original
    (left, top), (rows, columns) = placement.corner, placement.inner
    maps = {}
    for name in ROAD_MAPS:
        if name in result:
            inner = np.asarray(result[name])[top : top + rows, left : left + columns].astype(np.float32)
            maps[name] = cv2.resize(inner, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
    return maps
