"""Presets, the order of things in a chain, and mosaics."""

import numpy as np
import pytest

from kzoo.augment import (
    PRESETS,
    TRANSFORMS,
    Affine,
    ColorJitter,
    Compose,
    DarknetColor,
    DarknetJitter,
    DETRCrop,
    Distort,
    Flip,
    Mosaic,
    Rotate90,
    SSDCrop,
    letterbox,
    place,
    transforms,
)
from kzoo.structures import Sample

SIZE = (96, 128)


def photograph(seed: int = 0, height: int = 60, width: int = 100, objects: int = 3) -> Sample:
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, (width, height), (objects, 2, 2))
    boxes = np.concatenate([points.min(1), points.max(1) + 2], 1).clip(0, (width, height, width, height))
    return Sample(
        rng.integers(0, 256, (height, width, 3), dtype=np.uint8), boxes, np.arange(objects), id=seed
    )


def block(value: int, height: int = 90, width: int = 120) -> Sample:
    """A picture of one colour, whose object is all of it but a margin, labelled with the colour."""
    return Sample(
        np.full((height, width, 3), value, np.uint8), [[10, 10, width - 10, height - 10]], [value], id=value
    )


def test_presets_and_names():
    assert transforms(None) == transforms("none") == []
    assert [type(t) for t in transforms("light")] == [Flip, Affine, ColorJitter]
    assert [type(t) for t in transforms("mosaic")] == [Mosaic, Flip, Affine, ColorJitter]
    own = Rotate90()
    assert transforms(["flip", own])[1] is own
    # What the importer of cfg files makes of the published yolov4.cfg.
    assert transforms("yolov4") == [
        Mosaic(p=0.5, centre=(0.2, 0.8)),
        DarknetJitter(jitter=0.3),
        Flip(),
        DarknetColor(hue=0.1, saturation=1.5, exposure=1.5),
    ]
    assert transforms("detr") == [Flip(), DETRCrop()]
    # torchvision's, in RT-DETR's order; the ground comes whether there is a crop or not.
    assert transforms("rt-detr") == [
        Distort(),
        SSDCrop(min_iou=(), zoom_out=4.0, zoom_out_p=0.5, p=1.0),
        SSDCrop(zoom_out=1.0, p=0.8),
        Flip(),
    ]


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name != "albumentations"])
def test_every_name_makes_a_sample_of_the_canvas_s_size(name):
    """With masks, by itself and after a warp; whatever it is, it leaves the pictures that went in alone."""
    chain = Compose([{name: {"p": 1.0}} if hasattr(transforms([name])[0], "p") else name])
    sample, other = photograph(1), photograph(2, 90, 50)
    for one in (sample, other):
        one.masks = np.zeros((3, *one.size), bool)
        for mask, (x1, y1, x2, y2) in zip(one.masks, one.boxes.astype(int), strict=True):
            mask[y1:y2, x1:x2] = True
        one.mask = one.masks.any(0).astype(np.uint8)
        one.image.flags.writeable = one.masks.flags.writeable = one.mask.flags.writeable = False
    for seed in range(5):
        result = chain(np.random.default_rng(seed), sample, SIZE, lambda: other)
        assert result.image.shape == (*SIZE, 3) and result.image.dtype == np.uint8
        assert result.masks.shape == (len(result.boxes), *SIZE) and result.mask.shape == SIZE
        assert (result.boxes[:, 2:] > result.boxes[:, :2]).all() and result.id == sample.id
        assert (result.boxes >= 0).all() and (result.boxes <= (SIZE[1], SIZE[0]) * 2).all()


@pytest.mark.parametrize(
    "augment", [*PRESETS, ["mosaic", "mixup", "color"], ["cutmix", "gray", "color"]], ids=str
)
def test_drawn_into_an_array_that_is_given(augment):
    chain, out = Compose(augment), np.full((*SIZE, 3), 77, np.uint8)
    for seed in range(10):
        new = chain(np.random.default_rng(seed), photograph(1), SIZE, lambda: photograph(2))
        there = chain(np.random.default_rng(seed), photograph(1), SIZE, lambda: photograph(2), out=out)
        np.testing.assert_array_equal(there.image, new.image)
        np.testing.assert_array_equal(there.boxes, new.boxes)
    if augment == "light":
        assert there.image is out


def test_what_a_callable_saw_is_not_drawn_over():
    seen = []

    def look(rng, sample):
        seen.append((sample.image, sample.image.copy()))
        return sample

    Compose(["affine", look, "color", "darknet_color"])(np.random.default_rng(0), photograph(), SIZE)
    [(image, then)] = seen
    np.testing.assert_array_equal(image, then)


@pytest.mark.parametrize("wrong, hint", [("ligth", "light"), (["flipp"], "flip"), (["?"], "known: affine")])
def test_unknown_names(wrong, hint):
    with pytest.raises(ValueError, match=hint):
        Compose(wrong)


def test_two_mosaics_are_refused():
    with pytest.raises(ValueError, match="2 mosaics"):
        Compose(["mosaic", Mosaic()])


def test_none_is_the_letterbox_of_inference():
    sample = photograph()
    placed = Compose("none")(np.random.default_rng(0), sample, SIZE)
    canvas, placement = letterbox(sample.image, SIZE)
    np.testing.assert_array_equal(placed.image, canvas)
    np.testing.assert_allclose(placed.boxes, placement.to_input(sample.boxes), atol=1e-4)
    np.testing.assert_array_equal(placed.labels, sample.labels)


