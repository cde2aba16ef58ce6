"""Networks: the images that they take, the sizes that they refuse, their backbone's layers and their operations."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from kzoo.heads.base import laid_operations
from kzoo.policy import check_settings

BACKBONE = "backbone_"  # how the names of a backbone's layers begin


def images_input(sides: Sequence[int | None] = (None, None)):
    """The images that every network takes, and the same in 0..1.

    Args:
        sides: height and width in pixels of a network that is made for one size; any by default.

    Returns:
        A keras.Input of (B, H, W, 3) in 0..255, and its tensor divided by 255, of the same shape.
    """
    check_settings()
    inputs = keras.Input((*sides, 3), name="images")
    # In float32 whatever the policy: 255 grey levels do not survive half precision's rounding unharmed.
    return inputs, layers.Rescaling(1 / 255, dtype="float32", name="normalize")(inputs)


def check_arguments(
    num_classes: int, image_size: Sequence[int], names: Sequence[str] | None, multiple: int
) -> None:
    """Refuses what no architecture takes.

    Args:
        num_classes: how many classes the model is to tell apart.
        image_size: height and width in pixels.
        names: class names in the order of the labels; None for none.
        multiple: number of pixels that height and width have to be multiples of.

    Raises:
        ValueError: the sides are no such multiples, or there are not as many names as classes; or Keras's global
            settings are others than kzoo needs.
    """
    check_settings()
    height, width = image_size
    if min(height, width) < multiple or height % multiple or width % multiple:
        raise ValueError(f"image_size={tuple(image_size)}: height and width must be multiples of {multiple}")
    if names and len(names) != num_classes:
        raise ValueError(f"names: {len(names)} names for num_classes={num_classes}; give one a class")


def input_specs(network: keras.Model, height: int, width: int):
    """What a network takes for one image of some size, as tensors without values.

    Args:
        network: a functional model whose first input is images.
        height: pixels of the images.
        width: pixels of the images.
    """
    images = keras.KerasTensor((1, height, width, 3))
    others = [keras.KerasTensor((1, *each.shape[1:])) for each in network.inputs[1:]]
    return [images, *others] if others else images


def backbone_layers(model) -> list:
    """The layers of a model's network that belong to its backbone, which their names begin with."""
    return [layer for layer in model.network.layers if layer.name.startswith(BACKBONE)]


def needed_network(model) -> keras.Model:
    """A model's network without what serves training alone.

    Args:
        model: a `ZooModel`.
    """
    network = model.network
    return keras.Model(network.input, model.head.needed(network.outputs), name=network.name)


def flops(model, image_size: Sequence[int] | None = None) -> int:
    """Floating-point operations of one image: two for each multiply-add of the layers' kernels, as Darknet counts.

    What is computed in training alone is not among them.

    Args:
        model: a `ZooModel`.
        image_size: height and width in pixels; the model's own where None.
    """
    height, width = image_size or model.image_size
    needed = needed_network(model)
    kernels = [layer for layer in needed.layers if hasattr(layer, "kernel")]
    others = [layer for layer in needed.layers if hasattr(layer, "map_operations")]
    # A transposed convolution lays its kernel on every place of what goes in.
    places = [layer.input if isinstance(layer, layers.Conv2DTranspose) else layer.output for layer in kernels]
    places += [layer.output for layer in others]  # of some a list of maps
    # Sides are known only where the network runs, so a probe with those places as outputs is asked for their shapes.
    probe = keras.Model(model.network.inputs, places + model.network.outputs)
    specs = probe.compute_output_spec(input_specs(model.network, height, width))
    shapes = [keras.tree.map_structure(lambda tensor: tensor.shape, spec) for spec in specs]
    laid = sum(laid_operations(*each) for each in zip(kernels, shapes, strict=False))
    own = sum(each.map_operations(shape) for each, shape in zip(others, shapes[len(kernels) :], strict=False))
    return laid + own + model.head.operations(shapes[len(places) :])
