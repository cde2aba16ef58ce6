"""What regions show of objects' masks, which are given as cells of the objects' own boxes."""

from __future__ import annotations

from keras import ops


def masks_under(masks, boxes, regions, size: int, image_size, aligned: bool = False):
    """The part of each object's mask that lies under a region, as a grid that covers the region.

    A cell of the grid is the mean of samples about a pixel apart, as torchvision pools masks of the image's size. The
    mask is given at a size of its own, so that it takes as much memory as any other, whatever the image; sampled, it
    is what that size leaves of it.

    Args:
        masks: (B, N, S, S) of N objects, each the cells of its own box, 0..1, or uint8 0..255.
        boxes: (B, N, 4) the boxes of the objects, xyxy pixels.
        regions: (B, N, 4) xyxy pixels, one an object.
        size: number of cells of the grid along a side.
        image_size: height and width of the images in pixels: ints, or scalars where not known before running.
        aligned: whether samples are taken where they are; False (default): half a pixel further right and down, as
            torchvision does, whose masks are pasted half a pixel further left and up.

    Returns:
        (B, N, size, size) float32 in 0..1; meaningless where box or region have no area.

    Source: He et al. 2017, arXiv:1703.06870, section 3; in numbers as torchvision, `project_masks_on_boxes`.
    """
    top = 255.0 if masks.dtype == "uint8" else 1.0
    cells = ops.cast(masks, "float32") / top  # (B, N, S, S)
    count = cells.shape[-1]
    rows, columns = (
        _weights(boxes[..., i::2], regions[..., i::2], size, count, side, 0.0 if aligned else 0.5)
        for i, side in ((1, image_size[0]), (0, image_size[1]))
    )  # (B, N, size, S) each
    return ops.matmul(ops.matmul(rows, cells), ops.swapaxes(columns, -1, -2))


def _weights(box, region, size: int, count: int, side, shift: float):
    """How much each cell of a mask counts in each cell of a grid, along an axis.

    Args:
        box: (B, N, 2) where the object's box begins and ends, in pixels.
        region: (B, N, 2) where the region does.
        size: number of cells of the grid.
        count: number of cells of the mask, S.
        side: the image's length in pixels.
        shift: pixels that samples are taken further along the axis than they are.

    Returns:
        (B, N, size, S), which sum up to 1 or, at the mask's edge, beyond which there is nothing, to less.
    """
    length = ops.maximum(region[..., 1:] - region[..., :1], 1.0)  # (B, N, 1)
    samples = ops.maximum(ops.ceil(length / size), 1.0)  # (B, N, 1), of each cell of the grid
    most = -(-side // size)  # samples that a region as long as the image asks for
    number = ops.cast(ops.arange(most), "float32")  # (Q,)
    inside = (number + 0.5) / samples  # (B, N, Q) places within a cell
    cell = ops.expand_dims(ops.arange(size, dtype="float32"), -1)  # (size, 1)
    step = ops.expand_dims(length / size, -1)  # (B, N, 1, 1) pixels
    places = (
        ops.expand_dims(region[..., :1], -1) + (cell + ops.expand_dims(inside, 2)) * step
    )  # (B, N, size, Q)
    # Samples beyond the middle of the image's last pixel are taken there.
    last = ops.cast(side, "float32") - 0.5
    places = ops.minimum(ops.maximum(places + shift, 0.5), last)
    extent = ops.maximum(box[..., 1:] - box[..., :1], 1e-3)  # (B, N, 1) pixels
    start = ops.expand_dims(box[..., :1], -1)
    places = (places - start) * ops.expand_dims(count / extent, -1) - 0.5  # in cells of the mask
    near = ops.relu(1.0 - ops.abs(ops.expand_dims(places, -1) - ops.arange(count, dtype="float32")))
    counts = ops.where(number < samples, 1.0 / samples, 0.0)  # (B, N, Q)
    return ops.sum(near * ops.expand_dims(ops.expand_dims(counts, 2), -1), axis=3)
