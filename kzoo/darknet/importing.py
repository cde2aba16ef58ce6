"""Darknet's networks as models, and models as Darknet's networks."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import keras

from kzoo.augment.letterbox import RESIZES
from kzoo.darknet import keys
from kzoo.darknet.beside import names_around
from kzoo.darknet.cfg import Cfg, CfgWarning, parse, read
from kzoo.darknet.network import build_model
from kzoo.darknet.plan import Plan
from kzoo.darknet.planning import make_plan
from kzoo.darknet.tensors import KerasLayers
from kzoo.darknet.weights import Header, WeightsFile, open_weights, partial_stop, write_weights
from kzoo.darknet.writing import describe
from kzoo.data.formats.names import class_names
from kzoo.heads.region import RegionHead
from kzoo.layers.folding import convolutions_before, folded_network
from kzoo.model import ZooModel
from kzoo.system.files import write_atomically

_MAIN = ("conv", "dense", "local", "add")  # what the layers that have weights are called, besides "bn"


def load(
    cfg: str | Path,
    weights: str | Path | None = None,
    names: str | Path | Sequence[str] | None = None,
    stop_at: int | None = None,
    fold: bool = False,
    features: bool = False,
) -> ZooModel:
    """Reads one of Darknet's networks.

    Args:
        cfg: the `.cfg` file that describes it.
        weights: the `.weights` file; the model starts from random weights where None.
        names: class names, or where they are: a `.names` or `.data` file, "coco", "voc". Where None they are those
            of a `.names` or `.data` file that is called as the cfg and lies beside it, or of the one that fits among
            those beside it and in data/ and cfg/: see `kzoo.darknet.beside.names_around`.
        stop_at: only the layers before this number, counted from 0, take their weights from the file, which may end
            there (`darknet53.conv.74` says so by its name) or go on. Where None all of them do, or as many as the
            file's name says.
        fold: whether batch normalisation is folded into the convolutions: quicker, no longer to be trained.
        features: whether a network that was cut before its head is taken, too: its `predict` gives the last feature
            map.

    Returns:
        A detector or a classifier, to be trained, run, exported, or written back by `save`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file is damaged, they do not belong together, or something in the cfg is not built; the
            message names file and line.

    Warns:
        CfgWarning: keys that Darknet does not read either are passed over, or several lists of names would fit.

    Example:
        >>> kzoo.darknet.load("yolov4.cfg", "yolov4.weights", "coco").detect("dog.jpg")
    """
    cfg = Path(cfg)
    plan = make_plan(read(cfg), features)
    file = None if weights is None else open_weights(weights, plan, stop_at)
    names, unclear = (class_names(names), None) if names is not None else names_around(cfg, plan.classes)
    model = build_model(plan, names, _name(cfg))
    if file is not None:
        _take_seen(model, file)
    for message in filter(None, (keys.unknown(plan.cfg), unclear)):
        warnings.warn(message, CfgWarning, stacklevel=2)
    model.origin = {"cfg": plan.cfg.text}
    if file is not None:
        _assign(model, plan, _layers_by_number(model, plan), file)
    return folded(model) if fold else model


def save(
    model: ZooModel, weights: str | Path, cfg: str | Path | None = None, stop_at: int | None = None
) -> tuple[Path, Path]:
    """Writes a model as Darknet's `.weights` and `.cfg`, and its class names, if it has some, as a `.names` beside it.

    Args:
        model: a model read by `load`, or built of Darknet's convolutions and heads.
        weights: the `.weights` file to write; byte for byte the one it was read from, unless it was trained since.
        cfg: the `.cfg` file to write; beside `weights` and of the same name where None.
        stop_at: number of the layer, from 1, before which the `.weights` file ends; it holds all layers where None.

    Returns:
        The paths of the `.weights` and the `.cfg` file.

    Raises:
        ValueError: it has a layer or a head that Darknet has no section for.
        OSError: a file cannot be written.
    """
    weights = Path(weights)
    if cfg is None:
        # A partial file is called NAME.conv.LAYER.
        stem = weights.stem if partial_stop(weights) is None else weights.name.rsplit(".", 2)[0]
        cfg = weights.with_name(f"{stem}.cfg")
    cfg = Path(cfg)
    plan, keras_layers = planned(model)
    if stop_at is not None and not 0 < stop_at <= len(plan.layers):
        raise ValueError(
            f"stop_at={stop_at}: {model.name} has layers 0 to {len(plan.layers) - 1}; give one of them"
        )
    origin = model.origin or {}
    header = Header(tuple(origin.get("version", Header.version)), origin.get("seen", Header.seen))
    tensors = (
        (layer, keras_layers[layer.index].arrays(layer, plan.shape_of(layer.inputs[0])))
        for layer in plan.layers[:stop_at]
        if layer.tensors
    )
    write_weights(weights, header, tensors, origin.get("normalization_bias", False))
    if model.names:
        write_atomically(cfg.with_suffix(".names"), "".join(f"{name}\n" for name in model.names))
    text = _with_letter_box(plan.cfg, RESIZES[model.resize].keeps_aspect)
    return weights, write_atomically(cfg, text.encode("utf-8", "surrogateescape"))


def _with_letter_box(cfg: Cfg, wanted: bool) -> str:
    """The text of a cfg, which says how photographs become inputs, if it does not say so already."""
    if cfg.net.flag("letter_box") == wanted:
        return cfg.text
    lines, line = cfg.text.split("\n"), cfg.net.line_of("letter_box")
    setting = f"letter_box={int(wanted)}"
    # In place of the key's line, or behind the header's.
    lines[line - 1 : line] = [setting] if "letter_box" in cfg.net else [lines[line - 1], setting]
    return "\n".join(lines)


def read_weights(model: ZooModel, weights: str | Path, stop_at: int | None = None) -> ZooModel:
    """Reads a `.weights` file into a model of the same network.

    Args:
        model: takes the weights; read by `load`, or built of Darknet's convolutions and heads, such as
            `kzoo.build("yolov3")`.
        weights: the `.weights` file.
        stop_at: only the layers before this number, counted from 0, take their weights from the file; where None all
            of them do, or as many as the file's name says.

    Raises:
        ValueError: the file is damaged, or of another network.
    """
    plan, keras_layers = planned(model)
    file = open_weights(weights, plan, stop_at)
    if len(file.layers) == len(plan.layers):
        _take_seen(model, file)
    _assign(model, plan, keras_layers, file)
    return model


def _take_seen(model: ZooModel, file: WeightsFile) -> None:
    """What a network has seen decides whether the first images of YOLOv2's training are still to come."""
    if isinstance(model.head, RegionHead):
        model.head.seen.assign(min(file.header.seen, RegionHead.most_seen))


