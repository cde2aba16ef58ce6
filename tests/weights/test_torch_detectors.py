"""State dicts of detectors by their names, written by hand as torchvision names them, and what is published of them."""

import keras
import numpy as np
import pytest
from keras import ops
from test_torch_weights import RNG, conv, refused, resnet18, vgg16, write

import kzoo
from kzoo.data.formats.names import COCO
from kzoo.weights import published
from kzoo.weights.coco import IDS, class_lists, select_ids
from kzoo.weights.published import Published, table

SMALL = {"width": 0.25, "image_size": (64, 64)}
ANCHORS = 9


def retinanet(classes=5, old=False, group_norm=False):
    """torchvision's RetinaNet on a ResNet-18, a quarter as wide; `old` with the names of 2020."""
    state = resnet18(prefix="backbone.body.")
    for i, channels in enumerate((32, 64, 128)):
        inner = "" if old else ".0"
        conv(state, f"backbone.fpn.inner_blocks.{i}{inner}", channels, 64, 1, bias=True)
        conv(state, f"backbone.fpn.layer_blocks.{i}{inner}", 64, 64, 3, bias=True)
    conv(state, "backbone.fpn.extra_blocks.p6", 128 if group_norm else 64, 64, 3, bias=True)
    conv(state, "backbone.fpn.extra_blocks.p7", 64, 64, 3, bias=True)
    for name, last, count in (("classification", "cls_logits", classes), ("regression", "bbox_reg", 4)):
        for i in range(4):
            place = f"head.{name}_head.conv.{2 * i if old else f'{i}.0'}"
            conv(state, place, 64, 64, 3, bias=not group_norm)
            if group_norm:
                place = f"head.{name}_head.conv.{i}.1"
                state[f"{place}.weight"], state[f"{place}.bias"] = RNG.uniform(size=(2, 64)).astype("float32")
        conv(state, f"head.{name}_head.{last}", 64, ANCHORS * count, 3, bias=True)
    return state


def ssd(classes=6, levels=4):
    """torchvision's SSD a quarter as wide, with the levels that 64 pixels have; classes with the background."""
    state = {f"backbone.{key}": value for key, value in vgg16(timm=False).items() if "features" in key}
    for ours, theirs in ((24, 1), (26, 3), (28, 5)):
        for kind in ("weight", "bias"):
            state[f"backbone.extra.0.{theirs}.{kind}"] = state.pop(f"backbone.features.{ours}.{kind}")
    state["backbone.scale_weight"] = RNG.uniform(size=128).astype("float32")
    conv(state, "backbone.extra.0.7.1", 128, 256, 3, bias=True)
    conv(state, "backbone.extra.0.7.3", 256, 256, 1, bias=True)
    channels = [128, 256, 128, 64, 64, 64][:levels]
    for i, narrow in enumerate((64, 32, 32, 32)[: levels - 2], 1):
        conv(state, f"backbone.extra.{i}.0", channels[i], narrow, 1, bias=True)
        conv(state, f"backbone.extra.{i}.2", narrow, channels[i + 1], 3, bias=True)
    for i, (inputs, anchors) in enumerate(zip(channels, (4, 6, 6, 6, 4, 4), strict=False)):
        conv(state, f"head.classification_head.module_list.{i}", inputs, anchors * classes, 3, bias=True)
        conv(state, f"head.regression_head.module_list.{i}", inputs, anchors * 4, 3, bias=True)
    return state


def kernel(layer):
    return ops.convert_to_numpy(layer.kernel).transpose(3, 2, 0, 1)


def head_layers(model):
    return {layer.name: layer for layer in model.head._flatten_layers()}


@pytest.mark.parametrize("old", [False, True])
def test_retinanet(old, tmp_path):
    state = retinanet(old=old)
    path = write(tmp_path, state)
    model = kzoo.build("retinanet-resnet18", num_classes=5, weights=path, **SMALL)
    inner, layer, heads = "" if old else ".0", model.network.get_layer, head_layers(model)
    for ours, theirs in (
        (layer("backbone_layer3_1_conv2"), "backbone.body.layer3.1.conv2"),
        (layer("neck_lateral3"), f"backbone.fpn.inner_blocks.0{inner}"),
        (layer("neck_lateral5"), f"backbone.fpn.inner_blocks.2{inner}"),
        (layer("neck_smooth4"), f"backbone.fpn.layer_blocks.1{inner}"),
        (layer("neck_p6"), "backbone.fpn.extra_blocks.p6"),
        (layer("neck_p7"), "backbone.fpn.extra_blocks.p7"),
        (heads["class_tower1"], f"head.classification_head.conv.{'2' if old else '1.0'}"),
        (heads["box_tower3"], f"head.regression_head.conv.{'6' if old else '3.0'}"),
        (heads["class_logits"], "head.classification_head.cls_logits"),
        (heads["box_deltas"], "head.regression_head.bbox_reg"),
    ):
        np.testing.assert_array_equal(kernel(ours), state[f"{theirs}.weight"])
        if f"{theirs}.bias" in state:
            np.testing.assert_array_equal(ours.bias, state[f"{theirs}.bias"])


