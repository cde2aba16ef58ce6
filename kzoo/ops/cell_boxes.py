"""Boxes that stand on the cells of maps, from which a decoder's queries may begin."""

from __future__ import annotations

from keras import ops

# The logit of what is 1 in float32: in the place of infinity, whose gradients are NaN.
BEYOND = 1e4


def cell_boxes(sizes, side: float = 0.05, margin: float = 0.01):
    """A square on the middle of every cell, twice as large on each coarser map, as logits.

    Args:
        sizes: height and width of each map in cells, finest first.
        side: side of the finest map's squares as a share of the image's, above 0, 0.05 by default.
        margin: how near to 0 and 1 no coordinate may be, 0.01 by default.

    Returns:
        logits (1, N, 4) of centre and size, 0 to 1, map by map and row by row, float32, and `BEYOND` for squares that
        do not count; and whether each counts (1, N, 1), as numbers.

    Source: Zhu et al. 2020, Deformable DETR, arXiv:2010.04159, appendix A.4.
    """
    boxes = []
    for level, (height, width) in enumerate(sizes):
        y, x = (
            (ops.cast(ops.arange(count), "float32") + 0.5) / ops.cast(count, "float32")
            for count in (height, width)
        )
        y, x = ops.meshgrid(y, x, indexing="ij")  # (H, W)
        sides = ops.full_like(x, side * 2.0**level)
        boxes.append(ops.reshape(ops.stack([x, y, sides, sides], axis=-1), (1, height * width, 4)))
    boxes = ops.concatenate(boxes, axis=1)  # (1, N, 4)
    counts = ops.all((boxes > margin) & (boxes < 1.0 - margin), axis=-1, keepdims=True)  # (1, N, 1)
    # Only what counts goes through the logarithm.
    sound = ops.where(counts, boxes, 0.5)
    logits = ops.where(counts, ops.log(sound / (1.0 - sound)), BEYOND)
    return logits, ops.cast(counts, "float32")
