"""SSD: levels at any size, the default boxes' scales and strides, L2 normalisation; what it refuses."""

import keras
import numpy as np
import pytest
from keras import ops

import kzoo
from kzoo.layers.l2norm import L2Normalization
from kzoo.models.ssd import EXTRAS_300, EXTRAS_512, NORMALIZATION, level_strides
from kzoo.weights.reading import reading


def build(name="ssd300", **arguments):
    return kzoo.build(name, **{"num_classes": 3, "width": 0.125, "image_size": (64, 64), **arguments})


def cells(model, height, width):
    shapes = model.network.compute_output_spec(keras.KerasTensor((1, height, width, 3)))
    return [tuple(shape.shape[1:3]) for shape in shapes]


def squares(*sides):
    return [(side, side) for side in sides]


@pytest.mark.parametrize(
    "name, size, sides, strides",
    [
        ("ssd300", (300, 300), squares(38, 19, 10, 5, 3, 1), [8, 16, 32, 64, 100, 300]),
        ("ssd512", (512, 512), squares(64, 32, 16, 8, 4, 2, 1), [8, 16, 32, 64, 128, 256, 512]),
        ("ssd300", (64, 64), squares(8, 4, 2, 1), [8, 16, 32, 64]),
        ("ssd512", (64, 64), squares(8, 4, 2, 1), [8, 16, 32, 64]),
        ("ssd300", (128, 128), squares(16, 8, 4, 2), [8, 16, 32, 64]),
        ("ssd300", (32, 64), [(4, 8), (2, 4), (1, 2), (1, 1)], [8, 16, 32, 64]),
        (
            "ssd300",
            (268, 364),
            [(34, 46), (17, 23), (9, 12), (5, 6), (3, 4), (1, 2)],
            [8, 16, 32, 64, 91, 268],
        ),
    ],
)
def test_levels(name, size, sides, strides):
    model = build(name, image_size=size)
    assert cells(model, *size) == sides
    assert list(model.head.strides) == strides
    assert level_strides(size, EXTRAS_512 if name == "ssd512" else EXTRAS_300) == strides
    # No level's cells leave a part of the image out.
    for (height, width), stride in zip(sides, strides, strict=True):
        assert height * stride >= size[0] and width * stride >= size[1]


def test_default_boxes_of_the_paper():
    """Scales for COCO: section 3.4 for 300 pixels; the authors' program for 512."""
    sides = [[level[0][0] for level in build(f"ssd{n}", image_size=(n, n)).head.anchors] for n in (300, 512)]
    np.testing.assert_allclose(sides[0], 300 * np.array([0.07, 0.15, 0.33, 0.51, 0.69, 0.87]), atol=1e-3)
    wanted = [20.48, 51.2, 133.12, 215.04, 296.96, 378.88, 460.8]
    np.testing.assert_allclose(sides[1], wanted, atol=1e-3)
    levels = build(image_size=(300, 300)).head.anchors
    assert [len(level) for level in levels] == [4, 6, 6, 6, 4, 4]
    np.testing.assert_allclose(levels[-1][1], [300 * (0.87 * 1.05) ** 0.5] * 2, atol=1e-3)
    assert [len(a) for a in build("ssd512", image_size=(512, 512)).head.anchors] == [4, 6, 6, 6, 6, 4, 4]


def test_fewer_levels_spread_the_same_scales():
    sides = [level[0][0] / 64 for level in build().head.anchors]
    np.testing.assert_allclose(sides, [0.07, 0.15, 0.51, 0.87], atol=1e-5)


def test_dilation_in_the_place_of_the_last_pooling():
    layer = build().network.get_layer
    assert layer("backbone_fc6").dilation_rate == (6, 6) and layer("backbone_fc6").kernel_size == (3, 3)
    assert layer("backbone_fc7").kernel_size == (1, 1)
    pool = layer("backbone_pool5")
    assert (pool.pool_size, pool.strides) == ((3, 3), (1, 1))