def test_group_normalisation_of_the_second_version(tmp_path):
    state = retinanet(group_norm=True)
    path = write(tmp_path, state)
    model = kzoo.build("retinanet-v2", num_classes=5, backbone="resnet18", weights=path, **SMALL)
    heads = head_layers(model)
    for ours, theirs in (("class", "classification"), ("box", "regression")):
        gamma = heads[f"{ours}_tower2_norm"].gamma
        np.testing.assert_array_equal(gamma, state[f"head.{theirs}_head.conv.2.1.weight"])
    said = refused("retinanet-resnet18", num_classes=5, weights=path, **SMALL)
    assert "lacks head.classification_head.conv.0.0.bias" in said


def test_ssd(tmp_path):
    state = ssd()
    model = kzoo.build("ssd300", num_classes=5, weights=write(tmp_path, state), **SMALL)
    layer, heads = model.network.get_layer, head_layers(model)
    np.testing.assert_array_equal(layer("neck_l2norm").factors, state["backbone.scale_weight"])
    for ours, theirs in (
        (layer("backbone_block4_conv3"), "backbone.features.21"),
        (layer("backbone_block5_conv1"), "backbone.extra.0.1"),
        (layer("backbone_block5_conv3"), "backbone.extra.0.5"),
        (layer("backbone_fc6"), "backbone.extra.0.7.1"),
        (layer("backbone_fc7"), "backbone.extra.0.7.3"),
        (layer("neck_extra1_1"), "backbone.extra.1.0"),
        (layer("neck_extra2_2"), "backbone.extra.2.2"),
        (heads["class_stride8"], "head.classification_head.module_list.0"),
        (heads["class_stride64"], "head.classification_head.module_list.3"),
        (heads["box_stride16"], "head.regression_head.module_list.1"),
    ):
        np.testing.assert_array_equal(kernel(ours), state[f"{theirs}.weight"])
        np.testing.assert_array_equal(ours.bias, state[f"{theirs}.bias"])


def test_what_does_not_fit_is_named(tmp_path):
    state = retinanet()
    del state["backbone.fpn.inner_blocks.1.0.bias"], state["head.regression_head.conv.2.0.weight"]
    state["backbone.fpn.extra_blocks.p8.weight"] = np.zeros((4, 4, 3, 3), np.float32)
    path = write(tmp_path, state)
    said = refused("retinanet-resnet18", num_classes=7, weights=path, **SMALL)
    for words in (
        f"{path}: does not fit retinanet-resnet18: lacks ",
        "fpn.inner_blocks.1.0.bias",
        "head.regression_head.conv.2.0.weight",
        "has what the model has not: fpn.extra_blocks.p8.weight;",
    ):
        assert words in said, words
    path = write(tmp_path, ssd(levels=6))
    said = refused("ssd300", num_classes=5, weights=path, **SMALL)
    assert "has what the model has not: extra.3.0.bias, extra.3.0.weight" in said
    assert "head.classification_head.module_list.4.weight" in said


def test_the_ids_are_those_of_coco():
    eighty, objects, whole = class_lists()
    assert len(IDS) == len(eighty) == 80 and len(objects) == 90 and len(whole) == 91
    # Spot checks of COCO's annotation files: ids and names.
    known = {1: "person", 13: "stop sign", 44: "bottle", 67: "diningtable", 70: "toilet", 90: "toothbrush"}
    assert {number: whole[number] for number in known} == known and objects == whole[1:]
    assert [whole[number] for number in IDS] == list(COCO) and whole.count("N/A") == 10


def test_the_80_classes_of_91(tmp_path):
    state = retinanet(classes=91)
    path = write(tmp_path, state)
    model = kzoo.build("retinanet-resnet18", num_classes=80, weights=path, **SMALL)
    whole = kzoo.build("retinanet-resnet18", num_classes=91, weights=path, **SMALL)
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    few, many = (ops.convert_to_numpy(m.head.rows(m(images))[0]) for m in (model, whole))
    assert many.std() > 1e-3
    # The sums of other numbers of channels are rounded otherwise; the weights themselves are equal to the last bit.
    np.testing.assert_allclose(few, many[..., list(IDS)], atol=1e-6 * np.abs(many).max())
    for (own, anchors, _), (theirs, *_) in zip(
        model.head.class_outputs(), whole.head.class_outputs(), strict=True
    ):
        for some, every in zip(own.weights, theirs.weights, strict=True):
            rows = ops.convert_to_numpy(every).reshape(*every.shape[:-1], anchors, 91)[..., list(IDS)]
            np.testing.assert_array_equal(ops.convert_to_numpy(some), rows.reshape(some.shape))


