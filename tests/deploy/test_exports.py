"""What an export finds is what its model finds, in every format."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from random_models import NAMES, SIZE, randomised, spread_out
from runtimes import assert_alike_everywhere
from samples import of_archetypes, small

import kzoo
from kzoo.augment.letterbox import fit
from kzoo.deploy import open_export
from kzoo.deploy.checking import compare
from kzoo.deploy.inference import inference_model
from kzoo.deploy.metadata import Metadata
from kzoo.inference.detect import to_detections
from kzoo.layers.folding import folded_network

FORMS = ["saved_model", "tflite", "onnx"]
# Kinds of heads that take long to export, or that other tests here export anyway.
EXPORTED = ["YoloHead", "GridHead", "RegionHead"]


def relative_difference(expected, given):
    return np.abs(expected - given).max() / np.abs(expected).max()


@pytest.mark.parametrize(
    "form", [pytest.param(form, marks=() if form == "tflite" else pytest.mark.slow) for form in FORMS]
)
def test_outputs_are_keras_s(form, detector, exported, images):
    expected = detector.predict_on_batch(images)
    given = open_export(exported(form)).predict_on_batch(images)
    assert (expected["labels"] >= 0).sum() > 100  # there is something to compare
    assert given["boxes"].dtype == given["scores"].dtype == np.float32
    assert np.array_equal(given["labels"], expected["labels"])
    assert relative_difference(expected["scores"], given["scores"]) < 1e-5
    assert relative_difference(expected["boxes"], given["boxes"]) < 1e-5
    agreement = compare(detector, exported(form), images)
    assert agreement.same == agreement.total > 100


@pytest.mark.long
def test_float16_weights_change_little(detector, exported, images):
    agreement = compare(detector, exported("tflite-float16"), images, score_threshold=0.2)
    assert agreement.total > 50 and agreement.found >= 0.95 * agreement.total and agreement.scores < 5e-3
    assert exported("tflite-float16").stat().st_size < 0.6 * exported("tflite").stat().st_size


@pytest.mark.long
def test_int8_finds_about_the_same(detector, exported, images):
    """How much average precision it costs is a matter of trained models; here its scores are near."""
    expected = detector.predict_on_batch(images)
    given = open_export(exported("tflite-int8")).predict_on_batch(images)
    assert np.abs(expected["scores"] - given["scores"]).mean() < 0.01
    assert exported("tflite-int8").stat().st_size < 0.35 * exported("tflite").stat().st_size


@pytest.mark.long
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_number_of_images(form, count, exported, images):
    opened = open_export(exported(form))
    whole, part = opened.predict_on_batch(images), opened.predict_on_batch(images[:count])
    assert all(np.allclose(whole[key][:count], part[key], atol=1e-4) for key in whole)
    assert opened.batch_size == (1 if form == "tflite" else None)


@pytest.mark.parametrize(
    "form", ["tflite", *(pytest.param(form, marks=pytest.mark.long) for form in ("saved_model", "onnx"))]
)
def test_a_fixed_batch_is_filled_up(form, small_detector, images, tmp_path):
    suffix = {"saved_model": "", "tflite": ".tflite", "onnx": ".onnx"}[form]
    opened = open_export(kzoo.export(small_detector, tmp_path / f"two{suffix}", batch_size=2))
    assert opened.batch_size == 2
    expected, given = small_detector.predict_on_batch(images), opened.predict_on_batch(images)
    assert all(np.allclose(expected[key], given[key], atol=1e-3) for key in expected)
    streamed = opened.predict((images[start : start + 1],) for start in range(3))
    # Alone, the second image is the first of its batch, and sums of another place in memory are rounded otherwise.
    alone = [opened.predict_on_batch(images[start : start + 1]) for start in range(3)]
    assert all(np.array_equal(np.concatenate([one[key] for one in alone]), streamed[key]) for key in given)
    assert all(np.allclose(given[key], streamed[key], rtol=1e-5, atol=1e-4) for key in given)


@pytest.mark.parametrize("form", [*FORMS, pytest.param("tflite-int8", marks=pytest.mark.long)])
def test_an_export_says_what_it_is(form, exported, images):
    opened = kzoo.load(exported(form))
    assert (opened.name, opened.task, opened.names, opened.image_size) == ("tester", "detect", NAMES, SIZE)
    assert opened.metadata.decoding["nms_threshold"] == 0.45 and opened.metadata.version == kzoo.__version__
    photograph = np.zeros((90, 120, 3), np.uint8)
    found = opened.detect(photograph, score_threshold=0.1)
    assert list(found.names) == NAMES and found.boxes[:, 2].max() <= 120


@pytest.mark.long
def test_an_export_knows_how_photographs_are_resized(small_detector, exported, images, tmp_path):
    assert kzoo.load(exported("onnx")).resize == "letterbox"
    stretching = open_export(kzoo.export(small_detector, tmp_path / "aligned.onnx", resize="darknet"))
    assert stretching.resize == "darknet"
    photograph = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    # An export takes whole numbers, a model what Darknet's own resize gives.
    canvas, placement = fit(photograph, small_detector.image_size, "darknet")
    result = small_detector.predict_on_batch(np.rint(canvas)[None])
    expected = to_detections({key: value[0] for key, value in result.items()}, placement, 0.1)
    found = stretching.detect(photograph, score_threshold=0.1)
    assert len(found) == len(expected) > 10
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-2)
    letterboxed = small_detector.detect(photograph, score_threshold=0.1)
    assert not np.allclose(letterboxed.boxes[:10], expected.boxes[:10], atol=1)
    # Exports from before there was a choice say nothing of it.
    values = json.loads(stretching.metadata.to_json())
    del values["resize"]
    assert Metadata.from_json(json.dumps(values), "old.onnx").resize == "letterbox"
    with pytest.raises(ValueError, match=r"odd\.onnx: its description .*resize='crop' is unknown"):
        Metadata.from_json(json.dumps({**values, "resize": "crop"}), "odd.onnx")


@pytest.mark.long
def test_tflite_has_built_in_operators_alone(exported):
    from tensorflow.lite.python import schema_py_generated as schema

    for form in ("tflite", "tflite-float16", "tflite-int8"):
        model = schema.ModelT.InitFromPackedBuf(exported(form).read_bytes())
        codes = {max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes}
        assert schema.BuiltinOperator.CUSTOM not in codes
        assert not any(code.customCode for code in model.operatorCodes)
        assert {schema.BuiltinOperator.WHILE, schema.BuiltinOperator.TOPK_V2} <= codes
        # Batch normalisation is folded: a convolution is followed by its activation, nothing between.
        assert schema.BuiltinOperator.RSQRT not in codes


def types_of_convolutions(path):
    """What the convolutions of a TFLite file compute, in their order."""
    from tensorflow.lite.python import schema_py_generated as schema

    graph = schema.ModelT.InitFromPackedBuf(path.read_bytes())
    main = graph.subgraphs[0]
    return [
        {schema.TensorType.INT8: "int8", schema.TensorType.FLOAT32: "float32"}[
            main.tensors[op.outputs[0]].type
        ]
        for op in main.operators
        if graph.operatorCodes[op.opcodeIndex].builtinCode == schema.BuiltinOperator.CONV_2D
    ]


def test_int8_computes_the_network_in_integers_and_the_head_in_floats(exported):
    kinds = types_of_convolutions(exported("tflite-int8"))
    assert kinds[-3:] == ["float32"] * 3 and set(kinds[:-3]) == {"int8"} and len(kinds) > 30


@pytest.mark.slow
def test_int8_computes_retinanet_s_towers_in_integers_too(tmp_path, images):
    keras.utils.set_random_seed(0)
    model = kzoo.build("retinanet-resnet18", num_classes=2, image_size=(64, 64), width=0.25, depth=0.25)
    for layer in model.head.class_layers + model.head.box_layers:
        if hasattr(layer, "kernel"):  # larger than they begin, for scores and boxes that differ
            layer.kernel.assign(layer.kernel * 3)
    kinds = types_of_convolutions(kzoo.export(model, tmp_path / "m.tflite", quantize="int8", data=images))
    towers = 2 * 4 * 5
    assert kinds[-10:] == ["float32"] * 10 and set(kinds[:-10]) == {"int8"} and len(kinds) > towers + 20
    given, expected = (m.predict_on_batch(images) for m in (open_export(tmp_path / "m.tflite"), model))
    assert expected["scores"].std() > 0.01
    assert np.abs(given["scores"] - expected["scores"]).mean() < 0.01


def test_tensorflow_s_own_interpreter_runs_it_too(exported, images, monkeypatch):
    """Without the extra there is still the one in TensorFlow."""
    first = open_export(exported("tflite")).predict_on_batch(images)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    opened = open_export(exported("tflite"))
    assert opened.runtime.startswith("tensorflow")
    second = opened.predict_on_batch(images)
    assert all(np.allclose(first[key], second[key], atol=1e-3) for key in first)


def test_what_tflite_cannot_express_is_one_line(detector):
    import tensorflow as tf

    from kzoo.deploy.graph import Graph
    from kzoo.deploy.tflite import convert

    signature = [tf.TensorSpec((1, 4), tf.int32, name="numbers")]
    graph = Graph(detector.head, lambda numbers: {"last_bit": tf.bitwise.bitwise_and(numbers, 1)}, signature)
    with pytest.raises(ValueError, match="cannot express it: TF Select ops: BitwiseAnd") as error:
        convert(graph)
    assert "\n" not in str(error.value)


def test_onnx_has_standard_operators_alone(exported):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(exported("onnx"))
    assert {opset.domain for opset in model.opset_import} <= {"", "ai.onnx", "ai.onnx.ml"}
    assert model.opset_import[0].version >= 17 and not model.functions
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert [value.name for value in model.graph.input] == ["images"]
    assert {value.name for value in model.graph.output} == {"boxes", "labels", "scores"}


def test_a_saved_model_needs_nothing_of_kzoo(detector, exported, images, tmp_path):
    """As TensorFlow Serving reads it: `serving_default`, by the names of its tensors, a free batch."""
    np.save(tmp_path / "images.npy", images)
    script = """
