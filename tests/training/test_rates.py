"""A schedule that can be set: callbacks scale what is left of it."""

import keras
import numpy as np
import pytest
from tiny_detector import SIDE, tiny_detector

import kzoo
from kzoo.data.loading.loader import batches
from kzoo.training import SGD, AdamW
from kzoo.training.config import TrainConfig
from kzoo.training.optimizers import follow_options, make_optimizer
from kzoo.training.schedules import BurnIn, DarknetSchedule, make_schedule

STEPS = 20


def stepped(optimizer, count: int = 1):
    """The rates after each of so many steps."""
    weight = optimizer._trainable_variables[0] if optimizer.built else keras.Variable([1.0])
    rates = []
    for _ in range(count):
        optimizer.apply([keras.ops.ones((1,))], [weight])
        rates.append(float(optimizer.learning_rate))
    return rates


def planned(schedule, steps):
    return [float(schedule(step)) for step in steps]


@pytest.mark.parametrize("kind", [AdamW, SGD])
@pytest.mark.parametrize("name", ["cosine", "step", "constant"])
def test_follows_its_schedule_to_the_last_bit(kind, name):
    schedule = make_schedule(name, 1e-2, STEPS, burn_in=4)
    optimizer = kind(schedule)
    assert float(optimizer.learning_rate) == float(schedule(0))
    assert stepped(optimizer, STEPS) == planned(schedule, range(1, STEPS + 1))


@pytest.mark.parametrize(
    ("own", "known", "options"),
    [
        (AdamW, keras.optimizers.AdamW, {"weight_decay": 0.01, "beta_1": 0.8, "epsilon": 1e-4}),
        (AdamW, keras.optimizers.AdamW, {"amsgrad": True}),
        (SGD, keras.optimizers.SGD, {"momentum": 0.9}),
        (SGD, keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True, "gradient_accumulation_steps": 2}),
        (SGD, keras.optimizers.SGD, {}),
    ],
)
def test_moves_weights_as_keras_s_own(own, known, options):
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype("float32") for shape in ((3, 3, 4, 8), (8,))]
    gradients = [[rng.normal(size=each.shape).astype("float32") for each in start] for _ in range(6)]
    moved = []
    for kind in (own, known):
        optimizer, weights = kind(0.05, **options), [keras.Variable(each) for each in start]
        for each in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(one) for one in each], weights)
        moved.append([keras.ops.convert_to_numpy(weight) for weight in weights])
    for mine, theirs, before in zip(*moved, start, strict=True):
        # Six steps of up to 0.05; TensorFlow subtracts a float32's beta_2 from 1, which moves a step by 1e-5 of it.
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=5e-6)
        assert abs(mine - before).max() > 0.05


def test_rows_of_a_table_are_moved_as_keras_s_own():
    import tensorflow as tf

    rows = tf.IndexedSlices(tf.ones((2, 3)), tf.constant([0, 4]), tf.constant([5, 3]))
    for own, known in ((AdamW, keras.optimizers.AdamW), (SGD, keras.optimizers.SGD)):
        weights = [keras.Variable(np.ones((5, 3), "float32")) for _ in range(2)]
        for kind, weight in zip((own, known), weights, strict=True):
            kind(0.05).apply([rows], [weight])
        np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, weights), rtol=1e-6)
        assert float(weights[0][4, 0]) < 0.96


def test_a_lower_rate_holds_at_once_and_scales_the_rest():
    schedule = make_schedule("cosine", 1e-2, STEPS, burn_in=8)
    optimizer = SGD(schedule, momentum=0.0)
    stepped(optimizer, 3)  # within the burn-in
    rate = float(optimizer.learning_rate)
    optimizer.learning_rate = rate / 10
    weight = optimizer._trainable_variables[0]
    before = float(weight[0])
    rates = stepped(optimizer)
    assert before - float(weight[0]) == pytest.approx(rate / 10, rel=1e-4)
    rates += stepped(optimizer, STEPS - 4)
    assert rates == pytest.approx([value / 10 for value in planned(schedule, range(4, STEPS + 1))], rel=1e-5)


def test_a_higher_rate_holds_at_once_and_ends_the_burn_in():
    schedule = make_schedule("cosine", 1e-2, STEPS, burn_in=8)
    optimizer = AdamW(schedule)
    optimizer.learning_rate.assign(2e-2)  # the burn-in stands at a millionth of the peak
    settled = planned(schedule.settled, range(STEPS + 1))
    wanted = [2e-2 * value / settled[0] for value in settled[1:]]
    assert stepped(optimizer, STEPS) == pytest.approx(wanted, rel=1e-5)


def test_what_was_zero_can_be_raised_again():
    optimizer = AdamW(1e-2)
    stepped(optimizer)
    optimizer.learning_rate = 0.0
    assert stepped(optimizer) == [0.0]
    optimizer.learning_rate = 1e-3
    assert stepped(optimizer, 2) == pytest.approx([1e-3, 1e-3])


