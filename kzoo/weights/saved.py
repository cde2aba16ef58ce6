"""Models from `.keras` files: what has no shape, such as anchors and thresholds, is part of the weights."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import keras

from kzoo import heads
from kzoo.data.formats.text import shorten
from kzoo.heads import Head
from kzoo.layers.darknet_maps import Luma
from kzoo.model import ZooModel
from kzoo.policy import dtype_policy
from kzoo.weights.archives import ExpandingError, check_model_file, read_json_member
from kzoo.weights.assigning import Assignment
from kzoo.weights.building import building_in_bounds
from kzoo.weights.classes import check_places, for_classes, old_numbers, take_head, warn_of_changes
from kzoo.weights.strangers import refuse_code

# Arguments of `kzoo.build` that are no settings of the network.
_NO_SETTINGS = {"num_classes", "names", "image_size", "width", "depth", "weights", "backbone_weights", "name"}
# Settings of a head for one input size that follow from that size.
_OF_SIZE = ("anchors", "strides", "image_size", "multiple")
# Settings of layers without effect on what they compute, or on training alone.
_TRAINING = ("momentum", "rate", "seed", "trainable", "dtype", "synchronized", "noise_shape")
_ENDINGS = ("_initializer", "_regularizer", "_constraint")


def completed(arguments: Mapping) -> dict:
    """Arguments of `kzoo.build` with what a `.keras` file says in the place of defaults: classes, names, input size.

    Args:
        arguments: what `kzoo.build` got, `weights`, a `.keras` file, among it.

    Returns:
        The arguments and those added; none of those that were there is changed.
    """
    config = _config(Path(arguments["weights"]))
    if config is None:
        return dict(arguments)
    filled = dict(arguments)
    names, classes = config.get("names") or None, config["head"]["config"]["num_classes"]
    if filled.get("names"):
        filled.setdefault("num_classes", len(filled["names"]))
    filled.setdefault("num_classes", classes)
    if filled["num_classes"] == classes and not filled.get("names"):
        filled["names"] = names
    filled.setdefault("image_size", tuple(config["image_size"]))
    return filled


def _config(path: Path) -> dict | None:
    """What a file says of its model; None of a file that is none, for those to refuse who load it."""
    try:
        config = read_json_member(path)["config"]
        return config if "num_classes" in config["head"]["config"] and config["image_size"] else None
    except ExpandingError:
        raise
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None


def take_saved(model: ZooModel, path: Path, arguments: Mapping | None) -> ZooModel:
    """A model with the weights of a file, and with its settings.

    Args:
        model: the model as it was built, of the file's architecture, width and depth.
        path: a `.keras` file.
        arguments: the arguments that the model was asked for with, or None where they are not known: they hold in the
            place of the file's settings, or are refused where the weights would mean something else.

    Returns:
        A new model, named as the given one.

    Raises:
        ValueError: the file holds no such model, or arguments contradict it.
    """
    source = open_saved(path)
    _check_kind(model, source, path)
    arguments = dict(arguments or {})
    if not model.names and model.head.num_classes == source.head.num_classes:
        model.names = list(source.names)
    head = _head(model, source, arguments, path)
    network = _network(model, source, arguments, path)
    fresh = ZooModel(
        network, head, model.image_size, model.names, source.resize, source.origin,
        name=model.name, dtype=model.dtype_policy,
    )  # fmt: skip
    counts = (source.head.num_classes, head.num_classes)
    origins = old_numbers(source.names, model.names, counts)
    if counts[0] == counts[1]:
        check_places(head, origins, source.names, path)
    counting = _take_network(fresh, source, counts, path)
    take_head(head, source.head, origins)
    if origins != list(range(counts[0])):
        warn_of_changes(path, head, origins, fresh.names, source.names, counting)
    return fresh


def _take_network(model: ZooModel, source: ZooModel, counts: tuple[int, int], path: Path) -> list[str]:
    """Gives a network the weights of another; names of the layers that count its classes, and so start anew."""
    assignment, counting = Assignment(path, model), []
    # YOLOv1's head has as many numbers an image in one vector, of which the classes are a part.
    lengths = (getattr(source.head, "length", None), getattr(model.head, "length", None))
    theirs = {layer.name: layer for layer in source.network.layers if layer.weights}
    for layer in model.network.layers:
        if layer.weights and layer.name not in theirs:
            assignment.missing.append(layer.name)
        elif layer.weights:
            values = theirs.pop(layer.name).get_weights()
            if _by_classes([v.shape for v in values], [v.shape for v in layer.weights], counts, lengths):
                counting.append(layer.name)
                continue
            for variable, value in zip(layer.weights, values, strict=False):
                assignment.put(variable, value, f"{layer.name}/{variable.name}")
    assignment.extra += list(theirs)
    assignment.finish()
    return counting


def _by_classes(theirs: list, ours: list, counts: tuple[int, int], lengths: tuple) -> bool:
    """Whether shapes differ in nothing but sides that are so many times the number of classes, or all of the output."""
    if [len(shape) for shape in theirs] != [len(shape) for shape in ours]:
        return False
    pairs = zip(theirs, ours, strict=True)
    sides = [side for old_shape, new_shape in pairs for side in zip(old_shape, new_shape, strict=True)]
    differing = [(old, new) for old, new in sides if old != new]
    return bool(differing) and all(
        (old, new) == lengths or (old % counts[0] == 0 and new == old // counts[0] * counts[1])
        for old, new in differing
    )


def task_of(path: Path) -> str:
    """The task of a saved model, as its file states it, or where that fails as `open_saved` finds it.

    Args:
        path: a `.keras` file.

    Raises:
        FileNotFoundError, ValueError: `open_saved` cannot read the file.
    """
    config = _config(path)
    head = getattr(heads, config["head"]["class_name"], None) if config else None
    return open_saved(path).task if head is None else head.task


def open_saved(path: str | Path, compile: bool = False) -> ZooModel:
    """The model of a `.keras` file.

    Args:
        path: where the file lies.
        compile: whether the optimizer and its state are restored, too.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, none of kzoo's, has code in it, or would take more memory than it may.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such model; give a .keras file")
    numbers = check_model_file(path)
    refuse_code(Path(path))
    try:
        with building_in_bounds(path, numbers) as bounds:
            model = keras.saving.load_model(path, compile=compile)
    except Exception as error:  # Broken files fail in every way there is: zip, JSON, HDF5, types, shapes.
        if bounds.error is not None:
            raise bounds.error from None
        reason = shorten(next(iter(str(error).strip().splitlines()), type(error).__name__), 300)
        raise ValueError(f"{path}: Keras cannot read this model; was it written whole? ({reason})") from error
    if not isinstance(model, ZooModel):
        raise ValueError(
            f"{path}: a {type(model).__name__} of Keras, not a model of kzoo; load it with Keras"
        )
    return model


