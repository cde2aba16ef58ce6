"""Poolings of boxes in a SavedModel, in TFLite's built-in operators and in ONNX equal Keras's."""

import numpy as np
import pytest
import tensorflow as tf

from kzoo.ops.roi import precise_roi_pool, precise_roi_slopes, precise_roi_windows, roi_align, roi_pool

STRIDES = (4, 8)
POOLINGS = {
    "align": lambda fine, coarse, boxes: roi_align([fine, coarse], boxes, (3, 2), STRIDES),
    "precise": lambda fine, coarse, boxes: precise_roi_pool([fine, coarse], boxes, (3, 2), STRIDES),
    "windows": lambda fine, coarse, boxes: precise_roi_windows([fine, coarse], boxes, (3, 2), STRIDES),
    "slopes": lambda fine, coarse, boxes: (
        10 * precise_roi_slopes([fine, coarse], boxes, (3, 2), STRIDES)[1][2]
    ),
    "maximum": lambda fine, coarse, boxes: roi_pool(coarse, boxes, (3, 2), STRIDES[1]),
}


def maps_and_boxes():
    rng = np.random.default_rng(0)
    corners = rng.uniform(-8, 60, (2, 9, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(-4, 40, corners.shape)], axis=-1)
    boxes[0, 0] = [0, 0, 300, 200]  # of the coarse map
    given = {
        "fine": rng.normal(size=(2, 12, 16, 5)),
        "coarse": rng.normal(size=(2, 6, 8, 5)),
        "boxes": boxes,
    }
    return {name: value.astype("float32") for name, value in given.items()}


def run_saved_model(folder, function, given):
    return tf.saved_model.load(str(folder)).signatures["serving_default"](**given)


def run_tflite(folder, function, given):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    interpreter = litert.Interpreter(model_content=converter.convert())
    return interpreter.get_signature_runner("serving_default")(**given)


def run_onnx(folder, function, given):
    tf2onnx, onnxruntime = pytest.importorskip("tf2onnx"), pytest.importorskip("onnxruntime")
    proto, _ = tf2onnx.convert.from_function(function, function.input_signature, opset=17)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    taken = {value.name for value in session.get_inputs()}  # a map that is not pooled is none
    outputs = session.run(None, {name: value for name, value in given.items() if name in taken})
    return dict(zip([value.name for value in session.get_outputs()], outputs, strict=True))


@pytest.mark.long
@pytest.mark.parametrize(
    "run", [run_tflite, *(pytest.param(run, marks=pytest.mark.slow) for run in (run_saved_model, run_onnx))]
)
@pytest.mark.parametrize("name", POOLINGS)
def test_outputs_are_keras_s(name, run, tmp_path):
    given = maps_and_boxes()
    module = tf.Module()
    signature = [tf.TensorSpec(value.shape, tf.float32, name=key) for key, value in given.items()]
    module.pool = tf.function(
        lambda fine, coarse, boxes: {"pooled": POOLINGS[name](fine, coarse, boxes)}, signature
    )
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.pool})
    expected = POOLINGS[name](**{key: tf.constant(value) for key, value in given.items()})
    assert np.abs(expected).max() > 1
    (found,) = run(tmp_path, module.pool, given).values()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
