"""The feature pyramid at even and odd sizes."""

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.layers.fpn import CropLike, fpn

CHANNELS = (8, 16, 24)


def network(extra="p5"):
    inputs = [keras.Input((None, None, c)) for c in CHANNELS]
    return keras.Model(inputs, fpn(inputs, 12, extra=extra))


def maps(sides, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(2, *side, c)).astype("float32") for side, c in zip(sides, CHANNELS, strict=True)]


@pytest.mark.parametrize("height, width", [(16, 24), (13, 10), (7, 9), (1, 3)])
def test_coarser_maps_are_added_by_the_nearest_place(height, width):
    """As torch's nearest interpolation to the finer map's size: place i takes floor(i * coarse / fine)."""
    sides = [(height, width)]
    while len(sides) < 3:
        sides.append(tuple(-(-side // 2) for side in sides[-1]))
    x = maps(sides)
    model = network(extra=None)
    for level in (3, 4, 5):
        smooth = model.get_layer(f"neck_smooth{level}")
        identity = np.zeros(smooth.kernel.shape)
        identity[1, 1] = np.eye(12)
        smooth.kernel.assign(identity)
    laterals = [
        m @ np.asarray(model.get_layer(f"neck_lateral{level}").kernel)[0, 0]
        for level, m in zip((3, 4, 5), x, strict=True)
    ]
    wanted = [laterals[2]]
    for lateral in laterals[1::-1]:
        rows, columns = (
            np.arange(fine) * coarse // fine
            for fine, coarse in zip(lateral.shape[1:3], wanted[0].shape[1:3], strict=True)
        )
        wanted.insert(0, lateral + wanted[0][:, rows][:, :, columns])
    for ours, theirs in zip(model(x), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_sizes_known_before():
    sides = [(20, 13), (10, 7), (5, 4)]
    inputs = [keras.Input((*side, c)) for side, c in zip(sides, CHANNELS, strict=True)]
    shapes = [output.shape[1:] for output in fpn(inputs, 12)]
    assert shapes == [(20, 13, 12), (10, 7, 12), (5, 4, 12), (3, 2, 12), (2, 1, 12)]


def test_cropping_leaves_the_upper_left():
    x = np.arange(2 * 4 * 6, dtype="float32").reshape(1, 4, 6, 2)
    layer = CropLike()
    np.testing.assert_array_equal(layer([x, np.zeros((1, 3, 5, 7))]), x[:, :3, :5])
    np.testing.assert_array_equal(layer([x, np.zeros((1, 4, 6, 7))]), x)
    assert layer.compute_output_shape([(None, 4, 6, 2), (None, 3, 5, 7)]) == (None, 3, 5, 2)


def test_survives_saving(tmp_path):
    model = network()
    model.save(tmp_path / "a.keras")
    x = maps([(13, 10), (7, 5), (4, 3)])
    again = keras.saving.load_model(tmp_path / "a.keras")
    for before, after in zip(model(x), again(x), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(before), ops.convert_to_numpy(after))


def test_no_such_levels():
    with pytest.raises(ValueError, match="extra='p6': no such levels; give one of p5, c5, pool, or None"):
        network("p6")
