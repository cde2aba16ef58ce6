"""Exports that leave the suppression to whoever reads them, or to ONNX's own operator."""

import cv2
import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from random_models import SIZE, randomised
from runtimes import assert_alike_everywhere
from samples import small

import kzoo
from kzoo.deploy import open_export
from kzoo.deploy.checking import compare
from kzoo.inference.detect import with_nms


@pytest.fixture(scope="module")
def left_open(small_detector, tmp_path_factory):
    return kzoo.export(
        small_detector, tmp_path_factory.mktemp("exports") / "open.onnx", nms="none", batch_size=1
    )


@pytest.fixture(scope="module")
def by_operator(small_detector, tmp_path_factory):
    return kzoo.export(small_detector, tmp_path_factory.mktemp("exports") / "operator.onnx", nms="onnx")


def operators(graph) -> set[str]:
    """Names of the operators of a graph and of those inside it."""
    inner = [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    return {node.op_type for node in graph.node}.union(*map(operators, inner))


def names_and_shapes(values) -> dict:
    return {
        value.name: [one.dim_param or one.dim_value for one in value.type.tensor_type.shape.dim]
        for value in values
    }


def test_what_is_left_open_is_all_boxes_with_the_scores_of_all_classes(left_open):
    graph = onnx.load(left_open).graph
    count = 3 * (2 * 2 + 4 * 4)
    assert names_and_shapes(graph.input) == {"images": [1, *SIZE, 3]}
    assert names_and_shapes(graph.output) == {"boxes": [1, count, 4], "scores": [1, count, 3]}
    assert not {"Loop", "If", "NonMaxSuppression"} & operators(graph)


def test_kzoo_suppresses_what_is_left_open(small_detector, left_open, images):
    opened, expected = kzoo.load(left_open), small_detector.predict_on_batch(images)
    assert not opened.metadata.suppressed
    found = opened.predict_on_batch(images)
    assert (expected["labels"] >= 0).sum() > 100
    np.testing.assert_array_equal(found["labels"], expected["labels"])
    for name in ("boxes", "scores"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-4)
    # And as otherwise a model alone can, in any way.
    softly, wanted = (
        with_nms(each, "soft-gaussian", 0.4).predict_on_batch(images) for each in (opened, small_detector)
    )
    assert not np.allclose(softly["scores"], found["scores"], atol=1e-3)
    np.testing.assert_allclose(softly["scores"], wanted["scores"], rtol=1e-4, atol=1e-4)


def test_opencv_runs_it_and_suppresses_alike(small_detector, left_open, images):
    """OpenCV's own network and its own suppression find what the model finds."""
    network, head = cv2.dnn.readNetFromONNX(str(left_open)), small_detector.head
    for image in images:
        network.setInput(image[None], "images")
        boxes, scores = (one[0] for one in network.forward(["boxes", "scores"]))  # (N, 4), (N, C)
        (raw,) = onnxruntime.InferenceSession(left_open).run(["scores"], {"images": image[None]})
        np.testing.assert_allclose(scores, raw[0], atol=1e-5)
        sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)  # x, y, width, height
        found = []
        for label in range(scores.shape[1]):
            kept = cv2.dnn.NMSBoxes(sides, scores[:, label], head.score_threshold, head.nms_threshold)
            found += [(scores[row, label], label) for row in kept]
        found = sorted(found, reverse=True)[: head.max_detections]
        (expected,) = small_detector.detect([image], score_threshold=0.0)
        assert len(found) == len(expected) > 50
        np.testing.assert_allclose([score for score, _ in found], expected.scores, atol=1e-5)
        assert [label for _, label in found] == expected.labels.tolist()


