"""CenterNet on residual networks: where the backbone ends, how deformable convolutions are trained, that it learns."""

import numpy as np
import pytest
from keras import ops

import kzoo
from kzoo.data.loading.loader import batches
from kzoo.layers.conv import scaled
from kzoo.training.assembly import compile_model
from kzoo.training.config import TrainConfig

SMALL = {"num_classes": 3, "image_size": 64, "width": 0.1, "depth": 0.5}


def build(**arguments):
    return kzoo.build("centernet-resnet18", **{**SMALL, **arguments})


@pytest.mark.parametrize(("stride", "deformable", "channels"), [(8, True, [64]), (16, False, [256, 256])])
def test_fewer_steps_lead_back_from_a_finer_backbone(stride, deformable, channels):
    model = build(output_stride=stride, deformable=deformable)
    layers = {layer.name: layer for layer in model.network.layers}
    steps = [layer for name, layer in layers.items() if name.endswith("_enlarge")]
    assert [layer.filters for layer in steps] == [scaled(count, SMALL["width"]) for count in channels]
    outputs = model(np.zeros((1, 64, 96, 3), np.uint8))
    assert outputs["heat"].shape == (1, 16, 24, 3)


def test_other_strides_are_refused():
    with pytest.raises(ValueError, match="output_stride=4; give 8, 16 or 32"):
        build(output_stride=4)


def test_where_taps_look_is_trained_at_a_tenth_of_the_rate():
    config = TrainConfig(schedule="constant", burn_in=0, weight_decay=0, clip_norm=0)
    model = compile_model(build(output_stride=8), config, 10)
    weights = model.trainable_variables
    before = [ops.convert_to_numpy(weight) for weight in weights]
    model.optimizer.apply([ops.ones_like(weight) for weight in weights], weights)
    moved = {
        weight.path: np.abs(ops.convert_to_numpy(weight) - old).max()
        for weight, old in zip(weights, before, strict=True)
    }
    rate = moved["neck_up0_deform/kernel"]
    assert rate > 0
    for path, step in moved.items():
        slow = path in ("neck_up0_deform/offset_kernel", "neck_up0_deform/offset_bias")
        assert step == pytest.approx(0.1 * rate if slow else rate, rel=0.02), path


@pytest.mark.slow
def test_finds_what_it_has_not_seen(tmp_path):
    # What learns eight pictures by heart need not learn anything of others.
    options = {"image_size": 64, "width": 0.25, "depth": 0.5, "head": {"output_stride": 8}, "workers": 0}
    rates = {"learning_rate": 2e-3, "epochs": 5, "augment": [], "run": tmp_path / "run"}
    model = kzoo.train("centernet-resnet18", "shapes:400:64", **options, **rates, ema=False).model
    images, truth = next(iter(batches(kzoo.data.load("shapes:400:64", split="test"), 64, 64, workers=0)))
    heat = float(model.head.loss(truth, model(images, training=False))["heat"])
    # Against the best that anything gives that does not look at the picture.
    rest = np.zeros((len(images), 16, 16, 2), np.float32)
    blind = [
        model.head.loss(truth, {"heat": np.full((64, 16, 16, 3), logit), "size": rest, "offset": rest})[
            "heat"
        ]
        for logit in np.linspace(-4, -1, 13, dtype=np.float32)
    ]
    assert heat < 0.8 * float(min(blind))
