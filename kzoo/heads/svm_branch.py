"""What R-CNN and SPP-net ask of each region: dense layers for its class, and its features as they are for its box."""

from __future__ import annotations

import math

import keras
from keras import ops

from kzoo.backbones.vgg import vgg16
from kzoo.heads.box_branch import BoxBranch
from kzoo.heads.region_tower import build_in_a_row, through


class SVMBranch(BoxBranch):
    """Dense layers and a linear layer for the classes; another linear layer, of what goes into them, for the box.

    The two linear layers are what support vector machines and ridge regression are once they are fitted, so they are
    saved and exported like any others. The one for boxes learns nothing from gradients, and begins with no difference.

    Shapes: as `kzoo.heads.box_branch.BoxBranch` has them.

    Args:
        num_classes: number of classes, 1 or more, without the background.
        crops: a network from crops to features, such as `crop_network` gives; None where features are pooled.
        **kwargs: further arguments of `kzoo.heads.box_branch.BoxBranch`.
    """

    def __init__(self, num_classes: int, crops: keras.Model | None = None, **kwargs):
        super().__init__(num_classes, convs=0, conv_width=1, agnostic=False, prefix="box_", **kwargs)
        self.crops = crops
        self.box_layer.kernel_initializer = keras.initializers.Zeros()
        self.box_layer.trainable = False

    def build(self, input_shape):
        shape = input_shape if self.crops is None else (None, *self.crops.output_shape[1:])
        self.class_layer.build(build_in_a_row(self.tower, shape))
        self.box_layer.build((None, math.prod(shape[1:])))
        self.built = True

    def call(self, pooled, counted=None, training=None):
        seen = self.seen(pooled, training)  # (R, F)
        outputs = {
            "class": self.class_layer(self.hidden(seen, training)),
            "box": ops.reshape(self.box_layer(self.flat(seen)), (-1, 4, self.boxes)),
        }
        return {name: ops.cast(value, "float32") for name, value in outputs.items()}

    def seen(self, pooled, training=None):
        """The features that boxes are told from: (R, h, w, C)."""
        return pooled if self.crops is None else self.crops(pooled, training=training)

    def flat(self, seen):
        """The same as rows (R, h * w * C)."""
        return ops.reshape(seen, (-1, math.prod(seen.shape[1:])))

    def hidden(self, seen, training=None):
        """The last dense layer's units (R, units), which classes are told from, of what `seen` gives."""
        return through(self.tower, seen)


def crop_network(size: int, width: float, depth: float, batch_norm: bool) -> keras.Model:
    """VGG16's convolutions as a network from crops (R, size, size, 3), already normalised, to its last map, pooled."""
    inputs = keras.Input((size, size, 3), name="crops")
    return keras.Model(inputs, vgg16(inputs, width, depth, batch_norm=batch_norm)[-1], name="crops")