@pytest.mark.slow
def test_opencv_chooses_among_more_boxes_than_candidates(tmp_path):
    """Of 960 boxes a YOLO decodes the best 512."""
    model = randomised(kzoo.build("yolov3-tiny", num_classes=3, image_size=(256, 256), width=0.125))
    path = kzoo.export(model, tmp_path / "m.onnx", nms="none", batch_size=1)
    image = np.random.default_rng(0).integers(0, 256, (1, 256, 256, 3), np.uint8)
    wanted = onnxruntime.InferenceSession(path).run(["boxes", "scores"], {"images": image})
    network = cv2.dnn.readNetFromONNX(str(path))
    network.setInput(image, "images")
    for expected, found in zip(wanted, network.forward(["boxes", "scores"]), strict=True):
        assert found.shape == expected.shape and found.shape[1] == 512
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_the_operator_chooses_what_greedy_suppression_does(small_detector, by_operator, images):
    graph = onnx.load(by_operator).graph
    assert "NonMaxSuppression" in operators(graph) and "Loop" not in operators(graph)
    assert names_and_shapes(graph.output) == {
        "boxes": ["batch", 100, 4], "labels": ["batch", 100], "scores": ["batch", 100]
    }  # fmt: skip
    expected, found = (each.predict_on_batch(images) for each in (small_detector, open_export(by_operator)))
    np.testing.assert_array_equal(found["labels"], expected["labels"])
    for name in ("boxes", "scores"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-4)
    assert_alike_everywhere(by_operator, images)


@pytest.mark.slow
@pytest.mark.parametrize("opset", [13, 18])
def test_the_operator_of_other_versions_and_with_other_settings(opset, images, tmp_path):
    """Few candidates, more detections than those, boxes of all classes against each other."""
    settings = {"candidates": 40, "max_detections": 60, "class_agnostic": opset == 18, "nms_threshold": 0.2}
    model = randomised(kzoo.build("yolov3-tiny", num_classes=3, image_size=SIZE, width=0.25, **settings))
    path = kzoo.export(model, tmp_path / "m.onnx", nms="onnx", opset=opset)
    expected, found = (each.predict_on_batch(images) for each in (model, open_export(path)))
    assert 0 < (expected["labels"] >= 0).sum() < 3 * 40 and found["scores"].shape == (3, 60)
    np.testing.assert_array_equal(found["labels"], expected["labels"])
    np.testing.assert_allclose(found["boxes"], expected["boxes"], rtol=1e-4, atol=1e-3)
    assert_alike_everywhere(path, images)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file", "nms"),
    [
        ("yolov8n", "m.tflite", "none"),
        ("retinanet-resnet18", "m.onnx", "onnx"),
        ("centernet-resnet18", "m.onnx", "onnx"),  # rates pairs
        ("yolop", "m.openvino", "none"),  # has maps beside
        ("softer-rcnn", "1", "none"),  # predicts variances
    ],
)
def test_heads_of_every_kind_leave_it_open(name, file, nms, images, tmp_path):
    keras.utils.set_random_seed(0)
    settings = {"num_classes": 3, "image_size": SIZE, "width": 0.125, "depth": 0.1, "score_threshold": 0.001}
    model = randomised(kzoo.build(name, **settings, **small(name)))
    path = kzoo.export(model, tmp_path / file, nms=nms)
    kind = {"none": None, "onnx": "greedy"}[nms]
    agreement = compare(with_nms(model, kind), path, images, 0.001)
    assert agreement.same == agreement.total >= 3 and agreement.scores < 1e-4


def tiny(name, **settings):
    return kzoo.build(name, num_classes=2, image_size=SIZE, width=0.125, depth=0.1, **small(name), **settings)


@pytest.mark.parametrize(
    ("name", "nms", "words"),
    [
        ("unet", "none", ["'none'", "'segment'", "leave it out"]),
        ("extremenet", "none", ["extremenet goes on with what its suppression leaves", "greedy"]),
        ("detr-r50", "onnx", ["detr-r50 suppresses nothing", "leave it out"]),
    ],
)
def test_heads_that_cannot_say_so(name, nms, words, tmp_path):
    with pytest.raises(ValueError) as caught:
        kzoo.export(tiny(name), tmp_path / "m.onnx", nms=nms)
    assert "\n" not in str(caught.value) and all(word in str(caught.value) for word in words)
    assert not list(tmp_path.iterdir())


def test_formats_and_batches_that_cannot_say_so(small_detector, tmp_path):
    with pytest.raises(ValueError, match="nms='onnx': an operator of ONNX, which format='tflite' has not"):
        kzoo.export(small_detector, tmp_path / "m.tflite", nms="onnx")
    with pytest.raises(ValueError, match="batch_size='dynamic': format='tflite' takes a number"):
        kzoo.export(small_detector, tmp_path / "m.tflite", batch_size="dynamic")
    with pytest.raises(
        ValueError, match="batch_size='any': give a whole number of images, 1 to 4096, or dynamic"
    ):
        kzoo.export(small_detector, tmp_path / "m.onnx", batch_size="any")
    assert not list(tmp_path.iterdir())
