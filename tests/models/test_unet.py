"""U-Net and its descendants: parameters of the paper, every option, the paper's own geometry."""

import keras
import numpy as np
import pytest
from keras import ops
from shapes_only import shapes_only

import kzoo
from kzoo.models.unet import _lost, _margin


def small(**arguments):
    keras.utils.set_random_seed(0)
    return kzoo.build("unet", **{"image_size": (64, 64), "width": 0.25, "depth": 0.6, **arguments})


def images(side=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (1, side, side, 3), np.uint8)


@pytest.mark.parametrize("up", ["transposed", "upsampling"])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_parameters_of_the_paper(up, padding):
    with shapes_only():
        model = kzoo.build("unet", channels=1, up=up, padding=padding)
    assert model.count_params() == 31_030_658


def test_sizes_of_the_papers_figure():
    """An input of 572 pixels gives 388, by way of 568, 280, 136, 64 and 28."""
    assert [_lost(levels) // 2 for levels in (5, 4, 3, 2)] == [88, 40, 16, 4]
    model = kzoo.build("unet", channels=1, padding="valid", width=0.125, image_size=(384, 384))
    sizes = {layer.name: layer.output.shape for layer in model.network.layers}
    assert sizes["mirror"][1] is None and _margin(5) == 94
    inside = model.network.get_layer("neck_crop")
    probe = keras.Model(
        model.network.inputs,
        [model.network.get_layer(f"backbone_level{i}_relu2").output for i in range(1, 6)] + [inside.input],
    )
    shapes = [x.shape[1] for x in probe.compute_output_spec(keras.KerasTensor((1, 384, 384, 3)))]
    assert shapes == [568, 280, 136, 64, 28, 388]


def test_valid_convolutions_see_the_mirrored_image():
    """With the image continued by hand and cut out again the result is the same as that of the image alone."""
    model = small(padding="valid", image_size=(96, 96))
    image = images(96)
    margin = 32  # whole poolings
    wide = np.pad(image, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="reflect")
    alone, within = (ops.convert_to_numpy(model(x)["logits"]) for x in (image, wide))
    np.testing.assert_allclose(alone, within[:, margin:-margin, margin:-margin], atol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize(
    "options",
    [
        {"batch_norm": True},
        {"residual": True},
        {"attention": True, "up": "upsampling"},
        {"dropout": 0.3},
        {"padding": "valid", "residual": True, "attention": True, "image_size": (96, 96)},
        {"channels": 1, "binary": True},
        {"depth": 1.0, "num_classes": 5},
        {"backbone": "vgg16", "attention": True},
        {"backbone": "resnet50", "depth": 0.25},
    ],
    ids=str,
)
def test_options_train_save_and_load(options, tmp_path):
    model = small(**options)
    side = model.image_size[0]
    classes = model.head.num_classes
    mask = np.random.default_rng(0).integers(0, classes, (1, side, side))
    model.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
    loss = model.fit(images(side), {"mask": mask}, verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    model.save(tmp_path / "model.keras")
    again = kzoo.load(tmp_path / "model.keras")
    for key, value in model.predict(images(side), verbose=0).items():
        np.testing.assert_array_equal(again.predict(images(side), verbose=0)[key], value)


def test_gates_weight_the_skips():
    gated = small(attention=True)
    weight = gated.network.get_layer("neck_level1_gate_weight")
    kernel, bias = weight.get_weights()
    assert weight.activation is keras.activations.sigmoid
    # Wide open gates let everything through: the network without them.
    weight.set_weights([np.zeros_like(kernel), np.full_like(bias, 50)])
    other = gated.network.get_layer("neck_level2_gate_weight")
    other.set_weights([np.zeros_like(v) if v.ndim > 1 else np.full_like(v, 50) for v in other.get_weights()])
    plain = small()
    for layer in plain.network.layers:
        if layer.weights:
            layer.set_weights(gated.network.get_layer(layer.name).get_weights())
    plain.head.set_weights(gated.head.get_weights())
    np.testing.assert_allclose(plain(images())["logits"], gated(images())["logits"], atol=1e-5)


def test_grey_is_luminance():
    model = small(channels=1)
    image = images()
    grey = np.repeat((image @ np.array([0.299, 0.587, 0.114]))[..., None], 3, -1).astype(np.float32)
    np.testing.assert_allclose(model(image)["logits"], model(grey)["logits"], atol=1e-4)


def test_two_sizes_through_one_compiled_predict():
    model = small(up="upsampling", attention=True)
    for side in (64, 96, 128):
        assert model.predict(images(side), verbose=0)["mask"].shape == (1, side, side)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"up": "nearest"}, "up='nearest'"),
        ({"padding": "full"}, "padding='full'"),
        ({"channels": 4}, "channels=4"),
        ({"image_size": (60, 66)}, "multiples of 4"),
        ({"padding": "valid", "depth": 1.0}, "mirrors 94 pixels"),
        ({"names": ["a"]}, "1 names for num_classes=2"),
        ({"depth": 0.6, "los": "ce"}, "los"),
        ({"backbone": "resnet19"}, "backbone='resnet19': .*give one of plain, vgg16, resnet18"),
        ({"encoder": "vgg16", "backbone": "resnet18"}, "encoder='vgg16' with backbone='resnet18'"),
        ({"encoder": "vgg16", "padding": "valid", "image_size": (192, 192)}, "leave both out"),
    ],
    ids=str,
)
def test_wrong_options(options, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        small(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoder", ["vgg16", pytest.param("resnet50", marks=pytest.mark.long)])
def test_an_encoder_takes_a_classifiers_weights(encoder, tmp_path):
    keras.utils.set_random_seed(3)
    classifier = kzoo.build(encoder, num_classes=4, image_size=(64, 64), width=0.125, depth=0.25)
    classifier.save(tmp_path / "classifier.keras")
    options = {"encoder": encoder, "width": 0.125, "depth": 0.25}
    model = small(**options, backbone_weights=tmp_path / "classifier.keras")
    own = {layer.name: layer for layer in model.network.layers if layer.name.startswith("backbone_")}
    shared = [layer for layer in classifier.network.layers if layer.name in own and layer.weights]
    assert len(shared) > 4
    for layer in shared:
        for given, taken in zip(layer.get_weights(), own[layer.name].get_weights(), strict=True):
            np.testing.assert_array_equal(given, taken)


def test_a_narrow_decoder_leaves_the_encoder_as_it_is():
    whole, narrow = (small(backbone="mobilenetv3-small", decoder_width=factor) for factor in (1.0, 0.25))
    for layer in whole.network.layers:
        if layer.name.startswith("backbone_") and layer.weights:
            shapes = [weight.shape for weight in narrow.network.get_layer(layer.name).weights]
            assert shapes == [weight.shape for weight in layer.weights]
    decoders = [
        {layer.name: layer.filters for layer in model.network.layers if hasattr(layer, "filters")}
        for model in (whole, narrow)
    ]
    coarse = [name for name in decoders[0] if name.startswith("neck_level4")]
    assert coarse and all(decoders[1][name] * 4 == decoders[0][name] for name in coarse)