def test_the_80_classes_of_an_ssd_and_its_background(tmp_path):
    path = write(tmp_path, ssd(classes=91))
    model = kzoo.build("ssd300", num_classes=80, weights=path, **SMALL)
    whole = kzoo.build("ssd300", num_classes=90, weights=path, **SMALL)
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    few, many = (ops.convert_to_numpy(m.head.rows(m(images))[0]) for m in (model, whole))
    assert few.shape[-1] == 81
    np.testing.assert_allclose(few, many[..., [0, *IDS]], rtol=1e-4, atol=1e-4)


def test_other_classes_are_not_selected(tmp_path, caplog):
    rows = np.zeros((9 * 91, 3))
    assert select_ids(rows, 9 * 80, 80, False).shape == (9 * 80, 3)
    for arguments in ((9 * 79, 79, False), (9 * 80, 79, True), (9 * 91, 91, False)):
        assert select_ids(rows, *arguments) is rows
    assert select_ids(np.zeros(9 * 90), 9 * 80, 80, False).shape == (9 * 90,)
    model = kzoo.build("ssd300", num_classes=79, weights=write(tmp_path, ssd(classes=91)), **SMALL)
    assert model.head.num_classes == 79
    assert "is of other classes: head.classification_head.module_list.0.weight" in caplog.text
    assert "regression" not in caplog.text


def test_a_backbone_of_a_detector(tmp_path):
    state = retinanet()
    path = write(tmp_path, state)
    model = kzoo.build("deeplabv3", num_classes=2, backbone="resnet18", backbone_weights=path, **SMALL)
    stored = state["backbone.body.layer4.1.conv2.weight"]
    np.testing.assert_array_equal(kernel(model.network.get_layer("backbone_layer4_1_conv2")), stored)
    path = write(tmp_path, ssd())
    model = kzoo.build("ssd512", num_classes=2, backbone_weights=path, **SMALL)
    assert model.network.get_layer("backbone_fc6").kernel.shape == (3, 3, 128, 256)


@pytest.mark.parametrize("timm", [False, True])
def test_a_classifier_is_subsampled(timm, tmp_path):
    """Every third place of fc6's seven by seven, every fourth channel, as in the paper."""
    state = vgg16(timm)
    model = kzoo.build("ssd300", num_classes=2, backbone_weights=write(tmp_path, state), **SMALL)
    layer, names = model.network.get_layer, ("pre_logits.fc1", "pre_logits.fc2")
    first, second = names if timm else ("classifier.0", "classifier.3")
    stored = state[f"{first}.weight"].reshape(1024, 128, 7, 7)
    np.testing.assert_array_equal(kernel(layer("backbone_fc6")), stored[::4, :, ::3, ::3])
    np.testing.assert_array_equal(layer("backbone_fc6").bias, state[f"{first}.bias"][::4])
    stored = state[f"{second}.weight"].reshape(1024, 1024, 1, 1)
    np.testing.assert_array_equal(kernel(layer("backbone_fc7")), stored[::4, ::4])
    stored = state["features.28.weight"]
    np.testing.assert_array_equal(kernel(layer("backbone_block5_conv3")), stored)


@pytest.mark.parametrize("untrained", [False, True])
def test_a_backbone_without_a_classifier(untrained, tmp_path):
    """Or with one that is not a number, as in torchvision's file of features."""
    state = vgg16(timm=False)
    for key in [key for key in state if key.startswith("classifier")]:
        if untrained:
            state[key] = np.full_like(state[key], np.nan)
        else:
            del state[key]
    keras.utils.set_random_seed(0)
    before = kernel(kzoo.build("ssd300", num_classes=2, **SMALL).network.get_layer("backbone_fc6"))
    keras.utils.set_random_seed(0)
    path = write(tmp_path, state)
    model = kzoo.build("ssd300", num_classes=2, backbone_weights=path, **SMALL)
    np.testing.assert_array_equal(kernel(model.network.get_layer("backbone_fc6")), before)
    np.testing.assert_array_equal(
        kernel(model.network.get_layer("backbone_block1_conv1")), state["features.0.weight"]
    )
    del state["features.28.weight"]
    said = refused("ssd300", num_classes=2, backbone_weights=write(tmp_path, state), **SMALL)
    assert "lacks features.28.weight" in said


