"""Batches reach TensorFlow as they are, in a stream that has no tuner to wait for when it closes."""

import warnings

import keras
import numpy as np
import pytest

import kzoo
from kzoo.data.formats.shapes import Shapes
from kzoo.data.loading.loader import batches
from kzoo.model import ZooModel
from kzoo.model.streams import as_stream


def pass_over(data):
    return [(images, targets["boxes"], targets["labels"]) for images, targets in data]


@pytest.mark.parametrize("options", [{}, {"workers": 2}, {"drop_remainder": False}])
def test_the_same_batches_epoch_by_epoch(options):
    ours, theirs = (batches(Shapes(10, (64, 64)), 64, 4, "light", **options) for _ in range(2))
    stream = as_stream(ours)
    assert stream.element_spec[0].shape == (None, 64, 64, 3)
    assert stream.options().autotune.enabled is False
    for _ in range(2):
        given, expected = pass_over(stream), pass_over(theirs)
        assert len(given) == len(expected) == len(ours)
        for one, other in zip(given, expected, strict=True):
            for a, b in zip(one, other, strict=True):
                np.testing.assert_array_equal(a, b)


def test_sides_that_change_are_left_open():
    stream = as_stream(batches(Shapes(8, (64, 64)), [(64, 64), (96, 96)], 4, repeat=True))
    assert stream.element_spec[0].shape == (None, None, None, 3)
    assert stream.element_spec[1]["boxes"].shape[-1] == 4
    assert {images.shape[1] for images, _ in stream.take(20)} == {64, 96}


def test_other_data_stays_as_it_is():
    arrays = np.zeros((2, 64, 64, 3))
    assert as_stream(arrays) is arrays and as_stream(None) is None


@pytest.mark.slow
def test_fit_is_keras_s_own():
    """The same losses as Keras comes to by itself, without its warnings of a length that it does not know."""
    found = []
    for fit, level in ((ZooModel.fit, "error"), (keras.Model.fit, "ignore")):
        keras.utils.set_random_seed(0)
        model = kzoo.build("yolov3-tiny", num_classes=3, image_size=(64, 64), width=0.125)
        model.compile(keras.optimizers.SGD(1e-3), jit_compile=False)
        train = batches(Shapes(16, (64, 64)), 64, 4)
        val = batches(Shapes(6, (64, 64), split="val"), 64, 4, shuffle=False)
        options = {"shuffle": False} if fit is keras.Model.fit else {}
        with warnings.catch_warnings():
            warnings.simplefilter(level, UserWarning)
            history = fit(model, train, epochs=2, validation_data=val, verbose=0, **options)
        found.append(history.history)
    assert found[0].keys() == found[1].keys()
    for name, values in found[0].items():
        np.testing.assert_allclose(values, found[1][name], rtol=1e-5, err_msg=name)
