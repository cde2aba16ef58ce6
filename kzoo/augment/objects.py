"""The objects of a sample: which are kept, what is seen of them, and those of several samples together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kzoo.structures import Sample

MIN_VISIBLE = 0.15  # A smaller share of an object left in the picture does not show what it is.
MIN_SIDE = 1.0  # Pixels: what is smaller cannot be seen at all.

Region = tuple[int, int, int, int]


def clip_boxes(
    boxes: np.ndarray,
    region: Sequence[float] | np.ndarray,
    min_visible: float = MIN_VISIBLE,
    min_side: float = MIN_SIDE,
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes clipped to a region, and which of them are still worth showing to a network.

    Args:
        boxes: (N, 4) xyxy pixels.
        region: x1, y1, x2, y2 in the same pixels, or (N, 4), one for each box.
        min_visible: least share of a box's area inside the region.
        min_side: least width and height inside it, in pixels.

    Returns:
        Clipped boxes (N, 4), and (N,) bool.
    """
    region, points = (
        np.asarray(region)[..., None, :],
        boxes.reshape(-1, 2, 2),
    )  # (1, 4) or (N, 1, 4); (N, 2, 2)
    clipped = np.minimum(np.maximum(points, region[..., :2]), region[..., 2:]).reshape(-1, 4)  # (N, 4)
    (width, height), (whole_width, whole_height) = (
        (b[:, 2:] - b[:, :2]).T for b in (clipped, boxes)
    )  # each (N,)
    visible = width * height >= min_visible * (whole_width * whole_height)
    return clipped, visible & (width >= min_side) & (height >= min_side)


def select(sample: Sample, keep: np.ndarray, boxes: np.ndarray | None = None, masks: bool = True) -> Sample:
    """The sample with some of its objects, and with other boxes where they are given.

    Args:
        sample: a sample of N objects.
        keep: (N,) bool, or positions.
        boxes: (N, 4) in place of the sample's own.
        masks: whether the objects' masks come along, which takes a copy of each.
    """
    layers = sample.masks if masks else None
    layers, weights = (None if field is None else field[keep] for field in (layers, sample.weights))
    # `dataclasses.replace` takes twice the time.
    return Sample(
        sample.image,
        (sample.boxes if boxes is None else boxes)[keep],
        sample.labels[keep],
        layers,
        sample.mask,
        sample.difficult[keep],
        sample.crowd[keep],
        sample.id,
        weights,
        shares=sample.shares,
        proposals=sample.proposals,
    )


def clip_proposals(boxes: np.ndarray | None, region: Sequence[float] | np.ndarray) -> np.ndarray | None:
    """What is seen of proposals in a region, however little; those of which nothing is are left out.

    Args:
        boxes: (P, 4) xyxy pixels, or None.
        region: x1, y1, x2, y2 in the same pixels, or (P, 4), one for each box.
    """
    if boxes is None:
        return None
    clipped, _ = clip_boxes(boxes, region, 0.0, 0.0)
    clipped = clipped.astype(np.float32)
    return clipped[(clipped[:, 2:] > clipped[:, :2]).all(1)]


def joined_proposals(samples: Sequence[Sample]) -> np.ndarray | None:
    """The proposals of several samples, (P, 4): the best of each, then the second best of each, and so on.

    Args:
        samples: the samples; where one has no proposals, None is given.
    """
    if not samples or any(sample.proposals is None for sample in samples):
        return None
    ranks = np.concatenate([np.arange(len(sample.proposals)) for sample in samples])
    return np.concatenate([sample.proposals for sample in samples])[np.argsort(ranks, kind="stable")]


def mixed_shares(samples: Sequence[Sample], fractions: Sequence[float]) -> np.ndarray | None:
    """How much of each class a picture shows that is made of several.

    Args:
        samples: the pictures that the result is made of.
        fractions: how much of the result each picture is, 0 to 1, together 1.

    Returns:
        (C,) float32; None where a picture has no shares.
    """
    if any(sample.shares is None for sample in samples):
        return None
    return sum(
        np.float32(fraction) * sample.shares for fraction, sample in zip(fractions, samples, strict=True)
    )


