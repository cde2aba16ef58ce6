"""Loops of ONNX graphs in the form that every runtime reads."""

from __future__ import annotations


def open_loops(graph) -> None:
    """Rewrites the loops of a graph, and those inside them, in place.

    The converter carries what a loop only reads as a state that its body hands on as it came. onnxruntime takes that;
    OpenVINO counts such a state twice and refuses the file. So what is only read is read from outside, as ONNX lets
    bodies do, which also spares a copy in each round; and what is handed on nevertheless, such as a value of the
    round before, goes through an operator.

    Args:
        graph: an `onnx.GraphProto`.
    """
    for node in graph.node:
        for attribute in node.attribute:
            if not attribute.HasField("g"):
                continue
            open_loops(attribute.g)
            if node.op_type == "Loop":
                _read_from_outside(graph, node, attribute.g)
            _hand_on(attribute.g)


def _read_from_outside(graph, loop, body) -> None:
    """Takes the states away that no round changes.

    Args:
        graph: the graph that the loop is in.
        loop: the node, which takes how many rounds there are, whether to begin, and the states it begins with, and
            gives the states it ends with.
        body: the node's graph, which takes the round, whether to go on, and the states, and gives the latter two.
    """
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    for i in reversed(range(len(loop.input) - 2)):
        name, outside = body.input[i + 2].name, loop.input[i + 2]
        if body.output[i + 1].name != name or loop.output[i] in read:
            continue
        rename(body, name, outside)
        del loop.input[i + 2], loop.output[i], body.input[i + 2], body.output[i + 1]


def rename(graph, old: str, new: str) -> None:
    """Has the nodes of a graph, and of those inside it, read one value in the place of another."""
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == old:
                node.input[i] = new
        for attribute in node.attribute:
            if attribute.HasField("g"):
                rename(attribute.g, old, new)


def _hand_on(body) -> None:
    """Has every output of a body come out of a node of its own."""
    made = {name for node in body.node for name in node.output}
    for i, value in enumerate(body.output):
        if value.name not in made:
            node = body.node.add(op_type="Identity", name=f"{value.name}_handed_on_{i}")
            node.input.append(value.name)
            value.name = f"{value.name}_handed_on_{i}"
            node.output.append(value.name)
