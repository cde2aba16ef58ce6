"""Backbones that are frozen for some epochs, released, and trained at a rate of their own."""

import keras
import numpy as np
import pytest
from tiny_detector import flat, tiny_detector

import kzoo
from kzoo.heads.pixel import PixelHead
from kzoo.model import ZooModel, backbone_layers, images_input
from kzoo.training import AdamW, TrainConfig, resume
from kzoo.training.assembly import compile_model
from kzoo.training.fitness import check_options
from kzoo.training.freezing import release, trained_backbone
from kzoo.training.optimizers import averages
from kzoo.training.rates import SGD


class Watch(keras.callbacks.Callback):
    """Keeps what a backbone holds, statistics with it, and the rest of the network, after each epoch."""

    def __init__(self):
        super().__init__()
        self.backbone, self.rest = [], []

    def on_epoch_end(self, epoch, logs=None):
        layers = backbone_layers(self.model)
        others = [layer for layer in self.model.network.layers if layer not in layers]
        self.backbone.append(flat([weight for layer in layers for weight in layer.weights]))
        self.rest.append(flat([weight for layer in others for weight in layer.weights]))


class Cut(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise RuntimeError("power cut")


@pytest.mark.long
def test_frozen_for_some_epochs_then_trained(untraced, drawn, options, capsys):
    model, watch = tiny_detector(), Watch()
    before = flat([weight for layer in backbone_layers(model) for weight in layer.weights])
    options |= {"epochs": 3, "freeze_backbone": 2, "backbone_rate": 0.5, "learning_rate": 1e-2, "verbose": 2}
    kzoo.train(model, *drawn, callbacks=[watch], **options)
    said = "backbone: keeps its weights and statistics for 2 epochs, then trained at 0.5 of the learning rate"
    assert said in capsys.readouterr().out
    np.testing.assert_array_equal(watch.backbone[0], before)
    np.testing.assert_array_equal(watch.backbone[1], before)
    assert np.abs(watch.backbone[2] - before).max() > 1e-4
    assert np.abs(watch.rest[1] - watch.rest[0]).max() > 1e-4


@pytest.mark.slow
def test_the_release_is_seen_by_a_traced_training(drawn, options):
    watch = Watch()
    options |= {"freeze_backbone": 1, "learning_rate": 1e-2}
    kzoo.train(tiny_detector(), *drawn, callbacks=[watch], **options)
    assert np.abs(watch.backbone[1] - watch.backbone[0]).max() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("frozen, policy", [(1, "mixed_float16"), (2, "float32")])
def test_a_cut_training_goes_on_to_the_same_weights(untraced, drawn, options, tmp_path, frozen, policy):
    """Cut just before the release, and an epoch before it."""
    options |= {
        "epochs": 3,
        "freeze_backbone": frozen,
        "backbone_rate": 0.3,
        "learning_rate": 1e-2,
        "runs": None,
    }
    whole = kzoo.train(tiny_detector(policy=policy), *drawn, **options, run=tmp_path / "whole")
    with pytest.raises(RuntimeError, match="power cut"):
        kzoo.train(tiny_detector(policy=policy), *drawn, callbacks=[Cut()], **options, run=tmp_path / "cut")
    resumed = resume(tmp_path / "cut", *drawn, verbose=0)
    assert resumed.rows == whole.rows
    np.testing.assert_array_equal(flat(resumed.model.weights), flat(whole.model.weights))


def test_the_optimizer_keeps_what_it_knows_and_begins_averages_with_the_weights():
    config = TrainConfig(freeze_backbone=2, backbone_rate=0.5)
    model = tiny_detector()
    names = trained_backbone(model)
    compile_model(model, config, steps_per_epoch=5)
    for _ in range(3):
        model.optimizer.apply([np.ones(v.shape, "f4") for v in model.trainable_variables])
    known = {v.path: keras.ops.convert_to_numpy(v).copy() for v in model.optimizer.variables}
    averaged = {weight.path for weight, _ in averages(model.optimizer)}
    release(model, names)
    assert len(model.optimizer.variables) > len(known) == len(set(known))
    for variable in model.optimizer.variables:
        if variable.path in known:
            np.testing.assert_array_equal(variable, known[variable.path], variable.path)
    fresh = [pair for pair in averages(model.optimizer) if pair[0].path not in averaged]
    assert fresh and all(np.array_equal(weight, average) for weight, average in fresh)


def test_layers_that_the_model_itself_keeps_frozen_stay_so():
    model = kzoo.build("retinanet", num_classes=3, image_size=64, width=0.25, depth=0.05, batch_norm="frozen")
    own = [layer for layer in backbone_layers(model) if not layer.trainable]
    names = trained_backbone(model)
    compile_model(model, TrainConfig(freeze_backbone=1), steps_per_epoch=5)
    assert own and not any(layer.trainable for layer in backbone_layers(model) if layer.weights)
    release(model, names)
    assert not any(layer.trainable for layer in own)
    assert {layer.name for layer in backbone_layers(model) if layer.trainable} >= set(names)


def variables():
    """A weight of a backbone and one of a head."""
    return [keras.Variable(np.ones(3, "f4"), name=name) for name in ("backbone_conv", "head_conv")]


@pytest.mark.parametrize("kind", [AdamW, SGD])
def test_a_backbone_takes_steps_of_its_own_size(kind):
    """The parts of two optimizers with two learning rates, in one."""
    rng = np.random.default_rng(0)
    own, slow, fast = variables(), variables(), variables()
    plain = {"weight_decay": 0}
    optimizers = [kind(1e-2, rates={"backbone_": 0.1}, **plain), kind(1e-3, **plain), kind(1e-2, **plain)]
    for gradients in rng.normal(size=(4, 2, 3)).astype("f4"):
        for optimizer, values in zip(optimizers, (own, slow, fast), strict=True):
            optimizer.apply(list(gradients), values)
    np.testing.assert_allclose(own[0], slow[0], rtol=1e-5)
    np.testing.assert_allclose(own[1], fast[1], rtol=1e-5)


def test_what_is_trained_later_takes_the_steps_of_a_new_optimizer():
    rng = np.random.default_rng(0)
    late, alone = variables(), variables()
    old = AdamW(1e-2, since={"backbone_": 50}, weight_decay=0)
    old.build(late)
    old.iterations.assign(50)
    new = AdamW(1e-2, weight_decay=0)
    for gradients in rng.normal(size=(20, 1, 3)).astype("f4"):
        old.apply(list(gradients), late[:1])
        new.apply(list(gradients), alone[:1])
        np.testing.assert_allclose(late[0], alone[0], rtol=1e-4)


def test_rates_come_back_from_a_file():
    optimizer = AdamW(1e-2, rates={"backbone_": 0.1}, since={"backbone_": 7})
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert (again.rates, again.since) == ({"backbone_": 0.1}, {"backbone_": 7})


@pytest.mark.parametrize(
    "given, words",
    [
        ({"freeze_backbone": 3}, "freeze_backbone=3: keeps random weights; give pretrained"),
        ({"freeze_backbone": 9, "epochs": 5, "pretrained": True}, "freeze_backbone=9: more than epochs=5"),
        (
            {"freeze_backbone": "all", "backbone_rate": 0.1, "pretrained": True},
            "backbone_rate=0.1: has no effect with freeze_backbone='all'",
        ),
        ({"freeze_backbone": -1}, "freeze_backbone=-1: give a number of epochs, 0 or more, or all"),
        ({"freeze_backbone": "some"}, "freeze_backbone='some': give a number of epochs"),
        ({"backbone_rate": 0}, "backbone_rate=0: give a number, above 0"),
    ],
)
def test_what_has_no_effect_is_refused(given, words):
    with pytest.raises(ValueError, match=words) as caught:
        check_options(given, TrainConfig.of(given), "detect", is_new=True, is_cfg=False)
    assert "\n" not in str(caught.value)


def test_a_model_without_a_backbone_has_none_to_freeze():
    inputs, x = images_input()
    network = keras.Model(inputs, keras.layers.Conv2D(4, 3, 32, padding="same", name="conv")(x))
    model = ZooModel(network, PixelHead(2, name="head"), (64, 64), name="plain")
    with pytest.raises(
        ValueError, match="plain: has no backbone; leave freeze_backbone and backbone_rate out"
    ):
        compile_model(model, TrainConfig(backbone_rate=0.1), steps_per_epoch=5)


def test_truth_values_stand_for_all_epochs_and_none():
    assert [TrainConfig(freeze_backbone=value).freeze_backbone for value in (True, False, 0, 5)] == [
        "all",
        0,
        0,
        5,
    ]


def test_pretrained_is_short_for_the_name_of_the_weights():
    config = TrainConfig(pretrained=True)
    assert config.model_arguments() == {"backbone_weights": "imagenet"} and config.learning_rate == 1e-3
