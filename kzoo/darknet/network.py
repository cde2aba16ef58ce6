"""From a plan to a Keras model: Darknet's layers as a functional network, and its heads as kzoo's."""

from __future__ import annotations

import keras

from kzoo.darknet.builders import BUILDERS, Job
from kzoo.darknet.heads import head_arguments
from kzoo.darknet.plan import HEADS, IMAGE, Layer, Plan
from kzoo.heads.classify import ClassifyHead
from kzoo.heads.features import FeatureHead
from kzoo.heads.gaussian import GaussianYoloHead
from kzoo.heads.grid import GridHead
from kzoo.heads.region import RegionHead
from kzoo.heads.yolo import YoloHead
from kzoo.layers.darknet_maps import First, Luma
from kzoo.model import ZooModel, images_input

# Layers whose weights, or whose cut, are made for one size of the image.
_FIXED_SIZE = ("connected", "local", "crop")
_HEADS = {
    "yolo": YoloHead,
    "gaussian": GaussianYoloHead,
    "region": RegionHead,
    "grid": GridHead,
    "classify": ClassifyHead,
    "features": FeatureHead,
}


def build_model(plan: Plan, names: list[str] | None, name: str) -> ZooModel:
    """An untrained model of a plan.

    Args:
        plan: the network, worked out by `kzoo.darknet.planning.make_plan`.
        names: class names, as many as there are classes; None where they are not known.
        name: what the model is called.

    Raises:
        ValueError: the heads contradict each other, the names are too few or too many, or a chain of layers is longer
            than Keras can follow.
    """
    kind, arguments, names = head_arguments(plan, names)
    if names and len(names) != arguments["num_classes"]:
        raise ValueError(
            f"names: {len(names)}, {names[0]!r} first, for the {arguments['num_classes']} classes of {plan.cfg.path}; "
            "give one a class"
        )
    try:
        network = build_network(plan)
    except RecursionError:
        raise ValueError(
            f"{plan.cfg.path}: {len(plan.layers)} layers, one behind the other, are more than Keras can follow; is "
            "this a network?"
        ) from None
    return ZooModel(
        network,
        _HEADS[kind](**arguments, name="head"),
        plan.shape[:2],
        names,
        resize="darknet-letterbox" if plan.cfg.net.flag("letter_box") else "darknet",
        name=name,
    )


def build_network(plan: Plan) -> keras.Model:
    """The functional network, from images in 0..255 to what the heads are fed with.

    Layers are called `layer3_conv`, `layer3_bn`, ... by their number in Darknet.
    """
    # Darknet's networks take any multiple of the stride, unless a layer or a head is made for one size.
    fixed = any(layer.kind in _FIXED_SIZE or not layer.settings.get("divide", True) for layer in plan.layers)
    inputs, image = images_input(plan.shape[:2] if fixed else (None, None))
    if plan.shape[2] == 1:
        image = Luma(name="gray", dtype="float32")(image)
    outputs = {IMAGE: image}  # of each layer by its number, (B, height, width, channels)
    convolutions = {}  # by number, for layers that share their weights
    features = []  # what the heads are fed with
    for layer in plan.layers:
        inputs_of_layer = [outputs[index] for index in layer.inputs]
        if layer.kind in HEADS:
            features.append(_logits(inputs_of_layer[0], layer, plan))
        else:
            job = Job(layer, plan, inputs_of_layer, f"layer{layer.index}", convolutions)
            outputs[layer.index] = BUILDERS[layer.kind](job)
    if not features:
        features = [outputs[len(plan.layers) - 1]]
    used = {index for layer in plan.layers for index in layer.inputs} | {len(plan.layers) - 1}
    unused = [outputs[index] for index in outputs if index not in used]
    if unused:
        # Keras leaves out layers that no output depends on; files of weights have theirs all the same.
        features[0] = First(name="unused")([features[0], *unused])
    return keras.Model(inputs, features, name="network")


def _logits(x, head: Layer, plan: Plan):
    """What a head is fed with, as logits: with `new_coords` the logistic before it is left to kzoo's head."""
    if not head.settings.get("new_coords"):
        return x
    before = plan.layers[head.inputs[0]]
    if before.settings.get("activation") != "logistic":
        raise before.section.fault("activation", "has to be logistic before a [yolo] with new_coords=1")
    return x._keras_history.operation.input  # the tensor before the layer that gave x
