"""The TensorFlow functions that exports hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf

from kzoo.deploy.metadata import Metadata
from kzoo.model import ZooModel

INPUT, PROPOSALS = "images", "proposals"


@dataclass(frozen=True)
class Graph:
    """A function of a model's variables, as writers take it.

    Attributes:
        owner: the Keras model or layer whose variables the function reads.
        function: takes tensors and gives a dictionary of tensors.
        signature: shapes, types and names of the inputs.
        suppressing: the head whose detections ONNX's own operator chooses of the function's pairs; None where it is
            not to.
    """

    owner: keras.Model | keras.layers.Layer
    function: Callable
    signature: list[tf.TensorSpec]
    suppressing: keras.layers.Layer | None = None

    def outputs(self) -> list[tf.TensorSpec]:
        """Shapes, types and names of what the function gives."""
        traced = tf.function(self.function, input_signature=self.signature, autograph=False)
        results = traced.get_concrete_function().structured_outputs
        return [tf.TensorSpec(value.shape, value.dtype, name=name) for name, value in results.items()]


def whole(model: ZooModel, meta: Metadata) -> Graph:
    """Images -> results: normalisation, network, head, decoding and suppression.

    The images are uint8, so that clients copy no more than the picture. Of a model that needs them, proposals
    (B, P, 4) come beside.
    """
    raw = raw_outputs(model, meta)
    decoded = Graph(model, lambda *inputs: model.head.decode(raw.function(*inputs)), raw.signature)
    return _by_operator(decoded, model.head)


def raw_outputs(model: ZooModel, meta: Metadata) -> Graph:
    """Images -> the head's raw outputs: the network alone."""
    signature = [tf.TensorSpec((meta.batch_size, *meta.image_size, 3), tf.uint8, name=INPUT)]
    if meta.searching is not None:
        shape = (meta.batch_size, meta.searching["count"], 4)
        signature.append(tf.TensorSpec(shape, tf.float32, name=PROPOSALS))
    return Graph(model, lambda *inputs: model(_taken(*inputs), training=False), signature)


def decoding(model: ZooModel, meta: Metadata) -> Graph:
    """Raw outputs -> results."""
    specs = raw_outputs(model, meta).outputs()
    decoded = Graph(model.head, lambda *raw: model.head.decode(_named(specs, raw)), specs)
    return _by_operator(decoded, model.head)


def split_at_head(model: ZooModel, meta: Metadata, decode: bool = True) -> tuple[Graph, Graph]:
    """Images -> what the head's last layers take, and that -> results, or raw outputs without `decode`."""

    def front_outputs(images):
        maps = model.head.hidden(model.features(tf.cast(images, "float32"), training=False))
        # Two digits, for TensorFlow sorts outputs by their names.
        return {f"feature{i:02d}": x for i, x in enumerate(maps)}

    def head_outputs(*inputs):
        outputs = model.head.finish(list(inputs))
        return model.head.decode(outputs) if decode else outputs

    front = Graph(model, front_outputs, raw_outputs(model, meta).signature)
    back = Graph(model.head, head_outputs, front.outputs())
    return front, _by_operator(back, model.head) if decode else back


PARTS = {"whole": whole, "network": raw_outputs, "decoding": decoding}


def write_saved_model(path, graph: Graph) -> None:
    """A SavedModel folder whose signature `serving_default` is the graph; `path` must not exist."""
    archive = keras.export.ExportArchive()
    # It finds the variables in the function; those of a tracked model it would write a second time.
    archive.add_endpoint("serve", graph.function, input_signature=graph.signature)
    archive.write_out(str(path), verbose=False)


def _by_operator(graph: Graph, head) -> Graph:
    """The graph of what a head decodes, which says whether it gives pairs for ONNX's operator to choose of."""
    pairs = getattr(head, "left_open", "") == "pairs"
    return dataclasses.replace(graph, suppressing=head if pairs else None)


def _taken(images, proposals=None):
    """What a model takes, of what its graph takes."""
    images = tf.cast(images, "float32")
    return images if proposals is None else {INPUT: images, PROPOSALS: proposals}


def _named(specs: list[tf.TensorSpec], values) -> dict:
    return {spec.name: value for spec, value in zip(specs, values, strict=True)}
