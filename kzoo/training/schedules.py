"""Learning rates over the steps. Serialisable, so that a checkpoint carries its own schedule."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import keras
from keras import ops

_MOST_ITERATIONS = 2**30


@keras.saving.register_keras_serializable("kzoo")
class BurnIn(keras.optimizers.schedules.LearningRateSchedule):
    """Rises to another schedule over its first steps.

    Args:
        schedule: what holds afterwards: a schedule, or a constant learning rate.
        steps: number of steps in which the rate rises, by the factor ((step + 1) / steps) ** power; 0 is no rise.
        power: exponent of that factor; 4, the default, is Darknet's, 1 a straight line.

    Source: Darknet, `get_current_rate` in network.c.
    """

    def __init__(self, schedule, steps: int, power: float = 4.0):
        super().__init__()
        self.schedule, self.steps, self.power = schedule, int(steps), float(power)

    def __call__(self, step):
        rate = self.settled(step)
        if not self.steps:
            return rate
        share = (ops.cast(step, "float32") + 1.0) / self.steps
        return rate * ops.minimum(share, 1.0) ** self.power

    def settled(self, step):
        """The rate as if it had risen already."""
        rate = self.schedule(step) if callable(self.schedule) else self.schedule
        return ops.convert_to_tensor(rate, "float32")

    def get_config(self):
        schedule = self.schedule
        if callable(schedule):
            schedule = keras.optimizers.schedules.serialize(schedule)
        return {"schedule": schedule, "steps": self.steps, "power": self.power}

    @classmethod
    def from_config(cls, config):
        schedule = config["schedule"]
        if isinstance(schedule, dict):
            schedule = keras.optimizers.schedules.deserialize(schedule)
        return cls(**{**config, "schedule": schedule})


@keras.saving.register_keras_serializable("kzoo")
class DarknetSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Darknet's learning rates. An iteration is an update of the weights; the first is number 1.

    Args:
        learning_rate: the rate that all policies multiply.
        policy: one of `kzoo.options.forms.POLICIES`:
            "constant";
            "steps": times each of `scales` from the iteration in `steps` on;
            "step": times `scale` every `step` iterations;
            "exp": times gamma ** iteration;
            "poly": times (1 - iteration / max_batches) ** power;
            "sigmoid": times 1 / (1 + e ** (gamma * (iteration - step)));
            "sgdr": a cosine down to `minimum`, anew after `cycle` iterations, and again after `growth` times as many;
            "random": times a number from 0 to 1, another each iteration, to `power`.
        burn_in: number of iterations in which the rate is `learning_rate` times (iteration / burn_in) ** power.
        power: exponent of the burn-in and of the policies "poly" and "random", 4 by default.
        max_batches: number of iterations of the whole training, for "poly".
        steps: the iterations from which each of `scales` counts, for "steps".
        scales: the factors at these iterations, as many as `steps`.
        step: number of iterations between two factors of "step", 1 or more; the middle iteration of "sigmoid".
        scale: the factor that "step" applies again and again.
        gamma: the base of "exp", or the slope of "sigmoid".
        cycle: number of iterations of the first cosine of "sgdr"; `max_batches` where None.
        growth: how many times as long as the one before each cosine of "sgdr" is, 1 or more; 2 by default.
        minimum: the lowest rate of "sgdr", 0.00001 by default.
        accumulate: number of batches whose gradients make one iteration, 1 by default.

    Raises:
        ValueError: the arguments do not go together.

    Source: Darknet, `get_current_rate` in network.c.
    """

    def __init__(
        self,
        learning_rate: float,
        policy: str = "constant",
        burn_in: int = 0,
        power: float = 4.0,
        max_batches: int = 0,
        steps: Sequence[int] = (),
        scales: Sequence[float] = (),
        step: int = 1,
        scale: float = 1.0,
        gamma: float = 1.0,
        cycle: int | None = None,
        growth: int = 2,
        minimum: float = 1e-5,
        accumulate: int = 1,
    ):
        super().__init__()
        self.learning_rate = float(learning_rate)
        self.policy = policy
        self.burn_in = int(burn_in)
        self.power = float(power)
        self.max_batches = int(max_batches)
        self.steps = [int(iteration) for iteration in steps]
        self.scales = [float(factor) for factor in scales]
        self.step = int(step)
        self.scale = float(scale)
        self.gamma = float(gamma)
        self.cycle = int(cycle or max_batches)
        self.growth = int(growth)
        self.minimum = float(minimum)
        self.accumulate = int(accumulate)
        wanted = {"poly": self.max_batches, "sgdr": min(self.cycle, self.growth), "step": self.step}
        if len(self.steps) != len(self.scales) or wanted.get(policy, 1) < 1:
            raise ValueError(f"schedule: {self.get_config()} does not describe the policy {policy!r}")
        # Known before the first call, so that a wrong name is told then.
        self._share = {
            "constant": self._constant,
            "exp": self._exp,
            "poly": self._poly,
            "random": self._random,
            "sgdr": self._sgdr,
            "sigmoid": self._sigmoid,
            "step": self._step,
            "steps": self._steps,
        }[policy]

    def __call__(self, step):
        rate = self.settled(step)
        if self.burn_in:
            iteration = ops.cast(step, "int32") // self.accumulate + 1
            share = (ops.cast(iteration, "float32") / self.burn_in) ** self.power
            rate = ops.where(iteration < self.burn_in, self.learning_rate * share, rate)
        return rate

    def settled(self, step):
        """The rate of the policy alone, without burn-in."""
        iteration = ops.cast(step, "int32") // self.accumulate + 1
        return self.learning_rate * self._share(iteration, ops.cast(iteration, "float32"))

    def _constant(self, iteration, number):
        return ops.ones_like(number)

    def _steps(self, iteration, number):
        # One that comes before its predecessor waits for it.
        reached = itertools.accumulate(self.steps, max)
        return math.prod(
            (ops.where(iteration >= at, scale, 1.0) for at, scale in zip(reached, self.scales, strict=True)),
            start=ops.ones_like(number),
        )

    def _step(self, iteration, number):
        return self.scale ** ops.cast(iteration // self.step, "float32")

    def _exp(self, iteration, number):
        return self.gamma**number

    def _poly(self, iteration, number):
        return ops.maximum(1.0 - number / self.max_batches, 0.0) ** self.power

    def _sigmoid(self, iteration, number):
        return ops.sigmoid(-self.gamma * (number - self.step))

    def _sgdr(self, iteration, number):
        if self.growth == 1:
            start, length = (iteration - 1) // self.cycle * self.cycle, self.cycle
        else:
            # Where the present cycle starts, and how long it is. Graphs do not loop until something holds, so all
            # cycles that there can be are gone through; they double at least, which makes thirty at most.
            start, length = 0, self.cycle
            begin, size = self.cycle, self.cycle * self.growth
            while begin < _MOST_ITERATIONS:
                start = ops.where(iteration > begin, begin, start)
                length = ops.where(iteration > begin, size, length)
                begin, size = begin + size, size * self.growth
        passed = ops.cast(iteration - start, "float32") / ops.cast(length, "float32")
        low = self.minimum / self.learning_rate
        return low + 0.5 * (1.0 - low) * (1.0 + ops.cos(math.pi * passed))

    def _random(self, iteration, number):
        # Multiples of the golden ratio, modulo 1 (20251 / 32768 is 0.618), are evenly spread, and depend on the
        # iteration alone: a resumed training has the same.
        return (ops.cast(iteration % 32768 * 20251 % 32768, "float32") / 32768) ** self.power

    def get_config(self):
        names = (
            "learning_rate policy burn_in power max_batches steps scales step scale gamma cycle growth minimum "
            "accumulate"
        )
        return {name: getattr(self, name) for name in names.split()}


def make_schedule(name: str, learning_rate: float, steps: int, burn_in: int, final: float = 0.01) -> BurnIn:
    """A schedule over a whole training.

    Args:
        name: "cosine" down to `final` of the rate; "step", a tenth after 80 % and another after 90 % of the
            steps, as Darknet's yolov3.cfg; or "constant".
        learning_rate: the highest rate.
        steps: number of batches in the whole training.
        burn_in: number of batches at its beginning in which the rate rises; 0 is no rise.
        final: share of the highest rate that a cosine ends on, 0 to 1; 0.01 by default.
    """
    schedules = keras.optimizers.schedules
    if name == "cosine":
        rate = schedules.CosineDecay(learning_rate, max(1, steps), alpha=final)
    elif name == "step":
        boundaries = [max(1, int(0.8 * steps)), max(2, int(0.9 * steps))]
        values = [learning_rate, learning_rate / 10, learning_rate / 100]
        rate = schedules.PiecewiseConstantDecay(boundaries, values)
    else:
        rate = learning_rate
    return BurnIn(rate, burn_in)
