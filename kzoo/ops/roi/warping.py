"""R-CNN's crops: boxes with what lies around them, stretched to one size."""

from __future__ import annotations

from keras import ops

from kzoo.ops.roi.align import roi_align


def warp_crops(images, boxes, size: int, context: int = 16):
    """Each box, and a margin around it, as a picture of its own, its aspect lost.

    Args:
        images: (B, H, W, C), normalised.
        boxes: (B, N, 4) xyxy pixels, float32. They get no gradient.
        size: pixels along each side of a crop.
        context: pixels of the crop on each side of the box, 0 to below half the size, 16 by default.

    Returns:
        (B, N, size, size, C), bilinear without antialiasing; 0, the mean colour, beyond the image.

    Raises:
        ValueError: the context leaves nothing of the box.

    Source: Girshick et al. 2014, arXiv:1311.2524, appendix A; rounded as in the authors' code.
    """
    if not 0 <= context < size / 2:
        raise ValueError(
            f"warp_crops: context={context} of size={size}; give 0 or more, and less than half the size"
        )
    boxes = ops.cast(ops.stop_gradient(boxes), "float32")
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2  # (B, N, 2)
    half = (boxes[..., 2:] - boxes[..., :2]) / 2 * (size / (size - 2 * context))
    around = ops.floor(ops.concatenate([middle - half, middle + half], axis=-1) + 0.5)  # (B, N, 4)
    # A box without area, which is padding, becomes a crop of a pixel.
    around = ops.concatenate([around[..., :2], ops.maximum(around[..., 2:], around[..., :2] + 1)], axis=-1)
    crops = roi_align([images], around, size, (1,), sampling=1, aligned=True)  # (B, N, size, size, C)
    height, width = ops.shape(images)[1:3]
    inside = [_inside(around[..., axis::2], size, side) for axis, side in ((1, height), (0, width))]
    inside = ops.expand_dims(inside[0], -1) * ops.expand_dims(inside[1], -2)  # (B, N, size, size)
    return crops * ops.cast(ops.expand_dims(inside, -1), crops.dtype)


def _inside(edges, size: int, side):
    """Which samples along an axis lie in the image: (B, N, 2) edges -> (B, N, size) of 0 and 1."""
    start, end = edges[..., :1], edges[..., 1:]
    places = start + (ops.arange(size, dtype="float32") + 0.5) * ((end - start) / size)
    within = ops.logical_and(places >= 0, places < ops.cast(side, "float32"))
    return ops.cast(within, "float32")
