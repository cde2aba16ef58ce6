"""State dicts by their names, written by hand as torchvision and timm name them; torch itself is not needed."""

import builtins
import pickle

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

import kzoo

SMALL = {"width": 0.25, "image_size": (64, 64)}
RNG = np.random.default_rng(0)


def conv(state, name, inputs, outputs, size, bias=False):
    state[f"{name}.weight"] = RNG.normal(0, 0.1, (outputs, inputs, size, size)).astype("float32")
    if bias:
        state[f"{name}.bias"] = RNG.normal(0, 0.1, outputs).astype("float32")


def norm(state, name, channels):
    for parameter in ("weight", "bias", "running_mean", "running_var"):
        state[f"{name}.{parameter}"] = RNG.uniform(0.5, 1.5, channels).astype("float32")
    state[f"{name}.num_batches_tracked"] = np.array(7, np.int64)


def resnet18(classes=5, prefix=""):
    """torchvision's and timm's resnet18, sixteen channels wide."""
    state = {}
    conv(state, f"{prefix}conv1", 3, 16, 7)
    norm(state, f"{prefix}bn1", 16)
    inputs = 16
    for stage, filters in enumerate((16, 32, 64, 128), 1):
        for block in range(2):
            name = f"{prefix}layer{stage}.{block}"
            conv(state, f"{name}.conv1", inputs, filters, 3)
            norm(state, f"{name}.bn1", filters)
            conv(state, f"{name}.conv2", filters, filters, 3)
            norm(state, f"{name}.bn2", filters)
            if inputs != filters:
                conv(state, f"{name}.downsample.0", inputs, filters, 1)
                norm(state, f"{name}.downsample.1", filters)
            inputs = filters
    if not prefix:
        state["fc.weight"] = RNG.normal(0, 0.1, (classes, 128)).astype("float32")
        state["fc.bias"] = RNG.normal(0, 0.1, classes).astype("float32")
    return state


