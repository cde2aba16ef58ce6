"""What building takes, hands over and refuses."""

import keras
import numpy as np
import pytest
from shapes_only import shapes_only

import kzoo
from kzoo.model import backbone_layers, flops

SMALL = {"width": 0.25, "depth": 0.25, "image_size": (64, 64)}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    keras.utils.set_random_seed(1)
    path = tmp_path_factory.mktemp("models") / "darknet53.keras"
    model = kzoo.build("darknet53", num_classes=5, **SMALL)
    model.save(path)
    return path, model


@pytest.mark.long
def test_a_classifiers_backbone_is_handed_over(classifier):
    path, trained = classifier
    model = kzoo.build("yolov3", num_classes=3, backbone_weights=path, **SMALL)
    given = {layer.name: layer for layer in trained.network.layers}
    layers = [layer for layer in backbone_layers(model) if layer.weights]
    assert len(layers) > 20
    for layer in layers:
        for ours, theirs in zip(layer.get_weights(), given[layer.name].get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_another_width_is_refused_by_the_layers_name(classifier):
    with pytest.raises(ValueError, match=r"darknet53\.keras: layer backbone_conv1 has weights"):
        kzoo.build("yolov3", num_classes=3, backbone_weights=classifier[0], **{**SMALL, "width": 0.5})


def test_weights_that_are_not_there_or_not_read(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.keras: no such weights file"):
        kzoo.build("yolov3-tiny", weights=tmp_path / "nowhere.keras", **SMALL)
    (tmp_path / "a.bin").touch()
    with pytest.raises(ValueError, match=r"a\.bin: weights of format '\.bin' are not read"):
        kzoo.build("yolov3-tiny", weights=tmp_path / "a.bin", **SMALL)


def test_weights_are_read_back(tmp_path):
    keras.utils.set_random_seed(2)
    model = kzoo.build("yolov3-tiny", num_classes=2, **SMALL)
    model.save_weights(tmp_path / "a.weights.h5")
    again = kzoo.build("yolov3-tiny", num_classes=2, weights=tmp_path / "a.weights.h5", **SMALL)
    for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("size", [(100, 64), (64, 16)])
def test_sizes_are_multiples_of_the_stride(size):
    with pytest.raises(ValueError, match="multiples of 32"):
        kzoo.build("yolov3-tiny", **{**SMALL, "image_size": size})


def test_one_name_a_class():
    with pytest.raises(ValueError, match="2 names for num_classes=3"):
        kzoo.build("yolov3-tiny", num_classes=3, names=["a", "b"], **SMALL)


@pytest.mark.parametrize(
    "name, published", [("yolov3-tiny", 5.56), ("yolov3", 65.86), ("yolov3-spp", 141.45)]
)
def test_operations_equal_darknets(name, published):
    with shapes_only():
        model = kzoo.build(name)
    assert flops(model) / 1e9 == pytest.approx(published, abs=0.01)


@pytest.mark.long
def test_width_and_depth_shrink():
    whole = kzoo.build("yolov3", width=0.5, image_size=(64, 64)).count_params()
    assert kzoo.build("yolov3", width=0.25, image_size=(64, 64)).count_params() < 0.3 * whole
    assert kzoo.build("yolov3", width=0.5, depth=0.25, image_size=(64, 64)).count_params() < 0.9 * whole


def test_anchors_that_do_not_pair_are_named():
    with pytest.raises(ValueError, match="5 numbers do not make"):
        kzoo.build("yolov3-tiny", num_classes=2, anchors=[1, 2, 3, 4, 5], **SMALL)


@pytest.mark.parametrize("kind", [np.float32, float])
def test_anchors_from_numpy_are_saved(tmp_path, kind):
    anchors = np.arange(2, 14, dtype=kind).reshape(6, 2)
    model = kzoo.build("yolov3-tiny", num_classes=2, anchors=anchors, **SMALL)
    model.save(tmp_path / "a.keras")
    assert kzoo.load(tmp_path / "a.keras").head.anchors == model.head.anchors
    assert np.ravel(model.head.anchors).tolist() == anchors.ravel().tolist()