@pytest.mark.long
def test_batch_norm_is_behind_every_convolution():
    model = build(batch_norm=True)
    convs = [layer for layer in model.network.layers if isinstance(layer, keras.layers.Conv2D)]
    norms = [layer for layer in model.network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(convs) == len(norms) == 13 + 2 + 4 and not any(conv.use_bias for conv in convs)
    plain = build()
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in plain.network.layers)
    result = model.predict(np.zeros((1, 64, 64, 3), np.uint8), verbose=0)
    assert result["boxes"].shape == (1, 200, 4)


def offset(model):
    return model.network.get_layer("backbone_normalize").offset


@pytest.mark.long
def test_normalisation_follows_the_weights(tmp_path):
    np.testing.assert_allclose(offset(build(normalize="ssd")), [-122.99925, -116.9991, -103.9992])
    # Grey levels of order a hundred are for weights that are used to them.
    np.testing.assert_allclose(np.abs(offset(build())), [2.118, 2.036, 1.804], atol=1e-3)
    assert reading(None, "coco", NORMALIZATION).normalize == "ssd"
    assert reading(None, "ssd300_vgg16_coco-b556d3b4.pth", NORMALIZATION).normalize == "ssd"
    assert reading("vgg16.safetensors", None, NORMALIZATION).normalize == "imagenet"
    assert reading("imagenet", None, NORMALIZATION).normalize == "caffe"
    build(normalize="caffe").save(tmp_path / "a.keras")
    for key in ("weights", "backbone_weights"):
        model = build(**{key: tmp_path / "a.keras"})
        np.testing.assert_allclose(offset(model), [-123.68, -116.779, -103.939])


def test_l2_normalisation():
    layer = L2Normalization(scale=3.0)
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")
    x[0, 0, 0] = 0
    y = ops.convert_to_numpy(layer(x))
    lengths = np.linalg.norm(y, axis=-1)
    assert lengths[0, 0, 0] == 0
    np.testing.assert_allclose(lengths.ravel()[1:], 3.0, rtol=1e-5)
    layer.factors.assign(np.arange(5.0))
    unit = x[1] / np.linalg.norm(x[1], axis=-1, keepdims=True)
    np.testing.assert_allclose(layer(x)[1], unit * np.arange(5), rtol=1e-5)


def test_l2_normalisation_of_nothing_has_a_gradient():
    import tensorflow as tf

    layer, x = L2Normalization(), tf.Variable(np.zeros((1, 2, 2, 3), "float32"))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 2)
    assert np.isfinite(tape.gradient(loss, x)).all()


def test_l2_normalisation_in_half_precision():
    layer = L2Normalization(scale=2.0, dtype="mixed_float16")
    y = layer(np.full((1, 1, 1, 4), 1000, "float16"))  # whose square float16 cannot hold
    assert keras.backend.standardize_dtype(y.dtype) == "float16"
    np.testing.assert_allclose(y, np.ones((1, 1, 1, 4)), rtol=1e-3)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"image_size": (16, 64)}, r"image_size=\(16, 64\): ssd300 takes 32 pixels a side or more"),
        ({"normalize": "vgg"}, "normalize='vgg'; give one of imagenet, caffe, ssd"),
        ({"names": ["a"]}, "names: 1 names for num_classes=3"),
    ],
)
def test_what_is_not_possible_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        build(**arguments)
    assert "\n" not in str(caught.value)


def test_a_size_that_leaves_no_cell_is_refused_before_anything_runs(tmp_path):
    model = kzoo.build("ssd300", num_classes=2, width=0.125)
    assert model.check_size((320, 300)) == (320, 300)
    for refused in (
        lambda: kzoo.evaluate(model, "shapes:4:64", image_size=(64, 64)),
        lambda: kzoo.export(model, tmp_path / "small.onnx", image_size=(64, 64)),
    ):
        with pytest.raises(
            ValueError, match=r"\(64, 64\): ssd300 takes no images of this size; .*300"
        ) as caught:
            refused()
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
