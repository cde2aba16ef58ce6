"""What exports take of the processor in their runtimes, on one thread, and single convolutions: where LiteRT is slower.

`pytest -m benchmark -s tests/benchmarks/test_runtime_speed.py -k "convolutions or tiny"`
"""

import functools
import time

import numpy as np
import pytest

import kzoo
from kzoo.deploy.opening import open_export

RUNS = 12
SUFFIXES = {"LiteRT": "tflite", "onnxruntime": "onnx", "OpenVINO": "openvino"}
# Side and channels of a map, channels after it, side of the kernel: layers of YOLOv3.
CONVOLUTIONS = [(52, 128, 256, 3), (26, 256, 512, 3), (13, 512, 1024, 3), (13, 1024, 512, 1)]


def milliseconds(functions):
    """The least processor time that each takes, by turns."""
    spent = [[] for _ in functions]
    for _ in range(1 + RUNS):
        for function, times in zip(functions, spent, strict=True):
            start = time.process_time()
            function()
            times.append(1000 * (time.process_time() - start))
    return [min(times[1:]) for times in spent]


@pytest.mark.benchmark
@pytest.mark.parametrize("name", ["yolov3-tiny", "yolov3"])
def test_exports(name, tmp_path):
    """Float32, decoding and suppression inside."""
    for package in ("ai_edge_litert", "onnxruntime", "openvino"):
        pytest.importorskip(package)
    model = kzoo.build(name)
    images = np.random.default_rng(0).integers(0, 256, (1, *model.image_size, 3), np.uint8)
    runs = []
    for suffix in SUFFIXES.values():
        path = tmp_path / f"{name}.{suffix}"
        kzoo.export(model, path)
        runs.append(functools.partial(open_export(path, threads=1).predict_on_batch, images))
    spent = milliseconds(runs)
    print(f"\n{name}, an image, one thread, of the processor")
    for runtime, each in zip(SUFFIXES, spent, strict=True):
        print(f"{runtime:<12} {each:8.1f} ms, {each / spent[1]:.2f} of onnxruntime's")


def lite(kernel, bias, side):
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    def function(x):
        return tf.nn.conv2d(x, tf.constant(kernel), 1, "SAME") + tf.constant(bias)

    signature = [tf.TensorSpec((1, side, side, kernel.shape[2]))]
    traced = tf.function(function, input_signature=signature).get_concrete_function()
    content = tf.lite.TFLiteConverter.from_concrete_functions([traced]).convert()
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter.invoke


def onnx(kernel, bias, side):
    import onnxruntime
    from onnx import helper, numpy_helper

    size, _, before, after = kernel.shape
    shapes = {"x": (1, before, side, side), "y": (1, after, side, side)}
    known = {"kernel": np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)), "bias": bias}
    values = {name: helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items()}
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", *known], ["y"], pads=[size // 2] * 4)],
        "convolution", [values["x"]], [values["y"]], [numpy_helper.from_array(v, k) for k, v in known.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    x = np.zeros(shapes["x"], np.float32)
    return lambda: session.run(None, {"x": x})


@pytest.mark.benchmark
def test_convolutions():
    for package in ("ai_edge_litert", "onnx", "onnxruntime"):
        pytest.importorskip(package)
    print("\nmap              kernel      LiteRT   onnxruntime   ratio")
    rng = np.random.default_rng(0)
    for side, before, after, size in CONVOLUTIONS:
        kernel = rng.normal(0, 0.1, (size, size, before, after)).astype("float32")
        bias = rng.normal(size=after).astype("float32")
        mine, theirs = milliseconds([lite(kernel, bias, side), onnx(kernel, bias, side)])
        shapes = f"{side}x{side}x{before}", f"{size}x{size}x{after}"
        print("{:<16} {:<10} {:5.1f} ms {:10.1f} ms {:7.2f}".format(*shapes, mine, theirs, mine / theirs))
