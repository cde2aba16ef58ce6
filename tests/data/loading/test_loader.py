"""Batches: the same whoever makes them, complete, and of fixed shapes."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from noise_pictures import MANY, Drawn, Recorded, equal

import kzoo.data
from kzoo.augment import Recolor, letterbox, transforms
from kzoo.data.loading.loader import Batches, batches, most_boxes, steps_per_epoch
from kzoo.structures import Sample


def first(count: int, *arguments, **options) -> list:
    stream = iter(batches(*arguments, repeat=True, **options))
    taken = list(itertools.islice(stream, count))
    stream.close()
    return taken


def test_shapes_and_types():
    loader = batches(Drawn(), (64, 96), 4, "light", max_boxes=16)
    assert isinstance(loader, Batches) and len(loader) == 5 and loader.max_boxes == 16
    taken = list(loader)
    assert len(taken) == 5
    for images, targets in taken:
        assert images.shape == (4, 64, 96, 3) and images.dtype == np.uint8
        assert targets["boxes"].shape == (4, 16, 4) and targets["boxes"].dtype == np.float32
        assert targets["labels"].shape == (4, 16) and targets["labels"].dtype == np.int32
        padding = targets["labels"] == -1
        assert not targets["boxes"][padding].any() and padding[:, 4:].all()
        sides = targets["boxes"][~padding][:, 2:] - targets["boxes"][~padding][:, :2]
        assert (sides > 0).all()


def test_plain_batches_hold_every_image_once_in_order():
    data = Drawn(10)
    taken = list(batches(data, 96, 4, shuffle=False))
    assert [len(images) for images, _ in taken] == [4, 4, 2]
    images = np.concatenate([images for images, _ in taken])
    boxes = np.concatenate([targets["boxes"] for _, targets in taken])
    for i in range(10):
        sample = data[i]
        canvas, placement = letterbox(sample.image, (96, 96))
        np.testing.assert_array_equal(images[i], canvas)
        inside = np.clip(sample.boxes, 0, (64, 48, 64, 48))
        np.testing.assert_allclose(boxes[i, :4], placement.to_input(inside), atol=1e-4)


def test_every_epoch_shows_every_image_in_an_order_of_its_own():
    loader = batches(Drawn(12), 32, 4)
    epochs = [np.concatenate([images for images, _ in loader]) for _ in range(3)]
    assert loader.epoch == 3
    rows = [sorted(image.tobytes() for image in epoch) for epoch in epochs]
    assert rows[0] == rows[1] == rows[2] and len(set(rows[0])) == 12
    assert len({epoch.tobytes() for epoch in epochs}) == 3


def test_every_epoch_augments_anew():
    loader = batches(Drawn(8), 32, 8, "light", shuffle=False)
    one, two = next(iter(loader)), loader.maker.batch(1, 0)
    assert not any((a == b).all() for a, b in zip(one[0], two[0], strict=True))


@pytest.mark.parametrize("augment", ["none", "light", "mosaic", "yolov4", "detr", "rt-detr", MANY], ids=str)
def test_threads_make_the_same_batches(augment):
    alone = first(12, Drawn(), 64, 4, augment, seed=3)
    assert not equal(alone[0], alone[5])
    for workers in (1, 3):
        together = first(12, Drawn(), 64, 4, augment, seed=3, workers=workers)
        assert all(equal(a, b) for a, b in zip(alone, together, strict=True))
    other = first(12, Drawn(), 64, 4, augment, seed=4)
    assert not any(equal(a, b) for a, b in zip(alone, other, strict=True))


@pytest.mark.parametrize("augment", ["mosaic", MANY], ids=str)
def test_processes_make_the_same_batches(augment):
    alone = first(7, Recorded(), 64, 4, augment, seed=3)
    together = first(7, Recorded(), 64, 4, augment, seed=3, workers=2, worker_kind="process")
    assert all(equal(a, b) for a, b in zip(alone, together, strict=True))
    assert type(together[0][0]) is np.ndarray


@pytest.mark.parametrize("augment", ["mosaic", MANY], ids=str)
@pytest.mark.parametrize("size", [64, [(32, 32), (48, 48), (64, 64)]])
def test_a_later_epoch_is_made_directly(size, augment):
    options = {"seed": 1, "mosaic_epochs": 3}
    through = first(20, Drawn(), size, 4, augment, **options)
    resumed = first(10, Drawn(), size, 4, augment, start_epoch=2, workers=2, **options)
    assert all(equal(a, b) for a, b in zip(through[10:], resumed, strict=True))


def test_any_batch_is_made_directly():
    """Partners come from the images shown before; which those are does not depend on who was asked before."""
    through = first(10, Drawn(300), 48, 16, MANY, seed=1, start_epoch=4)
    fresh = batches(Drawn(300), 48, 16, MANY, seed=1).maker
    assert all(equal(fresh.batch(4, step), through[step]) for step in (9, 3, 0))


class Counted(Drawn):
    """Knows how often each image was read."""

    def __init__(self, count: int):
        super().__init__(count)
        self.reads = np.zeros(count, int)

    def __getitem__(self, index: int) -> Sample:
        self.reads[index] += 1
        return super().__getitem__(index)


@pytest.mark.long
@pytest.mark.parametrize("augment", ["mosaic", [{"mosaic": {"grid": 3}}, "mixup"]], ids=str)
def test_a_mosaic_reads_one_image_anew(augment):
    data = Counted(800)
    maker = batches(data, 32, 16, augment, seed=2).maker
    for step in range(50):
        maker.batch(0, step)
    assert (data.reads >= 1).all()
    # Besides, the images before the first: the last of the epoch, as long as they may be partners.
    assert data.reads.sum() < 800 + 4 * 64


def test_partners_were_shown_lately():
    maker = batches(Drawn(500), 32, 10, "mosaic", seed=2).maker
    for epoch, step in ((0, 0), (0, 40), (3, 2), (3, 49)):
        pool, places = maker.partners(epoch, step)
        end = epoch * 500 + (step + 1) * 10
        assert places[-1] == end - 1 and places[0] == end - 6 * 40 - 4, (
            "six batches before it, and four images"
        )
        assert len(pool) == 64 and (np.diff(places) > 0).all()
        for index, place in zip(pool, places, strict=True):
            assert maker.order(max(place // 500, 0))[place % 500] == index


def test_workers_share_no_images():
    """With two or four of them, none draws partners from what another one decodes."""
    maker = batches(Drawn(500), 32, 10, "mosaic", seed=2).maker
    for step in range(200, 208):
        batch_of = maker.partners(*divmod(step, 50))[1] // 10
        assert set(batch_of % 4) == {step % 4}


@pytest.mark.parametrize(
    "augment", ["mosaic", "yolov4", [{"mosaic": {"grid": 3}}], [{"cutmix": {"p": 1.0}}]], ids=str
)
def test_a_dataset_of_one_image(augment):
    images, targets = next(iter(batches(Drawn(1), 64, 4, augment)))
    assert images.shape == (1, 64, 64, 3) and (targets["labels"] >= 0).any()


@pytest.mark.parametrize(
    "augment", ["mosaic", "yolov4", MANY, ["random_resized_crop"], ["ssd_crop"]], ids=str
)
def test_images_of_few_pixels(augment):
    class Tiny(Drawn):
        def __getitem__(self, index):
            return Sample(
                np.full((1 + index % 3, 1 + index % 2, 3), 9, np.uint8), [[0, 0, 1, 1]], [index % 3]
            )

    images, targets = next(iter(batches(Tiny(), (64, 96), 8, augment)))
    assert images.shape == (8, 64, 96, 3) and np.isfinite(targets["boxes"]).all()


def test_all_boxes_gone():
    """Objects in the corner that every crop cuts off: batches without boxes, not an error."""
    corner = {"affine": {"scale": (4.0, 4.0), "translate": 0.0, "rotate": 0.0, "shear": 0.0}}

    class Cornered(Drawn):
        def __getitem__(self, index):
            return Sample(np.zeros((48, 64, 3), np.uint8), [[0, 0, 4, 4], [60, 44, 64, 48]], [0, 1])

    _, targets = next(iter(batches(Cornered(), 64, 4, [corner])))
    assert (targets["labels"] == -1).all() and not targets["boxes"].any()


def test_masks_of_another_size_stop_with_the_image_s_name():
    class Masked(Drawn):
        def __init__(self, **masks):
            super().__init__()
            self.masks = masks

        def __getitem__(self, index):
            sample = super().__getitem__(index)
            vars(sample).update(self.masks)
            return sample

    for masks, hint in (
        ({"mask": np.zeros((64, 48), np.uint8)}, r"mask of shape \(64, 48\); give \(48, 64\)"),
        ({"masks": np.zeros((4, 24, 32), bool)}, r"masks of shape \(4, 24, 32\); give \(4, 48, 64\)"),
        ({"masks": np.zeros((3, 48, 64), bool)}, r"masks of shape \(3, 48, 64\)"),
    ):
        with pytest.raises(ValueError, match=rf"Sample 'img\d+': {hint}"):
            next(iter(batches(Masked(**masks), 64, 4, "mosaic")))


def test_weights_of_mixed_images():
    for augment in ("light", ["mosaic", "cutmix"]):
        assert "weights" not in batches(Drawn(), 64, 4, augment).maker.batch(0, 0)[1]
    loader = batches(Recorded(), 64, 8, ["flip", {"mixup": {"p": 1.0}}], mosaic_epochs=1)
    assert loader.max_boxes == 16
    _, targets = loader.maker.batch(0, 0)
    labels, weights = targets["labels"], targets["weights"]
    assert weights.shape == (8, 16) and weights.dtype == np.float32
    assert (weights[labels == -1] == 1).all()
    for row in range(8):
        both = weights[row][labels[row] >= 0]
        assert len(np.unique(both)) == 2 and np.unique(both).sum() == pytest.approx(1)
    # The names of the targets stay the same to the end, also when nothing is mixed any more.
    assert (loader.maker.batch(1, 0)[1]["weights"] == 1).all()


def test_weights_that_no_transform_announces():
    def halve(rng, sample):
        return Sample(
            sample.image, sample.boxes, sample.labels, id=sample.id, weights=0.5 * np.ones(len(sample.boxes))
        )

    with pytest.raises(ValueError, match=r"'img\d+': its objects have weights, .*`weighted`"):
        next(iter(batches(Drawn(), 64, 4, [halve])))
    halve.weighted = True
    _, targets = next(iter(batches(Drawn(), 64, 4, [halve])))
    assert (targets["weights"][targets["labels"] >= 0] == 0.5).all()


def test_copy_paste_without_masks_stops_with_the_image_s_name():
    with pytest.raises(ValueError, match=r"copy_paste: image 'img\d+' has objects without masks"):
        next(iter(batches(Drawn(), 64, 4, [{"copy_paste": {"p": 1.0}}])))


def test_a_transform_may_write_on_its_picture():
    """It gets one of its own, even where nothing had to be resized."""

    def black(rng, sample):
        sample.image[:] = 0
        return sample

    data = Drawn()
    for augment in ([black], ["cutmix", black], ["mosaic", black]):
        loader = batches(data, (48, 64), 4, augment, cache="memory")
        assert not loader.maker.batch(0, 0)[0].any()
        np.testing.assert_array_equal(loader.maker.decode(3).image, data[3].image)


def test_mosaics_end():
    loader = batches(Recorded(), 64, 4, "mosaic", mosaic_epochs=2)
    assert loader.max_boxes == 32
    most = [
        max((loader.maker.batch(e, s)[1]["labels"] >= 0).sum(1).max() for s in range(5)) for e in range(4)
    ]
    assert min(most[:2]) > 4 >= max(most[2:])
    mixed = [
        batches(Recorded(), 64, 4, augment, mosaic_epochs=0, max_boxes=8).maker.batch(0, 0)
        for augment in (["cutmix"], [])
    ]
    assert equal(*mixed)


def test_sizes_change_every_ten_batches():
    sizes = [(32 * k, 32 * k) for k in range(1, 5)]
    loader = batches(Drawn(120), sizes, 2, seed=5)
    epochs = [[loader.maker.size(e, s) for s in range(60)] for e in range(40)]
    for epoch in epochs:
        changes = [s for s in range(1, 60) if epoch[s] != epoch[s - 1]]
        assert changes == [1, 11, 21, 31, 41, 51]
    counts = {size: sum(epoch.count(size) for epoch in epochs) for size in sizes}
    assert min(counts.values()) > 0.15 * 2400
    assert next(iter(loader))[0].shape[1:3] == epochs[0][0]


@pytest.mark.parametrize("sizes", [[(32, 32), (32, 64), (64, 64)], [], (32,), (0, 32)])
def test_wrong_sizes(sizes):
    with pytest.raises(ValueError, match=r"sizes? "):
        batches(Drawn(), sizes, 4)


def test_no_box_is_lost_by_default():
    data = Recorded(6, objects=37)
    assert most_boxes(data) == 40
    _, targets = next(iter(batches(data, 416, 6, shuffle=False)))
    assert (targets["labels"] >= 0).sum() == 6 * 37
    assert most_boxes(Drawn()) == 100


def test_five_hundred_boxes():
    loader = batches(Recorded(4, objects=500), 416, 2, "mosaic")
    assert loader.max_boxes == 2016
    assert all((targets["labels"] >= 0).any() for _, targets in loader)


def test_too_many_boxes_for_the_user_s_limit():
    with pytest.raises(ValueError, match=r"'img\d+'.*9 boxes.*max_boxes is 8"):
        list(batches(Drawn(objects=9), 64, 4, max_boxes=8))


def test_batches_without_any_box():
    for augment in ("none", "light", "mosaic"):
        images, targets = next(iter(batches(Drawn(objects=0), 64, 4, augment)))
        assert images.shape == (4, 64, 64, 3) and (targets["labels"] == -1).all()


def test_difficult_and_crowd_become_regions_to_ignore():
    class Flagged(Drawn):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            sample.difficult[1] = sample.crowd[2] = True
            return sample

    _, targets = next(iter(batches(Flagged(), 64, 4, shuffle=False)))
    labels, boxes = targets["labels"], targets["boxes"]
    assert (labels[:, [0, 3]] >= 0).all() and (labels[:, [1, 2]] == -1).all()
    sides = boxes[..., 2:] - boxes[..., :2]
    assert (sides[:, :4] > 0).all() and (sides[:, 4:] == 0).all()


def test_fewer_images_than_a_batch():
    loader = batches(Drawn(3), 64, 8, "light")
    assert len(loader) == 1 and next(iter(loader))[0].shape[0] == 3
    assert [steps_per_epoch(*a) for a in ((3, 8), (16, 8), (17, 8), (17, 8, False))] == [1, 2, 2, 3]


@pytest.mark.parametrize(
    "options, hint",
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"workers": -1}, "workers is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"worker_kind": "fork"}, "'thread' or 'process'"),
        ({"augment": "heavy"}, "unknown preset 'heavy'"),
    ],
)
def test_wrong_arguments(options, hint):
    with pytest.raises(ValueError, match=hint):
        batches(Drawn(), 64, **{"batch_size": 4, **options})


def test_an_empty_dataset():
    with pytest.raises(ValueError, match="no images"):
        batches(Drawn(0), 64, 4)


@pytest.mark.parametrize(
    "box, label",
    [
        ((5, 5, 5, 20), 0),
        ((9, 5, 5, 20), 0),
        ((np.nan, 5, 9, 20), 0),
        ((5, 5, np.inf, 20), 0),
        ((70, 5, 90, 20), 0),
        ((5, 5, 9, 20), 3),
        ((5, 5, 9, 20), -1),
    ],
)
def test_faulty_boxes_stop_with_the_image_s_name(box, label):
    class Faulty(Drawn):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            return Sample(sample.image, [box], [label], id=sample.id)

    with pytest.raises(ValueError, match=r"image 'img\d+': box 0 .*kzoo data check"):
        next(iter(batches(Faulty(), 64, 4)))


@pytest.mark.parametrize("options", [{}, {"workers": 2}, {"workers": 2, "worker_kind": "process"}])
def test_an_unreadable_image_stops_with_its_name(options):
    loader = batches(Drawn(8, broken=5), 64, 4, shuffle=False, **options)
    stream = iter(loader)
    next(stream)
    with pytest.raises(ValueError, match=r"^img5.jpg: not an image") as caught:
        next(stream)
    assert "\n" not in str(caught.value) and loader.error is caught.value
    with pytest.raises(ValueError, match="closed"):
        next(stream)


def test_real_photographs(bccd):
    data = kzoo.data.load(bccd, split="val")
    loader = batches(data, 320, 8, "mosaic", workers=2)
    images, targets = next(iter(loader))
    assert images.shape == (8, 320, 320, 3) and loader.max_boxes % 32 == 0
    assert (targets["labels"] >= 0).sum() > 40 and targets["labels"].max() <= 2


def test_state_goes_into_another_iterator():
    loader = batches(Drawn(), 64, 4, "light", repeat=True, workers=2)
    one = iter(loader)
    for _ in range(3):
        next(one)
    other = iter(loader)
    other.set_state(one.get_state())
    assert equal(next(one), next(other))


FIT = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, sys
sys.path.insert(0, {folder!r})
from noise_pictures import Drawn
from kzoo.data.loading import batch
from kzoo.data.loading.loader import batches

class Model(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
    def call(self, images):
        return self.dense(keras.ops.mean(keras.ops.cast(images, "float32") / 255, (1, 2)))
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(y_pred ** 2) + 0 * keras.ops.sum(y["boxes"])

asked = []
make = batch.BatchMaker.batch
batch.BatchMaker.batch = lambda self, e, s: asked.append((e, s)) or make(self, e, s)
model = Model()
model.compile("sgd")
for options in (dict(image_size=64), dict(image_size=[(32, 32), (48, 48), (64, 64)]), dict(image_size=64, workers=2)):
    asked.clear()
    size = options.pop("image_size")
    history = model.fit(batches(Drawn(), size, 4, "light", **options), epochs=3, verbose=0)
    assert len(history.history["loss"]) == 3, history.history
    assert {{(e, s) for e in range(3) for s in range(5)}} == set(asked), asked
    endless = batches(Drawn(), size, 4, "light", repeat=True, start_epoch=7, **options)
    asked.clear()
    model.fit(endless, epochs=3, steps_per_epoch=len(endless), verbose=0)
    assert {{(e, s) for e in range(7, 10) for s in range(5)}} <= set(asked), asked
broken = batches(Drawn(broken=20), 64, 4, workers=2)
try:
    model.fit(broken, epochs=1, verbose=0)
except Exception as error:
    assert "img20.jpg: not an image" in str(error)
    assert str(broken.error) == "img20.jpg: not an image; replace or remove the file", broken.error
else:
    raise AssertionError("no error")
print("fitted")
"""


