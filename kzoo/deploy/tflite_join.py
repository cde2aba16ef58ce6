"""Two TFLite models, one after the other, as one."""

from __future__ import annotations

from tensorflow.lite.tools import flatbuffer_utils


def join(first: bytes, second: bytes) -> bytes:
    """One model that feeds the first's outputs to the inputs of the same names of the second.

    Operators, tensors, buffers and subgraphs of the second are appended to the first's, their indices shifted.

    Args:
        first: the content of a TFLite file with one signature.
        second: the content of another, whose inputs are all outputs of the first.

    Returns:
        The content of a file with the first's inputs and the second's outputs.
    """
    model, tail = (flatbuffer_utils.convert_bytearray_to_object(content) for content in (first, second))
    _shift_references(tail, len(model.operatorCodes), len(model.buffers), len(model.subgraphs) - 1)
    main, appended = model.subgraphs[0], tail.subgraphs[0]
    signature, outputs = model.signatureDefs[0], tail.signatureDefs[0]

    # Where each tensor of the second is in the joined model: behind the first's, but inputs are the first's outputs.
    # -1 stands for an input that an operator leaves out.
    offset = len(main.tensors)
    place = {-1: -1, **{i: i + offset for i in range(len(appended.tensors))}}
    by_name = {tensor.name: tensor.tensorIndex for tensor in signature.outputs}
    for tensor in outputs.inputs:
        place[tensor.tensorIndex] = by_name[tensor.name]
    for operator in appended.operators:
        for field in ("inputs", "outputs", "intermediates"):
            indices = getattr(operator, field)
            if indices is not None:
                setattr(operator, field, [place[int(i)] for i in indices])
    for tensor in outputs.outputs:
        tensor.tensorIndex = place[tensor.tensorIndex]

    main.tensors += appended.tensors
    main.operators += appended.operators
    main.outputs = [place[int(i)] for i in appended.outputs]
    signature.outputs = outputs.outputs
    model.operatorCodes += tail.operatorCodes
    model.buffers += tail.buffers
    model.subgraphs += tail.subgraphs[1:]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _shift_references(model, codes: int, buffers: int, subgraphs: int) -> None:
    """Adds offsets to all references to operator codes, buffers and subgraphs other than the main one."""
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            # Buffer 0 is the empty one in every model.
            tensor.buffer += buffers if tensor.buffer else 0
        for operator in subgraph.operators:
            operator.opcodeIndex += codes
            options = operator.builtinOptions
            for name, value in vars(options).items() if options is not None else ():
                if name.lower().endswith("subgraphindex"):
                    setattr(options, name, value + subgraphs)