def join(canvas: Sample, samples: Sequence[Sample]) -> Sample:
    """A picture with the objects of several.

    Args:
        canvas: image, semantic mask and id of the result.
        samples: samples of that size, for their objects. Objects of a sample without weights count 1. Instance masks
            stay where every sample with objects has them, and proposals where every sample has them.
    """
    fields = {
        name: np.concatenate([getattr(sample, name) for sample in samples])
        for name in ("boxes", "labels", "difficult", "crowd")
    }
    if any(sample.weights is not None for sample in samples):
        fields["weights"] = np.concatenate(
            [np.ones(len(sample.boxes)) if sample.weights is None else sample.weights for sample in samples]
        )
    layers = [sample.masks for sample in samples if sample.masks is not None]
    if layers and all(sample.masks is not None or not len(sample.boxes) for sample in samples):
        fields["masks"] = np.concatenate(layers)
    return replace(canvas, **fields, proposals=joined_proposals(samples))


def behind_rectangle(sample: Sample, region: Region, min_visible: float = MIN_VISIBLE) -> Sample:
    """The sample's objects, as far as they are seen with a rectangle in front of them.

    Args:
        sample: N objects; its image and semantic mask stay as they are.
        region: x1, y1, x2, y2 of the rectangle in pixels.
        min_visible: objects of which a smaller share is left to see are left out: of their masks, where the
            sample has them, else of their boxes. The others' boxes are cut to what is left.
    """
    x1, y1, x2, y2 = region
    if sample.masks is not None:
        front = np.zeros(sample.size, bool)
        front[y1:y2, x1:x2] = True
        return behind(sample, front, min_visible)
    boxes = sample.boxes.astype(np.float64)
    left, top, right, bottom = boxes.T  # each (N,)
    common = np.maximum(0, np.minimum(right, x2) - np.maximum(left, x1)) * np.maximum(
        0, np.minimum(bottom, y2) - np.maximum(top, y1)
    )
    area = (right - left) * (bottom - top)
    # The rectangle moves an edge of a box where it hides all of that edge.
    across, along = (x1 <= left) & (x2 >= right), (y1 <= top) & (y2 >= bottom)
    seen = np.stack(
        [
            np.where(along & (x1 <= left), np.maximum(left, x2), left),
            np.where(across & (y1 <= top), np.maximum(top, y2), top),
            np.where(along & (x2 >= right), np.minimum(right, x1), right),
            np.where(across & (y2 >= bottom), np.minimum(bottom, y1), bottom),
        ],
        axis=1,
    )
    large = (seen[:, 2:] - seen[:, :2] >= MIN_SIDE).all(1)
    return select(sample, (common == 0) | (area - common >= min_visible * area) & large, seen)


def behind(sample: Sample, front: np.ndarray, min_visible: float = MIN_VISIBLE) -> Sample:
    """The sample's objects, as far as they are seen with something in front of them.

    Args:
        sample: N objects with masks; its image and semantic mask stay as they are. Those whose mask is empty are
            taken to fill their boxes.
        front: (H, W) bool, the pixels that hide what is behind them.
        min_visible: objects of whose masks a smaller share is left to see are left out. The others' boxes are
            cut to what is left.
    """
    boxes, share = sample.boxes.copy(), np.ones(len(sample.boxes))
    masks = sample.masks & ~front  # (N, H, W)
    for i, (x1, y1, x2, y2) in enumerate(np.rint(boxes).astype(int)):
        whole, visible = sample.masks[i], masks[i]  # (H, W)
        if not whole.any():
            whole = np.zeros(sample.size, bool)
            whole[y1:y2, x1:x2] = True
            visible = whole & ~front
        seen, total = np.count_nonzero(visible), np.count_nonzero(whole)
        if seen < total:
            share[i] = seen / total
            tight = _tight_box(visible)
            boxes[i] = *np.maximum(boxes[i, :2], tight[:2]), *np.minimum(boxes[i, 2:], tight[2:])
    large = (boxes[:, 2:] - boxes[:, :2] >= MIN_SIDE).all(1)
    return select(replace(sample, masks=masks), (share == 1.0) | (share >= min_visible) & large, boxes)


def _tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Around the true pixels of (H, W) bool; without area where there are none."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) if len(rows) else (0, 0, 0, 0)