def planned(model: ZooModel) -> tuple[Plan, dict[int, KerasLayers]]:
    """A model's network as Darknet sees it, and the Keras layers of each layer that has weights."""
    text = (model.origin or {}).get("cfg")
    if text is not None:
        plan = make_plan(parse(text.encode("utf-8", "surrogateescape"), f"{model.name}.cfg"), features=True)
        return plan, _layers_by_number(model, plan)
    text, keras_layers = describe(model)
    return make_plan(parse(text, model.name)), keras_layers


def folded(model: ZooModel) -> ZooModel:
    """A copy of a model, batch normalisation folded into the convolutions before it.

    Its outputs stay; of a model that `load` read the description says `batch_normalize=0` where it was folded.
    """
    head = type(model.head).from_config(model.head.get_config())
    copy = model.remade(folded_network(model.network), head)
    head.set_weights(model.head.get_weights())
    text = (model.origin or {}).get("cfg")
    if text is not None:
        numbers = {
            int(re.fullmatch(r"layer(\d+)_bn", name)[1]) for name in convolutions_before(model.network)
        }
        copy.origin = {**model.origin, "cfg": _without_normalization(text, numbers)}
    return copy


def _without_normalization(text: str, numbers: set[int]) -> str:
    """A cfg whose layers of these numbers have no batch normalisation."""
    lines = text.split("\n")
    cfg = parse(text.encode("utf-8", "surrogateescape"))
    for number in numbers:
        section = cfg.sections[number]
        if section.kind == "batchnorm":
            lines[section.line - 1] = "[empty]"  # keeps the numbers of the layers behind it
        for key in ("batch_normalize", "cbn"):
            if key in section:
                lines[section.line_of(key) - 1] = f"{key}=0"
    return "\n".join(lines)


def _assign(model: ZooModel, plan: Plan, keras_layers: dict[int, KerasLayers], file: WeightsFile) -> None:
    """Gives a model the weights of a file, and notes of the file what `save` needs to write it again."""
    for layer, arrays in file.tensors():
        keras_layers[layer.index].assign(layer, arrays, plan.shape_of(layer.inputs[0]))
    model.origin = {
        **(model.origin or {}),
        "version": list(file.header.version),
        "seen": file.header.seen,
        "normalization_bias": file.normalization_bias,
    }


def _layers_by_number(model: ZooModel, plan: Plan) -> dict[int, KerasLayers]:
    """The Keras layers of a model that `load` built, whose names tell Darknet's numbers."""
    by_name: dict[str, keras.layers.Layer] = {layer.name: layer for layer in model.network.layers}
    keras_layers = {}
    for layer in plan.layers:
        if layer.tensors:
            prefix = f"layer{layer.index}"
            norm = by_name.get(f"{prefix}_bn")
            main = next(
                (by_name[f"{prefix}_{kind}"] for kind in _MAIN if f"{prefix}_{kind}" in by_name), None
            )
            keras_layers[layer.index] = KerasLayers(norm) if main is None else KerasLayers(main, norm)
    return keras_layers


def _name(cfg: Path) -> str:
    """A model's name from a file's; Keras takes no slash, and TensorFlow likes letters."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", cfg.stem) or "darknet"
