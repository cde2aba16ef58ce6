"""Networks that end in a map: their features come out, and training says why it cannot be."""

import keras
import numpy as np
import pytest

import kzoo

CFG = "[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nfilters=6\nsize=3\nstride=2\npad=1\nactivation=relu\n"


@pytest.fixture
def model(tmp_path):
    (tmp_path / "cut.cfg").write_text(CFG)
    return kzoo.darknet.load(tmp_path / "cut.cfg", features=True)


def test_the_map_is_predicted_and_survives_a_file(model, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    kernel, bias = model.network.get_layer("layer0_conv").get_weights()
    padded = keras.ops.pad(images / np.float32(255), [[0, 0], [1, 1], [1, 1], [0, 0]])
    wanted = np.maximum(keras.ops.convert_to_numpy(keras.ops.conv(padded, kernel, 2, "valid")) + bias, 0)
    found = model.predict(images, verbose=0)
    assert np.abs(found["features"] - wanted).max() < 1e-5
    model.save(tmp_path / "cut.keras")
    again = kzoo.load(tmp_path / "cut.keras")
    assert again.task == "features"
    assert np.array_equal(again.predict(images, verbose=0)["features"], found["features"])


def test_neither_detecting_nor_training_is_for_it(model):
    image = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(ValueError, match="finds no boxes"):
        model.detect(image)
    with pytest.raises(ValueError, match="add a head"):
        model.head.loss({}, {})
