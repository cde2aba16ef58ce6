"""Keras's contract of compile, fit, evaluate and predict: kept, or refused in a line; nothing is ignored."""

import keras
import numpy as np
import pytest
from keras import ops

import kzoo
from kzoo.heads import AnchorHead, ClassifyHead, GridHead, PixelHead, YoloHead
from kzoo.heads.gaussian import GaussianYoloHead
from kzoo.heads.region import RegionHead
from kzoo.model import ZooModel, images_input
from kzoo.policy import dtype_policy

SIZE, COUNT = 64, 4
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (COUNT, SIZE, SIZE, 3), np.uint8)
TARGETS = {
    "boxes": np.tile(np.array([[[10, 10, 50, 50], [0, 0, 0, 0]]], np.float32), (COUNT, 1, 1)),
    "labels": np.tile(np.array([[1, -1]], np.int32), (COUNT, 1)),
}
WRONG = {**TARGETS, "labels": np.where(np.arange(COUNT)[:, None] == COUNT - 1, 2, TARGETS["labels"])}


def detector(**arguments):
    """One convolution and a head: a step takes no time."""
    keras.utils.set_random_seed(0)
    inputs, x = images_input()
    x = keras.layers.Conv2D(4, 32, strides=32, name="conv")(x)
    head = YoloHead(2, [[16, 16], [40, 40]], (32,), name="head", **arguments)
    model = ZooModel(keras.Model(inputs, [x]), head, (SIZE, SIZE), ["kettle", "teacup"], name="small")
    model.compile(keras.optimizers.SGD(1e-2), run_eagerly=True)
    return model


def stream(images=IMAGES, targets=TARGETS, *weights, batch=2):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((images, targets, *weights)).batch(batch)


def generator(images=IMAGES, targets=TARGETS):
    for i in range(0, COUNT, 2):
        yield images[i : i + 2], {name: values[i : i + 2] for name, values in targets.items()}


class Sequence(keras.utils.PyDataset):
    def __init__(self, targets=TARGETS):
        super().__init__()
        self.targets = targets

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return IMAGES, self.targets


def losses(result):
    return {name: values[0] for name, values in result.history.items()}


@pytest.mark.long
@pytest.mark.parametrize(
    "given",
    [*(pytest.param(kind, marks=pytest.mark.slow) for kind in ("arrays", "column")), "list", "stream"],
)
def test_weights_of_images_have_kerass_meaning(given):
    def fit(weight):
        model = detector()
        before = model.get_weights()
        if weight is None:
            result = model.fit(IMAGES, TARGETS, batch_size=COUNT, shuffle=False, verbose=0)
        else:
            weights = np.full(COUNT, weight, np.float32)
            weights = {"column": weights[:, None], "list": weights.tolist()}.get(given, weights)
            source = (
                (stream(IMAGES, TARGETS, weights, batch=COUNT),) if given == "stream" else (IMAGES, TARGETS)
            )
            more = (
                {} if given == "stream" else {"sample_weight": weights, "batch_size": COUNT, "shuffle": False}
            )
            result = model.fit(*source, verbose=0, **more)
        return losses(result), [np.abs(a - b).max() for a, b in zip(before, model.get_weights(), strict=True)]

    plain, moved = fit(None)
    for weight in (0.0, 1.0, 10.0):
        weighted, steps = fit(weight)
        assert weighted == pytest.approx({name: weight * value for name, value in plain.items()}, rel=1e-5)
        assert steps == pytest.approx([weight * step for step in moved], rel=1e-3, abs=1e-7)


def heads():
    boxes = {
        "boxes": TARGETS["boxes"][:3] + np.array([[[0]], [[3]], [[7]]], np.float32),
        "labels": TARGETS["labels"][:3],
    }
    mask = {"mask": RNG.integers(0, 2, (3, 8, 8)).astype(np.int32)}
    anchors = [[[16, 16], [40, 40]]]
    for name, head, size, targets in (
        ("yolo", YoloHead(2, anchors, (32,)), 2, boxes),
        ("truth", YoloHead(2, anchors, (32,), truth_threshold=0.1, normalize_by="images", box_loss="paper"), 2, boxes),
        ("focal", AnchorHead(2, anchors, (32,)), 2, boxes),
        ("negatives", AnchorHead(2, anchors, (32,), class_loss="hard_negative", normalize_by="batch"), 2, boxes),
        ("classify", ClassifyHead(2), 2, {"label": np.array([0, 1, 1])}),
        *((loss, PixelHead(2, loss=loss), 8, mask) for loss in (
            "ce", "focal", "dice", "dice_squared", "dice_generalized", "jaccard", "tversky", "focal_tversky", "lovasz",
            {"dice": {"reduction": "image"}}, {"lovasz": {"reduction": "image"}}, {"ce": {"hardest": 0.5}},
        )),
        ("gaussian", GaussianYoloHead(2, anchors, (32,)), 2, boxes),
        ("region", RegionHead(2, anchors, (32,)), 2, boxes),
        ("grid", GridHead(2, 2, 2, (64, 64)), None, boxes),
    ):  # fmt: skip
        yield pytest.param(head, size, targets, id=str(name))


