"""CutMix, MixUp, CopyPaste: what is in front hides what is behind, in pixels, masks and boxes alike."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from painting import painted, tight

from kzoo.augment import Compose, CopyPaste, CutMix, Flip, MixUp, transforms
from kzoo.augment.objects import behind_rectangle
from kzoo.structures import Sample

SHAPES = st.tuples(st.integers(16, 160), st.integers(16, 160))
COUNTS = st.integers(0, 12)


def pair(seed: int, shape: tuple[int, int], mine: int, theirs: int, **options) -> tuple[Sample, Sample]:
    """Two samples whose pixels tell them apart, value 50 and value 200, with labels of their own."""
    made = []
    for i, (count, value) in enumerate(((mine, 50), (theirs, 200))):
        sample = painted(seed + i, *shape, count, least=3, **options)
        sample.image = np.full((*shape, 3), value, np.uint8)
        sample.labels = 1000 * i + np.arange(count)
        sample.difficult, sample.crowd = sample.labels % 3 == 0, sample.labels % 7 == 6
        made.append(sample)
    return made[0], made[1]


def without_masks(sample: Sample) -> Sample:
    return replace(sample, masks=None, mask=None)


def painted_boxes(sample: Sample) -> np.ndarray:
    """Each box as a filled mask: what the boxes of a sample without masks stand for."""
    layers = np.zeros((len(sample.boxes), *sample.size), bool)
    for layer, (x1, y1, x2, y2) in zip(layers, sample.boxes.round().astype(int), strict=True):
        layer[y1:y2, x1:x2] = True
    return layers


def expect(result: Sample, sources, visible, least: float, masks: bool = True) -> None:
    """The objects of the result are those of the sources with enough left to see, cut to it.

    Args:
        result: what came out.
        sources: the samples that went in.
        visible: for each, (N, H, W) bool: what is seen of each object.
        least: the share that must be seen.
        masks: whether the result's masks are looked at.
    """
    position = 0
    for source, layers in zip(sources, visible, strict=True):
        whole = painted_boxes(source) if source.masks is None else source.masks
        for i, layer in enumerate(layers):
            share = layer.sum() / whole[i].sum()
            there = position < len(result.labels) and result.labels[position] == source.labels[i]
            assert there == (share >= least and layer.any()), (share, least)
            if there:
                np.testing.assert_allclose(result.boxes[position], tight(layer), atol=1.5)
                if masks:
                    np.testing.assert_array_equal(result.masks[position], layer)
                position += 1
    assert position == len(result.labels)
    np.testing.assert_array_equal(result.difficult, result.labels % 3 == 0)
    np.testing.assert_array_equal(result.crowd, result.labels % 7 == 6)
    assert result.boxes.dtype == np.float32 and result.boxes.shape == (position, 4)


@given(st.integers(0, 10**6), SHAPES, COUNTS, COUNTS, st.sampled_from([0.05, 0.15, 0.5, 1.0]), st.booleans())
@settings(max_examples=200, deadline=None)
def test_cutmix_shows_the_partner_through_a_window(seed, shape, mine, theirs, least, masks):
    sample, partner = pair(seed, shape, mine, theirs)
    if not masks:
        sample, partner = without_masks(sample), without_masks(partner)
    mixed = CutMix(min_visible=least)(np.random.default_rng(seed), sample, partner)
    assert mixed.image.dtype == np.uint8 and mixed.id == sample.id
    window = mixed.image[..., 0] == 200
    assert (window | (mixed.image[..., 0] == 50)).all()
    if window.any():
        x1, y1, x2, y2 = tight(window).astype(int)
        assert window[y1:y2, x1:x2].all(), "a rectangle"
    own, other = ((s.masks if masks else painted_boxes(s)) for s in (sample, partner))
    expect(mixed, (sample, partner), (own & ~window, other & window), least, masks)
    if masks:
        np.testing.assert_array_equal(mixed.mask, np.where(window, partner.mask, sample.mask))
    else:
        assert mixed.masks is None and mixed.mask is None


@pytest.mark.long
@given(st.integers(0, 10**6), SHAPES, st.integers(0, 300))
@settings(max_examples=50, deadline=None)
def test_cutmix_takes_any_number_of_boxes_at_any_place(seed, shape, count):
    """Boxes of broken pixels, by area in ten times finer pixels."""
    rng = np.random.default_rng(seed)
    height, width = shape
    points = rng.uniform(0, (width, height), (count, 2, 2)).round(1)
    sample = Sample(
        np.zeros((*shape, 3), np.uint8),
        np.concatenate([points.min(1), points.max(1) + 1.5], 1),
        np.arange(count),
    )
    x1, x2 = np.sort(rng.integers(0, width + 1, 2))
    y1, y2 = np.sort(rng.integers(0, height + 1, 2))
    seen = behind_rectangle(sample, (x1, y1, x2, y2), 0.3)
    assert (seen.boxes[:, 2:] - seen.boxes[:, :2] >= 0.999).all()
    for label in rng.permutation(count)[:8]:
        box = (sample.boxes[label] * 10).round().astype(int)
        layer = np.zeros(((height + 3) * 10, (width + 3) * 10), bool)
        layer[box[1] : box[3], box[0] : box[2]] = True
        area = layer.sum()
        layer[y1 * 10 : y2 * 10, x1 * 10 : x2 * 10] = False
        if abs(layer.sum() / area - 0.3) > 1e-3 and (
            not layer.any() or (tight(layer)[2:] - tight(layer)[:2]).min() > 11
        ):
            assert (label in seen.labels) == (layer.sum() > 0.3 * area)
        if label in seen.labels:
            np.testing.assert_allclose(seen.boxes[seen.labels == label][0] * 10, tight(layer), atol=0.6)


def test_cutmix_covers_evenly():
    """With alpha 1, the partner's share of the area is 1/2 on average, but for what the edge cuts off."""
    sample, partner = pair(0, (100, 150), 0, 0)
    rng = np.random.default_rng(0)
    shares = [(CutMix()(rng, sample, partner).image[..., 0] == 200).mean() for _ in range(400)]
    assert 0.25 < np.mean(shares) < 0.45 and min(shares) < 0.02 and max(shares) > 0.85


