"""YOLOv1's head against loops written from Darknet's layout and the paper's equation 3."""

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.heads import GridHead
from kzoo.model import ZooModel

CLASSES, SIDE, BOXES = 3, 4, 2
HEIGHT, WIDTH = 96, 128
LENGTH = SIDE * SIDE * (CLASSES + 5 * BOXES)


def head(**arguments):
    return GridHead(CLASSES, SIDE, BOXES, (HEIGHT, WIDTH), **arguments)


def random_outputs(seed, batch=2):
    return {"grid": np.random.default_rng(seed).normal(0.3, 0.4, (batch, LENGTH)).astype(np.float32)}


def random_targets(seed, batch=2, count=7, padding=9):
    """Of seven objects on sixteen cells, some share one."""
    rng = np.random.default_rng(seed)
    boxes, labels = np.zeros((batch, padding, 4), np.float32), np.full((batch, padding), -1)
    low = rng.uniform(0, 60, (batch, count, 2))
    boxes[:, :count] = np.concatenate([low, low + rng.uniform(8, 36, (batch, count, 2))], -1)
    labels[:, :count] = rng.integers(0, CLASSES, (batch, count))
    return {"boxes": boxes, "labels": labels}


def box_iou(a, b):
    overlap = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = sum(max(0, v[2] - v[0]) * max(0, v[3] - v[1]) for v in (a, b))
    return overlap / (areas - overlap) if overlap else 0


def parts(flat, cell, slot):
    """Class scores, confidence and x, y, w, h of one box, by their places in the vector."""
    cells = SIDE * SIDE
    box = cells * (CLASSES + BOXES) + (cell * BOXES + slot) * 4
    confidence = flat[cells * CLASSES + cell * BOXES + slot]
    return flat[cell * CLASSES : (cell + 1) * CLASSES], confidence, flat[box : box + 4]


