"""Exported is what is looked at in inference: nothing that serves training alone, and the same results."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo.deploy.inference import inference_model

SMALL = {"num_classes": 3, "width": 0.125, "depth": 0.1}
# Name: further arguments, and names of the deployed head's outputs.
CASES = {
    "yolov7-w6": ({"image_size": (64, 64)}, {f"stride{s}" for s in (8, 16, 32, 64)}),
    "fcn-resnet50": ({"image_size": (64, 64), "auxiliary": 0.4}, {"logits"}),
    "centernet-hourglass104": ({"image_size": (128, 128)}, {"heat", "size", "offset"}),
    "cornernet-squeeze": (
        {"image_size": (128, 128)},
        {f"{corner}_{kind}" for corner in ("top_left", "bottom_right") for kind in ("heat", "tag", "offset")},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_serves_training_alone_is_left_out(name):
    keras.utils.set_random_seed(0)
    arguments, outputs = CASES[name]
    model = kzoo.build(name, **SMALL, **arguments)
    rng = np.random.default_rng(0)
    for weight in model.head.weights:
        weight.assign(rng.normal(0, 0.1, weight.shape))
    ready = inference_model(model)
    features = model.network.outputs
    assert len(ready.network.outputs) == len(model.head.needed(features)) < len(features)
    assert ready.count_params() < model.count_params() and len(ready.head.weights) < len(model.head.weights)
    images = rng.integers(0, 256, (2, *model.image_size, 3)).astype("uint8")
    raw, of_ready = (each.head(keras.tree.flatten(each.network(images))) for each in (model, ready))
    assert of_ready.keys() == outputs
    for key, values in of_ready.items():
        scale = np.abs(raw[key]).max()
        np.testing.assert_allclose(values / scale, raw[key] / scale, atol=1e-4)


@pytest.mark.slow
def test_a_saved_model_holds_no_second_head(tmp_path):
    arguments = CASES["yolov7-w6"][0]
    sizes = {}
    for weight in (0.25, 0):
        model = kzoo.build("yolov7-w6", auxiliary=weight, **SMALL, **arguments)
        path = kzoo.export(model, tmp_path / str(weight) / "1")
        (variables,) = (path / "variables").glob("variables.data-*")
        sizes[weight] = variables.stat().st_size
    assert sizes[0.25] == pytest.approx(sizes[0], rel=0.001)
