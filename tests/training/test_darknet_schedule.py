"""Darknet's learning rates, worked out by hand from its rules, iteration by iteration."""

import json
import math

import keras
import numpy as np
import pytest
from tiny_detector import flat

from kzoo.training.assembly import compile_model
from kzoo.training.config import TrainConfig
from kzoo.training.schedules import DarknetSchedule

RATE = 0.001


def rates(iterations, accumulate: int = 1, **arguments) -> np.ndarray:
    """The rates of updates; the first is iteration 1, and happens in the last of its batches."""
    schedule = DarknetSchedule(RATE, accumulate=accumulate, **arguments)
    return np.array([float(schedule(accumulate * iteration - 1)) for iteration in iterations])


def walked_sgdr(iteration: int, cycle: int, growth: int, least: float) -> float:
    """Cycle after cycle, until the iteration's own."""
    began = 0
    while began + cycle < iteration:
        began, cycle = began + cycle, cycle * growth
    return least + 0.5 * (RATE - least) * (1 + math.cos(math.pi * (iteration - began) / cycle))


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"policy": "constant"}, {1: RATE, 10**6: RATE}),
        # yolov3.cfg
        (
            {"policy": "steps", "burn_in": 1000, "steps": [400000, 450000], "scales": [0.1, 0.1]},
            {
                1: 1e-15,
                500: 6.25e-5,
                999: RATE * 0.999**4,
                1000: RATE,
                399999: RATE,
                400000: 1e-4,
                450000: 1e-5,
            },
        ),
        # yolov2-tiny-voc.cfg
        (
            {"policy": "steps", "steps": [-1, 100, 20000, 30000], "scales": [0.1, 10, 0.1, 0.1]},
            {1: 1e-4, 99: 1e-4, 100: 1e-3, 19999: 1e-3, 20000: 1e-4, 30000: 1e-5},
        ),
        # A step that comes before its predecessor waits for it.
        ({"policy": "steps", "steps": [100, 50], "scales": [0.1, 0.1]}, {60: 1e-3, 99: 1e-3, 100: 1e-5}),
        ({"policy": "step", "step": 30, "scale": 0.5}, {29: 1e-3, 30: 5e-4, 59: 5e-4, 60: 2.5e-4}),
        ({"policy": "exp", "gamma": 0.99}, {1: 9.9e-4, 100: RATE * 0.99**100}),
        # darknet19.cfg
        (
            {"policy": "poly", "max_batches": 800000, "power": 4},
            {1: RATE, 400000: RATE / 16, 800000: 0.0, 800100: 0.0},
        ),
        ({"policy": "poly", "max_batches": 100, "power": 2, "burn_in": 10}, {5: RATE / 4, 50: RATE / 4}),
        ({"policy": "sigmoid", "gamma": 0.05, "step": 200}, {200: RATE / 2, 240: RATE / (1 + math.exp(2))}),
        (
            {"policy": "sgdr", "max_batches": 500},
            {1: walked_sgdr(1, 500, 2, 1e-5), 250: (RATE + 1e-5) / 2, 500: 1e-5},
        ),
    ],
)
def test_rates_of_each_policy(arguments, wanted, accumulate):
    found = rates(wanted, accumulate, **arguments)
    np.testing.assert_allclose(found, list(wanted.values()), rtol=2e-5, atol=1e-20)


@pytest.mark.long
@pytest.mark.parametrize(("cycle", "growth", "least"), [(20, 2, 1e-5), (20, 1, 0.0), (7, 3, 1e-4)])
def test_cycles_begin_anew_and_grow(cycle, growth, least):
    found = rates(range(1, 400), policy="sgdr", cycle=cycle, growth=growth, minimum=least)
    wanted = [walked_sgdr(iteration, cycle, growth, least) for iteration in range(1, 400)]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-9)


def test_random_rates_are_spread_and_the_same_again():
    found = rates(range(1, 401), policy="random", power=1.0) / RATE
    np.testing.assert_allclose(np.histogram(found, 4, (0, 1))[0], 100, atol=8)
    np.testing.assert_array_equal(found, rates(range(1, 401), policy="random", power=1.0) / RATE)


def test_the_batches_of_an_iteration_have_one_rate():
    schedule = DarknetSchedule(RATE, "exp", gamma=0.9, accumulate=3)
    found = [float(schedule(batch)) for batch in range(6)]
    np.testing.assert_allclose(found, [RATE * 0.9] * 3 + [RATE * 0.81] * 3, rtol=1e-6)


def test_survives_serialisation_within_an_optimizer():
    schedule = DarknetSchedule(RATE, "sgdr", burn_in=5, max_batches=90, cycle=10, accumulate=2)
    optimizer = keras.optimizers.SGD(schedule)
    plain = json.loads(json.dumps(keras.optimizers.serialize(optimizer)))
    again = keras.optimizers.deserialize(plain)._learning_rate
    assert isinstance(again, DarknetSchedule) and again.get_config() == schedule.get_config()
    assert [float(again(step)) for step in range(50)] == [float(schedule(step)) for step in range(50)]


@pytest.mark.parametrize(
    "arguments",
    [
        {"policy": "steps", "steps": [1, 2], "scales": [0.1]},
        {"policy": "poly"},
        {"policy": "sgdr", "cycle": 10, "growth": 0},
    ],
)
def test_what_describes_no_policy_is_refused(arguments):
    with pytest.raises(ValueError, match="does not describe the policy"):
        DarknetSchedule(RATE, **arguments)


def test_decay_through_the_momentum_is_the_decay_beside_it():
    """Darknet: u = momentum * u + gradient + decay * weight; weight -= rate * u. In the long run it is the same."""
    weight, update, rate, momentum, decay = 1.0, 0.0, 0.01, 0.9, 0.0005
    for _ in range(20000):
        update = momentum * update + decay * weight
        weight -= rate * update
    beside = (1 - rate * decay / (1 - momentum)) ** 20000
    assert weight == pytest.approx(beside, rel=2e-2) and weight < 0.5


def test_darknets_momentum_is_keras_s_without_nesterov(detector):
    options = {"optimizer": "sgd", "nesterov": False, "momentum": 0.9, "weight_decay": 0, "clip_norm": 0}
    schedule = {"policy": "steps", "steps": [3], "scales": [0.5]}
    config = TrainConfig(**options, schedule=schedule, burn_in=0, learning_rate=0.1, ema=False)
    compile_model(detector, config, steps_per_epoch=5)
    before = flat(detector.trainable_variables)
    velocity, moved = 0.0, 0.0
    for iteration in range(1, 5):
        detector.optimizer.apply([keras.ops.ones_like(weight) for weight in detector.trainable_variables])
        velocity = 0.9 * velocity - (0.1 if iteration < 3 else 0.05)
        moved += velocity
    np.testing.assert_allclose(flat(detector.trainable_variables) - before, moved, rtol=1e-4)