def decoded(box, cell, sqrt):
    x, y = (box[0] + cell % SIDE) / SIDE * WIDTH, (box[1] + cell // SIDE) / SIDE * HEIGHT
    w, h = (v**2 if sqrt else v for v in box[2:])
    return [x - w * WIDTH / 2, y - h * HEIGHT / 2, x + w * WIDTH / 2, y + h * HEIGHT / 2]


def softmax(values):
    return np.exp(values) / np.exp(values).sum()


@pytest.mark.parametrize("sqrt", [True, False])
@pytest.mark.parametrize("soft", [True, False])
def test_decoding_equals_a_loop(sqrt, soft):
    outputs = random_outputs(0)
    found = head(sqrt=sqrt, softmax=soft, nms_threshold=1.0, max_detections=20, score_threshold=0.01).decode(
        outputs
    )
    for b, flat in enumerate(outputs["grid"].astype(float)):
        rows = []
        for cell, slot in np.ndindex(SIDE * SIDE, BOXES):
            classes, confidence, box = parts(flat, cell, slot)
            classes = softmax(classes) if soft else classes
            rows += [(confidence * score, c, decoded(box, cell, sqrt)) for c, score in enumerate(classes)]
        rows.sort(key=lambda row: -row[0])
        scores, labels, boxes = zip(*rows[:20], strict=True)
        np.testing.assert_allclose(found["scores"][b], scores, rtol=1e-4)
        np.testing.assert_array_equal(found["labels"][b], labels)
        np.testing.assert_allclose(found["boxes"][b], boxes, rtol=1e-4, atol=1e-3)


def loop_loss(outputs, targets, sqrt, soft, rescore):
    sums = {"box": 0.0, "objectness": 0.0, "class": 0.0}
    for flat, boxes, labels in zip(
        outputs["grid"].astype(float), targets["boxes"].astype(float), targets["labels"], strict=True
    ):
        truth = {}
        for t, c in zip(boxes, labels, strict=True):
            column, line = int((t[0] + t[2]) / 2 / WIDTH * SIDE), int((t[1] + t[3]) / 2 / HEIGHT * SIDE)
            if c >= 0:
                truth.setdefault(line * SIDE + column, (t, c))  # the first object of a cell
        for cell in range(SIDE * SIDE):
            classes = parts(flat, cell, 0)[0]
            responsible = None
            if cell in truth:
                t, c = truth[cell]
                w, h = (t[2] - t[0]) / WIDTH, (t[3] - t[1]) / HEIGHT
                x = (t[0] + t[2]) / 2 / WIDTH * SIDE - cell % SIDE
                y = (t[1] + t[3]) / 2 / HEIGHT * SIDE - cell // SIDE
                raw = [parts(flat, cell, slot)[2] for slot in range(BOXES)]
                overlaps = [box_iou(decoded(box, cell, sqrt), t) for box in raw]
                apart = [
                    ((box[0] - x) ** 2 + (box[1] - y) ** 2) / SIDE**2
                    + ((box[2] ** 2 if sqrt else box[2]) - w) ** 2
                    + ((box[3] ** 2 if sqrt else box[3]) - h) ** 2
                    for box in raw
                ]
                responsible = np.argmax(overlaps) if max(overlaps) > 0 else np.argmin(apart)
                code = np.array([x, y, *(np.sqrt([w, h]) if sqrt else (w, h))])
                sums["box"] += 5 * ((code - raw[responsible]) ** 2).sum() / 2
                if soft:
                    sums["class"] -= 2 * np.log(softmax(classes)[c])
                else:
                    sums["class"] += 2 * ((np.eye(CLASSES)[c] - classes) ** 2).sum() / 2
            for slot in range(BOXES):
                confidence = parts(flat, cell, slot)[1]
                if slot == responsible:
                    wanted = overlaps[slot] if rescore else 1
                    sums["objectness"] += 3 * (wanted - confidence) ** 2 / 2
                else:
                    sums["objectness"] += 0.25 * confidence**2 / 2
    return {name: value / len(targets["boxes"]) for name, value in sums.items()}


@pytest.mark.parametrize(
    "sqrt, soft, rescore", [(True, False, True), (False, False, False), (True, True, True)]
)
def test_loss_equals_a_loop(sqrt, soft, rescore):
    made = head(sqrt=sqrt, softmax=soft, rescore=rescore, object_scale=3, noobject_scale=0.25, class_scale=2)
    for seed in range(4):
        outputs, targets = random_outputs(seed), random_targets(seed)
        wanted = loop_loss(outputs, targets, sqrt, soft, rescore)
        for name, value in made.loss(targets, outputs).items():
            assert float(value) == pytest.approx(wanted[name], rel=1e-4), (seed, name)


def test_gradients_are_darknet_s_differences():
    """Darknet hands back what is missing, times the scale: no factor two."""
    import tensorflow as tf

    raw = tf.constant(random_outputs(0, batch=1)["grid"])
    targets = {"boxes": np.float32([[[10, 5, 30, 15]]]), "labels": np.array([[1]])}  # in the first cell
    for soft in (False, True):
        with tf.GradientTape() as tape:
            tape.watch(raw)
            loss = head(softmax=soft).loss(targets, {"grid": raw})["class"]
        classes = raw.numpy()[0, :CLASSES]
        wanted = (softmax(classes) if soft else classes) - np.eye(CLASSES)[1]
        gradient = tape.gradient(loss, raw).numpy()[0]
        np.testing.assert_allclose(gradient[:CLASSES], wanted, atol=1e-6)
        assert not gradient[CLASSES:].any()


@pytest.mark.parametrize("arguments", [{}, {"sqrt": False}, {"softmax": True}])
def test_decoding_undoes_encoding(arguments):
    boxes = np.float32([[[4, 5, 30, 40], [50, 20, 110, 60], [70, 60, 100, 90]]])
    targets = {"boxes": boxes, "labels": np.array([[2, 0, 1]])}
    made = head(**arguments)
    outputs = made.encode(targets)
    found = {key: ops.convert_to_numpy(v)[0] for key, v in made.decode(outputs).items()}
    sure = found["scores"] > 0.9
    assert sorted(found["labels"][sure]) == [0, 1, 2]
    for box, label in zip(found["boxes"][sure], found["labels"][sure], strict=True):
        np.testing.assert_allclose(box, boxes[0, [1, 2, 0][label]], atol=1e-3)
    assert sum(float(value) for value in made.loss(targets, outputs).values()) < 1e-5


def test_the_first_object_of_a_cell_keeps_it():
    boxes = np.float32([[[10, 10, 30, 40], [12, 12, 28, 38]]])
    made = head()
    for labels in ([[1, 2]], [[2, 1]]):
        found = made.decode(made.encode({"boxes": boxes, "labels": np.array(labels)}))
        assert int(found["labels"][0, 0]) == labels[0][0]
        np.testing.assert_allclose(found["boxes"][0, 0], boxes[0, 0], atol=1e-3)


def test_regions_to_ignore_silence_their_cell():
    outputs = {"grid": np.ones((1, LENGTH), np.float32)}
    box = np.float32([[[10, 10, 30, 40]]])
    ignored = head().loss({"boxes": box, "labels": np.array([[-1]])}, outputs)
    padding = head().loss({"boxes": 0 * box, "labels": np.array([[-1]])}, outputs)
    assert float(padding["objectness"]) - float(ignored["objectness"]) == pytest.approx(BOXES * 0.5 / 2)
    assert float(ignored["box"]) == float(ignored["class"]) == 0


@pytest.mark.parametrize("fault", [None, np.nan, np.inf, 0.0, -5.0])
@pytest.mark.parametrize("objects", [0, 7])
def test_gradients_are_finite(fault, objects):
    import tensorflow as tf

    targets = random_targets(0)
    targets["labels"][:, objects:] = -1
    if fault is not None:
        targets["boxes"][:, 8], targets["labels"][:, 8] = [20, 20, 20 + fault, 30], 2
    raw = tf.constant(random_outputs(0)["grid"] * 30)
    with tf.GradientTape() as tape:
        tape.watch(raw)
        loss = sum(head().loss(targets, {"grid": raw}).values())
    assert np.isfinite(loss) and np.isfinite(tape.gradient(loss, raw)).all()


@pytest.mark.long
@pytest.mark.parametrize("flat", [True, False])
def test_a_model_trains_saves_and_loads(flat, tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((HEIGHT, WIDTH, 3), name="images")
    x = keras.layers.Rescaling(1 / 255)(keras.layers.AveragePooling2D(16)(inputs))
    x = keras.layers.Dense(LENGTH)(keras.layers.Flatten()(x))
    network = keras.Model(inputs, [x if flat else keras.layers.Reshape((1, 1, LENGTH))(x)], name="network")
    model = ZooModel(network, head(name="head"), (HEIGHT, WIDTH))
    model.compile("sgd", run_eagerly=True)
    images = np.random.default_rng(0).integers(0, 256, (2, HEIGHT, WIDTH, 3), np.uint8)
    loss = model.fit(images, random_targets(0), epochs=1, verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for key, value in model.predict(images, verbose=0).items():
        np.testing.assert_array_equal(again.predict(images, verbose=0)[key], value)


def test_a_vector_of_another_length_is_named():
    with pytest.raises(ValueError, match=rf"side=4: the network ends in \(100,\), .* = {LENGTH} ") as caught:
        head().build([(None, 100)])
    assert "\n" not in str(caught.value)
