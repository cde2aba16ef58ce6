"""Transposed convolutions of ONNX graphs, whose padding every runtime reads alike."""

from __future__ import annotations


def say_padding(model) -> None:
    """Puts in numbers the padding that the converter leaves to be found from the size of the output, in place.

    OpenVINO takes none where none is said, and so another part of the output. What has no fixed size stays.

    Args:
        model: an `onnx.ModelProto`.
    """
    import onnx

    if not any(node.op_type == "ConvTranspose" for node in model.graph.node):
        return  # to look at shapes copies the model, weights and all
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        value.name: [one.dim_value for one in value.type.tensor_type.shape.dim]
        for value in (*inferred.value_info, *inferred.input)
    }
    for node in model.graph.node:
        settings = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        if node.op_type != "ConvTranspose" or "output_shape" not in settings or "pads" in settings:
            continue
        sides = shapes.get(node.input[0], [])[2:]  # 0 for an unknown one
        if not sides or not all(sides) or settings.get("auto_pad", b"NOTSET") != b"NOTSET":
            continue
        names = ("output_shape", "strides", "kernel_shape", "dilations")
        totals = [
            (side - 1) * stride + dilation * (size - 1) + 1 - wanted
            for side, wanted, stride, size, dilation in zip(sides, *map(settings.get, names), strict=True)
        ]
        if min(totals) < 0:
            continue
        node.attribute.remove(next(one for one in node.attribute if one.name == "output_shape"))
        pads = [total - total // 2 for total in totals] + [total // 2 for total in totals]
        node.attribute.append(onnx.helper.make_attribute("pads", pads))
