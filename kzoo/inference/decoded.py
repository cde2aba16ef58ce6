"""What detectors take and give, whichever way they are looked through."""

from __future__ import annotations

import numpy as np

from kzoo.inference.roads import ROAD_MAPS

# Tasks of models that find boxes, whatever else they find.
BOX_TASKS = ("detect", "instance", "drive")
# What models say of the whole image: maps (H, W), and places to look at again (L, 4).
_OF_IMAGES = (*ROAD_MAPS, "looks")


def takes_fractions(detector) -> bool:
    """Whether a detector sees what lies between whole grey levels: models do, exported files take uint8."""
    return hasattr(detector, "network")


def kept(result: dict, score_threshold: float) -> dict[str, np.ndarray]:
    """What of one image's decoded result (M, ...) are detections of a score, in the same order: (N, ...).

    What is said of the whole image is left out.
    """
    keep = (result["labels"] >= 0) & (result["scores"] >= score_threshold)  # (M,) bool
    return {name: np.asarray(value)[keep] for name, value in result.items() if name not in _OF_IMAGES}
