"""Options that have a form of their own: what augments, anchors, schedules, losses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kzoo.options.kinds import Special
from kzoo.options.quantities import Number, Whole
from kzoo.options.words import Text, Word

ALL = "all"  # in the place of a number of epochs, or of devices
AUTO = "auto"  # in the place of a number of images
MOST_IMAGES = 65536  # of a batch
SCHEDULES = ("cosine", "step", "constant")
# Darknet's learning rates, which a mapping asks for: see `kzoo.training.schedules.DarknetSchedule`.
POLICIES = ("constant", "exp", "poly", "random", "sgdr", "sigmoid", "step", "steps")


def _schedule(value: Any) -> str | dict:
    """One of kzoo's schedules by its name, or one of Darknet's as a mapping with its policy."""
    policy = value.get("policy") if isinstance(value, Mapping) else None
    if policy not in POLICIES and (isinstance(value, Mapping) or value not in SCHEDULES):
        raise ValueError(value)
    return dict(value) if isinstance(value, Mapping) else value


def _augment(value: Any) -> Any:
    """The name of a preset, or a list of transforms: names, mappings or objects."""
    if isinstance(value, str):
        return Text().sound(value)
    # An array has no truth, and is no list of transforms either.
    if not isinstance(value, Sequence) or any(isinstance(one, str) and not one for one in value):
        raise TypeError(value)
    return value


def _anchors(value: Any) -> Any:
    """A word, or widths and heights, however they are nested."""
    if isinstance(value, str):
        return Word(choices=("auto", "default")).sound(value)
    sides = list(_flat(value))
    if not sides or len(sides) % 2:
        raise ValueError(value)
    for side in sides:
        Number(above=0).sound(side)
    return value


def _flat(value: Any) -> Iterator:
    """The numbers of lists in lists, or of an array."""
    for one in value.tolist() if hasattr(value, "tolist") else value:
        if isinstance(one, str) or not hasattr(one, "__iter__"):
            yield one
        else:
            yield from _flat(one)


def _head(value: Any) -> dict:
    """Arguments of a head by name; what they may be is the head's own to say."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and name for name in value):
        raise TypeError(value)
    return dict(value)


def _loss(value: Any) -> Any:
    """A name or a sum as a text, or a list or a mapping of losses with their weights."""
    if isinstance(value, str):
        return Text().sound(value)
    if not isinstance(value, (Mapping, Sequence)) or not value:
        raise TypeError(value)
    return value


def _word_or_list(text: str) -> str | list[str]:
    return text.split(",") if "," in text else text


def _word_or_numbers(text: str) -> str | list[float]:
    return [float(side) for side in text.split(",")] if "," in text else text


def _epochs(value: Any) -> int | str:
    """A number of epochs, or "all"; truth values stand for all and none."""
    if isinstance(value, bool):
        return ALL if value else 0
    return value if value == ALL else Whole(least=0, most=1_000_000).sound(value)


def _images(value: Any) -> int | str:
    """A number of images, or "auto"."""
    return (
        value if isinstance(value, str) and value == AUTO else Whole(least=1, most=MOST_IMAGES).sound(value)
    )


def _devices(value: Any) -> int | str:
    """A number of devices, or "all"."""
    return value if isinstance(value, str) and value == ALL else Whole(least=1, most=4096).sound(value)


DEVICES = Special(
    reads=lambda text: text if text == ALL else int(text),
    takes=_devices,
    form="a whole number of devices, 1 or more, or all",
)
BATCH = Special(
    reads=lambda text: text if text == AUTO else int(text),
    takes=_images,
    form=f"a whole number of images, 1 to {MOST_IMAGES}, or auto",
)
EPOCHS = Special(
    reads=lambda text: text if text == ALL else int(text),
    takes=_epochs,
    form="a number of epochs, 0 or more, or all",
)
SCHEDULE = Special(takes=_schedule, form="cosine, step or constant")
# What the names mean is asked of `kzoo.augment.compose.transforms`.
AUGMENT = Special(
    reads=_word_or_list,
    takes=_augment,
    form="none, light, mosaic, yolov4, detr, rt-detr, or transforms joined by commas",
)
ANCHORS = Special(
    reads=_word_or_numbers,
    takes=_anchors,
    form="auto, default, or widths and heights above 0, in pixels, joined by commas",
)
HEAD = Special(takes=_head, form="NAME=VALUE")
# What the names mean is asked of `kzoo.losses.named.PixelLoss`.
LOSS = Special(takes=_loss, form="the name of a loss, or a sum of some, such as ce+dice")