def test_another_epsilon_goes_into_the_scales(tmp_path, monkeypatch):
    """A file known by its name: torchvision's first RetinaNet adds nothing to variances."""
    state = retinanet()
    key = "backbone.body.layer2.0.bn1"
    state[f"{key}.running_var"][:4] = 1e-6
    name = "retinanet_resnet50_fpn_coco-eeacb38b.pth"
    monkeypatch.setattr("kzoo.weights.state_dicts.state_dict", lambda path: state)
    (tmp_path / name).touch()
    model = kzoo.build("retinanet-resnet18", num_classes=5, weights=tmp_path / name, **SMALL)
    layer = model.network.get_layer("backbone_layer2_0_bn1")
    x = np.random.default_rng(0).normal(size=(1, 1, 1, 32)).astype("float32")
    mean, variance = state[f"{key}.running_mean"], state[f"{key}.running_var"]
    wanted = (x - mean) / np.sqrt(variance) * state[f"{key}.weight"] + state[f"{key}.bias"]
    np.testing.assert_allclose(layer(x), wanted, rtol=1e-4)


@pytest.fixture
def offline(tmp_path, monkeypatch):
    def unreachable(address, part):
        raise OSError("Network is unreachable")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(published, "_receive", unreachable)
    return tmp_path / "kzoo"


TORCHVISION = [
    ("retinanet", "coco", {"num_classes": 80}),
    ("retinanet", "coco", {"num_classes": 91}),
    ("retinanet-v2", "coco", {}),
    ("ssd300", "coco", {"num_classes": 90}),
    ("fcn-resnet50", "coco-voc", {}),
    ("fcn-resnet101", "coco-voc", {}),
    ("deeplabv3", "coco-voc", {}),
    ("deeplabv3-resnet101", "coco-voc", {}),
]


@pytest.mark.backends
@pytest.mark.parametrize("name, weights, arguments", TORCHVISION[3:5])
def test_offline_it_says_what_to_put_where(name, weights, arguments, offline):
    pytest.importorskip("torch")
    row = table()[name][weights]
    with pytest.raises(OSError) as caught:
        kzoo.build(name, weights=weights, **arguments)
    said = str(caught.value)
    assert said == f"{row.address}: cannot be fetched (Network is unreachable); " + (
        f"put the file at {offline / row.file} by other means"
    )
    (offline / row.file).write_bytes(b"another file")
    said = refused(name, weights=weights, **arguments)
    start = row.file[-12:-4]
    assert said.startswith(f"{offline / row.file}: its sha256 is ")
    assert said.endswith(f"the published file's begins with {start}; remove it, and it is fetched anew")


@pytest.mark.long
def test_other_widths_are_not_even_fetched(offline):
    said = refused("retinanet", weights="coco", num_classes=3, **SMALL)
    assert "were published for retinanet of width 1, this one has 16 of 64 first channels" in said
    said = refused("ssd300", weights="coco", **SMALL)
    assert "this one has 16 of 64 first channels; leave width as it is" in said
    said = refused("fcn-resnet50", weights="coco-voc", num_classes=2, **SMALL)
    assert "were published for fcn-resnet50 of width 1" in said
    said = refused("retinanet-resnet18", weights="coco", image_size=(64, 64))
    assert "nothing of that name was published for retinanet-resnet18; there are none" in said


@pytest.mark.backends
@pytest.mark.parametrize("classes", [80, 91])
def test_from_the_cache_with_names(classes, offline, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr("kzoo.weights.loading._FIRST_FILTERS", 16)
    row = Published("https://nowhere/mine.pth", "none", ids="background")
    monkeypatch.setattr(published, "table", lambda: {"retinanet-resnet18": {"coco": row}})
    offline.mkdir()
    state = {key: torch.from_numpy(np.array(value)) for key, value in retinanet(classes=91).items()}
    torch.save(state, offline / "mine.pth")
    model = kzoo.build("retinanet-resnet18", weights="coco", num_classes=classes, **SMALL)
    assert model.names == class_lists()[0 if classes == 80 else 2]
    names = [f"thing {i}" for i in range(classes)]
    again = kzoo.build("retinanet-resnet18", weights="coco", num_classes=classes, names=names, **SMALL)
    assert again.names == names


@pytest.mark.parametrize("name, weights, arguments", TORCHVISION)
def test_every_row_has_names_for_its_models(name, weights, arguments):
    row = table()[name][weights]
    count = arguments.get("num_classes") or (80 if row.ids else 21)
    assert len(row.names_of(count)) == count and row.names_of(7) is None
    assert row.address.startswith("https://download.pytorch.org/models/") and row._sha256_start


def test_only_part_of_a_checksum_is_known(tmp_path):
    import hashlib

    content = b"some weights"
    start = hashlib.sha256(content).hexdigest()[:8]
    good, bad = (Published(f"https://nowhere/net-{digits}.pth", "none") for digits in (start, "0" * 8))
    (tmp_path / "file").write_bytes(content)
    assert good.fault(tmp_path / "file") is None
    assert bad.fault(tmp_path / "file").endswith("the published file's begins with 00000000")
