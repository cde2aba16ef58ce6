"""Suppression by ONNX's own operator, behind a graph that gives pairs of a box and a class."""

from __future__ import annotations

import numpy as np

from kzoo.deploy.onnx_loops import rename

_NONE = -1.0  # less than any score


def append_suppression(model, head) -> None:
    """Puts detections in the place of a graph's pairs, in place: those of greedy suppression.

    `NonMaxSuppression` gives as many boxes as it keeps. They are marked among the pairs, and the best of those are
    given out, so that the outputs have the fixed shapes of all other exports.

    Args:
        model: an `onnx.ModelProto` with outputs `boxes` (B, K, 4), `scores` (B, K) and `labels` (B, K) int32.
        head: the `DetectionHead` whose settings hold.
    """
    graph = model.graph
    outputs = {value.name: value for value in graph.output}
    count = outputs["scores"].type.tensor_type.shape.dim[1].dim_value
    most = min(head.max_detections, count)
    for name in ("boxes", "scores", "labels"):
        _rename_made(graph, name, f"{name}_of_pairs")
        outputs[name].type.tensor_type.shape.dim[1].dim_value = head.max_detections
    build = _Builder(graph)
    pairs = {name: f"{name}_of_pairs" for name in ("boxes", "scores", "labels")}
    kept = _kept(build, pairs, head)  # (B, K) bool
    ranked = build.node("Where", kept, pairs["scores"], build.constant(_NONE))  # (B, K)
    best, places = build.nodes("TopK", 2, ranked, build.constant([most], np.int64))  # (B, M) each
    there = build.node("Greater", best, build.constant(_NONE / 2))  # (B, M) bool
    places = build.node("Unsqueeze", places, build.constant([2], np.int64))  # (B, M, 1)
    column = build.node("Unsqueeze", there, build.constant([2], np.int64))
    padding = head.max_detections - most
    for name, mask, empty in (
        ("boxes", column, np.float32(0)),
        ("scores", there, np.float32(0)),
        ("labels", there, np.int32(-1)),
    ):
        values = build.node("GatherND", pairs[name], places, batch_dims=1)
        values = build.node("Where", mask, values, build.constant(empty, empty.dtype))
        ends = [0, 0, 0, 0, padding, 0] if name == "boxes" else [0, 0, 0, padding]
        arguments = values, build.constant(ends, np.int64), build.constant(empty, empty.dtype)
        build.node("Pad", *arguments, output=name)


def _kept(build: _Builder, pairs: dict[str, str], head) -> str:
    """Which of the pairs stay: the name of a value (B, K) bool."""
    scores = build.node("Unsqueeze", pairs["scores"], build.constant([1], np.int64))  # (B, 1, K)
    if not head.class_agnostic:  # each class has its own pairs, those of others score nothing
        classes = build.constant(np.arange(head.num_classes)[None, :, None], np.int32)  # (1, C, 1)
        labels = build.node("Unsqueeze", pairs["labels"], build.constant([1], np.int64))
        scores = build.node(
            "Where", build.node("Equal", labels, classes), scores, build.constant(_NONE)
        )  # (B, C, K)
    chosen = build.node(
        "NonMaxSuppression",
        pairs["boxes"],
        scores,
        build.constant([head.max_detections], np.int64),
        build.constant([head.nms_threshold]),
        build.constant([head.score_threshold]),
    )  # (S, 3): image, class, pair
    rows = build.node("Gather", chosen, build.constant([0, 2], np.int64), axis=1)  # (S, 2)
    total = build.node("Gather", build.node("Shape", rows), build.constant([0], np.int64), axis=0)
    ones = build.node("Expand", build.constant([1.0]), total)  # (S,)
    zeros = build.node("Expand", build.constant(0.0), build.node("Shape", pairs["scores"]))  # (B, K)
    return build.node("Greater", build.node("ScatterND", zeros, rows, ones), build.constant(0.5))


class _Builder:
    """Adds nodes to the end of a graph, each under a name of its own.

    Args:
        graph: an `onnx.GraphProto`.
    """

    def __init__(self, graph):
        self.graph = graph
        self.count = 0

    def node(self, kind: str, *inputs: str, output: str = "", **attributes) -> str:
        """A node's one output, by its name, which is `output` where that is given."""
        (made,) = self.nodes(kind, 1, *inputs, output=output, **attributes)
        return made

    def nodes(self, kind: str, results: int, *inputs: str, output: str = "", **attributes) -> list[str]:
        """The names of a node's outputs, so many as `results`."""
        from onnx import helper

        name = self._name(kind)
        made = [output] if output else [f"{name}_{i}" for i in range(results)]
        self.graph.node.append(helper.make_node(kind, list(inputs), made, name=name, **attributes))
        return made

    def constant(self, value, kind=np.float32) -> str:
        """The name of a constant of a type."""
        from onnx import numpy_helper

        name = self._name("constant")
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def _name(self, kind: str) -> str:
        self.count += 1
        return f"suppression_{self.count}_{kind}"


def _rename_made(graph, old: str, new: str) -> None:
    """Has a graph's value another name, wherever it is made and read."""
    for node in graph.node:
        for i, name in enumerate(node.output):
            if name == old:
                node.output[i] = new
    rename(graph, old, new)
