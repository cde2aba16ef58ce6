"""State dicts of numbered layers, written by hand as the authors of YOLOv5 and v7 name them."""

import logging

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from shapes_only import shapes_only

import kzoo
from kzoo.weights.assigning import named_layers
from kzoo.weights.inverted import inverted_backbone
from kzoo.weights.yolo import torch_modules

SMALL = {"width": 0.25, "depth": 0.05, "image_size": (64, 64), "num_classes": 3}
RNG = np.random.default_rng(0)
PARTS = {
    "kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip


def state(model, **extra):
    """The model's weights by its authors' names, in torch's order of axes."""
    tensors, layers = {}, named_layers(model, False)
    for name, (module,) in torch_modules(layers).items():
        for variable in layers[name].weights:
            value = keras.ops.convert_to_numpy(variable)
            key = f"{module}.{PARTS[variable.name]}"
            tensors[key] = np.ascontiguousarray(value.transpose(3, 2, 0, 1) if value.ndim == 4 else value)
    return {**tensors, **extra}


def random_model(name, **arguments):
    model = kzoo.build(name, **{**SMALL, **arguments})
    for variable in model.variables:
        variable.assign(RNG.uniform(0.5, 1.5, variable.shape))
    return model


def cells(model, anchors=None):
    shapes = np.asarray(model.head.anchors if anchors is None else anchors, np.float32)
    return shapes / np.reshape(model.head.strides, (-1, 1, 1))


@pytest.fixture(scope="module")
def small():
    return random_model("yolov5n")


@pytest.mark.long
def test_modules_have_their_numbers_and_the_head_comes_behind_the_last(small):
    modules = torch_modules(named_layers(small, False))
    assert modules["backbone_layer0_conv"] == ["model.0.conv"]
    assert modules["backbone_layer2_m0_cv2_bn"] == ["model.2.m.0.cv2.bn"]
    assert modules["neck_layer9_cv1_conv"] == ["model.9.cv1.conv"]
    assert modules["head_stride32"] == ["model.24.m.2"]
    deeper = torch_modules(named_layers(kzoo.build("yolov5n6", **SMALL), False))
    assert deeper["head_stride64"] == ["model.33.m.3"]
    with shapes_only():
        seven = torch_modules(named_layers(kzoo.build("yolov7", **{**SMALL, "depth": 1.0}), False))
    assert seven["neck_layer51_cv7_conv"] == ["model.51.cv7.conv"]
    assert seven["neck_layer102_rep_bn3"] == ["model.102.rbr_dense.1"]
    assert seven["neck_layer102_rep_conv1"] == ["model.102.rbr_1x1.0"]
    assert seven["head_stride8"] == ["model.105.m.0"]
    with shapes_only():
        largest = torch_modules(named_layers(kzoo.build("yolov7-e6e", **{**SMALL, "depth": 1.0}), False))
    assert largest["backbone_layer2_cv3_conv"] == ["model.2.cv3.conv"]
    assert largest["neck_layer112_cv7_conv"] == ["model.112.cv7.conv"]
    assert largest["head_stride64"] == ["model.265.m.3"]
    assert largest["head_auxiliary_stride8"] == ["model.265.m2.0"]
    assert torch_modules(named_layers(kzoo.build("resnet18", width=0.25, image_size=64), False)) == {}


@pytest.mark.long
def test_anchors_of_a_file_are_the_models(small, tmp_path, caplog):
    path, anchors = tmp_path / "v5.safetensors", np.arange(18).reshape(3, 3, 2) + 5
    save_file(state(small, **{"model.24.anchors": cells(small, anchors)}), path)
    model = kzoo.build("yolov5n", weights=path, **SMALL)
    assert model.head.anchors == anchors.tolist()
    (said,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "AGPL-3.0" in said and str(path) in said and "\n" not in said
    with pytest.raises(
        ValueError, match=r"v5.safetensors: .* other anchors .* anchors=\[\[\[5.0, 6.0\]"
    ) as refused:
        kzoo.build("yolov5n", weights=path, anchors=small.head.anchors, **SMALL)
    assert "\n" not in str(refused.value)


@pytest.mark.long
def test_a_backbone_is_read_out_of_a_whole_model(small, tmp_path):
    path = tmp_path / "v5.safetensors"
    save_file(state(small, **{"model.24.anchors": cells(small)}), path)
    model = kzoo.build("yolov5n", backbone_weights=path, **{**SMALL, "num_classes": 7})
    for layer in model.network.layers:
        if layer.name.startswith("backbone_") and layer.weights:
            for mine, theirs in zip(
                layer.get_weights(), small.network.get_layer(layer.name).get_weights(), strict=True
            ):
                np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(
        ValueError, match=r"model\.2\.m\.1"
    ):  # deeper than the model: nothing is left out unseen
        save_file({**load_file(path), "model.2.m.1.cv1.conv.weight": np.zeros((8, 8, 1, 1), "f4")}, path)
        kzoo.build("yolov5n", backbone_weights=path, **SMALL)


@pytest.mark.long
def test_what_yolov7s_head_adds_and_multiplies_is_in_its_convolution(tmp_path):
    source, path = random_model("yolov7-tiny"), tmp_path / "v7.safetensors"
    tensors, channels = state(source), [layer.kernel.shape[-2] for layer in source.head.convs]
    added = [RNG.normal(size=(1, count, 1, 1)).astype("float32") for count in channels]
    factors = [RNG.normal(size=(1, 24, 1, 1)).astype("float32") for _ in channels]
    number = next(key for key in tensors if ".m.0." in key).split(".")[1]
    for level, (a, i) in enumerate(zip(added, factors, strict=True)):
        tensors |= {f"model.{number}.ia.{level}.implicit": a, f"model.{number}.im.{level}.implicit": i}
    save_file(tensors, path)
    model = kzoo.build("yolov7-tiny", weights=path, **SMALL)
    for level, (ours, theirs) in enumerate(zip(model.head.convs, source.head.convs, strict=True)):
        maps = RNG.normal(size=(1, 2, 2, channels[level])).astype("float32")
        wanted = theirs(maps + added[level].reshape(-1)) * factors[level].reshape(-1)
        np.testing.assert_allclose(ours(maps), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.backends
@pytest.mark.slow  # torch takes its time to be imported
def test_a_file_with_a_program_in_it_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "yolov5n.pt"
    torch.save({"model": torch.nn.Conv2d(3, 8, 1), "epoch": 3}, path)
    with pytest.raises(ValueError, match=r"yolov5n.pt: .*state_dict\(\)") as refused:
        kzoo.build("yolov5n", weights=path, **SMALL)
    assert "\n" not in str(refused.value)


@pytest.mark.backends
@pytest.mark.slow
def test_a_file_of_tensors_may_be_called_pt(small, tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "v5.pt"
    torch.save({key: torch.tensor(value).half() for key, value in state(small).items()}, path)
    model = kzoo.build("yolov5n", weights=path, **SMALL)
    for mine, theirs in zip(model.get_weights(), small.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-3)


def test_a_stem_called_like_a_mobile_networks_is_not_taken_for_one():
    model = kzoo.build("yolov6n", **SMALL)
    assert inverted_backbone({layer.name: layer for layer in model.network.layers}) == (None, False)