def test_none_keeps_even_the_smallest_object():
    sample = Sample(np.zeros((4000, 4000, 3), np.uint8), [[100, 100, 103, 103]], [0])
    assert len(Compose("none")(np.random.default_rng(0), sample, SIZE).boxes) == 1
    sample.mask = np.zeros((4000, 4000), np.uint8)
    assert len(Compose("none")(np.random.default_rng(0), sample, SIZE).boxes) == 1


@pytest.mark.parametrize(
    "augment", ["light", "mosaic", "yolov4", ["flip", "flip_vertical", "rotate90", "affine", "color"]]
)
def test_same_rng_same_sample(augment):
    compose = Compose(augment)

    def run(seed: int) -> Sample:
        rng = np.random.default_rng(seed)
        return compose(rng, photograph(1), SIZE, lambda: photograph(int(rng.integers(9))))

    first, again, other = run(4), run(4), run(5)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.boxes, again.boxes)
    assert (first.image != other.image).any()
    assert first.image.shape == (*SIZE, 3) and first.image.dtype == np.uint8


def test_own_transforms_come_after_the_warp_and_may_change_the_size():
    seen = []

    def crop(rng, sample):
        seen.append(sample.size)
        return Sample(sample.image[:50, :50], [[0, 0, 50, 50]], [7])

    result = Compose([crop, "flip"])(np.random.default_rng(0), photograph(), SIZE)
    assert seen == [SIZE] and result.image.shape == (*SIZE, 3)
    np.testing.assert_allclose(result.boxes, [[16, 0, 112, 96]])


def test_chain_of_matrices_equals_one_after_the_other():
    sample = photograph(height=96, width=128)
    chain = [Flip(p=1.0), Affine()]
    once = place(np.random.default_rng(3), sample, SIZE, chain)
    rng = np.random.default_rng(3)
    for transform in chain:
        sample = transform(rng, sample)
    np.testing.assert_allclose(once.boxes, sample.boxes, atol=1e-3)
    # OpenCV 4 places its samples on a grid of 1/32 pixel.
    assert np.abs(once.image.astype(int) - sample.image)[5:-5, 5:-5].max() <= 10


@pytest.mark.parametrize("geometric", [[], [Flip(p=1.0)], [Affine(rotate=0, shear=0)], [Rotate90()]])
def test_mosaic_shows_every_picture_in_its_corner(geometric):
    values = [20, 80, 160, 240]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        result = Mosaic()(rng, [block(v) for v in values], SIZE, geometric)
        assert result.image.shape == (*SIZE, 3) and result.id == 20
        quarters = [result.image[0, 0], result.image[0, -1], result.image[-1, 0], result.image[-1, -1]]
        for value, corner in zip(values, quarters, strict=True):
            assert corner[0] in (value, 114), "a corner shows its picture or the ground"
        for box, label in zip(result.boxes, result.labels, strict=True):
            x1, y1, x2, y2 = box.round().astype(int)
            inside = result.image[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1]
            assert (inside == label).all(), "a box shows its own picture alone"


def test_mosaic_clips_tight():
    """Where the picture's margin is not visible, the box ends at the corner's edge."""
    result = Mosaic()(np.random.default_rng(0), [block(v) for v in (20, 80, 160, 240)], (200, 200))
    for value in (20, 80, 160, 240):
        mask = np.abs(result.image[..., 0].astype(int) - value) < 3
        rows, columns = np.nonzero(mask)
        picture = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        box = result.boxes[result.labels == value][0]
        assert (box[:2] >= picture[:2]).all() and (box[2:] <= picture[2:]).all()
        # A margin of 10 of 120 pixels, enlarged to 200.
        assert (np.abs(box - picture) <= 18).all()


def test_mosaic_keeps_flags_and_masks():
    samples = [block(v) for v in (20, 80, 160, 240)]
    samples[2].difficult[:] = True
    for sample in samples:
        sample.masks = np.zeros((1, 90, 120), bool)
        sample.masks[0, 10:80, 10:110] = True
        sample.mask = sample.masks[0].astype(np.uint8)
    result = Mosaic(centre=(0.5, 0.5))(np.random.default_rng(2), samples, (200, 200))
    np.testing.assert_array_equal(result.labels, [20, 80, 160, 240])
    np.testing.assert_array_equal(result.difficult, [False, False, True, False])
    for mask, box in zip(result.masks, result.boxes, strict=True):
        rows, columns = np.nonzero(mask)
        np.testing.assert_allclose(
            [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], box, atol=1.5
        )
    assert set(np.unique(result.mask)) <= {0, 1, 255}
    np.testing.assert_array_equal(result.mask == 1, result.masks.any(0))


def test_mosaic_of_pictures_without_objects():
    empty = [Sample(np.zeros((50, 50, 3), np.uint8)) for _ in range(4)]
    assert Mosaic()(np.random.default_rng(0), empty, SIZE, [Affine()]).boxes.shape == (0, 4)
    with pytest.raises(ValueError, match="4 samples"):
        Mosaic()(np.random.default_rng(0), empty[:2], SIZE)


def test_mosaic_share_and_switch():
    compose = Compose([Mosaic(p=0.5)])
    calls = []
    for seed in range(200):
        compose(np.random.default_rng(seed), block(20), SIZE, lambda: calls.append(1) or block(80))
    assert 200 < len(calls) < 400 and len(calls) % 3 == 0
    without = compose(np.random.default_rng(0), block(20), SIZE)
    assert set(np.unique(without.image)) <= {20, 114}