@given(st.integers(0, 10**6), SHAPES, COUNTS, COUNTS)
@settings(max_examples=100, deadline=None)
def test_mixup_keeps_all_objects_with_their_weights(seed, shape, mine, theirs):
    sample, partner = pair(seed, shape, mine, theirs)
    rng = np.random.default_rng(seed)
    for one in (sample, partner):
        one.image = rng.integers(0, 256, one.image.shape, dtype=np.uint8)
    mixed = MixUp()(np.random.default_rng(seed), sample, partner)
    expect(mixed, (sample, partner), (sample.masks, partner.masks), 0.0)
    assert mixed.weights.dtype == np.float32 and mixed.weights.shape == (mine + theirs,)
    apart = sample.image.astype(float) - partner.image
    share = (apart * (mixed.image.astype(float) - partner.image)).sum() / (apart**2).sum()
    blend = share * sample.image + (1 - share) * partner.image
    assert mixed.image.dtype == np.uint8 and np.abs(mixed.image - blend).max() <= 1.0
    np.testing.assert_allclose(mixed.weights[:mine], share, atol=0.01)
    np.testing.assert_allclose(mixed.weights[mine:], 1 - share, atol=0.01)
    heavier = sample if share >= 0.5 else partner
    if abs(share - 0.5) > 0.01:
        np.testing.assert_array_equal(mixed.mask, heavier.mask)


def test_mixup_weights_multiply():
    sample, partner = pair(0, (60, 80), 2, 3)
    sample.weights = np.array([0.5, 0.25], np.float32)
    mixed = MixUp(alpha=1000.0)(np.random.default_rng(0), sample, partner)
    np.testing.assert_allclose(mixed.weights, [0.25, 0.125, 0.5, 0.5, 0.5], rtol=0.1)
    np.testing.assert_array_equal(sample.weights, [0.5, 0.25])


@given(
    st.integers(0, 10**6), SHAPES, COUNTS, COUNTS, st.sampled_from([0.15, 0.5]), st.sampled_from([0.3, 1.0])
)
@settings(max_examples=200, deadline=None)
def test_copy_paste_lays_objects_in_front(seed, shape, mine, theirs, least, share):
    sample, partner = pair(seed, shape, mine, theirs)
    for one in (sample, partner):
        rows, columns = np.indices(shape) + 0.5
        for layer, box in zip(one.masks, one.boxes, strict=True):
            (x, y), (width, height) = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
            layer &= abs(columns - x) / width + abs(rows - y) / height <= 0.6  # a diamond without its ends
            box[:] = tight(layer)
    mixed = CopyPaste(share=share, min_visible=least)(np.random.default_rng(seed), sample, partner)
    front = mixed.image[..., 0] == 200
    pasted = [i for i, label in enumerate(partner.labels) if label in mixed.labels]
    assert not partner.crowd[pasted].any()
    if share == 1.0:
        assert len(pasted) == (~partner.crowd).sum()
    np.testing.assert_array_equal(front, partner.masks[pasted].any(0))
    theirs_seen = partner.masks.copy()
    theirs_seen[[i for i in range(theirs) if i not in pasted]] = False
    expect(mixed, (sample, partner), (sample.masks & ~front, theirs_seen), least)
    np.testing.assert_array_equal(mixed.mask, np.where(front, partner.mask, sample.mask))


def test_an_object_whose_mask_is_empty_is_taken_for_its_box():
    sample, partner = pair(0, (40, 40), 2, 1)
    sample.boxes[:] = [[0, 0, 10, 10], [20, 20, 40, 40]]
    sample.masks[:] = False
    partner.boxes[:], partner.masks[:], partner.crowd[:] = [20, 20, 40, 30], False, False
    partner.masks[0, 20:30, 20:40] = True
    mixed = CopyPaste(share=1.0)(np.random.default_rng(0), sample, partner)
    np.testing.assert_array_equal(mixed.boxes, [[0, 0, 10, 10], [20, 30, 40, 40], [20, 20, 40, 30]])


