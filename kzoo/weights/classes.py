"""The last layers of a head for other classes: rows of classes that both have go over by name, others start anew."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from kzoo.heads import Head
from kzoo.heads.base import leaves
from kzoo.model import ZooModel

log = logging.getLogger("kzoo")
_SHOWN = 10


def old_numbers(old: Sequence[str], new: Sequence[str], counts: tuple[int, int]) -> list[int | None]:
    """Which old class each new one is: by name; by number where one side has no names and both are as many.

    Args:
        old: the class names that the weights were trained for; empty where they are not known.
        new: the class names of the model that takes them; empty where they are not known.
        counts: how many classes there were, and how many there are.

    Returns:
        For each new class the number of the old one, counted from 0, or None where there was none.

    Example:
        >>> old_numbers(["cat", "dog"], ["dog", "cow"], (2, 2))
        [1, None]
    """
    if old and new:
        numbers = {name: number for number, name in reversed(list(enumerate(old)))}
        return [numbers.get(name) for name in new]
    return list(range(counts[1])) if counts[0] == counts[1] else [None] * counts[1]


def take_head(target: Head, source: Head, origins: Sequence[int | None]) -> None:
    """Gives a head the weights of one for other classes.

    Args:
        target: the head that takes them; rows of classes that are new stay as they are.
        source: the head that has them, of the same kind and settings but for the classes.
        origins: for each class of the target the number of the source's, or None, as `old_numbers` gives it.
    """
    layers = {layer.name: layer for layer in leaves(source)}
    rows = {id(layer): (groups, before) for layer, groups, before in target.class_outputs()}
    for layer in leaves(target):
        if not layer.weights or layer.name not in layers:
            continue
        groups, before = rows.get(id(layer), (1, 0))
        for variable, trained in zip(layer.weights, layers[layer.name].weights, strict=True):
            value = keras.ops.convert_to_numpy(trained)
            if id(layer) in rows:
                value = _rows(keras.ops.convert_to_numpy(variable), value, groups, before, origins)
            variable.assign(value)


def check_places(head: Head, origins: Sequence[int | None], old: Sequence[str], path: str | Path) -> None:
    """Refuses classes in another order where it is the network that counts them, so that no rows can be moved.

    Args:
        head: the head, before or after its number of classes was changed.
        origins: for each class the number of the old one, or None, as `old_numbers` gives it.
        old: the class names that the weights were trained for.
        path: the file of the weights, for the message.

    Raises:
        ValueError: some of the same names have other places.
    """
    moved = any(place is not None and place != number for number, place in enumerate(origins))
    if moved and not head.class_outputs():
        raise ValueError(
            f"{path}: its classes have their places in the network itself, which are those of {listed(old)}; give "
            "names in that order"
        )


def _rows(new: np.ndarray, old: np.ndarray, groups: int, before: int, origins: Sequence[int | None]):
    """Weights (..., groups * (before + classes)), new and old, merged: of classes that both have the old ones.

    Args:
        new: the weights of the target, whose last axis counts outputs.
        old: the weights of the source, whose last axis counts outputs.
        groups: how many groups of outputs there are, such as one an anchor.
        before: how many outputs of a group stand before those of the classes, such as those of the box.
        origins: for each new class the number of the old one, or None.
    """
    new = np.array(new).reshape(*new.shape[:-1], groups, -1)  # (..., groups, before + new classes)
    old = old.reshape(*old.shape[:-1], groups, -1)  # (..., groups, before + old classes)
    new[..., :before] = old[..., :before]
    for number, place in enumerate(origins):
        if place is not None:
            new[..., before + number] = old[..., before + place]
    return new.reshape(*new.shape[:-2], -1)


def with_classes(model: ZooModel, names: Sequence[str], path: str | Path) -> ZooModel:
    """A model of the same network for other classes.

    Args:
        model: the model as it was trained; itself is given back where its classes are these.
        names: the names of the new classes.
        path: the file that the model is from, for messages and the log.

    Returns:
        A model whose head has rows for the new classes, those of classes it knew with their weights.

    Raises:
        ValueError: the model's classes are counted in the network itself.
    """
    names = list(names)
    counts = (model.head.num_classes, len(names))
    origins = old_numbers(model.names, names, counts)
    if origins == list(range(counts[0])):
        model.names = names
        return model
    check_places(model.head, origins, model.names, path)
    if counts[0] != counts[1] and not model.head.class_outputs():
        raise ValueError(
            f"{path}: has {counts[0]} classes, not {counts[1]}, and they are counted in the network itself; build it "
            "by name with this file as weights, or, of a .cfg, change classes and filters there and take the layers "
            "before with stop_at"
        )
    head = model.head.altered(**for_classes(model.head, counts[1]))
    other = model.remade(model.network, head)
    take_head(head, model.head, origins)
    warn_of_changes(path, head, origins, names, model.names)
    other.names = names
    return other


def for_classes(head: Head, count: int) -> dict:
    """The arguments in which a head for another number of classes differs.

    Weights of each class in the loss are left out, for they cannot be those of other classes.

    Args:
        head: the head as it was trained.
        count: how many classes the other head has.
    """
    changed = {"num_classes": count}
    if count != head.num_classes and head.get_config().get("class_weights") is not None:
        changed["class_weights"] = None
    return changed


def warn_of_changes(
    path: str | Path,
    head: Head,
    origins: Sequence[int | None],
    new: Sequence[str],
    old: Sequence[str] = (),
    layers: Sequence[str] = (),
) -> None:
    """Says in one line which classes are new, in which layers, and which of the file's are left out.

    Args:
        path: the file that the weights are from.
        head: the head that has taken them.
        origins: for each new class the number of the old one, or None, as `old_numbers` gives it.
        new: the new class names; empty where they are not known.
        old: the class names of the file; empty where they are not known.
        layers: names of layers of the network, rather than the head, that start anew.
    """
    fresh = [new[i] if new else str(i) for i, place in enumerate(origins) if place is None]
    dropped = [name for i, name in enumerate(old) if i not in origins]
    layers = ", ".join([*layers, *(f"head/{layer.name}" for layer, *_ in head.class_outputs())])
    if not layers:
        log.warning("%s: %s take the places of %s in the network", path, listed(fresh), listed(dropped))
        return
    if not fresh and not dropped:
        log.warning("%s: the same classes in another order: their rows in %s follow the names", path, layers)
        return
    gained = (
        f"classes that start anew, in {layers}: {listed(fresh)}" if fresh else f"no class is new in {layers}"
    )
    lost = f"; left out: {listed(dropped)}" if dropped else ""
    log.warning("%s: %s%s; all else is the file's", path, gained, lost)


def listed(names: Sequence[str]) -> str:
    """The first ten names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(str, names[:_SHOWN])) + more
