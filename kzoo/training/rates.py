"""Optimizers whose learning rate follows a schedule and can be set nevertheless, as Keras's own callbacks do."""

from __future__ import annotations

from collections.abc import Mapping

import keras
from keras import ops

from kzoo.training.schedules import BurnIn


class _Following:
    """Keeps the learning rate in a variable, and moves it along a schedule after each step.

    Keras's optimizers compute a schedule's rate anew at each step, so nobody can change it. Here whoever sets the
    rate, as `ReduceLROnPlateau` and `LearningRateScheduler` do, scales what is left of the schedule: the next step
    has the very rate that was set, and later ones the schedule's shape from there on. A rate above the present one
    ends a burn-in, which would lift it further; one below lets it go on. Where the schedule is 0, it stays 0.

    Layers may have rates of their own: `rates` has factors of the learning rate by how the layers' names begin.

    Attributes:
        schedule: what the rate follows.
        rates: factors of the rate by beginnings of layers' names.
        since: the update before which layers were not trained, by such beginnings; 0 for all others.
        adds_up: whether it gets each device's own gradients, and adds them up; True by default.
    """

    adds_up = True

    def __init__(
        self,
        learning_rate,
        rates: Mapping[str, float] | None = None,
        since: Mapping[str, int] | None = None,
        **options,
    ):
        schedule = learning_rate
        if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            schedule = BurnIn(float(learning_rate), 0)
        first = float(ops.convert_to_numpy(schedule(0)))
        super().__init__(learning_rate=first, **options)
        self.schedule = schedule
        self.rates, self.since = dict(rates or {}), dict(since or {})
        self.known = self._number("known_rate", first)  # what the rate is, unless somebody has set it
        self.scale = self._number("rate_scale", 1.0)
        self.risen = self._number("rate_risen", 0.0)  # 1 once the burn-in was ended

    def _number(self, name: str, value: float) -> keras.Variable:
        start = keras.initializers.Constant(value)
        return self.add_variable((), start, "float32", aggregation="only_first_replica", name=name)

    def apply(self, grads, trainable_variables=None):
        if self.adds_up:
            grads = added_up(grads)
        if not isinstance(self._learning_rate, keras.Variable):  # some callable of the user's
            return super().apply(grads, trainable_variables)
        self._heed()
        super().apply(grads, trainable_variables)
        self._learning_rate.assign(self._next_rate())
        self.known.assign(self._learning_rate)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        """Nothing is left to add up: that comes before the clipping, where Keras has it after."""
        return grads_and_vars

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        """One update for each group of variables that have the same rate."""
        groups: dict[tuple, list] = {}
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            key = (_of(self.rates, variable, 1.0), _of(self.since, variable, 0))
            groups.setdefault(key, []).append((gradient, variable))
        for (factor, since), pairs in groups.items():
            rate = (
                learning_rate if (factor, since) == (1.0, 0) else learning_rate * factor * self._late(since)
            )
            super()._backend_update_step(*map(list, zip(*pairs, strict=True)), rate)

    def _late(self, since: int):
        """Factor of the rate of variables whose averages began at an update, 0 for the first."""
        return 1.0

    def _heed(self) -> None:
        """Takes over a rate that was set since the last step."""
        rate, known, scale = (ops.convert_to_tensor(v) for v in (self._learning_rate, self.known, self.scale))
        settled = self._settled(self._iterations)
        scale = ops.where(rate < known, scale * _share(rate, known), scale)
        raised = ops.where(settled > 0, _share(rate, settled), scale)
        self.scale.assign(ops.where(rate > known, raised, scale))
        self.risen.assign(ops.maximum(self.risen, ops.cast(rate > known, "float32")))

    def _next_rate(self):
        step = self._iterations
        return self.scale * ops.where(self.risen > 0, self._settled(step), self.schedule(step))

    def _settled(self, step):
        """The schedule's rate without its burn-in."""
        return getattr(self.schedule, "settled", self.schedule)(step)

    def follow(self, schedule) -> None:
        """Goes on with another schedule, from the step that the training is at. What has scaled the rate stays."""
        serialize = keras.optimizers.schedules.serialize
        if serialize(schedule) == serialize(self.schedule):
            return
        self._heed()
        self.schedule = schedule
        self._learning_rate.assign(self._next_rate())
        self.known.assign(self._learning_rate)

    def get_config(self):
        schedule = keras.optimizers.schedules.serialize(self.schedule)
        own = {"learning_rate": schedule, "rates": dict(self.rates), "since": dict(self.since)}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("kzoo")