def _check_kind(model: ZooModel, source: ZooModel, path: Path) -> None:
    """Refuses a file of a model whose outputs mean something else altogether."""
    if type(model.head) is not type(source.head):
        raise ValueError(
            f"{path}: holds a {source.name} with a {type(source.head).__name__}, not a {model.name} with a "
            f"{type(model.head).__name__}; use backbone_weights, or the architecture of the file"
        )


def _head(model: ZooModel, source: ZooModel, arguments: Mapping, path: Path) -> Head:
    """A head with the file's settings, but for those that were asked for by argument."""
    ours, theirs = model.head.get_config(), source.head.get_config()
    kept = {"name", *arguments}
    if ours.get("image_size") and _plain(ours["image_size"]) != _plain(theirs.get("image_size")):
        kept |= {*_OF_SIZE}
    else:
        refuse_contradictions(source.head, model.head, arguments, path)
    count = model.head.num_classes
    changed = {**for_classes(source.head, count), **{name: ours[name] for name in kept if name in ours}}
    head = source.head.altered(**{**changed, "num_classes": count, "dtype": model.head.dtype_policy.name})
    try:
        head.build([feature.shape for feature in model.network.outputs])
    except ValueError as error:
        raise ValueError(f"{path}: does not fit {model.name}: {error}") from error
    return head