def test_darknets_burn_in_is_known_too():
    schedule = DarknetSchedule(1e-2, burn_in=5, accumulate=2)
    assert planned(schedule.settled, [0, 7, 30]) == pytest.approx([1e-2] * 3)
    assert float(schedule(0)) == pytest.approx(1e-2 * 0.2**4)
    assert float(BurnIn(0.5, 10).settled(0)) == 0.5


def test_is_saved_with_what_was_set():
    optimizer = AdamW(make_schedule("cosine", 1e-2, STEPS, burn_in=0))
    stepped(optimizer, 4)
    optimizer.learning_rate = 1e-3
    again = AdamW.from_config(optimizer.get_config())
    again.build(optimizer._trainable_variables)
    for target, source in zip(again.variables, optimizer.variables, strict=True):
        target.assign(source)
    assert stepped(again, 3) == stepped(optimizer, 3)


@pytest.mark.long
def test_more_epochs_lay_the_schedule_over_all_of_them():
    short, long = TrainConfig(epochs=2), TrainConfig(epochs=4)
    optimizer = make_optimizer(short, STEPS)
    stepped(optimizer, 2 * STEPS)
    end = float(optimizer.learning_rate)
    follow_options(optimizer, short, STEPS)
    assert float(optimizer.learning_rate) == end
    optimizer.learning_rate = end / 2  # by a callback at the end of the last epoch
    follow_options(optimizer, long, STEPS)
    wanted = make_optimizer(long, STEPS)
    assert optimizer.ema_momentum == wanted.ema_momentum
    halved = [value / 2 for value in planned(wanted.schedule, range(2 * STEPS, 4 * STEPS + 1))]
    assert [float(optimizer.learning_rate), *stepped(optimizer, 2 * STEPS)] == pytest.approx(halved, rel=1e-4)


def test_kerass_callbacks_set_the_rate(detector):
    optimizer = AdamW(make_schedule("cosine", 1e-2, STEPS, burn_in=2))
    detector.compile(optimizer)
    plateau = keras.callbacks.ReduceLROnPlateau("val_map", mode="max", patience=1, factor=0.1)
    ladder = keras.callbacks.LearningRateScheduler(lambda epoch, rate: [4e-3, 2e-3, 1e-3][epoch])
    for callback in (plateau, ladder):
        callback.set_model(detector)
        callback.on_train_begin()
    for epoch in range(2):
        stepped(optimizer, 3)
        plateau.on_epoch_end(epoch, {"val_map": 0.5})
    tenth = float(optimizer.schedule(6)) / 10
    assert float(optimizer.learning_rate) == pytest.approx(tenth)
    stepped(optimizer)
    assert float(optimizer.learning_rate) == pytest.approx(float(optimizer.schedule(7)) / 10)
    for epoch, rate in enumerate([4e-3, 2e-3, 1e-3]):
        ladder.on_epoch_begin(epoch)
        assert float(optimizer.learning_rate) == pytest.approx(rate)
        assert 0.5 * rate < stepped(optimizer, 2)[-1] < rate


class Sets(keras.callbacks.Callback):
    """As people write them."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 2:
            self.model.optimizer.learning_rate.assign(1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_callbacks_set_the_rate_of_a_training(drawn, options, policy):
    plateau = keras.callbacks.ReduceLROnPlateau("val_map", mode="max", patience=1, min_delta=9, factor=0.1)
    options |= {"epochs": 4, "schedule": "constant", "learning_rate": 1e-2, "burn_in": 5, "ema": False}
    rows = kzoo.train(tiny_detector(policy=policy), *drawn, callbacks=[plateau, Sets()], **options).rows
    # Three steps an epoch: burn-in, then reduced at the end of the second epoch, then set at that of the third.
    assert [row["learning_rate"] for row in rows][2:] == pytest.approx([1e-3, 1e-4])


@pytest.mark.parametrize("name", ["ReduceLROnPlateau", "LearningRateScheduler"])
def test_plain_fit_refuses_at_once_what_keras_refuses_late(detector, drawn, name):
    callback = {
        "ReduceLROnPlateau": lambda: keras.callbacks.ReduceLROnPlateau("loss"),
        "LearningRateScheduler": lambda: keras.callbacks.LearningRateScheduler(lambda epoch: 1e-3),
    }[name]()
    stream = batches(drawn[0], SIDE, 8)
    detector.compile(keras.optimizers.AdamW(make_schedule("cosine", 1e-3, 6, 0)))
    with pytest.raises(ValueError, match=rf"^{name}: .* take kzoo.training.AdamW or SGD") as caught:
        detector.fit(stream, callbacks=[callback], verbose=0)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=name):
        detector.fit(stream, None, None, 1, 0, callback)
    for optimizer in (AdamW(make_schedule("cosine", 1e-3, 6, 0)), keras.optimizers.AdamW(1e-3)):
        detector.compile(optimizer, jit_compile=False)
        kzoo.model.checked_model.check_rate(detector.optimizer, [callback])
    assert np.isfinite(float(detector.optimizer.learning_rate))
