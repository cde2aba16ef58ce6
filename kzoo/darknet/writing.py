"""From a model built in Keras to Darknet's description of it, section by section."""

from __future__ import annotations

import re

from keras import layers

from kzoo.augment.letterbox import RESIZES
from kzoo.darknet.head_sections import detection_keys, level_section
from kzoo.darknet.plan import IMAGE
from kzoo.darknet.tensors import KerasLayers
from kzoo.heads.classify import ClassifyHead
from kzoo.heads.grid import GridHead
from kzoo.heads.yolo import YoloHead
from kzoo.layers.activations import activation_of
from kzoo.layers.darknet_maps import ChannelGroup, Reorg, Shortcut
from kzoo.layers.darknet_windows import LocallyConnected
from kzoo.model import ZooModel

_ORDER = ("backbone", "neck")  # Darknet's files have the convolutions of the one before those of the other.
_NUMBERED = (layers.Conv2D, layers.Dense, LocallyConnected)
_SUMS = (layers.Add, Shortcut)


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
        numbered = [layer for layer in model.network.layers if isinstance(layer, _NUMBERED)]
        for layer in sorted(numbered, key=self._place):
            end = self._end(layer)
            self.number(end.output)
            if isinstance(model.head, YoloHead) and end.name in heads:
                self._level(heads.pop(end.name))
            follower = self._only_follower(end)
            if isinstance(
                follower, layers.UpSampling2D
            ):  # Darknet's files have it at once, not where it is needed
                self.number(follower.output)
        if isinstance(model.head, ClassifyHead):
            self._classifier()
        elif isinstance(model.head, GridHead):
            self._follow(self.number(model.network.outputs[-1]))
            self._section("detection", **detection_keys(model.head))
        elif not isinstance(model.head, YoloHead) or heads:
            raise self._foreign(model.head)

    def _place(self, layer) -> tuple:
        """Where a layer with weights stands in Darknet's file, by its name, such as "backbone_conv12"."""
        match = re.fullmatch(r"([a-z]+)_(?:conv|dense|local)(\d+)", layer.name)
        if not match or match[1] not in _ORDER:
            raise self._foreign(layer)
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
        if isinstance(layer, ChannelGroup):
            return self._route([self.number(layer.input)], groups=layer.groups, group_id=layer.group)
        if isinstance(layer, Reorg):
            return self._after(layer.input, "reorg3d" if layer.true else "reorg", stride=layer.stride)
        if isinstance(layer, layers.Dropout):
            return self._after(layer.input, "dropout", probability=f"{layer.rate:g}")
        if isinstance(layer, layers.Flatten):
            return self.number(layer.input)  # [connected] takes maps as they are
        if isinstance(layer, _SUMS):
            return self._sum(layer)
        if activation_of(layer) and isinstance(layer.input._keras_history.operation, _SUMS):
            return self._sum(layer.input._keras_history.operation, activation_of(layer))
        return self._weighted(layer)

    def _sum(self, layer, activation: str = "linear") -> int:
        """The `[shortcut]` of maps that are added up."""
        numbers = [self.number(tensor) for tensor in layer.input]
        # [shortcut] adds to the layer before it: to the last of its inputs, so that no [route] is needed. What adds
        # over the channels that its inputs share has the first one's.
        first = max(numbers) if isinstance(layer, layers.Add) else numbers[0]
        if isinstance(layer, Shortcut) and (layer.count or set(layer.steps) != {1}):
            raise self._foreign(layer)
        self._follow(first)
        others = [str(number) for number in numbers if number != first]
        return self._section("shortcut", **{"from": ",".join(others), "activation": activation})

    def _weighted(self, last) -> int:
        """A layer with weights, with what stands before and behind it in the chain that ends with `last`."""
        activation, norm = "linear", None
        layer = last
        if not isinstance(layer, (*_NUMBERED, layers.BatchNormalization)):
            activation = activation_of(layer)
            if activation is None:
                raise self._foreign(last)
            layer = layer.input._keras_history.operation
        if isinstance(layer, layers.BatchNormalization):
            norm, layer = layer, layer.input._keras_history.operation
        kinds = (
            (layers.Conv2D, self._convolution),
            (layers.Dense, _connected),
            (LocallyConnected, self._local),
        )
        section = next((section for kind, section in kinds if isinstance(layer, kind)), None)
        if section is None:
            raise self._foreign(layer)
        kind, tensor, options = section(layer)
        normalize = {"batch_normalize": 1} if norm is not None else {}
        number = self._after(tensor, kind, **normalize, **options, activation=activation)
        self.keras_layers[number] = KerasLayers(layer, norm)
        return number

    def _convolution(self, conv) -> tuple:
        """A convolution's kind of section, the tensor that it takes and its keys."""
        tensor = conv.input
        if isinstance(tensor._keras_history.operation, layers.ZeroPadding2D):
            tensor = tensor._keras_history.operation.input
        options = {}
        if conv.groups > 1:
            options["groups"] = conv.groups
        if conv.dilation_rate[0] > 1:
            options["dilation"] = conv.dilation_rate[0]
        options |= {"filters": conv.filters, "size": conv.kernel_size[0], "stride": conv.strides[0], "pad": 1}
        return "convolutional", tensor, options

    def _local(self, layer) -> tuple:
        """Likewise of a locally connected layer, which Darknet pads by one pixel or not at all."""
        if (layer.size, layer.padding) != (3, 1) and layer.padding:
            raise self._foreign(layer)
        options = {"filters": layer.filters, "size": layer.size, "stride": layer.stride, "pad": layer.padding}
        return "local", layer.input, options

    def _end(self, layer):
        """The last layer of the chain of one with weights: the activation, where there is one."""
        end, follower = layer, self._only_follower(layer)
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
        """One level of the head: its convolution and its `[yolo]` or `[region]`."""
        head = self.model.head
        section = level_section(head, level)
        if section is None:
            raise self._foreign(head)
        if head.nms_kind not in ("greedy", "diou"):
            raise ValueError(
                f"{self.model.name}: nms_kind={head.nms_kind!r} is no kind of Darknet's; write the model with "
                "greedy or diou, as kzoo.inference.detect.with_nms gives it"
            )
        (kind, keys), conv = section, head.convs[level]
        number = self._section(
            "convolutional", filters=conv.filters, size=1, stride=1, pad=1,
            activation="logistic" if "new_coords" in keys else "linear",
        )  # fmt: skip
        self.keras_layers[number] = KerasLayers(conv)
        self._section(kind, **keys)

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

    def _route(self, numbers: list[int], **options) -> int:
        return self._section("route", layers=",".join(map(str, numbers)), **options)

    def _section(self, kind: str, **options) -> int:
        self.lines += ["", f"[{kind}]", *(f"{key}={value}" for key, value in options.items())]
        self.count += 1
        return self.count - 1


def _connected(layer) -> tuple:
    """A dense layer's kind of section, the tensor that it takes and its keys."""
    return "connected", layer.input, {"output": layer.units}
