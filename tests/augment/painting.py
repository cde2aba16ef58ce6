"""Pictures painted from known objects, so that the truth of a transform can be read off its pixels."""

import numpy as np

from kzoo.structures import Sample

# Interpolation cannot mix one of these out of the others, nor the grey beside the picture.
COLORS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)


def painted(
    seed: int, height: int, width: int, count: int, least: int = 1, dtype=np.uint8, masks: bool = True
) -> Sample:
    """Filled rectangles at random, of three classes; later ones on top, their masks whole all the same.

    Args:
        seed: of places, sizes and classes.
        height: of the picture in pixels.
        width: of the picture in pixels.
        count: of the rectangles.
        least: their least side in pixels.
        dtype: of the semantic mask.
        masks: whether the sample has masks.
    """
    rng = np.random.default_rng(seed)
    sides = np.stack([rng.integers(min(least, side), side + 1, count) for side in (width, height)], 1)
    corners = rng.integers(0, np.array([width, height]) - sides + 1)
    boxes, labels = np.concatenate([corners, corners + sides], 1), rng.integers(0, 3, count)
    layers = np.zeros((count if masks else 0, height, width), bool)
    mask = np.zeros((height, width), dtype)
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        mask[y1:y2, x1:x2] = labels[i] + 1
        if masks:
            layers[i, y1:y2, x1:x2] = True
    sample = Sample(COLORS[mask.astype(int)], boxes, labels, difficult=labels == 2, id=seed)
    if masks:
        sample.masks, sample.mask = layers, mask
    return sample


def tight(mask: np.ndarray) -> np.ndarray:
    """The box of a mask's pixels: x1, y1, x2, y2."""
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)


def assert_sound(sample: Sample, size: tuple[int, int], before: Sample) -> None:
    """What holds after any transform: shapes, types, boxes inside the canvas, the semantic mask with the image."""
    height, width = size
    assert sample.image.shape == (height, width, 3) and sample.image.dtype == np.uint8
    count = len(sample.boxes)
    assert sample.boxes.shape == (count, 4) and sample.boxes.dtype == np.float32
    assert sample.labels.dtype == before.labels.dtype and sample.id == before.id
    assert len(sample.labels) == len(sample.difficult) == len(sample.crowd) == count
    assert (sample.boxes[:, :2] >= 0).all() and (sample.boxes[:, 2:] <= (width, height)).all()
    assert (sample.boxes[:, 2:] > sample.boxes[:, :2]).all()
    np.testing.assert_array_equal(sample.difficult, sample.labels == 2)
    if before.masks is not None:
        assert sample.masks.shape == (count, height, width) and sample.masks.dtype == bool
    if before.mask is not None:
        assert sample.mask.shape == (height, width) and sample.mask.dtype == before.mask.dtype
        assert set(np.unique(sample.mask)) <= {*np.unique(before.mask), 255}


def assert_mask_follows_image(sample: Sample) -> None:
    """Where the image shows a class's pure colour, the semantic mask says that class; and 255 in the pure grey."""
    for value, paint in enumerate(COLORS):
        assert (sample.mask[(sample.image == paint).all(2)] == value).all()
    assert (sample.mask[(sample.image == 114).all(2)] == 255).all()
