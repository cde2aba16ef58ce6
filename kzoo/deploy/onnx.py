"""ONNX files of standard operators alone."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kzoo.deploy.graph import PARTS, Graph
from kzoo.deploy.metadata import FILE_NAME, Metadata
from kzoo.deploy.onnx_loops import open_loops
from kzoo.deploy.onnx_padding import say_padding
from kzoo.deploy.onnx_suppression import append_suppression
from kzoo.model import ZooModel
from kzoo.system.quiet import native_output_hidden

OPSET = 17
# Below this a tensor may be a shape or a threshold, which the converter wants to see.
_LARGE = 4096


def write_onnx(
    path: Path, model: ZooModel, meta: Metadata, part: str = "whole", opset: int | None = None
) -> None:
    """Writes a model that was made ready by `inference_model`.

    Args:
        path: the file to write.
        model: the model to write.
        meta: the description of the export, stored as a property of the ONNX model.
        part: the part to write: "whole", "network" (to the raw outputs) or "decoding" (from them).
        opset: the version of ONNX's operators; 17 where None.

    Raises:
        ImportError: the extra `onnx` is not installed.
    """
    proto = convert(PARTS[part](model, meta), opset)
    import onnx

    onnx.helper.set_model_props(proto, {FILE_NAME: meta.to_json()})
    proto.producer_name, proto.producer_version = "kzoo", meta.version
    onnx.checker.check_model(proto)
    onnx.save(proto, path)


def convert(graph: Graph, opset: int | None = None):
    """An `onnx.ModelProto` of standard operators alone.

    Args:
        graph: the function that it computes.
        opset: the version of ONNX's operators; 17 where None.

    Raises:
        ImportError: the extra `onnx` is not installed.
    """
    try:
        import onnx  # noqa: F401, which what follows needs
        import tf2onnx
    except ImportError as error:
        raise ImportError(f"writing ONNX needs more packages ({error}): pip install 'kzoo[onnx]'") from error

    large = [variable for variable in graph.owner.variables if np.prod(variable.shape) > _LARGE]
    weights = {f"weight{i}": variable for i, variable in enumerate(large)}
    count = len(graph.signature)

    def with_weights(*values):
        with keras.StatelessScope(list(zip(large, values[count:], strict=True))):
            return graph.function(*values[:count])

    # The converter copies its graph, constants and all, at every one of its many steps. So the weights enter
    # as inputs and are put in at the end: a seventh of the time.
    signature = [*graph.signature]
    signature += [tf.TensorSpec(v.shape, tf.float32, name=name) for name, v in weights.items()]
    with native_output_hidden(), _functions_inlined(), _without_copies(), _scalars_no_biases():
        traced = tf.function(with_weights, input_signature=signature, autograph=False)
        proto, _ = tf2onnx.convert.from_function(
            traced, signature, opset=opset or OPSET, custom_op_handlers={"Erfc": (_complementary_error, [])}
        )
    open_loops(proto.graph)
    _insert(proto.graph, {name: np.asarray(variable) for name, variable in weights.items()})
    if graph.signature[0].shape[0] is None:
        for value in (*proto.graph.input, *proto.graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    say_padding(proto)
    if graph.suppressing is not None:
        append_suppression(proto, graph.suppressing)
    return proto


@contextlib.contextmanager
def _functions_inlined():
    """While a graph is traced: functions within it become part of it.

    Keras puts grouped convolutions into one, which the converter cannot look into.
    """
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


@contextlib.contextmanager
def _without_copies():
    """While a graph is converted: its optimizers work on it as it is.

    By default each of some thirty steps copies the graph first, a third of the time, to have it if the step fails.
    """
    name, before = "TF2ONNX_CATCH_ERRORS", os.environ.get("TF2ONNX_CATCH_ERRORS")
    os.environ[name] = "false"
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


@contextlib.contextmanager
def _scalars_no_biases():
    """While a graph is converted: a number that is added to a convolution's maps is not taken for its bias.

    The converter asks for the longest axis of what it takes for one, and a number has none. So ended hard sigmoids
    behind convolutions whose bias is 0, as untrained ones' is.
    """
    from tf2onnx.optimizer.transpose_optimizer import TransposeOptimizer

    merge_bias = TransposeOptimizer._add_handler

    def handler(self, transpose, node):
        added = node.inputs[1]
        if added.is_const() and not added.get_tensor_value(as_list=False).shape:
            return self._handle_node_having_branches(transpose, node)
        return merge_bias(self, transpose, node)

    TransposeOptimizer._add_handler = handler
    try:
        yield
    finally:
        TransposeOptimizer._add_handler = merge_bias


def _complementary_error(context, node, name, arguments) -> None:
    """Puts 1 - erf(x) for erfc(x), in which TensorFlow computes GELU and which ONNX and the converter do not know.

    Args:
        context: the converter's graph.
        node: the operation in it.
        name: name of the operation.
        arguments: further arguments, of which there are none.
    """
    shape, kind = context.get_shape(node.output[0]), context.get_dtype(node.output[0])
    context.remove_node(name)
    error = context.make_node("Erf", node.input, shapes=[shape], dtypes=[kind])
    one = context.make_const(f"{name}_one", np.ones((), np.float32))
    context.make_node(
        "Sub", [one.output[0], error.output[0]], outputs=node.output, shapes=[shape], dtypes=[kind]
    )


def _insert(graph, weights: dict[str, np.ndarray]) -> None:
    """Turns inputs into constants, in the order of axes that their reader wants."""
    from onnx import numpy_helper

    for node in [node for node in graph.node if node.op_type == "Transpose" and node.input[0] in weights]:
        order = list(node.attribute[0].ints)
        value = np.ascontiguousarray(weights[node.input[0]].transpose(order))
        graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
        graph.node.remove(node)
    read = {name for node in graph.node for name in node.input}
    for name in weights.keys() & read:
        graph.initializer.append(numpy_helper.from_array(weights[name], name))
    for value in [value for value in graph.input if value.name in weights]:
        graph.input.remove(value)