class LossScale(keras.optimizers.LossScaleOptimizer):
    """Keras's scaling of float16's loss, which looks at the gradients of all devices together.

    Keras's own leaves a step out only where the gradients of the first device are not finite.

    Args:
        inner_optimizer: an `AdamW` or `SGD` of this module.
        **options: further arguments of `keras.optimizers.LossScaleOptimizer`.
    """

    def __init__(self, inner_optimizer, **options):
        super().__init__(inner_optimizer, **options)
        inner_optimizer.adds_up = False

    def apply(self, grads, trainable_variables=None):
        super().apply(added_up(grads), trainable_variables)


def added_up(gradients):
    """The gradients of all devices that share a batch, where each has its own; on other backends they are sums already.

    Args:
        gradients: tensors, and None where there is no gradient.
    """
    if keras.backend.backend() != "tensorflow":
        return gradients
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return gradients
    there = [tf.convert_to_tensor(one) for one in gradients if one is not None]
    sums = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, there))
    return [None if one is None else next(sums) for one in gradients]


def _of(values: Mapping[str, float], variable: keras.Variable, otherwise: float) -> float:
    """What holds for a variable, by how its layer's name begins."""
    return next((value for start, value in values.items() if variable.path.startswith(start)), otherwise)


def _share(part, whole):
    """Their ratio; of no rate at all 0, without a division by it."""
    return part / ops.maximum(whole, 1e-37)


@keras.saving.register_keras_serializable("kzoo")
class AdamW(_Following, keras.optimizers.AdamW):
    """Keras's AdamW, whose learning rate follows a schedule and can be set nevertheless.

    Args:
        learning_rate: a schedule, or a number.
        rates: factors of the learning rate, above 0, by how the names of layers begin, such as {"backbone_": 0.1}; 1
            for all layers by default. Weight decay goes by the learning rate itself.
        since: numbers of updates by how the names of layers begin: those layers are trained from that update on alone,
            and the correction of their averages, which begin at 0, counts from there. From the first by default.
        **options: further arguments of `keras.optimizers.AdamW`, such as `weight_decay`.

    Example:
        >>> schedule = kzoo.training.schedules.make_schedule("cosine", 1e-3, steps=10_000, burn_in=500)
        >>> model.compile(kzoo.training.AdamW(schedule))
        >>> model.fit(batches, epochs=50, callbacks=[keras.callbacks.ReduceLROnPlateau("loss")])
    """

    def _late(self, since):
        # Keras divides by what the averages lack since the first update: (1 - beta ** step) of the weights' sum. Of
        # averages that began later more is lacking.
        if not since:
            return 1.0
        step = ops.cast(self.iterations + 1, "float32")
        return self._correction(ops.maximum(step - since, 1.0)) / self._correction(step)

    def update_step(self, gradient, variable, learning_rate):
        if self.amsgrad or not _in_one_pass(gradient):
            return super().update_step(gradient, variable, learning_rate)
        import tensorflow as tf

        index, kind = self._get_variable_index(variable), variable.dtype
        step = tf.cast(self.iterations + 1, kind)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.cast(self.beta_1, kind) ** step,
            beta2_power=tf.cast(self.beta_2, kind) ** step,
            lr=tf.cast(learning_rate, kind),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, kind),
        )

    def _correction(self, steps):
        """The factor by which Adam corrects its rate after a number of updates (Kingma and Ba 2015, section 2)."""
        return ops.sqrt(1.0 - self.beta_2**steps) / (1.0 - self.beta_1**steps)


@keras.saving.register_keras_serializable("kzoo")
class SGD(_Following, keras.optimizers.SGD):
    """Keras's SGD, whose learning rate follows a schedule and can be set nevertheless: see `AdamW`.

    Args:
        learning_rate: a schedule, or a number.
        rates: factors of the learning rate by how the names of layers begin; 1 for all layers by default.
        since: numbers of updates, as `AdamW` has them; without effect, for momentum is not corrected.
        **options: further arguments of `keras.optimizers.SGD`, such as `momentum`.
    """

    def update_step(self, gradient, variable, learning_rate):
        if not self.momentum or not _in_one_pass(gradient):
            return super().update_step(gradient, variable, learning_rate)
        import tensorflow as tf

        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.momentums[self._get_variable_index(variable)].value.handle,
            lr=tf.cast(learning_rate, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
            momentum=self.momentum,
            use_nesterov=self.nesterov,
        )


def _in_one_pass(gradient) -> bool:
    """Whether TensorFlow has an operation that reads and writes a weight and its averages once.

    Keras's own update takes one pass through memory for each of its dozen operations. Rows of a table have no such
    operation.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not isinstance(gradient, tf.IndexedSlices)
