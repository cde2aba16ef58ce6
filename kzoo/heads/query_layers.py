"""The layers of heads with queries: a decoder whose queries look at the network's maps, and what they tell."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import layers, ops

from kzoo.heads.base import check_choice, laid_operations
from kzoo.heads.detection import DetectionHead
from kzoo.heads.levels import level_names
from kzoo.heads.query_loss import CLASS_LOSSES
from kzoo.heads.query_parts import Memory, Queries
from kzoo.layers.transformer import MAP_POSITIONS, MLP, inverse_sigmoid, norm
from kzoo.options import checked
from kzoo.options.building import QUERY

_PRIOR = 0.01  # how likely each class is at first, where classes are told each by itself


class QueryLayers(DetectionHead):
    """A decoder that runs layer by layer, and what its queries tell after each: see `kzoo.heads.query.QueryHead`.

    A family gives `start`, with what queries begin, and `step`, what one of its layers makes of them. Class attributes
    say how it differs otherwise.

    Args:
        num_classes: number of classes, 1 or more.
        strides: pixels a cell of each feature map, finest first.
        queries: number of queries, and so of objects that can be found, 1 or more, 100 by default; where there are
            more objects in training, those that would cost most have no query.
        decoder_depth: number of the decoder's layers, 1 or more, 6 by default; all are trained.
        decoder_layers: number of layers that run in inference, 1 or more, the first of them; all where None (default).
        query_width: number of channels of queries and maps, a multiple of 4 and of `heads`, 256 by default.
        heads: number of heads of attention, 1 or more, 8 by default.
        feedforward: number of channels between the two dense layers of each layer, 1 or more, 2048 by default.
        dropout: share of weights and channels that is dropped in training, 0 to below 1, 0.1 by default.
        class_loss: how classes are told and trained: "softmax" (default), "focal" or "varifocal": see
            `kzoo.heads.query_loss`.
        **kwargs: arguments of `kzoo.heads.detection.DetectionHead`; `nms_threshold` is 1 by default.

    Raises:
        ValueError: an argument is out of its range.
    """

    map_position: str | None = "sine"  # how the cells' positions are made, of `MAP_POSITIONS`; None for none
    own_heads = False  # whether each layer has its own last layers, rather than one for all
    normed = True  # whether what a layer gives is normalised before it tells anything; a refinement takes it as it is
    refers = True  # whether boxes are told as differences from references
    refines = False  # whether each layer begins with the boxes of the one before
    forward_twice = False  # whether a layer is trained by the boxes of the next one, too
    margin = 1e-5  # by which probabilities stay away from 0 and 1 where logits are taken of them

    @checked(QUERY)
    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int],
        queries: int = 100,
        decoder_depth: int = 6,
        decoder_layers: int | None = None,
        query_width: int = 256,
        heads: int = 8,
        feedforward: int = 2048,
        dropout: float = 0.1,
        class_loss: str = "softmax",
        **kwargs,
    ):
        super().__init__(num_classes, **{"nms_threshold": 1.0, **kwargs})
        check_choice("class_loss", class_loss, CLASS_LOSSES)
        if query_width % 4 or query_width % heads:
            raise ValueError(f"query_width={query_width}: give a multiple of 4 and of heads={heads}")
        if decoder_layers is not None and decoder_layers > decoder_depth:
            raise ValueError(
                f"decoder_layers={decoder_layers}: there are decoder_depth={decoder_depth}; give as many or fewer"
            )
        self.strides = tuple(strides)
        self.queries = queries
        self.decoder_depth, self.decoder_layers = decoder_depth, decoder_layers
        self.query_width, self.heads, self.feedforward, self.dropout = (
            query_width,
            heads,
            feedforward,
            dropout,
        )
        self.class_loss = class_loss
        # The assignment runs on the host, which TensorFlow's compiler does not take.
        self.supports_jit = keras.backend.backend() != "tensorflow"
        suffixes = [str(i) for i in range(decoder_depth)] if self.own_heads else [""]
        self.class_layers = [self.class_layer(f"class{suffix}") for suffix in suffixes]
        self.box_layers = [self.box_layer(f"box{suffix}_") for suffix in suffixes]
        self.norm = norm("norm") if self.normed else None

    def class_layer(self, name: str) -> layers.Dense:
        """What gives the classes' logits."""
        if self.class_loss == "softmax":
            return layers.Dense(1 + self.num_classes, name=name)
        rare = keras.initializers.Constant(math.log(_PRIOR / (1.0 - _PRIOR)))
        return layers.Dense(self.num_classes, bias_initializer=rare, name=name)

    def box_layer(self, name: str) -> MLP:
        """What gives the boxes' logits, or their differences from those of references, at first none."""
        widths = (self.query_width, self.query_width, 4)
        return MLP(self.query_width, widths, last="zeros" if self.refers else "glorot_uniform", name=name)

    def build(self, input_shape):
        if len(input_shape) != len(self.strides) or any(
            shape[-1] != self.query_width for shape in input_shape
        ):
            raise ValueError(
                f"strides={self.strides}, query_width={self.query_width}: maps are of shapes {list(input_shape)}; give "
                "the stride of each map, and the channels that all of them have"
            )
        for layer in (*self.class_layers, *self.box_layers, self.norm):
            if layer is not None:
                layer.build((None, None, self.query_width))
        self.built = True

    def class_outputs(self):
        before = int(self.class_loss == "softmax")
        return [(layer, 1, before) for layer in self.class_layers]

    def start(self, memory: Memory, training: bool) -> Queries:
        """With what the queries begin.

        Args:
            memory: what they are going to look at.
            training: whether layers act as in training; what the choice of queries is trained by is asked for then.
        """
        raise NotImplementedError

    def step(self, index: int, queries: Queries, memory: Memory, bias, training: bool) -> Queries:
        """What a layer makes of the queries.

        Args:
            index: the number of the layer, from 0.
            queries: what the layer before leaves.
            memory: what they look at.
            bias: what is added to the logits of attention among queries, as `attend` takes it, or None.
            training: whether layers act as in training.
        """
        raise NotImplementedError

    def step_operations(self, cells: int) -> float:
        """Floating-point operations of one layer's step on so many cells of an image, two a multiply-add."""
        raise NotImplementedError

    def operations(self, shapes):
        cells = sum(shape[1] * shape[2] for shape in shapes)
        classes = laid_operations(self.class_layers[0], ()) * self.queries
        count = self.decoder_layers or self.decoder_depth
        boxes = self.box_layers[0].operations(self.queries) * (count if self.refines else 1)
        return count * self.step_operations(cells) + classes + boxes

    def call(self, features, training=None):
        outputs = dict(zip(self.feature_names, features, strict=True))
        if training:  # `loss` goes on from here, for queries may be made of the truth as well
            return outputs
        memory = self.memory(features)
        queries = self.start(memory, training=False)
        logits, boxes = self.run(queries, memory, None, False, self.decoder_layers or self.decoder_depth)
        return {**outputs, "class": logits[-1], "box": boxes[-1]}

    @property
    def feature_names(self) -> list[str]:
        """Names of the maps among the raw outputs."""
        return [f"features_{name}" for name in level_names(self.strides)]

    def features(self, outputs) -> list:
        """The maps (B, H, W, C) that are looked at, of the raw outputs."""
        return [outputs[name] for name in self.feature_names]

    def sizes(self, outputs) -> list:
        """Height and width of each map in cells."""
        return [ops.shape(x)[1:3] for x in self.features(outputs)]

    def image_size(self, sizes) -> list:
        """Height and width in pixels of the images whose maps have these heights and widths in cells."""
        return [cells * self.strides[0] for cells in sizes[0]]

    def memory(self, features) -> Memory:
        """What queries look at, of maps (B, H, W, C)."""
        sizes = [ops.shape(x)[1:3] for x in features]
        rows = [
            ops.reshape(x, (ops.shape(x)[0], height * width, self.query_width))
            for x, (height, width) in zip(features, sizes, strict=True)
        ]
        position = None
        if self.map_position is not None:
            make = MAP_POSITIONS[self.map_position]
            position = ops.concatenate([make(*size, self.query_width) for size in sizes], axis=1)
            position = ops.cast(position, self.compute_dtype)  # (1, N, C)
        return Memory(list(features), ops.concatenate(rows, axis=1), sizes, position)

    def run(self, queries: Queries, memory: Memory, bias, training: bool, count: int, every: bool = False):
        """What the queries tell after each layer, or after the last.

        Args:
            queries: what the first layer begins with.
            memory: what they look at.
            bias: what is added to the logits of attention among queries, or None.
            training: whether layers act as in training.
            count: number of layers that run, the first.
            every: whether all of them tell, rather than the last alone (default).

        Returns:
            lists of logits (B, Q, K) or (B, Q, 1 + K), and of boxes (B, Q, 4), centre and size, 0 to 1, both float32.
        """
        told = [], []
        for index in range(count):
            queries = self.step(index, queries, memory, bias, training)
            if every or index == count - 1:
                content = queries.content if self.norm is None else self.norm(queries.content)
                origin = queries.reference if queries.origin is None else queries.origin
                told[0].append(self.read_classes(index, content))
                told[1].append(self.read_boxes(index, content, origin))
            if self.refines and index < count - 1:
                moved = self.read_boxes(index, queries.content, queries.reference)
                fixed = ops.stop_gradient(moved)
                queries = queries.but(reference=fixed, origin=moved if self.forward_twice else fixed)
        return told

    def read_classes(self, index: int, content):
        """The classes' logits that a layer's queries (B, Q, C) tell, in float32 whatever the policy: (B, Q, K)."""
        return ops.cast(self.class_layers[index % len(self.class_layers)](content), "float32")

    def read_boxes(self, index: int, content, origin):
        """The boxes that a layer's queries tell, in float32 whatever the policy.

        Args:
            index: the number of the layer, from 0.
            content: (B, Q, C) what they have gathered.
            origin: points (B, Q, 2) or boxes (B, Q, 4), 0 to 1, that they are told from; None where there are none.

        Returns:
            (B, Q, 4) centre and size, 0 to 1.
        """
        logits = ops.cast(self.box_layers[index % len(self.box_layers)](content), "float32")
        if self.refers:
            start = inverse_sigmoid(origin, self.margin)
            logits = logits + ops.pad(start, [[0, 0], [0, 0], [0, 4 - start.shape[-1]]])
        return ops.sigmoid(logits)
