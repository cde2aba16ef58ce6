"""The layers of the bag of freebies: DropBlock, CmBN, spatial attention."""

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.layers.attention import SpatialAttention
from kzoo.layers.normalization import CrossMiniBatchNormalization
from kzoo.layers.regularization import DropBlock

RNG = np.random.default_rng(0)


def numpy(x):
    return ops.convert_to_numpy(x)


def test_dropblock_drops_squares_at_its_rate():
    layer = DropBlock(keep=0.8, size=3, seed=0)
    out = numpy(layer(np.ones((16, 20, 24, 8), np.float32), training=True))
    dropped = out == 0
    # Overlapping squares drop a little less than 0.2 (section 3.1 of the paper).
    assert 0.15 < dropped.mean() < 0.2
    assert out.mean() == pytest.approx(1, abs=1e-5)
    one = dropped[0, :, :, 0]
    covered = np.zeros_like(one)
    for y in range(one.shape[0] - 2):
        for x in range(one.shape[1] - 2):
            if one[y : y + 3, x : x + 3].all():
                covered[y : y + 3, x : x + 3] = True
    assert one.any() and (covered == one).all()


def test_dropblock_is_still_at_inference_and_starts_gently():
    x = RNG.normal(size=(4, 16, 16, 4)).astype("float32")
    layer = DropBlock(keep=0.5, size=3, steps=10, seed=1)
    assert np.array_equal(numpy(layer(x)), x)
    shares = [np.mean(numpy(layer(np.ones_like(x), training=True)) == 0) for _ in range(14)]
    assert shares[0] == 0 and shares[3] < shares[11] and shares[11] > 0.25


@pytest.mark.parametrize("side", [1, 2, 5])
def test_dropblock_on_maps_smaller_than_its_squares(side):
    out = numpy(DropBlock(keep=0.5, size=7, seed=0)(np.ones((8, side, side, 16), np.float32), training=True))
    assert np.isfinite(out).all()


@pytest.mark.parametrize("wrong", [{"keep": 0}, {"keep": 1.5}, {"size": 0}, {"steps": -1}])
def test_dropblock_says_what_is_wrong(wrong):
    with pytest.raises(ValueError, match="DropBlock"):
        DropBlock(**wrong)


def test_cmbn_of_a_batch_in_parts_is_batch_norm_of_the_whole():
    batch = RNG.normal(2, 3, (12, 5, 5, 4)).astype("float32")
    layer, plain = CrossMiniBatchNormalization(window=3), keras.layers.BatchNormalization()
    parts = [numpy(layer(batch[start : start + 4], training=True)) for start in (0, 4, 8)]
    whole = numpy(plain(batch, training=True))
    assert np.abs(parts[-1] - whole[8:]).max() < 1e-4
    first = numpy(keras.layers.BatchNormalization()(batch[:4], training=True))
    assert np.abs(parts[0] - first).max() < 1e-4
    # The next batch starts anew.
    assert np.abs(numpy(layer(batch[:4], training=True)) - first).max() < 1e-4


def test_cmbn_of_one_mini_batch_is_batch_norm_gradients_included():
    x = RNG.normal(size=(6, 4, 4, 3)).astype("float32")
    results = []
    for norm in (CrossMiniBatchNormalization(window=1), keras.layers.BatchNormalization()):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [keras.layers.Conv2D(3, 3), norm, keras.layers.Flatten(), keras.layers.Dense(1)]
        )
        model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
        model.fit(x, np.arange(6.0), batch_size=6, epochs=2, shuffle=False, verbose=0)
        kernel = model.layers[0].kernel
        results.append((numpy(kernel), numpy(norm.moving_mean), numpy(norm.moving_variance)))
    for ours, keras_own in zip(*results, strict=True):
        assert np.abs(ours - keras_own).max() < 1e-4


def test_attention_weighs_every_place_of_every_channel():
    layer = SpatialAttention()
    x = RNG.normal(size=(2, 5, 6, 4)).astype("float32")
    out = numpy(layer(x))
    kernel, bias = (numpy(weight) for weight in layer.conv.weights)
    logits = x @ kernel[0, 0] + bias
    assert np.abs(out - x / (1 + np.exp(-logits))).max() < 1e-5


@pytest.mark.parametrize("layer", [DropBlock(0.8, 3), CrossMiniBatchNormalization(2), SpatialAttention()])
def test_survives_a_file_and_half_precision(layer, tmp_path):
    inputs = keras.Input((None, None, 4))
    model = keras.Model(inputs, layer(inputs))
    x = RNG.normal(size=(2, 8, 8, 4)).astype("float32")
    model(x, training=True)
    model.save(tmp_path / "model.keras")
    assert np.array_equal(numpy(keras.saving.load_model(tmp_path / "model.keras")(x)), numpy(model(x)))
    half = type(layer).from_config({**layer.get_config(), "dtype": "mixed_float16", "name": "half"})
    out = numpy(half(x, training=True))
    assert out.dtype == np.float16 and np.isfinite(out).all()