def refuse_contradictions(theirs: Head, ours: Head, settings: Iterable[str], path: str | Path) -> None:
    """Refuses settings under which the weights of a head would mean something else.

    Args:
        theirs: the head as it was trained.
        ours: the head as it was asked for.
        settings: names of the settings that were asked for.
        path: the file that the weights are from, for the message.

    Raises:
        ValueError: a setting that gives the weights their meaning was asked for with another value.
    """
    for name in set(theirs.meaning) & set(settings):
        trained, wanted = (_plain(getattr(head, name)) for head in (theirs, ours))
        if trained != wanted:
            raise ValueError(
                f"{path}: was trained with {name}={trained}, and means nothing with {name}={wanted}; leave {name} out"
            )


def _network(model: ZooModel, source: ZooModel, arguments: Mapping, path: Path) -> keras.Model:
    """The network as built, or, where layers of the file are set otherwise, one of the file's layers."""
    ours = {layer.name: layer for layer in model.network.layers}
    theirs = {layer.name: layer for layer in source.network.layers}
    if ours.keys() != theirs.keys():
        return model.network  # which will be refused by the names of its weights
    differing = {name: keys for name, layer in theirs.items() if (keys := _differing(ours[name], layer))}
    if not differing:
        return model.network
    of_layers = [name for name in arguments if name not in _NO_SETTINGS and not hasattr(model.head, name)]
    if of_layers:
        layer, keys = next(iter(differing.items()))
        raise ValueError(
            f"{path}: layer {layer} was trained with {keys[0]}={theirs[layer].get_config()[keys[0]]}, not "
            f"{ours[layer].get_config().get(keys[0])}; leave out what asks for it, of {', '.join(of_layers)}"
        )

    def clone(layer):
        mine = ours[layer.name]
        kept = {"dtype": mine.get_config()["dtype"], "trainable": mine.trainable}
        return type(layer).from_config({**layer.get_config(), **kept})

    return keras.models.clone_model(source.network, clone_function=clone)


def recast(model: ZooModel, policy: str) -> ZooModel:
    """A copy of a model under another policy, with its weights; the normalisation of images stays in float32.

    Args:
        model: the model, which stays as it is; itself is given back where the policy is its own.
        policy: one of Keras's dtype policies, such as "mixed_bfloat16".
    """
    if model.dtype_policy.name == policy:
        return model

    def clone(layer):
        kept = "float32" if isinstance(layer, (keras.layers.Rescaling, Luma)) else policy
        return type(layer).from_config({**layer.get_config(), "dtype": kept})

    with dtype_policy(policy):
        network = keras.models.clone_model(model.network, clone_function=clone)
        head = model.head.altered(dtype=policy)
        copy = model.remade(network, head)
    copy.set_weights(model.get_weights())
    return copy


def with_options(model: ZooModel, options: Mapping, path: str | Path) -> ZooModel:
    """A model whose head has other options, such as another loss, and the same weights.

    Args:
        model: the model as it was trained; itself is given back where there are no options.
        options: arguments of the head that are changed, by name.
        path: the file that the model is from, for messages.

    Raises:
        ValueError: the head has no such option, or the weights would mean something else.
    """
    if not options:
        return model
    try:
        head = model.head.altered(**options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}; see the arguments of {type(model.head).__name__}") from error
    refuse_contradictions(model.head, head, options, path)
    other = model.remade(model.network, head)
    head.set_weights(model.head.get_weights())
    return other


def _differing(ours: keras.layers.Layer, theirs: keras.layers.Layer) -> list[str]:
    """Names of the settings by which two layers of one name compute something else, but for the shapes of weights."""
    if isinstance(ours, keras.layers.InputLayer):
        return []
    mine, config = ours.get_config(), theirs.get_config()
    shapes = ("filters", "units")
    return [
        key
        for key, value in config.items()
        if key not in (*_TRAINING, *shapes)
        and not key.endswith(_ENDINGS)
        and _plain(mine.get(key)) != _plain(value)
    ]


def _plain(value):
    """Plain data to compare: lists for tuples, floats rounded as files have them."""
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return round(value, 9) if isinstance(value, float) else value
