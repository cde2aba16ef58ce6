"""Proposals under every transform: they go where the pixels under them go, and those that are seen stay."""

import albumentations
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzoo.augment import RESIZES, Albumentations
from kzoo.augment.compose import TRANSFORMS, Compose
from kzoo.structures import Sample

# Those that need an argument, or of which a share of samples alone is changed otherwise.
ARGUMENTS = {
    "affine": {"rotate": 30.0, "shear": 10.0},
    "perspective": {"strength": 0.1},
    "mosaic": {"p": 1.0},
}
MIXED = ("mosaic", "cutmix", "mixup", "copy_paste")


def scene(seed: int, height: int, width: int) -> Sample:
    """Boxes that are objects, each with its mask, and proposals at once: what moves the ones has to move the others."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, (width - 4, height - 4), (5, 2))
    far = np.minimum(corners + rng.uniform(4, 40, (5, 2)), (width, height))
    boxes = np.rint(np.concatenate([corners, far], 1)).astype(np.float32)
    masks = np.zeros((5, height, width), bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.astype(int), strict=True):
        mask[y1:y2, x1:x2] = True
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    return Sample(image, boxes, np.arange(5), masks, id=seed, proposals=boxes)


def moved(name, seed, shape, size, resize="letterbox") -> Sample:
    """A scene after a transform, whose partners are other scenes."""
    arguments = ARGUMENTS.get(name, {})
    if name not in ("mosaic", "albumentations") and "p" in getattr(
        TRANSFORMS.get(name), "__dataclass_fields__", {}
    ):
        arguments = {"p": 1.0, **arguments}
    chain = [{name: arguments} if arguments else name] if name != "none" else None
    if name == "albumentations":
        chain = [Albumentations(albumentations.Affine(rotate=30, scale=0.8, p=1.0))]
    seeds = iter(range(seed + 1, seed + 100))
    return Compose(chain, resize)(
        np.random.default_rng(seed), scene(seed, *shape), size, lambda: scene(next(seeds), *shape)
    )


@pytest.mark.parametrize("name", [each for each in ("none", *TRANSFORMS) if each != "border_weights"])
@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(16, 70), st.integers(16, 70)),
    st.sampled_from([(48, 48), (40, 64)]),
)
@settings(max_examples=12, deadline=None)
def test_proposals_move_with_the_objects(name, seed, shape, size):
    sample = moved(name, seed, shape, size)
    proposals = sample.proposals
    assert proposals.dtype == np.float32 and proposals.shape[1:] == (4,)
    assert (proposals[:, :2] >= 0).all() and (proposals[:, 2:] <= (size[1], size[0])).all()
    assert (proposals[:, 2:] > proposals[:, :2]).all()
    if name not in MIXED:
        assert len(sample.boxes) <= len(proposals) <= 5
    # Objects are cut to what is seen of them, by others that lie in front, too; proposals by the picture's edge alone.
    for box in sample.boxes:
        inside = np.maximum(box[:2] - proposals[:, :2], 0) + np.maximum(
            proposals[:, 2:] - box[2:], 0
        )  # (P, 2)
        outside = np.maximum(proposals[:, :2] - box[:2], 0) + np.maximum(box[2:] - proposals[:, 2:], 0)
        assert outside.max(1).min() < 1.01
        if name not in ("cutmix", "copy_paste"):
            assert (inside + outside).max(1).min() < 1.01


@pytest.mark.parametrize("resize", RESIZES)
def test_every_way_to_resize_takes_proposals_along(resize):
    sample = moved("none", 3, (50, 70), (64, 48), resize)
    np.testing.assert_allclose(sample.proposals, sample.boxes, atol=0.51)


def test_of_several_pictures_the_best_of_each_come_first():
    sample = moved("mixup", 5, (48, 48), (48, 48))
    first, second = scene(5, 48, 48).boxes, scene(6, 48, 48).boxes
    np.testing.assert_allclose(sample.proposals[0::2], first, atol=1e-3)
    np.testing.assert_allclose(sample.proposals[1::2], second, atol=1e-3)


@pytest.mark.parametrize("name", ["mosaic", "mixup"])
def test_one_picture_without_proposals_takes_them_from_all(name):
    pictures = iter((1, 2, 3, 4))

    def partner():
        sample = scene(next(pictures), 48, 48)
        sample.proposals = None
        return sample

    chain = [{name: {"p": 1.0}}]
    assert Compose(chain)(np.random.default_rng(0), scene(0, 48, 48), (48, 48), partner).proposals is None


def test_samples_without_proposals_stay_without():
    sample = scene(0, 48, 48)
    sample.proposals = None
    blur = Albumentations(albumentations.HorizontalFlip(p=1.0))
    assert Compose(["affine", "ssd_crop", blur])(np.random.default_rng(0), sample, (48, 48)).proposals is None
