"""Learning rates over the steps. Serialisable, so that a checkpoint carries its own schedule."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable("kzoo")
class BurnIn(keras.optimizers.schedules.LearningRateSchedule):
    """Rises to another schedule over its first steps.

    Args:
        schedule: what holds afterwards: a schedule, or a constant learning rate.
        steps: over which the rate rises as ((step + 1) / steps) ** power; 0 is no rise.
        power: 4 is Darknet's, 1 a straight line.

    Source: Darknet, `get_current_rate` in network.c.
    """

    def __init__(self, schedule, steps: int, power: float = 4.0):
        super().__init__()
        self.schedule, self.steps, self.power = schedule, int(steps), float(power)

    def __call__(self, step):
        rate = self.schedule(step) if callable(self.schedule) else self.schedule
        if not self.steps:
            return ops.convert_to_tensor(rate, "float32")
        share = (ops.cast(step, "float32") + 1.0) / self.steps
        return rate * ops.minimum(share, 1.0) ** self.power

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


def make_schedule(name: str, learning_rate: float, steps: int, burn_in: int, final: float = 0.01) -> BurnIn:
    """A schedule over a whole training.

    Args:
        name: "cosine" down to `final` of the rate; "step", a tenth after 80 % and another after 90 % of the
            steps, as Darknet's yolov3.cfg; or "constant".
        learning_rate: the highest.
        steps: batches in the whole training.
        burn_in: batches at its beginning in which the rate rises.
        final: share of the rate that a cosine ends on.
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