def fcn(classes=5, auxiliary=False):
    """torchvision's FCN on that network."""
    state = resnet18(prefix="backbone.")
    for name, channels in (("classifier", 128), ("aux_classifier", 64))[: 1 + auxiliary]:
        conv(state, f"{name}.0", channels, channels // 4, 3)
        norm(state, f"{name}.1", channels // 4)
        conv(state, f"{name}.4", channels // 4, classes, 1, bias=True)
    return state


def vgg16(timm, classes=5):
    """torchvision's or timm's VGG16, a quarter as wide."""
    state, inputs, number = {}, 3, 0
    for plan in (16, 16, "M", 32, 32, "M", 64, 64, 64, "M", 128, 128, 128, "M", 128, 128, 128, "M"):
        if plan == "M":
            number += 1
            continue
        conv(state, f"features.{number}", inputs, plan, 3, bias=True)
        inputs, number = plan, number + 2
    if timm:
        conv(state, "pre_logits.fc1", 128, 1024, 7, bias=True)
        conv(state, "pre_logits.fc2", 1024, 1024, 1, bias=True)
        last = "head.fc"
    else:
        state["classifier.0.weight"] = RNG.normal(0, 0.1, (1024, 128 * 49)).astype("float32")
        state["classifier.3.weight"] = RNG.normal(0, 0.1, (1024, 1024)).astype("float32")
        state["classifier.0.bias"] = state["classifier.3.bias"] = np.zeros(1024, np.float32)
        last = "classifier.6"
    state[f"{last}.weight"] = RNG.normal(0, 0.1, (classes, 1024)).astype("float32")
    state[f"{last}.bias"] = np.zeros(classes, np.float32)
    return state


def write(folder, state, name="a.safetensors"):
    save_file({key: np.ascontiguousarray(value) for key, value in state.items()}, folder / name)
    return folder / name


def refused(name, **arguments):
    with pytest.raises(ValueError) as caught:
        kzoo.build(name, **arguments)
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_a_classifier(tmp_path):
    state = resnet18()
    model = kzoo.build("resnet18", num_classes=5, weights=write(tmp_path, state), **SMALL)
    layer = model.network.get_layer
    np.testing.assert_array_equal(
        layer("backbone_layer2_0_downsample_conv").kernel,
        state["layer2.0.downsample.0.weight"].transpose(2, 3, 1, 0),
    )
    for variable, key in (("gamma", "weight"), ("beta", "bias")):
        np.testing.assert_array_equal(
            getattr(layer("backbone_layer4_1_bn2"), variable), state[f"layer4.1.bn2.{key}"]
        )
    np.testing.assert_array_equal(layer("backbone_bn1").moving_mean, state["bn1.running_mean"])
    np.testing.assert_array_equal(layer("backbone_bn1").moving_variance, state["bn1.running_var"])
    np.testing.assert_array_equal(model.head.classifier.kernel, state["fc.weight"].T)


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_a_backbone_alone(prefix, tmp_path):
    state = fcn() if prefix else resnet18()
    path = write(tmp_path, state)
    model = kzoo.build("deeplabv3", num_classes=2, backbone="resnet18", backbone_weights=path, **SMALL)
    kernel = model.network.get_layer("backbone_layer4_1_conv2").kernel
    np.testing.assert_array_equal(kernel, state[f"{prefix}layer4.1.conv2.weight"].transpose(2, 3, 1, 0))


def test_an_auxiliary_classifier_is_left_where_nobody_wants_it(tmp_path, caplog):
    state = fcn(auxiliary=True)
    path = write(tmp_path, state)
    model = _fcn(weights=path)
    assert "fcn-resnet50 does not use aux_classifier.0.weight, aux_classifier.1.bias" in caplog.text
    np.testing.assert_array_equal(model.head.classifier.bias, state["classifier.4.bias"])
    whole = _fcn(weights=path, auxiliary=True)
    np.testing.assert_array_equal(whole.head.auxiliary_classifier.bias, state["aux_classifier.4.bias"])
    np.testing.assert_array_equal(
        whole.network.get_layer("neck_auxiliary_bn").gamma, state["aux_classifier.1.weight"]
    )


def _fcn(**arguments):
    return kzoo.build("fcn-resnet50", num_classes=5, backbone="resnet18", **SMALL, **arguments)


@pytest.mark.long
@pytest.mark.parametrize("timm", [False, True])
def test_vgg16(timm, tmp_path):
    state = vgg16(timm)
    path = write(tmp_path, state)
    fc = "pre_logits.fc{}" if timm else "classifier.{}"
    first, second = (fc.format(i) for i in ((1, 2) if timm else (0, 3)))
    for model in (
        kzoo.build("vgg16", num_classes=5, weights=path, **SMALL),
        kzoo.build("fcn8", num_classes=2, backbone_weights=path, **SMALL),
        kzoo.build("dilated8", num_classes=2, backbone_weights=path, **SMALL),
    ):
        for name, key, shape in (
            ("block1_conv2", "features.2", (16, 16, 3, 3)),
            ("block3_conv3", "features.14", (64, 64, 3, 3)),
            ("block5_conv3", "features.28", (128, 128, 3, 3)),
            ("fc6", first, (1024, 128, 7, 7)),
            ("fc7", second, (1024, 1024, 1, 1)),
        ):
            kernel = model.network.get_layer(f"backbone_{name}").kernel
            stored = state[f"{key}.weight"].reshape(shape)
            np.testing.assert_array_equal(kernel, stored.transpose(2, 3, 1, 0))


def test_what_does_not_fit_is_named(tmp_path):
    state = resnet18()
    del state["layer3.1.bn2.running_var"], state["conv1.weight"]
    state["layer5.0.conv1.weight"] = np.zeros((4, 4, 3, 3), np.float32)
    path = write(tmp_path, state)
    said = refused("resnet18", num_classes=3, weights=path, **SMALL)
    assert said.startswith(f"{path}: does not fit resnet18: lacks ")
    for words in (
        "layer3.1.bn2.running_var",
        "conv1.weight",
        "has what the model has not: layer5.0.conv1.weight;",
    ):
        assert words in said, words


def test_other_classes_keep_all_but_the_last_layer(tmp_path, caplog):
    state = resnet18()
    model = kzoo.build("resnet18", num_classes=3, weights=write(tmp_path, state), **SMALL)
    assert "is of other classes: fc.weight, fc.bias start anew; all else is the file's" in caplog.text
    kernel = model.network.get_layer("backbone_layer4_1_conv2").get_weights()[0]
    np.testing.assert_array_equal(kernel, state["layer4.1.conv2.weight"].transpose(2, 3, 1, 0))


def test_another_network_is_refused_and_the_model_stays(tmp_path):
    path = write(tmp_path, vgg16(timm=False))
    said = refused("resnet18", num_classes=5, weights=path, **SMALL)
    assert "lacks conv1.weight, bn1.weight" in said and "more" in said and len(said) < 900
    # The deeper network's blocks are no mere extras.
    path = write(tmp_path, {**resnet18(), **{"layer4.2.conv1.weight": np.zeros(3, np.float32)}})
    model = kzoo.build("resnet18", num_classes=5, **SMALL)
    before = model.get_weights()
    from kzoo.weights.loading import load_backbone

    with pytest.raises(ValueError, match=r"has what the model has not: layer4\.2\.conv1\.weight"):
        load_backbone(model, path)
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_model_of_other_layers_is_refused(tmp_path):
    path = write(tmp_path, resnet18())
    said = refused("yolov3-tiny", num_classes=5, weights=path, **SMALL)
    assert "does not fit yolov3-tiny: lacks " in said


@pytest.mark.parametrize("content", [b"", b"x" * 100, (10**12).to_bytes(8, "little") + b"{}"])
def test_damaged_files(content, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(content)
    said = refused("resnet18", weights=tmp_path / "a.safetensors", **SMALL)
    assert said.startswith(f"{tmp_path / 'a.safetensors'}: is damaged, or holds more than tensors (")


@pytest.fixture
def no_torch(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **keywords):
        if name == "torch":
            raise ImportError("No module named 'torch'")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)


class Unfriendly:
    def __reduce__(self):
        return (print, ("this code was run",))


@pytest.mark.backends
@pytest.mark.parametrize("content", [pickle.dumps({"a": Unfriendly()}, protocol=2), b"", b"x" * 100])
def test_pth_runs_no_code(content, tmp_path, capsys):
    pytest.importorskip("torch")
    check_refused(content, tmp_path, capsys)


@pytest.mark.parametrize("content", [pickle.dumps({"a": Unfriendly()}, protocol=2), b"", b"x" * 100])
def test_pth_runs_no_code_without_torch(content, tmp_path, capsys, no_torch):
    check_refused(content, tmp_path, capsys)


def check_refused(content, folder, capsys):
    (folder / "a.pth").write_bytes(content)
    assert "is damaged, or holds more than tensors" in refused("resnet18", weights=folder / "a.pth", **SMALL)
    assert "this code was run" not in capsys.readouterr().out


@pytest.mark.backends
def test_pth_wrapped_as_training_programs_do(tmp_path):
    torch = pytest.importorskip("torch")
    state = {f"module.{key}": torch.from_numpy(np.array(value)) for key, value in resnet18().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "a.pth")
    model = kzoo.build("resnet18", num_classes=5, weights=tmp_path / "a.pth", **SMALL)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(model.head.classifier.bias), state["module.fc.bias"].numpy()
    )


@pytest.mark.long
def test_what_a_backbone_does_not_take_is_named(tmp_path, caplog):
    small = {"num_classes": 3, "image_size": 64, "width": 0.25, "backbone": "resnet18"}
    kzoo.build("retinanet", backbone_weights=write(tmp_path, resnet18()), **small)
    assert "retinanet does not use fc.bias, fc.weight" in caplog.text
    kzoo.build("resnet18", num_classes=5, width=0.25).save(tmp_path / "classifier.keras")
    kzoo.build("retinanet", backbone_weights=tmp_path / "classifier.keras", **small)
    assert "classifier.keras: retinanet does not use head" in caplog.text
