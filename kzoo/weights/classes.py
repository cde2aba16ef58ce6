"""The last layers of a head for other classes: rows of classes that both have go over by name, the rest starts anew."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from kzoo.heads import Head
from kzoo.model import ZooModel

log = logging.getLogger("kzoo")
_SHOWN = 10


def matching(old: Sequence[str], new: Sequence[str], counts: tuple[int, int]) -> list[int | None]:
    """Of each new class the old one that it is: by name; by number where one side has no names and both are as many.

    Args:
        old: names, or none.
        new: names, or none.
        counts: how many classes there were and are.

    Returns:
        For each new class the number of the old one, or None.
    """
    if old and new:
        numbers = {name: number for number, name in reversed(list(enumerate(old)))}
        return [numbers.get(name) for name in new]
    return list(range(counts[1])) if counts[0] == counts[1] else [None] * counts[1]


def take_head(target: Head, source: Head, match: Sequence[int | None]) -> None:
    """Gives a head the weights of one for other classes.

    Args:
        target: takes them; rows of classes that are new stay as they are.
        source: of the same kind and settings, but for the classes.
        match: as `matching` gives it.

    """
    layers = {layer.name: layer for layer in source._flatten_layers(include_self=False)}
    rows = {id(layer): (groups, before) for layer, groups, before in target.class_outputs()}
    for layer in target._flatten_layers(include_self=False):
        if not layer.weights or layer.name not in layers:
            continue
        groups, before = rows.get(id(layer), (1, 0))
        for variable, given in zip(layer.weights, layers[layer.name].weights, strict=True):
            value = keras.ops.convert_to_numpy(given)
            if id(layer) in rows:
                value = _rows(keras.ops.convert_to_numpy(variable), value, groups, before, match)
            variable.assign(value)


def check_places(head: Head, match: Sequence[int | None], old: Sequence[str], path: str | Path) -> None:
    """Refuses classes in another order where it is the network that counts them, so that no rows can be moved.

    Args:
        head: of either number of classes.
        match: as `matching` gives it.
        old: the names that there were.
        path: of the file.

    Raises:
        ValueError: some of the same names have other places.
    """
    moved = any(place is not None and place != number for number, place in enumerate(match))
    if moved and not head.class_outputs():
        raise ValueError(
            f"{path}: its classes have their places in the network itself, which are those of {listed(old)}; give "
            "names in that order"
        )


def _rows(new: np.ndarray, old: np.ndarray, groups: int, before: int, match: Sequence[int | None]):
    """Numbers (..., groups * (before + classes)) where those that both have are the old ones."""
    new = np.array(new).reshape(*new.shape[:-1], groups, -1)
    old = old.reshape(*old.shape[:-1], groups, -1)
    new[..., :before] = old[..., :before]
    for number, place in enumerate(match):
        if place is not None:
            new[..., before + number] = old[..., before + place]
    return new.reshape(*new.shape[:-2], -1)


def with_classes(model: ZooModel, names: Sequence[str], path: str | Path) -> ZooModel:
    """A model of the same network for other classes.

    Args:
        model: as it was trained; itself where its classes are these.
        names: of the classes.
        path: where it is from, to say what is new.

    Raises:
        ValueError: its classes are counted in the network itself.
    """
    names = list(names)
    counts = (model.head.num_classes, len(names))
    match = matching(model.names, names, counts)
    if match == list(range(counts[0])):
        model.names = names
        return model
    check_places(model.head, match, model.names, path)
    if counts[0] != counts[1] and not model.head.class_outputs():
        raise ValueError(
            f"{path}: has {counts[0]} classes, not {counts[1]}, and they are counted in the network itself; build it "
            "by name with this file as weights, or, of a .cfg, change classes and filters there and take the layers "
            "before with stop_at"
        )
    head = model.head.altered(**for_classes(model.head, counts[1]))
    other = model.remade(model.network, head)
    take_head(head, model.head, match)
    tell(path, head, match, names, model.names)
    other.names = names
    return other


def for_classes(head: Head, count: int) -> dict:
    """What a head of another number of classes has otherwise: weights of each class cannot be those of others."""
    changed = {"num_classes": count}
    if count != head.num_classes and head.get_config().get("class_weights") is not None:
        changed["class_weights"] = None
    return changed


def tell(
    path: str | Path,
    head: Head,
    match: Sequence[int | None],
    new: Sequence[str],
    old: Sequence[str] = (),
    layers: Sequence[str] = (),
) -> None:
    """Says in one line which classes are new, in which layers, and which of the file's are left out.

    Args:
        path: of the file.
        head: that has taken its weights.
        match: as `matching` gives it.
        new: names of the classes, or none.
        old: those of the file, or none.
        layers: of the network that start anew.
    """
    fresh = [new[i] if new else str(i) for i, place in enumerate(match) if place is None]
    left = [name for i, name in enumerate(old) if i not in match]
    layers = ", ".join([*layers, *(f"head/{layer.name}" for layer, *_ in head.class_outputs())])
    if not layers:
        log.warning("%s: %s take the places of %s in the network", path, listed(fresh), listed(left))
        return
    if not fresh and not left:
        log.warning("%s: the same classes in another order: their rows in %s follow the names", path, layers)
        return
    said = (
        f"classes that start anew, in {layers}: {listed(fresh)}" if fresh else f"no class is new in {layers}"
    )
    rest = f"; left out: {listed(left)}" if left else ""
    log.warning("%s: %s%s; all else is the file's", path, said, rest)


def listed(names: Sequence[str]) -> str:
    """The first few of them."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(str, names[:_SHOWN])) + more
