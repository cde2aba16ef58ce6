"""Instance masks under every transform: an object's mask stays the pixels that the semantic mask gives its class."""

import albumentations
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from painting import COLORS, tight

from kzoo.augment import RESIZES, Albumentations
from kzoo.augment.compose import TRANSFORMS, Compose
from kzoo.structures import Sample
from kzoo.structures.cells import crop_masks

# Those that need an argument, or of which a share of samples alone is changed otherwise.
ARGUMENTS = {
    "affine": {"rotate": 30.0, "shear": 10.0},
    "perspective": {"strength": 0.1},
    "mosaic": {"p": 1.0},
}


def scene(seed: int, first: int, height: int, width: int) -> Sample:
    """Three ellipses, none over another, of the classes from `first` on, with their masks and the semantic one."""
    rng = np.random.default_rng((seed, first))
    rows, columns = np.mgrid[:height, :width]
    masks = np.zeros((3, height, width), bool)
    for i in range(3):
        x, y = rng.uniform(0, (width, height))
        a, b = rng.uniform(1, 0.4 * min(height, width), 2)
        masks[i] = ((columns + 0.5 - x) / a) ** 2 + ((rows + 0.5 - y) / b) ** 2 <= 1
        masks[i] &= ~masks[:i].any(0)
    masks = masks[masks.any((1, 2))]
    labels = first + np.arange(len(masks))
    mask = np.zeros((height, width), np.uint8)
    for layer, label in zip(masks, labels, strict=True):
        mask[layer] = label + 1
    boxes = np.array([tight(layer) for layer in masks]).reshape(-1, 4)
    return Sample(COLORS[(mask % 4).astype(int)], boxes, labels, masks, mask, id=first)


def moved(name, seed, shape, size, resize="letterbox") -> Sample:
    """A scene after a transform, whose partners are other scenes of other classes."""
    arguments = ARGUMENTS.get(name, {})
    if name not in ("mosaic", "albumentations") and "p" in getattr(
        TRANSFORMS.get(name), "__dataclass_fields__", {}
    ):
        arguments = {"p": 1.0, **arguments}
    chain = [{name: arguments} if arguments else name] if name != "none" else None
    if name == "albumentations":
        chain = [Albumentations(albumentations.Affine(rotate=30, scale=0.8, p=1.0))]
    firsts = iter(range(3, 250, 3))
    return Compose(chain, resize)(
        np.random.default_rng(seed), scene(seed, 0, *shape), size, lambda: scene(seed, next(firsts), *shape)
    )


@pytest.mark.parametrize("name", ["none", *TRANSFORMS])
@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(8, 70), st.integers(8, 70)),
    st.sampled_from([(48, 48), (40, 64)]),
)
@settings(max_examples=12, deadline=None)
def test_masks_move_with_the_pixels(name, seed, shape, size):
    sample = moved(name, seed, shape, size)
    assert sample.masks.shape == (len(sample.boxes), *size) and sample.masks.dtype == bool
    # A mixture shows both pictures, and its semantic mask is that of one of them.
    shown = np.unique(sample.mask) if name == "mixup" else sample.labels + 1
    for label, mask, box in zip(sample.labels, sample.masks, sample.boxes, strict=True):
        if label + 1 in shown:
            np.testing.assert_array_equal(mask, sample.mask == label + 1)
        if mask.any():
            x1, y1, x2, y2 = tight(mask)
            assert x1 >= box[0] - 1 and y1 >= box[1] - 1 and x2 <= box[2] + 1 and y2 <= box[3] + 1
    assert crop_masks(sample.masks, sample.boxes, 7).shape == (len(sample.boxes), 7, 7)


@pytest.mark.parametrize("resize", RESIZES)
def test_every_way_to_resize_takes_masks_along(resize):
    sample = moved("none", 3, (50, 70), (64, 48), resize)
    for label, mask in zip(sample.labels, sample.masks, strict=True):
        np.testing.assert_array_equal(mask, sample.mask == label + 1)


def test_all_of_a_training_together():
    chain = [
        "mosaic",
        {"mixup": {"p": 1.0}},
        {"copy_paste": {"p": 1.0}},
        "perspective",
        "flip",
        "rotate90",
        "cutout",
    ]
    firsts = iter(range(3, 250, 3))
    sample = Compose(chain)(
        np.random.default_rng(0), scene(0, 0, 60, 60), (64, 64), lambda: scene(0, next(firsts) % 240, 60, 60)
    )
    assert len(sample.boxes) and sample.masks.shape == (len(sample.boxes), 64, 64)
    for mask, (x1, y1, x2, y2) in zip(sample.masks, sample.boxes, strict=True):
        outside = mask.copy()
        outside[max(0, int(y1) - 1) : int(y2) + 2, max(0, int(x1) - 1) : int(x2) + 2] = False
        assert not outside.any()
