import keras
import numpy as np
import pytest

from kzoo.training.schedules import BurnIn, make_schedule


def rates(schedule, steps):
    return np.array([float(schedule(step)) for step in steps])


def test_burn_in_is_darknets_power_of_four():
    # Darknet: rate * pow(batch / burn_in, power), with batch counted from 1.
    found = rates(make_schedule("constant", 0.1, steps=100, burn_in=10), range(12))
    wanted = [0.1 * (batch / 10) ** 4 for batch in range(1, 11)] + [0.1, 0.1]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_cosine_ends_on_a_hundredth_and_is_half_way_in_the_middle():
    schedule = make_schedule("cosine", 1.0, steps=200, burn_in=0)
    np.testing.assert_allclose(rates(schedule, [0, 100, 200, 300]), [1.0, 0.505, 0.01, 0.01], atol=1e-5)


def test_steps_fall_at_four_and_nine_tenths():
    schedule = make_schedule("step", 1.0, steps=100, burn_in=0)
    np.testing.assert_allclose(rates(schedule, [79, 81, 89, 91]), [1, 0.1, 0.1, 0.01], rtol=1e-5)


@pytest.mark.parametrize("name", ["cosine", "step", "constant"])
def test_survives_serialisation_within_an_optimizer(name):
    schedule = make_schedule(name, 0.02, steps=60, burn_in=7)
    optimizer = keras.optimizers.SGD(schedule)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))._learning_rate
    assert isinstance(again, BurnIn)
    np.testing.assert_array_equal(rates(again, range(65)), rates(schedule, range(65)))
