"""Fast R-CNN: what the head makes of proposals that are given, against torchvision's pooling and plain NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

import kzoo
from kzoo.heads import FastRCNNHead
from kzoo.heads.regions import match_regions

SIZE = 64


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return kzoo.build(
        "fast-rcnn",
        num_classes=3,
        image_size=(SIZE, SIZE),
        width=0.25,
        depth=0.05,
        proposals=(30, 20),
        region_samples=16,
        search_side=4,
        score_threshold=0.0,
    )


def pictures(count=2, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def some_boxes(count, seed=0):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, SIZE - 12, (1, count, 2))
    return np.concatenate([low, np.minimum(low + rng.uniform(8, 40, (1, count, 2)), SIZE)], -1).astype(
        np.float32
    )


def test_each_proposal_is_judged_by_itself(model):
    """Its scores hang neither on the other proposals nor on their order, nor on padding."""
    boxes = some_boxes(8)
    image = pictures(1)
    alone = [model({"images": image, "proposals": boxes[:, i : i + 1]}) for i in range(8)]
    turned = np.concatenate([boxes[:, ::-1], np.zeros((1, 3, 4), np.float32)], axis=1)
    together = model({"images": image, "proposals": turned})
    for name in ("class", "box"):
        wanted = np.concatenate([ops.convert_to_numpy(one[name]) for one in alone], axis=1)
        got = ops.convert_to_numpy(together[name])[:, 7::-1]
        np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_numbers_are_those_of_plain_layers(model):
    """Map, pooling by the cells' maxima, two dense layers: once more in NumPy."""
    boxes, image = some_boxes(6, seed=1), pictures(1, seed=1)
    features = ops.convert_to_numpy(model.network({"images": image, "proposals": boxes})[0])[0]  # (4, 4, C)
    pooled = np.zeros((6, 7, 7, features.shape[-1]), np.float32)
    for n, box in enumerate(boxes[0]):
        x1, y1, x2, y2 = np.floor(box / 16 + 0.5).astype(int)
        width, height = max(x2 - x1 + 1, 1), max(y2 - y1 + 1, 1)
        for i in range(7):
            for j in range(7):
                rows = slice(min(y1 + i * height // 7, 4), min(y1 - (-(i + 1) * height // 7), 4))
                columns = slice(min(x1 + j * width // 7, 4), min(x1 - (-(j + 1) * width // 7), 4))
                cells = features[rows, columns]
                if cells.size:
                    pooled[n, i, j] = cells.max((0, 1))
    x = pooled.reshape(6, -1)
    branch = model.head.branches[0]
    for layer in (each for each in branch.tower if hasattr(each, "kernel")):
        x = np.maximum(x @ np.asarray(layer.kernel) + np.asarray(layer.bias), 0)
    logits = x @ np.asarray(branch.class_layer.kernel) + np.asarray(branch.class_layer.bias)
    got = model({"images": image, "proposals": boxes}, training=False)["class"]
    np.testing.assert_allclose(ops.convert_to_numpy(got)[0, :, 0], logits, atol=1e-4)


@pytest.mark.long
def test_proposals_of_images_alone_are_those_that_are_searched_for(model):
    images = pictures()
    alone = model.predict_on_batch(images)
    given = model.predict_on_batch({"images": images, "proposals": model.proposer.batch(images)})
    for name in alone:
        np.testing.assert_array_equal(alone[name], given[name])
    whole = model.predict(images, batch_size=1, verbose=0)
    np.testing.assert_allclose(whole["scores"], alone["scores"], atol=1e-5)


def test_detections_are_in_the_photographs_own_pixels(model):
    photo = np.random.default_rng(3).integers(0, 256, (90, 120, 3), np.uint8)
    found = model.detect(photo, score_threshold=0.0)
    assert len(found.boxes) and (found.boxes <= (120, 90, 120, 90)).all() and found.boxes.max() > SIZE


@pytest.mark.parametrize("policy", ["mixed_float16"])
def test_half_precision_does_not_round_proposals(policy):
    keras.config.set_dtype_policy(policy)
    try:
        options = {"width": 0.125, "depth": 0.05, "proposals": (4, 4), "region_samples": 4}
        half = kzoo.build("fast-rcnn", num_classes=1, image_size=(SIZE, SIZE), **options)
    finally:
        keras.config.set_dtype_policy("float32")
    boxes = np.float32([[[3.00390625, 5, 40.03125, 50.0625]]])
    raw = half({"images": pictures(1), "proposals": boxes})
    np.testing.assert_array_equal(ops.convert_to_numpy(raw["given"]), boxes)
    seen = half.decoder((SIZE, SIZE, 1)).predict_on_batch({"images": pictures(1), "proposals": boxes})
    assert seen["boxes"].dtype == np.float32


def test_background_is_what_is_near_an_object_and_all_where_there_is_none():
    boxes = np.float32([[[0, 0, 10, 10], [6, 0, 16, 10], [30, 30, 40, 40]]] * 2)
    truth = np.float32([[[0, 0, 10, 10]], [[0, 0, 0, 0]]])
    found = match_regions(boxes, truth, np.array([[0], [-1]]), 0.5, 0.1)
    np.testing.assert_array_equal(found.positive, [[True, False, False], [False] * 3])
    np.testing.assert_array_equal(found.negative, [[False, True, False], [True] * 3])


def test_refuses_what_it_does_not_take(model):
    model.compile("sgd")
    targets = {"boxes": np.zeros((2, 1, 4), np.float32), "labels": np.full((2, 1), -1)}
    with pytest.raises(ValueError, match="inputs: images alone; this network takes"):
        model.fit(pictures(), targets, verbose=0)
    with pytest.raises(ValueError, match=r"proposals of shape \(1, 5, 4\) for 2 images"):
        model.predict_on_batch({"images": pictures(), "proposals": np.zeros((1, 5, 4))})
    with pytest.raises(ValueError, match="finite numbers"):
        model.predict_on_batch({"images": pictures(), "proposals": np.full((2, 5, 4), np.nan)})
    with pytest.raises(ValueError, match="images of shape"):
        model.predict(pictures()[0], verbose=0)
    with pytest.raises(ValueError, match="search"):
        FastRCNNHead(1, (16,), search="best")
    other = kzoo.build("yolov3-tiny", num_classes=1, image_size=(SIZE, SIZE), width=0.125)
    with pytest.raises(ValueError, match="this network takes images alone"):
        other.predict_on_batch({"images": pictures(), "proposals": np.zeros((2, 5, 4))})
