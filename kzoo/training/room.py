"""How many images fit into memory: `batch_size="auto"` measures steps of growing batches and takes the largest."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from kzoo.model import ZooModel
from kzoo.training.assembly import compile_model
from kzoo.training.config import TrainConfig
from kzoo.training.devices import gpus, replicas
from kzoo.training.gauge import Gauge, gauge
from kzoo.training.inputs import input_sizes, searching_of, training_batches


@dataclass(frozen=True)
class Choice:
    """A batch size and why it was taken.

    Attributes:
        images: number of images in the batch.
        used: bytes of memory at the peak of a step.
        most: the largest number that was asked about.
    """

    images: int
    used: float
    most: int


def largest_batch(measure: Callable[[int], float], budget: float, most: int, multiple: int = 1) -> Choice:
    """The largest batch of which a step stays within a budget.

    Memory grows about linearly with the images. So the batch is doubled as long as the line through the last two
    measurements says that the double one fits; then the line says how many fit between the two, and that is measured,
    too. No step takes much more than the budget on the way, as it would by halving an interval.

    Args:
        measure: gives the bytes at the peak of a step of a number of images; inf where it ran out of memory.
        budget: bytes that a step may take.
        most: the largest number of images that is of use.
        multiple: the number that all batches are multiples of: the devices that share one.

    Raises:
        ValueError: not even the smallest batch fits.
    """
    most = max(multiple, most // multiple * multiple)
    images, used = multiple, measure(multiple)
    if used > budget:
        raise ValueError(
            f"batch_size='auto': a step of {images} image{'s' * (images > 1)} takes {_gigabytes(used)}, and "
            f"{_gigabytes(budget)} may be used; give a smaller image_size (--image-size) or width (--width), or "
            "checkpoint_gradients (--checkpoint-gradients)"
        )
    each = 0.0  # bytes of a further image
    while images < most:
        fitting = images + (budget - used) / each if each else math.inf
        bigger = min(most, 2 * images, int(min(fitting, most) // multiple * multiple))
        if bigger <= images:
            break
        needed = measure(bigger)
        if needed > budget:  # a number between the two, as the line through both has it
            each = max(each, (min(needed, 2 * budget) - used) / (bigger - images))
            most = bigger - multiple
            continue
        each = max(0.0, (needed - used) / (bigger - images))
        images, used = bigger, needed
    return Choice(images, used, most)


def with_fitting_batch(model: ZooModel, config: TrainConfig, dataset) -> tuple[TrainConfig, str]:
    """The options with the largest batch that fits into memory, and a line that says which it is, and why.

    Steps of the model are run on the first image, as often as the batch has images, at the largest input size; its
    weights are afterwards what they were before.

    Args:
        model: the model that is going to be trained, not yet compiled.
        config: the training's options, `batch_size` among them "auto".
        dataset: the dataset to train on.

    Raises:
        ValueError: nobody tells how much memory there is, or not even the smallest batch fits.
    """
    memory, devices = gauge(gpus()), replicas(model)
    if memory is None:
        raise ValueError(
            "batch_size='auto': the system does not tell how much memory is free; give a number of images"
        )
    single, before = _single(model, config, dataset), [np.array(one) for one in map(_values, model.variables)]
    compile_model(model, dataclasses.replace(config, batch_size=devices), len(dataset))
    try:
        choice = largest_batch(
            lambda images: _peak(model, single, images, memory), memory.budget, len(dataset), devices
        )
    finally:
        for variable, value in zip(model.variables, before, strict=False):  # the optimizer's come behind
            variable.assign(value)
    return dataclasses.replace(config, batch_size=choice.images), _told(choice, memory, len(dataset))


def _values(variable: keras.Variable):
    return keras.ops.convert_to_numpy(variable)


def _single(model: ZooModel, config: TrainConfig, dataset) -> tuple:
    """One image and its targets as the training makes them, at the largest size that it is going to have."""
    largest = max(input_sizes(config, model.image_size), key=math.prod)
    changes = {
        "batch_size": 1,
        "multi_scale": False,
        "sizes": None,
        "workers": 0,
        "cache": None,
        "balance": None,
    }
    single = dataclasses.replace(config, **changes)
    batches = training_batches(
        dataset, single, largest, resize=model.resize, task=model.truth, searching=searching_of(model)
    )
    return batches.maker.batch(0, 0)


def _peak(model: ZooModel, single: tuple, images: int, memory: Gauge) -> float:
    """Bytes at the peak of a step of a number of images; inf where the memory does not suffice."""
    inputs, targets = keras.tree.map_structure(lambda one: np.repeat(one, images, axis=0), single)
    memory.reset()
    try:
        model.fit(inputs, targets, batch_size=images, shuffle=False, verbose=0)
    except Exception as error:
        if memory.ran_out(error):
            return math.inf
        raise
    return memory.peak()


def _told(choice: Choice, memory: Gauge, count: int) -> str:
    """The line for the user."""
    if choice.images == count:
        return (
            f"batch size {choice.images}: all images to train on, for which {_gigabytes(choice.used)} suffice"
        )
    return (
        f"batch size {choice.images}: a step takes {_gigabytes(choice.used)} of the {_gigabytes(memory.budget)} that "
        f"it may ({memory.what})"
    )


def _gigabytes(count: float) -> str:
    return f"{count / 2**30:.2f} GiB" if math.isfinite(count) else "more than there is"