def test_copy_paste_needs_masks():
    sample, partner = pair(0, (40, 40), 2, 2)
    for pictures in ((without_masks(sample), partner), (sample, without_masks(partner))):
        with pytest.raises(ValueError, match=r"copy_paste: image \d has objects without masks; .*masks=True"):
            CopyPaste()(np.random.default_rng(0), *pictures)
    empty = Sample(sample.image)
    assert CopyPaste()(np.random.default_rng(0), sample, empty) is sample
    pasted = CopyPaste(share=1.0)(np.random.default_rng(0), empty, partner)
    assert pasted.masks.shape == (len(pasted.boxes), 40, 40) and len(pasted.boxes) == (~partner.crowd).sum()


@pytest.mark.parametrize("mix", [CutMix(), MixUp(), CopyPaste()], ids=lambda t: type(t).__name__)
def test_pictures_without_objects_and_those_that_went_in(mix):
    sample, partner = (Sample(np.full((30, 40, 3), v, np.uint8)) for v in (50, 200))
    mixed = mix(np.random.default_rng(1), sample, partner)
    assert mixed.boxes.shape == (0, 4) and mixed.masks is None and mixed.mask is None
    assert (sample.image == 50).all() and (partner.image == 200).all()
    sample, partner = pair(3, (60, 80), 4, 4)
    for one in (sample, partner):
        for array in (one.image, one.boxes, one.masks, one.mask, one.labels):
            array.flags.writeable = False
    mix(np.random.default_rng(2), sample, partner)


def test_semantic_mask_only_where_both_have_one():
    sample, partner = pair(3, (60, 80), 4, 4)
    for mine, theirs in ((sample, replace(partner, mask=None)), (replace(sample, mask=None), partner)):
        for mix in (CutMix(), MixUp(), CopyPaste(share=1.0)):
            assert mix(np.random.default_rng(0), mine, theirs).mask is None


@pytest.mark.parametrize(
    "wrong, hint",
    [
        ({"cutmix": {"alpha": 0}}, "cutmix: alpha=0"),
        ({"cutmix": {"min_visible": 2}}, "cutmix: min_visible=2"),
        ({"mixup": {"p": -1}}, "mixup: p=-1"),
        ({"copy_paste": {"share": 1.1}}, "copy_paste: share=1.1"),
        ({"mixup": {"min_visible": 0.1}}, "mixup: .*min_visible"),
    ],
)
def test_wrong_arguments(wrong, hint):
    with pytest.raises(ValueError, match=hint):
        transforms([wrong])


def flat(value: int) -> Sample:
    return Sample(np.full((48, 64, 3), value, np.uint8), [[8, 8, 56, 40]], [value])


@pytest.mark.parametrize(("order", "calls"), [(["brighter", "pair"], 2), (["pair", "brighter"], 1)])
def test_what_stands_before_a_pair_is_done_to_both(order, calls):
    seen = []

    def brighter(rng, sample):
        seen.append(sample)
        return replace(sample, image=sample.image + 10)

    steps = {"brighter": brighter, "pair": CutMix(p=1.0)}
    chain = Compose([steps[name] for name in order])
    assert chain.partners and chain.pictures == 2 and not chain.weighted
    mixed = chain(np.random.default_rng(0), flat(50), (48, 64), lambda: flat(200))
    assert len(seen) == calls and set(np.unique(mixed.image)) == {60, 210}


def test_the_partner_is_a_mosaic_too_and_has_no_partner_of_its_own():
    drawn = []
    chain = Compose(["mosaic", Flip(), MixUp(p=1.0), CutMix(p=1.0), "color"])
    assert chain.pictures == 12 and chain.weighted
    mixed = chain(np.random.default_rng(0), flat(50), (48, 64), lambda: drawn.append(1) or flat(200))
    assert len(drawn) == 3 + 4 + 4, "a mosaic, and two partners that are mosaics"
    assert mixed.weights is not None and len(mixed.weights) == len(mixed.boxes)
    assert set(mixed.labels) <= {50, 200}


def test_share_of_pairs_and_none_without_partners():
    chain, drawn = Compose([CutMix(p=0.3)]), []
    for seed in range(300):
        chain(np.random.default_rng(seed), flat(50), (48, 64), lambda: drawn.append(1) or flat(200))
    assert 60 < len(drawn) < 120
    alone = Compose([CutMix(p=1.0)])(np.random.default_rng(0), flat(50), (48, 64))
    assert (alone.image == 50).all()


def test_same_rng_same_mixture():
    chain = Compose(["mosaic", "affine", "mixup", "cutmix", "copy_paste", "color"])

    def run(seed: int) -> Sample:
        rng = np.random.default_rng(seed)
        return chain(rng, painted(1, 60, 80, 4), (64, 96), lambda: painted(int(rng.integers(9)), 70, 50, 3))

    for seed in range(10):
        one, again = run(seed), run(seed)
        np.testing.assert_array_equal(one.image, again.image)
        np.testing.assert_array_equal(one.boxes, again.boxes)
        np.testing.assert_array_equal(one.masks, again.masks)
        assert one.masks.shape == (len(one.boxes), 64, 96)
