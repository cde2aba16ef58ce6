"""What every registered model promises, over every name, at a quarter of the width and the least depth.

Promises that take seconds to show are shown by default for some names and for the others by `slow` and `exhaustive`
tests: see samples.py.
"""

import functools

import keras
import numpy as np
import pytest
from keras import ops
from samples import HEADS, TWINS, convolutions_beyond_memory, of_archetypes, small, smallest_of_each_family
from shapes_only import shapes_only

import kzoo
from kzoo.heads import ClassifyHead, ExtremeHead, FCOSHead, PointHead, SaccadeHead, YoloHead
from kzoo.heads.query import QueryHead
from kzoo.model import flops
from kzoo.ops.boxes import pairwise_iou
from kzoo.registry import entry
from kzoo.weights.strangers import check_stranger

SIZE = 64
MASK_SIDE = 56  # cells
CLASSES = 3


def build(name, **arguments):
    keras.utils.set_random_seed(0)
    return kzoo.build(
        name,
        **{
            "num_classes": CLASSES,
            "image_size": (SIZE, SIZE),
            "width": 0.25,
            "depth": 0.05,
            **small(name),
            **arguments,
        },
    )


def images(count=2, height=SIZE, width=SIZE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


def targets(task, count=2, objects=3, padding=8, seed=0, classes=CLASSES, size=SIZE):
    rng = np.random.default_rng(seed)
    if task == "classify":
        return {"label": rng.integers(0, classes, count).astype("int32")}
    if task == "segment":
        # Stripes of all classes, and a corner that is ignored; without objects, nothing else.
        mask = np.full((count, size, size), 255, np.uint8)
        if objects:
            mask[:] = np.arange(size) * classes // size
            mask[:, :4, :4] = 255
        return {"mask": mask}
    boxes = np.zeros((count, padding, 4), np.float32)
    labels = np.full((count, padding), -1, np.int32)
    # Far enough apart that no two share a cell: one object a third of the image, along the diagonal.
    for b in range(count):
        for i in range(objects):
            corner = size / 3 * i + rng.uniform(0, 4, 2)
            boxes[b, i] = [*corner, *(corner + rng.uniform(10, size / 3 - 4, 2))]
            labels[b, i] = rng.integers(classes)
    if task == "instance":
        full = np.full((count, padding, MASK_SIDE, MASK_SIDE), 255, np.uint8)
        return {"boxes": boxes, "labels": labels, "masks": full * (labels >= 0)[..., None, None]}
    if task == "drive":
        return {"boxes": boxes, "labels": labels, **targets("segment", count, objects, classes=4, size=size)}
    return {"boxes": boxes, "labels": labels}


def inputs(model, count=2):
    """What the model trains on: images, and proposals beside them where it needs such."""
    return model.with_proposals(images(count))


def compiled(model, rate=1e-3):
    """Ready to train, a step at a time: for a step or two, tracing a graph would take longer than the steps."""
    model.compile(keras.optimizers.AdamW(rate), run_eagerly=True)
    return model


def by_name(names):
    """Runs all tests of a name one after another, for what they share."""
    return pytest.mark.parametrize("name", names, scope="module")


smallest_names = by_name(smallest_of_each_family(kzoo.list_models()))
archetypes = by_name(of_archetypes(kzoo.list_models()))
every_segmenter = by_name(of_archetypes(kzoo.list_models("segment")))
every_detector = by_name(
    of_archetypes([name for task in ("detect", "instance", "drive") for name in kzoo.list_models(task)])
)


def test_what_takes_seconds_is_shown_by_default_for_few_names():
    """However many there are: the budget of the default run is the same for any number of families."""
    quick = [parameter for parameter in of_archetypes(kzoo.list_models()) if not parameter.marks]
    assert 5 <= len(quick) <= 8
    tasks = {entry(parameter.values[0]).task for parameter in quick}
    assert tasks == {"classify", "detect", "segment"}


@functools.lru_cache(maxsize=1)
def untrained(name):
    """The model of a name for the tests that leave its weights as they are."""
    return build(name)


@functools.cache
def published(name):
    """Of a model of full size the number of its parameters, its operations in 10**9, and the kind of its head."""
    known = entry(name)
    with shapes_only():
        model = kzoo.build(name, num_classes=known.num_classes)
        gflops = round(flops(model) / 1e9, 2)
    # How many images YOLOv2's head has seen is no parameter of the network.
    seen = isinstance(getattr(model.head, "seen", None), keras.Variable)
    return (
        model.count_params() - seen,
        gflops,
        f"{type(model.head).__name__} {getattr(model.head, 'class_loss', '')}".strip(),
    )


@functools.cache
def parts(name):
    """Kinds of layers and their settings; a transposed convolution's size is that of the step it enlarges by."""
    settings = (
        "kernel_size", "strides", "pool_size", "dilation_rate", "groups", "padding", "activation", "use_bias",
    )  # fmt: skip
    with shapes_only():
        model, found = build(name), set()
    for layer in (*model.network.layers, model.head):
        enlarges = isinstance(layer, keras.layers.Conv2DTranspose)
        config = layer.get_config()
        shown = [key for key in settings if key in config and not (enlarges and key in settings[:2])]
        found.add((type(layer).__name__, *((key, str(config[key])) for key in shown)))
    return found


@pytest.mark.slow
@by_name(TWINS)
def test_a_twin_has_all_parts(name):
    assert TWINS[name] not in TWINS
    assert parts(name) <= parts(TWINS[name])


def test_others_are_no_twins():
    assert not parts("resnet50") <= parts("resnet18")
    assert not parts("yolov3-spp") <= parts("yolov3")
    assert not parts("deeplabv3plus") <= parts("deeplabv3")


@smallest_names
def test_parameters_and_operations_equal_the_published_counts(name):
    parameters, gflops, _ = published(name)
    assert (parameters, gflops) == (entry(name).parameters, entry(name).gflops)


@smallest_names
def test_a_name_stands_for_its_head(name):
    """Where this fails for a new head: give it a line in `samples.HEADS`."""
    kind = published(name)[-1]
    assert kind in HEADS and published(HEADS[kind])[-1] == kind


@archetypes
def test_predicts_at_any_multiple_of_the_stride(name):
    model = untrained(name)
    model.run_eagerly = True  # tracing two sizes takes several times as long
    fixed = model.network.inputs[0].shape[1] is not None
    another = (192, 320) if model.multiple == 64 else (96, 160)
    for height, width in ((64, 64),) if fixed else ((64, 64), another):
        check_result(model, model.predict(images(2, height, width), verbose=0), height, width)


def check_result(model, result, height, width):
    if model.task == "classify":
        assert result["scores"].shape == (2, CLASSES)
        np.testing.assert_allclose(result["scores"].sum(-1), 1, atol=1e-5)
    elif model.task == "segment":
        assert result["mask"].shape == (2, height, width)
        assert result["probabilities"].shape == (2, height, width, CLASSES)
        np.testing.assert_allclose(result["probabilities"].sum(-1), 1, atol=1e-5)
        best = np.take_along_axis(result["probabilities"], result["mask"][..., None], axis=-1)[..., 0]
        np.testing.assert_allclose(best, result["probabilities"].max(-1), atol=1e-6)
    else:
        count = model.head.max_detections
        shapes = {key: value.shape for key, value in result.items()}
        for name in ("drivable", "lanes") if model.task == "drive" else ():
            assert shapes.pop(name) == (2, height, width) and set(np.unique(result[name])) <= {0, 1}
        points = shapes.pop("extremes", None)
        assert points == ((2, count, 4, 2) if isinstance(model.head, ExtremeHead) else None)
        looks = shapes.pop("looks", None)
        assert looks == ((2, model.head.looks, 4) if isinstance(model.head, SaccadeHead) else None)
        masks = shapes.pop("masks", None)
        assert masks == ((2, count, 28, 28) if model.task == "instance" else None)
        assert shapes == {"boxes": (2, count, 4), "scores": (2, count), "labels": (2, count)}
        assert (np.diff(result["scores"], axis=-1) <= 0).all()
        assert ((result["labels"] >= 0) == (result["scores"] > 0)).all()


@archetypes
def test_loss_and_gradients_are_finite(name):
    model = untrained(name)
    assert not list(convolutions_beyond_memory(model))
    for objects in (0, 3):
        check_gradients(model, objects)


def check_gradients(model, objects):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = model.compute_loss(
            y=targets(model.task, objects=objects), y_pred=model(inputs(model), training=True)
        )
    gradients = tape.gradient(loss, model.trainable_variables)
    # Where all pixels are ignored there is nothing to learn, nor is there where negatives go with positives.
    idle = model.task == "segment" or getattr(model.head, "class_loss", None) == "hard_negative"
    assert np.isfinite(loss) and (loss > 0 or (idle and not objects))
    assert all(g is not None and np.isfinite(g).all() for g in gradients)


@every_detector
def test_decoding_undoes_encoding(name):
    model = untrained(name)
    truth = targets(model.task if model.task == "drive" else "detect", padding=5)
    outputs = model(inputs(model))
    found = model.head.decode(model.head.encode(truth, model.head.sizes(outputs)))
    for bit, name in enumerate(("drivable", "lanes") if model.task == "drive" else ()):
        known = truth["mask"] != 255
        wanted = truth["mask"][known] >> bit & 1
        np.testing.assert_array_equal(ops.convert_to_numpy(found[name])[known], wanted)
    boxes, scores, labels = (ops.convert_to_numpy(found[key]) for key in ("boxes", "scores", "labels"))
    for b in range(2):
        wanted = {
            tuple(np.round(box)): label
            for box, label in zip(truth["boxes"][b], truth["labels"][b], strict=True)
            if label >= 0
        }
        got = {
            tuple(np.round(box)): label
            for box, label, score in zip(boxes[b], labels[b], scores[b], strict=True)
            if score > 0.5
        }
        assert got == wanted


@every_segmenter
def test_decoding_gives_the_classes_back(name):
    model = untrained(name)
    truth = np.random.default_rng(0).integers(0, CLASSES, (2, SIZE, SIZE))
    decoded = model.head.decode(
        {"logits": ops.convert_to_tensor(10.0 * np.eye(CLASSES, dtype="float32")[truth])}
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(decoded["mask"]), truth)


class EndWhenLearned(keras.callbacks.Callback):
    """Ends a training whose loss has been below a limit for five epochs in a row."""

    def __init__(self, limit):
        super().__init__()
        self.limit, self.below = limit, 0

    def on_epoch_end(self, epoch, logs=None):
        self.below = self.below + 1 if logs["loss"] < self.limit else 0
        self.model.stop_training = self.below == 5


class EndWhenFound(keras.callbacks.Callback):
    """Ends a training when all objects of its batch are found: by box, class, and with a score that tells.

    For heads whose targets are how well they do so far, or no whole numbers: their loss does not fall to nothing; and
    for those whose loss leaps whenever an object goes to another query.
    """

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y, self.found = x, y, False

    def on_epoch_end(self, epoch, logs=None):
        if epoch % 10 != 9:
            return
        # With the batch's own statistics: trained ones lag behind.
        head, outputs = self.model.head, self.model(self.x, training=True)
        if isinstance(head, QueryHead):  # which in training hands its maps on, and tells nothing yet
            outputs = head(head.features(outputs))
        detections = head.decode(outputs)
        detections = {key: ops.convert_to_numpy(value) for key, value in detections.items()}
        overlaps = ops.convert_to_numpy(pairwise_iou(self.y["boxes"], detections["boxes"]))
        same = self.y["labels"][:, :, None] == detections["labels"][:, None]
        hit = (overlaps > 0.5) & same & (detections["scores"] > 0.3)[:, None]
        self.found = bool((hit.any(-1) | (self.y["labels"] < 0)).all())
        self.model.stop_training = self.found


@archetypes
def test_overfits_one_batch(name):
    model = build(name)
    fast = isinstance(model.head, (ClassifyHead, PointHead, YoloHead))
    if isinstance(
        model.head, QueryHead
    ):  # attention bears large steps where gradients are cut, as DETR's are
        optimizer = keras.optimizers.AdamW(2e-3, clipnorm=0.1)
    else:
        optimizer = keras.optimizers.AdamW(5e-3 if fast else 1e-3)
    model.compile(optimizer, jit_compile=False)
    # A graph that makes variables when it is first run is traced twice.
    model.optimizer.build(model.trainable_variables)
    x, y = inputs(model), targets(model.task)
    if "mask" in y:
        x = x // 4 + 60 * (y["mask"] % 255)[..., None]  # a network that sees no further than a pixel can tell
    if isinstance(model.head, (FCOSHead, PointHead, QueryHead)):
        end = EndWhenFound(x, y)
        # Queries that look at a whole map, as DETR's, take longest.
        model.fit(x, y, epochs=500, verbose=0, callbacks=[end])
        assert end.found
        return
    limit = 0.15 * float(model.compute_loss(y=y, y_pred=model(x, training=False)))
    model.fit(x, y, epochs=200, verbose=0, callbacks=[EndWhenLearned(limit)])
    # Trained statistics of the batch norm lag behind; what is asked is that the training loss falls.
    assert model.history.history["loss"][-1] < limit


@archetypes
def test_saves_and_loads_with_equal_predictions(name, tmp_path):
    model = compiled(build(name, names=["a", "b", "c"]))
    model.fit(inputs(model), targets(model.task), verbose=0)
    model.save(tmp_path / "model.keras")
    check_stranger(tmp_path / "model.keras", name)  # as others look at it who fetch it from the hub
    again = kzoo.load(tmp_path / "model.keras", compile=True)
    assert again.names == ["a", "b", "c"] and again.image_size == (SIZE, SIZE)
    before, after = (m.predict(images(), verbose=0) for m in (model, again))
    for key in before:
        np.testing.assert_array_equal(before[key], after[key])
    again.fit(inputs(again), targets(model.task), verbose=0)  # comes back compiled


@archetypes
@pytest.mark.parametrize(
    "policy", ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.exhaustive)]
)
def test_trains_under_mixed_precision(name, policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = compiled(build(name, width=0.125))  # processors take their time over half precision
        loss = model.fit(inputs(model), targets(model.task), verbose=0).history["loss"]
        result = model.predict(images(), verbose=0)
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(loss).all()
    assert result["probabilities" if "mask" in result else "scores"].dtype == np.float32


@archetypes
def test_another_number_of_classes_trains(name):
    model = compiled(build(name, num_classes=1))
    loss = model.fit(inputs(model), targets(model.task, classes=1), verbose=0).history["loss"]
    assert np.isfinite(loss).all()


@archetypes
def test_weights_bring_their_settings_and_of_other_classes_all_but_the_last_layers(name, tmp_path, caplog):
    source, path = build(name, num_classes=5, names=[*"abcde"]), tmp_path / "five.keras"
    source.save(path)
    again = kzoo.build(name, width=0.25, depth=0.05, weights=path, **small(name))
    assert again.names == source.names and again.image_size == source.image_size
    before, after = (m.predict_on_batch(images()) for m in (source, again))
    for key in before:
        np.testing.assert_array_equal(before[key], after[key])
    model = build(name, weights=path, names=["x", "b", "y"])
    for mine, theirs in zip(model.network.get_weights(), source.network.get_weights(), strict=True):
        assert mine.shape != theirs.shape or (mine == theirs).all()
    (said,) = [record.getMessage() for record in caplog.records if "start anew" in record.getMessage()]
    assert "x, y; left out: a, c, d, e" in said and "\n" not in said
    if not model.head.class_outputs():  # the network counts them
        assert "neck_" in said
        return
    _, groups, before = model.head.class_outputs()[0]
    rows = [
        m.head.class_outputs()[0][0].get_weights()[0].reshape(-1, groups, before + count)
        for m, count in ((model, 3), (source, 5))
    ]
    kept = [*range(before), before + 1]
    np.testing.assert_array_equal(rows[0][..., kept], rows[1][..., kept])
