"""From a model built in Keras to Darknet's description of it, section by section."""

from __future__ import annotations

import re

from keras import layers

from kzoo.augment.letterbox import RESIZES
from kzoo.darknet.plan import IMAGE
from kzoo.darknet.tensors import KerasLayers
from kzoo.heads.classify import ClassifyHead
from kzoo.heads.yolo import YoloHead
from kzoo.layers.activations import activation_of
from kzoo.model import ZooModel

_ORDER = ("backbone", "neck")  # Darknet's files have the convolutions of the one before those of the other.
_LOSSES = {"paper": "mse"}


def describe(model: ZooModel) -> tuple[str, dict[int, KerasLayers]]:
    """A model as a `.cfg`, and the Keras layers of each of its layers that has weights.

    The convolutions stand in the order that their names number, which for the zoo's models is that of Darknet's own
    cfg files, so that their `.weights` fit.

    Raises:
        ValueError: it has a layer or a head that Darknet has no section for; the message names it.
    """
    writer = _Writer(model)
    writer.write()
    return "\n".join(writer.lines) + "\n", writer.keras_layers


class _Writer:
    """Writes sections until every layer of the network has one.

    Attributes:
        model: the model that is described.
        lines: the lines of the cfg written so far.
        keras_layers: the Keras layers that hold weights, by Darknet's number of the layer.
        numbers: Darknet's number of the layer that gives a tensor, by the name of the Keras layer that gives it.
        count: how many sections are written, `[net]` apart: the number of the next layer.
    """

    def __init__(self, model: ZooModel):
        self.model = model
        self.lines: list[str] = []
        self.keras_layers: dict[int, KerasLayers] = {}
        self.numbers: dict[str, int] = {}
        self.count = 0

    def write(self) -> None:
        """Fills `lines` and `keras_layers`.

        Raises:
            ValueError: there is a layer or a head that Darknet has no section for.
        """
        model, (height, width) = self.model, self.model.image_size
        self.lines = [
            "[net]",
            "batch=1",
            "subdivisions=1",
            f"width={width}",
            f"height={height}",
            "channels=3",
        ]
        self.lines += ["momentum=0.9", "decay=0.0005", "learning_rate=0.001"]
        if RESIZES[model.resize].keeps_aspect:
            self.lines.append("letter_box=1")
        heads = {tensor._keras_history.operation.name: i for i, tensor in enumerate(model.network.outputs)}
        convolutions = [layer for layer in model.network.layers if isinstance(layer, layers.Conv2D)]
        for conv in sorted(convolutions, key=self._place):
            end = self._end(conv)
            self.number(end.output)
            if isinstance(model.head, YoloHead) and end.name in heads:
                self._level(heads.pop(end.name))
        if isinstance(model.head, ClassifyHead):
            self._classifier()
        elif not isinstance(model.head, YoloHead) or heads:
            raise self._foreign(model.head)

    def _place(self, conv) -> tuple:
        """Where a convolution stands in Darknet's file, by its name, such as "backbone_conv12"."""
        match = re.fullmatch(r"([a-z]+)_conv(\d+)", conv.name)
        if not match or match[1] not in _ORDER:
            raise self._foreign(conv)
        return _ORDER.index(match[1]), int(match[2])

    def _foreign(self, layer) -> ValueError:
        return ValueError(
            f"{self.model.name}: {layer.name} ({type(layer).__name__}) has no counterpart in Darknet; "
            "models of Darknet's convolutions and heads can be written, and those read from a .cfg"
        )

    def number(self, tensor) -> int:
        """Darknet's number of the layer that gives a tensor, which is written if it is not yet."""
        layer = tensor._keras_history.operation
        if layer.name not in self.numbers:
            self.numbers[layer.name] = self._written(layer)
        return self.numbers[layer.name]

    def _written(self, layer) -> int:
        """Writes the section of a layer, after those of its inputs, and gives its number."""
        if isinstance(layer, (layers.InputLayer, layers.Rescaling)):
            return IMAGE
        if isinstance(layer, layers.MaxPooling2D):
            return self._after(layer.input, "maxpool", size=layer.pool_size[0], stride=layer.strides[0])
        if isinstance(layer, layers.UpSampling2D):
            return self._after(layer.input, "upsample", stride=layer.size[0])
        if isinstance(layer, layers.Concatenate):
            return self._route([self.number(tensor) for tensor in layer.input])
        if isinstance(layer, layers.Add):
            numbers = [self.number(tensor) for tensor in layer.input]
            # [shortcut] adds to the layer before it: to the last of its inputs, so that no [route] is needed.
            first = max(numbers)
            self._follow(first)
            others = [str(number) for number in numbers if number != first]
            return self._section("shortcut", **{"from": ",".join(others), "activation": "linear"})
        return self._convolution(layer)

    def _convolution(self, last) -> int:
        """A convolution with what stands before and behind it in the chain that ends with `last`."""
        activation, norm = "linear", None
        layer = last
        if not isinstance(layer, (layers.Conv2D, layers.BatchNormalization)):
            activation = activation_of(layer)
            if activation is None:
                raise self._foreign(last)
            layer = layer.input._keras_history.operation
        if isinstance(layer, layers.BatchNormalization):
            norm, layer = layer, layer.input._keras_history.operation
        if not isinstance(layer, layers.Conv2D):
            raise self._foreign(layer)
        conv, tensor = layer, layer.input
        before = tensor._keras_history.operation
        if isinstance(before, layers.ZeroPadding2D):
            tensor = before.input
        options = {"batch_normalize": 1} if norm is not None else {}
        if conv.groups > 1:
            options["groups"] = conv.groups
        if conv.dilation_rate[0] > 1:
            options["dilation"] = conv.dilation_rate[0]
        number = self._after(
            tensor, "convolutional", **options, filters=conv.filters, size=conv.kernel_size[0],
            stride=conv.strides[0], pad=1, activation=activation,
        )  # fmt: skip
        self.keras_layers[number] = KerasLayers(conv, norm)
        return number

    def _end(self, conv):
        """The last layer of a convolution's chain: the activation, where there is one."""
        end, follower = conv, self._only_follower(conv)
        if isinstance(follower, layers.BatchNormalization):
            end, follower = follower, self._only_follower(follower)
        return follower if follower is not None and activation_of(follower) else end

    def _only_follower(self, layer):
        """The layer of the network that takes another's output; None where several do, or none."""
        # Keras notes the layers of other networks, too, which share this one.
        inside = [
            node.operation for node in layer._outbound_nodes if node.operation in self.model.network.layers
        ]
        return inside[0] if len(inside) == 1 else None

    def _level(self, level: int) -> None:
        """One level of the head: its convolution and its `[yolo]`."""
        head = self.model.head
        if type(head) is not YoloHead or not head.project or head.class_activation != "sigmoid":
            raise self._foreign(head)
        if head.nms_kind not in ("greedy", "diou"):
            raise ValueError(
                f"{self.model.name}: nms_kind={head.nms_kind!r} is no kind of Darknet's; write the model with "
                "greedy or diou, as kzoo.inference.detect.with_nms gives it"
            )
        square = head.size_transform == "square"
        conv = head.convs[level]
        number = self._section(
            "convolutional", filters=conv.filters, size=1, stride=1, pad=1,
            activation="logistic" if square else "linear",
        )  # fmt: skip
        self.keras_layers[number] = KerasLayers(conv)
        used = (tuple(anchor) for one in head.anchors for anchor in one)
        shapes = list(dict.fromkeys((*used, *map(tuple, head.spare_anchors))))
        options = {
            "mask": ",".join(str(shapes.index(tuple(anchor))) for anchor in head.anchors[level]),
            "anchors": ", ".join(f"{width:.9g},{height:.9g}" for width, height in shapes),
            "classes": head.num_classes,
            "num": len(shapes),
            "ignore_thresh": f"{head.ignore_threshold:g}",
            "truth_thresh": f"{head.truth_threshold:g}",
            "iou_thresh": f"{head.iou_threshold:g}",
            "iou_loss": _LOSSES.get(head.box_loss, head.box_loss),
            "iou_normalizer": f"{head.box_weight:g}",
            "obj_normalizer": f"{head.objectness_weight[level]:g}",
            "cls_normalizer": f"{head.class_weight:g}",
            "label_smooth_eps": f"{head.label_smoothing:g}",
            "scale_x_y": f"{head.scale_xy[level]:g}",
        }
        if square:
            options["new_coords"] = 1
        if head.objectness_target == "iou":
            options["objectness_smooth"] = 1
        if head.nms_kind == "diou":
            options |= {"nms_kind": "greedynms", "beta_nms": f"{head.nms_beta:g}"}
        self._section("yolo", **options)

    def _classifier(self) -> None:
        head = self.model.head
        if not head.project:
            raise self._foreign(head)
        self._after(self.model.network.outputs[-1], "avgpool")
        number = self._section(
            "convolutional", filters=head.num_classes, size=1, stride=1, pad=1, activation="linear"
        )
        self.keras_layers[number] = KerasLayers(head.classifier)
        self._section("softmax", groups=1)

    def _after(self, tensor, kind: str, **options) -> int:
        """A section that takes a tensor; a `[route]` goes before it where that is not the last layer's."""
        self._follow(self.number(tensor))
        return self._section(kind, **options)

    def _follow(self, number: int) -> None:
        """Sees to it that the next section takes the output of a layer."""
        if number != self.count - 1:
            self._route([number])

    def _route(self, numbers: list[int]) -> int:
        return self._section("route", layers=",".join(map(str, numbers)))

    def _section(self, kind: str, **options) -> int:
        self.lines += ["", f"[{kind}]", *(f"{key}={value}" for key, value in options.items())]
        self.count += 1
        return self.count - 1