import json, sys
import numpy as np
import tensorflow as tf
signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
spec = signature.structured_input_signature[1]["images"]
found = signature(images=tf.constant(np.load(sys.argv[2])))
assert "kzoo" not in sys.modules
print(json.dumps([spec.shape.as_list(), spec.dtype.name, {k: v.numpy().tolist() for k, v in found.items()}]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(exported("saved_model")), str(tmp_path / "images.npy")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    shape, kind, found = json.loads(done.stdout)
    assert shape == [None, *SIZE, 3] and kind == "uint8"
    expected = detector.predict_on_batch(images)
    assert (
        np.allclose(found["boxes"], expected["boxes"], atol=1e-3)
        and found["labels"] == expected["labels"].tolist()
    )


def test_opening_tflite_loads_neither_keras_nor_tensorflow(exported):
    pytest.importorskip("ai_edge_litert")
    code = (
        f"import sys, kzoo; kzoo.load({str(exported('tflite'))!r}); "
        "sys.exit(bool({'keras', 'tensorflow', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "name",
    # The tests above have the detector's head.
    of_archetypes(kzoo.list_models("detect") + kzoo.list_models("classify"), shown=EXPORTED),
)
def test_every_registered_model_exports_to_every_format(name, tmp_path):
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3)).astype("uint8")
    # Without a threshold of its own: a detector that knows nothing yet is sure of nothing.
    finds = {"score_threshold": 0.001} if name in kzoo.list_models("detect") else {}
    model = randomised(
        kzoo.build(name, num_classes=3, image_size=SIZE, width=0.125, depth=0.1, **small(name), **finds)
    )
    expected = spread_out(model, images).predict_on_batch(images)
    for file in ("1", "m.tflite", "m.onnx"):
        path = kzoo.export(model, tmp_path / file)
        given = open_export(path).predict_on_batch(images)
        assert given.keys() == expected.keys()
        assert relative_difference(expected["scores"], given["scores"]) < 1e-4
        agreement = compare(model, path, images, score_threshold=0.001)
        assert agreement.same == agreement.total >= 3
    assert_alike_everywhere(path, images, tied=name == "extremenet")  # which cuts what is above 1


