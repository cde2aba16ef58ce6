"""Classes of whole pictures: mixed as the pixels are, carried through all else, and trained on."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kzoo
from kzoo.augment.mix import CopyPaste, CutMix, MixUp
from kzoo.augment.mosaic import Mosaic
from kzoo.data.loading.loader import batches
from kzoo.structures import Sample

CLASSES = ["dark", "bright", "other"]
GREYS = (40, 200)
SIDE = 32


def picture(label: int, size=(SIDE, SIDE)) -> Sample:
    """All of one grey, so that the pixels tell how much of it is left."""
    return Sample(np.full((*size, 3), GREYS[label], np.uint8), shares=np.eye(3)[label], id=str(label))


def shown(image) -> np.ndarray:
    return np.array([(image == grey).all(-1).mean() for grey in GREYS] + [0])


@given(st.integers(0, 2**32 - 1), st.integers(8, 60), st.integers(8, 60))
@settings(max_examples=40, deadline=None)
def test_cutmix_gives_each_class_its_share_of_the_pixels(seed, height, width):
    rng = np.random.default_rng(seed)
    mixed = CutMix()(rng, picture(0, (height, width)), picture(1, (height, width)))
    np.testing.assert_allclose(mixed.shares, shown(mixed.image), atol=1e-6)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_mixup_gives_each_class_its_weight(seed):
    mixed = MixUp()(np.random.default_rng(seed), picture(0), picture(1))
    first = (float(mixed.image.mean()) - GREYS[1]) / (GREYS[0] - GREYS[1])
    np.testing.assert_allclose(mixed.shares, [first, 1 - first, 0], atol=0.5 / 160 + 1e-6)


@pytest.mark.parametrize("grid", [2, 3])
def test_a_mosaic_shows_its_pictures_by_their_cells(grid):
    parts = [picture(i % 2) for i in range(grid**2)]
    mixed = Mosaic(grid=grid)(np.random.default_rng(3), parts, (SIDE, SIDE))
    assert mixed.shares.sum() == pytest.approx(1)
    assert mixed.shares[0] == pytest.approx(
        shown(mixed.image)[0], abs=0.15
    )  # cells are not filled to the edge


def test_shares_are_dropped_where_a_partner_has_none_and_stay_beside_pasted_objects():
    plain = Sample(
        np.zeros((SIDE, SIDE, 3), np.uint8), [[4, 4, 20, 20]], [0], masks=np.ones((1, SIDE, SIDE), bool)
    )
    rng = np.random.default_rng(0)
    assert CutMix()(rng, picture(0), plain).shares is None
    assert CopyPaste(share=1.0)(rng, picture(1), plain).shares.tolist() == [0, 1, 0]


class Pictures:
    classes, classify = CLASSES, True

    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


@pytest.mark.parametrize(
    "augment",
    ["none", "light", ["flip", {"cutmix": {"p": 1.0}}], ["mosaic", {"mixup": {"p": 1.0}}, "affine"]],
)
def test_batches_hold_shares_that_a_classifier_trains_on(augment):
    data = Pictures([picture(i % 2) for i in range(8)])
    images, targets = next(iter(batches(data, SIDE, 4, augment, seed=0)))
    assert targets["label"].shape == (4, 3) and targets["label"].dtype == np.float32
    np.testing.assert_allclose(targets["label"].sum(1), 1, atol=1e-5)
    assert (targets["label"][:, 2] == 0).all()
    model = kzoo.build("resnet18", num_classes=3, image_size=(SIDE, SIDE), width=0.125, depth=0.05)
    model.compile(keras.optimizers.AdamW(1e-3), run_eagerly=True)
    assert np.isfinite(model.fit(images, targets, verbose=0).history["loss"]).all()


def test_a_whole_class_is_the_number_of_it():
    head = kzoo.build("resnet18", num_classes=3, image_size=(SIDE, SIDE), width=0.125, depth=0.05).head
    logits = {
        "logits": keras.ops.convert_to_tensor(np.random.default_rng(0).normal(size=(4, 3)).astype("float32"))
    }
    label = np.array([0, 2, 1, 1])
    by_number, by_shares = head.loss({"label": label}, logits), head.loss({"label": np.eye(3)[label]}, logits)
    assert float(by_number["class"]) == pytest.approx(float(by_shares["class"]))


def test_a_picture_without_shares_is_named():
    data = Pictures([Sample(np.zeros((SIDE, SIDE, 3), np.uint8), id="lost")])
    with pytest.raises(ValueError, match=r"image 'lost': shares of classes: none; give \(3,\)"):
        next(iter(batches(data, SIDE, 1, "none", workers=0)))
