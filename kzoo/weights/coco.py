"""COCO's classes as torchvision numbers them: by their ids, which leave gaps, and with the background as 0."""

from __future__ import annotations

import numpy as np

from kzoo.data.formats.names import COCO

HIGHEST = 90
# Ids of classes that were planned, and that no photograph shows.
_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
IDS = tuple(number for number in range(1, HIGHEST + 1) if number not in _GAPS)


def class_lists() -> list[list[str]]:
    """The names that models may have for weights by COCO's ids: of its 80 classes, of ids 1 to 90, of 0 to 90."""
    by_id = dict(zip(IDS, COCO, strict=True))
    whole = ["background", *(by_id.get(number, "N/A") for number in range(1, HIGHEST + 1))]
    return [list(COCO), whole[1:], whole]


def select_ids(tensor: np.ndarray, outputs: int, num_classes: int, background: bool) -> np.ndarray:
    """Of a layer that gives classes by COCO's ids the rows of the 80, where a model has no more.

    Args:
        tensor: kernel or bias, the outputs of all anchors along the first axis, anchor by anchor.
        outputs: how many outputs the model's layer has, of all anchors together.
        num_classes: how many classes the model tells apart, the background apart.
        background: whether each anchor has a row for it, before those of the classes.

    Returns:
        The rows; or, where the tensor is of other classes, itself.
    """
    kept = [0, *IDS] if background else list(IDS)
    anchors, left_over = divmod(tensor.shape[0], HIGHEST + 1)
    if num_classes != len(IDS) or left_over or anchors * len(kept) != outputs:
        return tensor
    by_anchor = tensor.reshape(anchors, HIGHEST + 1, *tensor.shape[1:])  # (anchors, 91, ...)
    return by_anchor[:, kept].reshape(outputs, *tensor.shape[1:])