@pytest.mark.parametrize(("head", "size", "targets"), heads())
def test_every_head_weighs_its_images(head, size, targets):
    features = RNG.normal(size=(3, size, size, 4) if size else (3, 48)).astype("float32")
    head.build([features.shape])
    outputs = head([ops.convert_to_tensor(features)])

    def total(weight, outputs=outputs, targets=targets):
        weight = None if weight is None else ops.convert_to_tensor(np.asarray(weight, np.float32))
        return {name: float(value) for name, value in head.loss(targets, outputs, weight).items()}

    plain = total(None)
    assert total([1, 1, 1]) == pytest.approx(plain, rel=1e-5)
    assert total([10, 10, 10]) == pytest.approx({name: 10 * v for name, v in plain.items()}, rel=1e-5)
    assert total([0, 0, 0]) == pytest.approx(dict.fromkeys(plain, 0.0), abs=1e-6)
    # An image without weight: what it predicts makes no difference.
    if not isinstance(head, PixelHead):
        other = {name: ops.concatenate([value[:2], -value[2:]], axis=0) for name, value in outputs.items()}
        if (
            getattr(head, "truth_threshold", 1) == 1
        ):  # else how many find an object is what sums are divided by
            assert total([1, 2, 0], other) == pytest.approx(total([1, 2, 0]), rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"loss": "mse"}, "loss='mse' is not taken: the loss is the head's own"),
        ({"loss_weights": [1.0]}, "arguments of the head"),
        ({"metrics": ["accuracy"]}, "kzoo.training.Evaluation"),
        ({"weighted_metrics": ["accuracy"]}, "kzoo.training.Evaluation"),
    ],
)
def test_compile_refuses_what_it_would_not_use(arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        detector().compile("sgd", **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.long
def test_compile_comes_back_from_a_file(tmp_path):
    model = detector()
    model.compile(keras.optimizers.AdamW(3e-4), steps_per_execution=2)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.steps_per_execution == 2 and float(again.optimizer.learning_rate) == pytest.approx(3e-4)
    assert np.isfinite(again.fit(IMAGES, TARGETS, verbose=0).history["loss"][0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.fit(IMAGES, TARGETS, class_weight={0: 2}), "class_weight is not taken"),
        (lambda m: m.train_on_batch(IMAGES, TARGETS, class_weight={0: 2}), "class_weight is not taken"),
        (lambda m: m.fit(IMAGES, TARGETS, sample_weight=np.ones((COUNT, 2))), "sample_weight of shape"),
        (lambda m: m.fit(stream(IMAGES, TARGETS, np.ones((COUNT, 2)))), "sample_weight of shape"),
        (lambda m: m.fit(IMAGES / 255, TARGETS), "do not divide by 255"),
        (lambda m: m.fit(stream(IMAGES / 255)), "do not divide by 255"),
        (lambda m: m.fit(IMAGES), "targets: nothing"),
        (lambda m: m.fit(stream(IMAGES, {"boxes": TARGETS["boxes"]})), "no 'labels'"),
        (lambda m: m.fit(IMAGES, WRONG), r"labels\[3, 0\] = 2"),
        (lambda m: m.fit(stream(targets=WRONG)), r"labels\[1, 0\] = 2"),  # in the second batch
        (lambda m: m.fit(generator(targets=WRONG), steps_per_epoch=2), r"labels\[1, 0\] = 2"),
        (lambda m: m.fit(Sequence(WRONG)), r"labels\[3, 0\] = 2"),
        (lambda m: m.fit(IMAGES, TARGETS, validation_data=(IMAGES, WRONG)), r"labels\[3, 0\] = 2"),
        (lambda m: m.fit(stream(), validation_data=stream(targets=WRONG)), r"labels\[1, 0\] = 2"),
        (lambda m: m.evaluate(IMAGES, WRONG, verbose=0), r"labels\[3, 0\] = 2"),
        (lambda m: m.evaluate(stream(IMAGES / 255), verbose=0), "do not divide by 255"),
        (lambda m: m.train_on_batch(IMAGES, WRONG), r"labels\[3, 0\] = 2"),
        (lambda m: m.test_on_batch(IMAGES / 255, TARGETS), "do not divide by 255"),
        (lambda m: m.predict(IMAGES / 255, verbose=0), "do not divide by 255"),
        (lambda m: m.predict(stream(IMAGES / 255), verbose=0), "do not divide by 255"),
        (lambda m: m.predict(generator(IMAGES / 255), verbose=0), "do not divide by 255"),
        (lambda m: m.predict_on_batch(ops.convert_to_tensor(IMAGES) / 255), "do not divide by 255"),
        (lambda m: m.predict_on_batch((IMAGES[:1] / 255).tolist()), "do not divide by 255"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_so_is_refused_in_a_line(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call(detector())
    assert "\n" not in str(caught.value)


def test_ragged_targets_are_refused():
    import tensorflow as tf

    labels = tf.RaggedTensor.from_row_lengths([0, 0, 1, 1, 0], [1, 2, 1, 1])
    boxes = tf.ones((COUNT, 1, 4))
    with pytest.raises(ValueError, match=r"'labels' is ragged; give one shape: \.to_tensor\(\)"):
        detector().fit(stream(targets={"boxes": boxes, "labels": labels}))


def test_arguments_of_fit_and_evaluate_arrive():
    model = detector()
    history = model.fit(
        IMAGES, TARGETS, 2, 3, 0, validation_split=0.5, initial_epoch=1, validation_batch_size=1, validation_freq=2
    )  # fmt: skip
    assert history.epoch == [1, 2] and len(history.history["val_loss"]) == 1
    history = model.fit(stream(), epochs=2, verbose=0, validation_data=stream(), validation_steps=1)
    assert len(history.history["val_loss"]) == 2
    assert len(model.fit(generator(), steps_per_epoch=1, epochs=2, verbose=0).epoch) == 2
    seen = []
    hook = keras.callbacks.LambdaCallback(on_test_batch_end=lambda step, logs: seen.append(step))
    found = model.evaluate(IMAGES, TARGETS, 2, 0, steps=1, callbacks=[hook], return_dict=True)
    assert seen == [0] and set(found) == {"loss", "box_loss", "objectness_loss", "class_loss"}
    weighted = model.evaluate(IMAGES, TARGETS, sample_weight=np.zeros(COUNT), verbose=0, return_dict=True)
    assert set(weighted.values()) == {0.0}
    assert model.predict(stream(), verbose=0, steps=1)["boxes"].shape[0] == 2
    assert model.predict(IMAGES.tolist(), batch_size=1, verbose=0)["boxes"].shape[0] == COUNT
    assert set(model.train_on_batch(IMAGES, TARGETS, return_dict=True)) == set(found)


def test_losses_that_are_added_and_layers_that_are_frozen_count():
    model = detector()
    plain = model.evaluate(IMAGES, TARGETS, verbose=0, return_dict=True)["loss"]
    conv = model.network.get_layer("conv")
    conv.kernel_regularizer = keras.regularizers.L2(0.5)
    conv.kernel.regularizer = conv.kernel_regularizer
    model.compile("sgd", run_eagerly=True)
    more = model.evaluate(IMAGES, TARGETS, verbose=0, return_dict=True)["loss"]
    assert more == pytest.approx(plain + 0.5 * float((conv.get_weights()[0] ** 2).sum()), rel=1e-5)
    conv.trainable, before = False, conv.get_weights()
    model.compile("sgd", run_eagerly=True)
    model.fit(IMAGES, TARGETS, verbose=0)
    assert all(map(np.array_equal, before, conv.get_weights()))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("image_data_format", "channels_first", "set_image_data_format('channels_last')"),
        ("floatx", "float16", "set_floatx('float32')"),
        ("floatx", "float64", "set_floatx('float32')"),
    ],
)
def test_settings_of_keras_that_no_model_stands_are_refused(name, value, words, tmp_path):
    model, before = detector(), getattr(keras.config, name)()
    model.save(tmp_path / "model.keras")
    model = detector()
    getattr(keras.config, f"set_{name}")(value)
    try:
        for call in (
            lambda: kzoo.build("yolov3-tiny", width=0.1),
            lambda: kzoo.build("retinanet-resnet18", width=0.1),
            lambda: kzoo.load(tmp_path / "model.keras"),
            lambda: model.predict_on_batch(IMAGES),
            lambda: model.fit(IMAGES, TARGETS, verbose=0),
            lambda: kzoo.export(model, tmp_path / "model.onnx"),
        ):
            with pytest.raises(ValueError) as caught:
                call()
            assert words in str(caught.value) and "\n" not in str(caught.value)
    finally:
        getattr(keras.config, f"set_{name}")(before)


@pytest.mark.long
@pytest.mark.parametrize("policy", ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)])
def test_a_policy_that_is_set_after_building_changes_nothing(policy):
    from kzoo.deploy.inference import inference_model

    model = detector()
    want = model.predict_on_batch(IMAGES)["scores"]
    with dtype_policy(policy):
        other = detector()
        ready = [inference_model(each) for each in (model, other)]
        copy = kzoo.with_nms(model, "matrix")
        assert copy.dtype_policy.name == copy.head.convs[0].dtype_policy.name == "float32"
        np.testing.assert_array_equal(detector_decoder(model).predict_on_batch(IMAGES)["scores"], want)
    for each in ready:
        kinds = {layer.dtype_policy.name for layer in each._flatten_layers()}
        assert kinds == {"float32"}
        np.testing.assert_allclose(each.predict_on_batch(IMAGES)["scores"], want, atol=1e-6)


def detector_decoder(model):
    """One that is made now."""
    from kzoo.model import DecodedModel

    return DecodedModel(model)
