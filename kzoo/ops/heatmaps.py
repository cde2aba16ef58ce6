"""Peaks on heat maps: drawn around objects' points, and found again."""

from __future__ import annotations

from keras import ops

from kzoo.ops.gather import stable_top_k

EPSILON = 1.1920929e-07  # of float32: what is less than so much of a peak is none of it
NO_PEAK = -1e9  # a logit whose probability is 0


def gaussian_radius(height, width, overlap: float, corrected: bool = True):
    """How far a corner may be off for the box to overlap the true one by as much.

    Args:
        height: (...) of boxes, in cells.
        width: (...) of boxes, in cells.
        overlap: IoU, above 0 and below 1.
        corrected: whether the three equations are solved (default), or, as CenterNet and ExtremeNet were trained, the
            square root is divided by 2 in place of twice the leading coefficient, which gives larger radii.

    Returns:
        (...) cells, the least of three cases: both corners inside, both outside, or one of each.

    Source: Law & Deng 2018, CornerNet, arXiv:1808.01244, section 3.2; equations as its authors' code has them.
    """
    perimeter, surface = height + width, height * width
    cases = (  # of each equation a r^2 - b r + c = 0, and the sign of the root in its least positive solution
        (1.0, perimeter, surface * (1.0 - overlap) / (1.0 + overlap), -1.0),
        (4.0, 2.0 * perimeter, surface * (1.0 - overlap), -1.0),
        (4.0 * overlap, -2.0 * overlap * perimeter, surface * (overlap - 1.0), 1.0),
    )
    radii = []
    for a, b, c, sign in cases:
        root = ops.sqrt(ops.maximum(b * b - 4.0 * a * c, 0.0))
        radii.append((b + sign * root) / (2.0 * a) if corrected else (b + root) / 2.0)
    return ops.minimum(ops.minimum(radii[0], radii[1]), radii[2])


def draw_peaks(cells, radius, labels, shape, num_classes: int, sixth: float = 6.0):
    """Heat maps with a Gaussian around each point in the map of its class; where they meet the larger value holds.

    Args:
        cells: (B, M, 2) x and y of points in whole cells.
        radius: (B, M) whole cells, 0 or more, that a Gaussian reaches.
        labels: (B, M) int, the classes; -1 for none.
        shape: height and width of the maps in cells.
        num_classes: number of classes.
        sixth: how many standard deviations a Gaussian is wide, 6 by default: its diameter of 2 r + 1 cells is so many.

    Returns:
        (B, H, W, num_classes), 1 at the points, 0 to 1 elsewhere.

    Source: CornerNet, arXiv:1808.01244, section 3.2; its authors' code.
    """
    height, width = shape
    batch, objects = ops.shape(labels)[0], labels.shape[1]
    radius = ops.expand_dims(ops.cast(radius, "float32"), -1)  # (B, M, 1)
    sigma = (2.0 * radius + 1.0) / sixth
    cells = ops.cast(cells, "float32")
    # A Gaussian is the product of one along each axis: (B, M, W) and (B, M, H).
    along = []
    for axis, count in ((0, width), (1, height)):
        away = ops.abs(ops.arange(count, dtype="float32") - cells[..., axis : axis + 1])
        value = ops.exp(-(away**2) / (2.0 * sigma**2))
        along.append(ops.where(away <= radius, value, 0.0))
    peaks = ops.expand_dims(along[1], -1) * ops.expand_dims(along[0], -2)  # (B, M, H, W)
    peaks = ops.where(peaks < EPSILON, 0.0, peaks)
    # Of each image and class the largest: one operation over rows of H * W; what is no object goes to one row behind.
    valid = labels >= 0  # (B, M)
    first = ops.expand_dims(ops.arange(batch, dtype="int32") * num_classes, -1)  # (B, 1)
    segment = ops.where(valid, ops.cast(labels, "int32") + first, batch * num_classes)
    heat = ops.segment_max(
        ops.reshape(peaks, (batch * objects, height * width)),
        ops.reshape(segment, (-1,)),
        num_segments=batch * num_classes + 1,
    )
    heat = ops.maximum(
        heat[: batch * num_classes], 0.0
    )  # classes without an object have the least of all numbers
    return ops.transpose(ops.reshape(heat, (batch, num_classes, height, width)), (0, 2, 3, 1))


def find_peaks(heat, count: int, logits: bool = False):
    """The highest places of heat maps that none of their eight neighbours exceeds.

    Args:
        heat: (B, H, W, C) scores, 0 to 1; or their logits, which tell neighbours apart that a sigmoid rounds to the
            same score, in one runtime and not in another.
        count: number of peaks, K, of all classes together.
        logits: whether `heat` has logits; False by default.

    Returns:
        scores (B, K), best first, 0 where there are fewer; labels (B, K) int32; columns and rows (B, K) int32.

    Source: Zhou et al. 2019, Objects as Points, arXiv:1904.07850, section 3, "From points to bounding boxes".
    """
    batch, height, width, classes = ops.shape(heat)
    highest = ops.max_pool(heat, 3, 1, padding="same")
    lowest = NO_PEAK if logits else 0.0
    peaks = ops.where(ops.equal(heat, highest), heat, lowest)
    # Class by class, as the authors have them, so that of equal scores the same come first.
    flat = ops.reshape(ops.transpose(peaks, (0, 3, 1, 2)), (batch, classes * height * width))
    if flat.shape[1] is None or flat.shape[1] < count:
        flat = ops.pad(flat, [[0, 0], [0, count]], constant_values=lowest)  # of a small map there are fewer
    scores, place = stable_top_k(flat, count)
    if logits:
        scores = ops.sigmoid(scores)
    cell = place % (height * width)
    labels = ops.minimum(place // (height * width), classes - 1)
    return scores, labels, cell % width, cell // width


def in_cells(points, height, width):
    """The cells that points lie in, and where in there.

    Args:
        points: (B, M, 2) x and y in cells; those on the map's far edges belong to the last cells.
        height: cells of the map.
        width: cells of the map.

    Returns:
        cells (B, M, 2) int32, x and y, and offsets (B, M, 2) from their corners, 0 to 1 cells.
    """
    last = ops.cast(ops.stack([width - 1, height - 1]), "int32")
    cells = ops.clip(ops.cast(ops.floor(points), "int32"), 0, last)
    return cells, points - ops.cast(cells, "float32")
