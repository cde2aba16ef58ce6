"""ONNX files open, and find the same, in onnxruntime and in OpenVINO."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from random_models import randomised
from runtimes import assert_alike_everywhere

import kzoo
from kzoo.deploy.graph import Graph
from kzoo.deploy.onnx import convert
from kzoo.ops.nms import KINDS


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind == "greedy" else pytest.mark.slow) for kind in KINDS]
)
def test_every_suppression_opens_everywhere(kind, small_detector, images, tmp_path):
    path = kzoo.export(small_detector, tmp_path / "m.onnx", nms=kind)
    assert_alike_everywhere(path, images)


@pytest.mark.slow
def test_suppression_in_blocks_opens_everywhere(images, tmp_path):
    """Of more candidates than go in one block there are several loops."""
    model = kzoo.build("yolov3-tiny", num_classes=6, image_size=(128, 128), width=0.25, candidates=1200)
    path = kzoo.export(randomised(model), tmp_path / "m.onnx")
    loops = [node for node in onnx.load(path).graph.node if node.op_type == "Loop"]
    assert len(loops) > 1
    assert_alike_everywhere(path, images.repeat(2, axis=1).repeat(2, axis=2))


def test_what_a_loop_only_reads_is_no_state(exported):
    (loop,) = [node for node in onnx.load(exported("onnx")).graph.node if node.op_type == "Loop"]
    body = loop.attribute[0].g
    assert len(loop.input) - 2 == len(loop.output) == len(body.input) - 2 == len(body.output) - 1 == 2
    assert not {value.name for value in body.input} & {value.name for value in body.output}


@pytest.mark.slow
@pytest.mark.parametrize("opset", [13, 18])
def test_operators_of_other_versions(opset, small_detector, images, tmp_path):
    path = kzoo.export(small_detector, tmp_path / "m.onnx", opset=opset)
    assert onnx.load(path).opset_import[0].version == opset
    assert_alike_everywhere(path, images)


def test_only_onnx_has_versions_of_operators(small_detector, tmp_path):
    with pytest.raises(ValueError, match="opset=17: format='tflite' has no such"):
        kzoo.export(small_detector, tmp_path / "m.tflite", opset=17)
    with pytest.raises(ValueError, match="opset=99"):
        kzoo.export(small_detector, tmp_path / "m.onnx", opset=99)


def test_a_free_batch_has_one_name(exported):
    graph = onnx.load(exported("onnx")).graph
    firsts = {value.type.tensor_type.shape.dim[0].dim_param for value in (*graph.input, *graph.output)}
    assert firsts == {"batch"}


@pytest.mark.parametrize("bias", ["zeros", "ones"])
def test_a_number_added_behind_a_convolution_is_no_bias(bias):
    """As in hard sigmoids; a bias of zeros, such as untrained ones, is left out on the way."""
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(4, 3, bias_initializer=bias)(inputs)
    network = keras.Model(inputs, keras.layers.Conv2D(2, 3)(keras.layers.Activation("hard_sigmoid")(x)))
    signature = [tf.TensorSpec((None, 6, 6, 3), tf.float32, name="maps")]
    proto = convert(Graph(network, lambda maps: {"found": network(maps)}, signature))
    maps = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32")
    (found,) = onnxruntime.InferenceSession(proto.SerializeToString()).run(["found"], {"maps": maps})
    np.testing.assert_allclose(found, network(maps), atol=1e-5)
    assert sum(node.op_type == "Transpose" for node in proto.graph.node) <= 2