def test_inference_model_folds_every_normalisation(detector, images):
    ready = inference_model(detector)
    kinds = {type(layer).__name__ for layer in ready.network.layers}
    assert "BatchNormalization" not in kinds and "LeakyReLU" in kinds
    expected, given = detector(images, training=False), ready(images, training=False)
    for key in expected:
        assert relative_difference(np.asarray(expected[key]), np.asarray(given[key])) < 1e-5


@pytest.mark.long
def test_a_model_of_mixed_precision_is_exported_in_float32(images, tmp_path):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        arguments = {"num_classes": 3, "image_size": SIZE, "width": 0.25}
        model = randomised(kzoo.build("yolov3-tiny", **arguments))
    finally:
        keras.config.set_dtype_policy(policy)
    ready = inference_model(model)
    assert all(layer.compute_dtype == "float32" for layer in ready.network.layers)
    given = open_export(kzoo.export(model, tmp_path / "m.tflite")).predict_on_batch(images)
    expected = ready.predict_on_batch(images)
    assert np.allclose(expected["scores"], given["scores"], atol=1e-5)


def test_only_normalisations_that_follow_one_convolution_are_folded(images):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", name="shared")(inputs)
    y = keras.layers.BatchNormalization(name="of_shared")(x)
    y = keras.layers.Conv2D(8, 1, activation="relu", name="bent")(keras.layers.Add()([x, y]))
    y = keras.layers.BatchNormalization(name="of_bent")(y)
    y = keras.layers.Conv2D(8, 1, name="plain", bias_initializer="random_normal")(y)
    y = keras.layers.BatchNormalization(name="of_plain", scale=False, center=False)(y)
    network = keras.Model(inputs, [y])
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    folded = folded_network(network)
    assert {layer.name for layer in folded.layers} >= {"of_shared", "of_bent", "plain"}
    assert "of_plain" not in {layer.name for layer in folded.layers}
    pixels = images / np.float32(255)
    assert np.allclose(network(pixels)[0], folded(pixels)[0], atol=1e-5)


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_gelu_is_the_same_everywhere(suffix, images, tmp_path):
    """TensorFlow computes it in an operation that ONNX does not have."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3), name="images")
    x = keras.layers.Conv2D(8, 3, strides=4, activation="gelu")(
        keras.layers.Rescaling(1 / 64, offset=-2)(inputs)
    )
    network = keras.Model(inputs, [keras.layers.GlobalAveragePooling2D(keepdims=True)(x)], name="network")
    model = kzoo.ZooModel(network, kzoo.heads.ClassifyHead(3, name="head"), SIZE, NAMES, name="small")
    expected = model.predict_on_batch(images)
    given = open_export(kzoo.export(model, tmp_path / f"m{suffix}")).predict_on_batch(images)
    np.testing.assert_allclose(given["scores"], expected["scores"], atol=1e-5)
    assert expected["scores"].std() > 0.01


@pytest.mark.parametrize("form", ["tflite", "onnx"])
def test_threads_share_one_opened_file(form, exported, images):
    from concurrent.futures import ThreadPoolExecutor

    file = kzoo.load(exported(form))
    wanted = [file.predict_on_batch(image[None])["scores"] for image in images]
    order = [number % len(images) for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: file.predict_on_batch(images[number][None])["scores"], order))
    for number, scores in zip(order, found, strict=True):
        np.testing.assert_allclose(scores, wanted[number], atol=1e-4)
