"""Positions of a map's cells that are learnt. Their values beside transformers': tests/parity."""

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.layers.positions import LearntMap


def test_columns_come_first_and_rows_behind_them():
    layer = LearntMap(6, most=9)
    layer.build((None, None, None, 4))
    layer.columns.assign(np.tile(np.arange(9)[:, None], 3))
    layer.rows.assign(np.tile(10 * np.arange(9)[:, None], 3))
    cells = ops.convert_to_numpy(layer(np.zeros((3, 2, 4, 4), "float32")))
    assert cells.shape == (1, 8, 6)
    assert cells[0, :, 0].tolist() == [0, 1, 2, 3] * 2
    assert cells[0, :, 5].tolist() == [0] * 4 + [10] * 4


def test_all_vectors_are_trained_that_a_map_has():
    layer = LearntMap(8, most=5)
    layer.build((None, None, None, 4))
    begun = ops.convert_to_numpy(layer.rows)
    assert begun.min() >= 0 and begun.max() <= 1 and begun.std() > 0.1
    inputs = keras.Input((None, None, 4))
    model = keras.Model(inputs, layer(inputs))
    assert model(np.zeros((1, 3, 5, 4), "float32")).shape == (1, 15, 8)
    assert [weight.path.rpartition("/")[2] for weight in model.trainable_weights] == ["columns", "rows"]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="channels=7: give an even number"):
        LearntMap(7)
    with pytest.raises(ValueError, match=r"a map of \[2, 6\] cells; make it with most=6 or more"):
        LearntMap(8, most=5)(np.zeros((1, 2, 6, 4), "float32"))
