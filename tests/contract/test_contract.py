"""What every registered model promises, over every name, at a quarter of the width and the least depth."""

import keras
import numpy as np
import pytest
from keras import ops

import kzoo
from kzoo.registry import entry

SIZE = 64
CLASSES = 3


def build(name, **arguments):
    keras.utils.set_random_seed(0)
    return kzoo.build(
        name,
        **{"num_classes": CLASSES, "image_size": (SIZE, SIZE), "width": 0.25, "depth": 0.05, **arguments},
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
    return {"boxes": boxes, "labels": labels}


def compiled(model, rate=1e-3):
    """Ready to train, a step at a time: for a step or two, tracing a graph would take longer than the steps."""
    model.compile(keras.optimizers.AdamW(rate), run_eagerly=True)
    return model


every_name = pytest.mark.parametrize("name", kzoo.list_models())
every_segmenter = pytest.mark.parametrize("name", kzoo.list_models("segment"))
every_detector = pytest.mark.parametrize("name", kzoo.list_models("detect"))


@every_name
def test_parameters_equal_the_published_count(name):
    known = entry(name)
    assert kzoo.build(name, num_classes=known.num_classes).count_params() == known.parameters


@every_name
@pytest.mark.parametrize("height, width", [(64, 64), (96, 160)])
def test_predicts_at_any_multiple_of_the_stride(name, height, width):
    model = build(name)
    result = model.predict(images(2, height, width), verbose=0)
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
        assert shapes == {"boxes": (2, count, 4), "scores": (2, count), "labels": (2, count)}
        assert (np.diff(result["scores"], axis=-1) <= 0).all()
        assert ((result["labels"] >= 0) == (result["scores"] > 0)).all()


@every_name
@pytest.mark.parametrize("objects", [0, 3])
def test_loss_and_gradients_are_finite(name, objects):
    import tensorflow as tf

    model = build(name)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(
            y=targets(model.task, objects=objects), y_pred=model(images(), training=True)
        )
    gradients = tape.gradient(loss, model.trainable_variables)
    # Where all pixels are ignored there is nothing to learn.
    assert np.isfinite(loss) and (loss > 0 or (model.task == "segment" and not objects))
    assert all(g is not None and np.isfinite(g).all() for g in gradients)


@every_detector
def test_decoding_undoes_encoding(name):
    model = build(name)
    truth = targets("detect", padding=5)
    outputs = model(images())
    sizes = [ops.shape(outputs[f"stride{stride}"])[1:3] for stride in model.head.strides]
    found = model.head.decode(model.head.encode(truth, sizes))
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
    model = build(name)
    truth = np.random.default_rng(0).integers(0, CLASSES, (2, SIZE, SIZE))
    decoded = model.head.decode(
        {"logits": ops.convert_to_tensor(10.0 * np.eye(CLASSES, dtype="float32")[truth])}
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(decoded["mask"]), truth)


@every_name
def test_overfits_one_batch(name):
    model = build(name)
    model.compile(keras.optimizers.AdamW(1e-3 if model.task == "segment" else 5e-3), jit_compile=False)
    x, y = images(), targets(model.task)
    if model.task == "segment":
        x = x // 4 + 60 * (y["mask"] % 255)[..., None]  # a network that sees no further than a pixel can tell
    first = model.evaluate(x, y, verbose=0, return_dict=True)["loss"]
    model.fit(x, y, epochs=60, verbose=0)
    # Trained statistics of the batch norm lag behind; what is asked is that the training loss falls.
    last = model.history.history["loss"][-1]
    assert last < 0.15 * first


@every_name
def test_saves_and_loads_with_equal_predictions(name, tmp_path):
    model = compiled(build(name, names=["a", "b", "c"]))
    model.fit(images(), targets(model.task), verbose=0)
    model.save(tmp_path / "model.keras")
    again = kzoo.load(tmp_path / "model.keras", compile=True)
    assert again.names == ["a", "b", "c"] and again.image_size == (SIZE, SIZE)
    before, after = (m.predict(images(), verbose=0) for m in (model, again))
    for key in before:
        np.testing.assert_array_equal(before[key], after[key])
    again.fit(images(), targets(model.task), verbose=0)  # comes back compiled


@every_name
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_trains_under_mixed_precision(name, policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = compiled(build(name, width=0.125))  # processors take their time over half precision
        loss = model.fit(images(), targets(model.task), verbose=0).history["loss"]
        result = model.predict(images(), verbose=0)
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(loss).all()
    assert result["probabilities" if "mask" in result else "scores"].dtype == np.float32


@every_name
def test_another_number_of_classes_trains(name):
    model = compiled(build(name, num_classes=1))
    loss = model.fit(images(), targets(model.task, classes=1), verbose=0).history["loss"]
    assert np.isfinite(loss).all()


@every_name
def test_weights_of_other_classes_are_refused_in_one_line(name, tmp_path):
    build(name, num_classes=5).save(tmp_path / "five.keras")
    with pytest.raises(ValueError, match=r"five\.keras.*3 classes") as caught:
        build(name, weights=tmp_path / "five.keras")
    assert "\n" not in str(caught.value)
