"""ONNX files of other people's networks: what their layers learnt, read from the graph without running it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kzoo.weights.matching import Convolution, Sources, joined
from kzoo.weights.yolo_tables import is_distances

MOST_BYTES = 2**31  # of a file: what protobuf itself can have
_MOST_NODES = 20_000  # YOLOv5x6's exports have about 1,000
# Names under which a state dict has anchors in pixels, of which the number in the middle says nothing.
_ANCHORS = "model.0.anchor_grid"
# What the learnt inputs of operations are called in torch, in their order.
_LEARNT = {
    "Conv": ("weight", "bias"),
    "ConvTranspose": ("weight", "bias"),
    "BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
}
_CONVOLUTIONS = ("Conv", "ConvTranspose")
_PLACE = "operation "


@dataclass(frozen=True)
class OnnxFile:
    """What is learnt in an ONNX file.

    Attributes:
        tensors: float32 arrays by their names in the file; those that it calls otherwise than torch's modules do as
            `operation N.weight` and `operation N.bias`, by their place in the graph. With them anchors, where there are
            any: (levels, 1, anchors, 1, 1, 2) in pixels, finest level first.
        convolutions: all that the graph has, called as their tensors are without what is behind the last dot.
    """

    tensors: dict[str, np.ndarray]
    convolutions: list[Convolution]


def read_onnx(path: Path) -> OnnxFile:
    """What is learnt in an ONNX file.

    Args:
        path: an `.onnx` file with all its numbers inside.

    Raises:
        ImportError: the extra `onnx` is not installed.
        ValueError, and whatever protobuf and onnx raise: the file is damaged, too large, has numbers elsewhere, or
            computes its kernels.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError(f"{path}: reading ONNX needs one more package: pip install 'kzoo[onnx]'") from error
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path.stat().st_size:,} bytes, more than {MOST_BYTES:,}")
    graph = onnx.load(path, load_external_data=False).graph
    if not graph.node:
        raise ValueError("no graph")
    if len(graph.node) > _MOST_NODES:
        raise ValueError(f"{len(graph.node):,} operations, more than {_MOST_NODES:,}")
    constants = _constants(graph)
    tensors, convolutions = _learnt(graph, constants)
    anchors = _anchors(constants)
    return OnnxFile(tensors if anchors is None else {**tensors, _ANCHORS: anchors}, convolutions)


def _constants(graph) -> dict[str, np.ndarray]:
    """Numbers of a graph by name, whichever of three ways it has them."""
    from onnx import AttributeProto

    found = {tensor.name: _array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.type == AttributeProto.TENSOR:
                    found[node.output[0]] = _array(attribute.t)
        if node.op_type == "Identity" and node.input[0] in found:  # equal numbers, which torch stores once
            found[node.output[0]] = found[node.input[0]]
    return found


def _array(tensor) -> np.ndarray:
    """The numbers of a tensor.

    Raises:
        ValueError: they are in another file, or not as many as its shape has.
    """
    from onnx import TensorProto, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise ValueError(
            f"{tensor.name} is in another file, which is not opened; write one file: onnx.save(onnx.load(...), ...)"
        )
    return numpy_helper.to_array(tensor)


def _learnt(graph, constants: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[Convolution]]:
    """Tensors by name, and convolutions with what each takes."""
    sources: dict[str, Sources] = {}
    tensors, convolutions = {}, []
    for number, node in enumerate(graph.node):
        # What is computed of shapes alone, such as a size to enlarge to, is not of the maps.
        taken = [] if node.op_type == "Shape" else [sources.get(name, ()) for name in node.input]
        given = joined(taken, node.op_type == "Concat")
        parts = _LEARNT.get(node.op_type)
        if parts:
            names = [name for name in node.input[1:] if name]
            computed = [name for name in names if name not in constants]
            if computed:
                raise ValueError(
                    f"{computed[0]}, which {node.op_type} takes, is computed: no weight of a plain network"
                )
            module = _module(names[0], number)
            own = {
                f"{module}.{part}": np.asarray(constants[name], np.float32)
                for part, name in zip(parts, names, strict=False)
            }
            kernel = own[f"{module}.weight"]
            # A distribution's expectation is computed by a kernel of 0, 1, 2, ..., which is no layer of ours. Where it
            # is known by its name, whoever takes the tensors sees whether it is that.
            counts = _is_counting(kernel)
            if not counts:
                tensors |= own
            if node.op_type in _CONVOLUTIONS and not counts and not is_distances(module):
                convolutions.append(Convolution(module, kernel.shape, _strides(node), given))
                given = (frozenset([module]),)
        sources |= dict.fromkeys(node.output, given)
    return tensors, convolutions


def _module(name: str, number: int) -> str:
    """What a layer is called by the name of its first tensor; by its place in the graph, where that is no name."""
    module, dot, part = name.rpartition(".")
    return (
        module if dot and part in _LEARNT["BatchNormalization"] and "::" not in name else f"{_PLACE}{number}"
    )


def is_anonymous(module: str) -> bool:
    """Whether this is no name of the file's but a place in its graph."""
    return module.startswith(_PLACE)


def _is_counting(kernel: np.ndarray) -> bool:
    """Whether a kernel (1, N, 1, 1) is 0, 1, 2 and so on."""
    count = kernel.shape[1] if kernel.ndim == 4 else 0
    return (
        count > 1
        and kernel.shape == (1, count, 1, 1)
        and np.array_equal(kernel.reshape(-1), np.arange(count))
    )


def _strides(node) -> tuple[int, ...]:
    found = [tuple(attribute.ints) for attribute in node.attribute if attribute.name == "strides"]
    return found[0] if found else (1, 1)


def _anchors(constants: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Anchors in pixels, (levels, 1, anchors, 1, 1, 2); None where there are none.

    A file has them as factors of the decoded sizes: (1, anchors, rows, columns, 2) for each level, the same at all
    places, or all levels at once.
    """
    levels = []
    for array in constants.values():
        if array.ndim == 6 and array.shape[1::2] == (1, 1, 2) and array.shape[4] == 1 and (array > 0).all():
            return np.asarray(array, np.float32)
        if array.ndim == 5 and array.shape[0] == 1 and array.shape[-1] == 2 and array.size:
            first = array[:, :, :1, :1]
            if array.shape[1] > 1 and (array == first).all() and (first > 0).all():
                levels.append(np.asarray(first, np.float32))
    levels = [
        level
        for i, level in enumerate(levels)
        if not any(np.array_equal(level, other) for other in levels[:i])
    ]
    if not levels or len({level.shape for level in levels}) > 1:
        return None
    return np.stack(sorted(levels, key=lambda level: level.prod(-1).mean()))