@pytest.mark.slow
def test_fit_takes_them(request):
    """In a process of its own, as this module's other tests need no Keras."""
    script = FIT.format(folder=str(request.path.parent))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "fitted", done.stderr[-3000:]


class Painted:
    """Blocks of three classes, each in a grey level of its own; the mask says which."""

    classes = ("ground", "dark", "bright")
    semantic = True
    levels = np.array([20, 90, 220], np.uint8)

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng(index)
        mask = rng.integers(0, 3, (4, 5), dtype=np.uint8).repeat(14, 0).repeat(12, 1)
        return Sample(np.repeat(self.levels[mask][..., None], 3, axis=-1), mask=mask, id=index)


@pytest.mark.parametrize(
    "augment",
    ["none", "light", "mosaic", "yolov4", ["mosaic", {"cutmix": {"p": 1.0}}, "perspective", "rotate90"]],
    ids=str,
)
def test_masks_move_with_their_images(augment):
    geometry = [t for t in transforms(augment) if not isinstance(t, Recolor)]
    images, targets = next(iter(batches(Painted(), (64, 96), 12, geometry, seed=3)))
    mask = targets["mask"]
    assert mask.shape == (12, 64, 96) and mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 1, 2, 255} and "boxes" not in targets
    shown = mask != 255
    wanted = Painted.levels[np.where(shown, mask, 0)].astype(int)
    off = np.abs(images[..., 0].astype(int) - wanted) > 40
    # Along edges the image is blended and the mask is not.
    assert off[shown].mean() < 0.06 and shown.mean() > 0.4
    assert (np.abs(images[~shown].astype(int) - 114) > 40).mean() < 0.1


def test_masks_of_another_size_and_none_at_all():
    class Wrong(Painted):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            return Sample(sample.image, id=index)

    with pytest.raises(ValueError, match="image 0: no semantic mask"):
        next(iter(batches(Wrong(), 64, 4, shuffle=False)))
    with pytest.raises(ValueError, match=r"mask of shape \(3, 3\)"):
        Sample(np.zeros((4, 4, 3), np.uint8), mask=np.zeros((3, 3), np.uint8))
