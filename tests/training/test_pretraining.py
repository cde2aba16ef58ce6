"""Backbones that learn to classify crops of the training pictures before the first epoch."""

import keras
import numpy as np
import pytest
from shapes_only import shapes_only
from tiny_detector import SIDE, flat, tiny_detector

import kzoo
from kzoo.data.formats.shapes import Shapes
from kzoo.data.loading.crops import PixelShares
from kzoo.heads.pixel import PixelHead
from kzoo.model import ZooModel, backbone_layers, images_input
from kzoo.training import TrainConfig, fitting, pretraining, resume
from kzoo.training.fitness import check_options
from kzoo.training.freezing import trained_backbone
from kzoo.training.pretraining import (
    _classifier,
    _transforms,
    accuracy,
    batch_size,
    coarsest_network,
    cut_crops,
    pretrain,
)

CONFIG = {"pretrain": "classify", "pretrain_epochs": 1, "augment": "none", "workers": 0}
FEW = Shapes(5, (SIDE, SIDE))


class Cut(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise RuntimeError("power cut")


class Only:
    """Some boxes of a dataset, and no `record`."""

    def __init__(self, base, boxes=slice(None), classes=None):
        self.base, self.boxes, self.classes = base, boxes, classes or base.classes

    def __len__(self):
        return len(self.base)

    def __getitem__(self, index):
        sample = self.base[index]
        return type(sample)(sample.image, sample.boxes[self.boxes], 0 * sample.labels[self.boxes])


def learn(model, data, val=None, verbose=0, **options):
    """Pretrains a model as a training does, but for the folder."""
    keras.utils.set_random_seed(0)
    config = TrainConfig(**{**CONFIG, **options})
    crops, val_crops = cut_crops(model, config, data, val)
    pretrain(model, config, crops, val_crops, trained_backbone(model), verbose)
    return crops


def parts(model):
    """Weights and statistics of the backbone, and of all else."""
    own = [weight for layer in backbone_layers(model) for weight in layer.weights]
    paths = {weight.path for weight in own}
    return flat(own), flat([weight for weight in model.weights if weight.path not in paths])


@pytest.fixture
def few():
    """Shapes to train on and to validate on."""
    return FEW, Shapes(3, (SIDE, SIDE), split="val")


def segmenter(**options):
    """A model that sees pictures of 64 pixels in four tiles."""
    keras.utils.set_random_seed(0)
    settings = {"image_size": 2 * SIDE, "width": 0.25, "depth": 0.4, "batch_norm": True}
    return kzoo.build("unet", num_classes=4, **{**settings, **options})


def plain(images, name):
    """A model of one convolution."""
    network = keras.Model(images[0], keras.layers.Conv2D(4, 3, 32, padding="same", name=name)(images[1]))
    return ZooModel(network, PixelHead(4, name="head"), (96, 96), masks().classes, name="plain")


def masks(count=5):
    return Shapes(count, (SIDE, SIDE), task="segment")


@pytest.mark.parametrize("make, data", [(tiny_detector, FEW), (segmenter, masks())])
def test_the_backbone_learns_and_nothing_else_changes(untraced, make, data):
    model = make()
    backbone, rest = parts(model)
    momenta = [getattr(layer, "momentum", None) for layer in model.network.layers]
    learn(model, data)
    after, rest_after = parts(model)
    assert np.abs(after - backbone).max() > 1e-3 and np.isfinite(after).all()
    np.testing.assert_array_equal(rest_after, rest)
    assert [getattr(layer, "momentum", None) for layer in model.network.layers] == momenta


@pytest.mark.long
def test_the_same_seed_gives_the_same_weights(untraced):
    one, again = tiny_detector(), tiny_detector()
    for model in (one, again):
        learn(model, FEW, augment="light")
    np.testing.assert_array_equal(parts(one)[0], parts(again)[0])


@pytest.mark.long
@pytest.mark.parametrize(
    "make, data", [(tiny_detector, FEW), pytest.param(segmenter, masks(), marks=pytest.mark.slow)]
)
def test_few_crops_are_learnt_by_heart(monkeypatch, make, data):
    """As the classifier says that is thrown away: its shares are far nearer than those of all crops together."""
    kept = []
    monkeypatch.setattr(pretraining, "_classifier", lambda *a: kept.append(_classifier(*a)) or kept[0])
    crops = learn(make(), data, pretrain_epochs=40)
    scores = kept[0].predict(crops.images, verbose=0)["scores"]
    wrong, guessed = (np.abs(one - crops.shares).sum(1).mean() for one in (scores, crops.shares.mean(0)))
    assert accuracy(kept[0], crops) > 0.9 and wrong < 0.6 * guessed


@pytest.mark.long
def test_a_training_begins_with_what_was_learnt(untraced, few, options, monkeypatch, capsys):
    """The checkpoint before the first epoch has it, and a frozen backbone keeps it."""
    seen = []

    def checked(path, model, state, save=fitting.save_checkpoint):
        seen.append(parts(model)[0])
        save(path, model, state)

    monkeypatch.setattr(fitting, "save_checkpoint", checked)
    model = tiny_detector()
    before = parts(model)[0]
    options |= {
        "pretrain": "classify",
        "pretrain_epochs": 2,
        "freeze_backbone": "all",
        "verbose": 2,
        "epochs": 1,
    }
    result = kzoo.train(model, *few, **options)
    assert np.abs(seen[0] - before).max() > 1e-3
    np.testing.assert_array_equal(parts(result.model)[0], seen[0])
    said = capsys.readouterr().out
    assert (
        "pretraining: the backbone learns from " in said and "circle, rectangle, triangle, background" in said
    )
    assert "pretraining, epoch 2 of 2: loss " in said and "validation crops right" in said
    text = (result.folder / "args.yaml").read_text()
    assert "pretrain: classify" in text and "pretrain_epochs: 2" in text


@pytest.mark.slow
def test_resuming_does_not_repeat_it(untraced, options, monkeypatch, tmp_path):
    options |= {"pretrain": "classify", "pretrain_epochs": 1, "freeze_backbone": 1, "runs": None}
    whole = kzoo.train(tiny_detector(), FEW, **options, run=tmp_path / "whole")
    with pytest.raises(RuntimeError, match="power cut"):
        kzoo.train(tiny_detector(), FEW, callbacks=[Cut()], **options, run=tmp_path / "cut")
    monkeypatch.setattr(fitting, "pretrain", None)
    monkeypatch.setattr(fitting, "cut_crops", None)
    resumed = resume(tmp_path / "cut", FEW, verbose=0)
    assert resumed.rows == whole.rows
    np.testing.assert_array_equal(flat(resumed.model.weights), flat(whole.model.weights))


def test_what_is_killed_in_it_has_nothing_to_resume(few, options, monkeypatch, tmp_path):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "pretrain", killed)
    options |= {"pretrain": "classify", "runs": None}
    with pytest.raises(KeyboardInterrupt):
        kzoo.train(tiny_detector(), *few, **options, run=tmp_path / "cut")
    with pytest.raises(FileNotFoundError, match="stopped before its first checkpoint; train anew"):
        resume(tmp_path / "cut", *few, verbose=0)


@pytest.mark.parametrize(
    "name, options",
    [
        ("yolov3", {}),
        ("ssd300", {}),
        ("retinanet-resnet18", {}),
        ("yolov3-tiny", {"backbone": "efficientnet-lite0"}),
        ("unet", {}),
        ("fcn8", {}),
        ("deeplabv3plus", {"backbone": "mobilenetv3-small"}),
    ],
)
def test_all_of_a_backbone_learns_up_to_its_coarsest_map(name, options):
    with shapes_only():
        model = kzoo.build(name, num_classes=3, width=0.1, depth=0.05, **options)
        network = coarsest_network(model)
        own = backbone_layers(model)
        assert {layer.name for layer in own} <= {layer.name for layer in network.layers}
        maps = keras.Model(network.inputs, [layer.output for layer in own]).compute_output_spec(
            keras.KerasTensor((1, 128, 128, 3))
        )
        # But for the single cells by which channels are weighed.
        assert maps[-1].shape[1] == min(one.shape[1] for one in maps if one.shape[1] > 1)


@pytest.mark.long
def test_half_precision_learns_too(untraced):
    model = tiny_detector(policy="mixed_float16")
    before = parts(model)[0]
    learn(model, FEW)
    after = parts(model)[0]
    assert np.isfinite(after).all() and np.abs(after - before).max() > 1e-4


def test_layers_that_the_model_itself_keeps_frozen_stay_so(untraced):
    model = kzoo.build("retinanet", num_classes=3, image_size=64, width=0.25, depth=0.05, batch_norm="frozen")
    own = [layer for layer in backbone_layers(model) if not layer.trainable]
    before = flat([weight for layer in own for weight in layer.weights])
    learn(model, Shapes(3, (SIDE, SIDE)))
    np.testing.assert_array_equal(flat([weight for layer in own for weight in layer.weights]), before)


def test_transforms_are_the_training_s_of_one_picture():
    model = tiny_detector()
    augment = ["mosaic", "flip", {"mixup": {"p": 0.2}}, "ssd_crop", "random_resized_crop", "color", "cutout"]
    config = TrainConfig(**{**CONFIG, "augment": augment})
    crops, _ = cut_crops(model, config, FEW, None)
    assert [type(one).__name__ for one in _transforms(config, crops)] == ["Flip", "ColorJitter"]
    assert _transforms(TrainConfig(**CONFIG), crops) == []
    crops, _ = cut_crops(segmenter(), config, masks(), None)
    assert _transforms(config, crops)[-1] == PixelShares(4)


def test_batches_are_smaller_where_crops_are_few():
    assert [batch_size(count) for count in (16, 200, 300, 600, 1024, 10**5)] == [8, 8, 16, 32, 64, 64]


def test_a_dataset_of_one_class_is_told_from_background():
    data = Only(FEW, classes=["shape"])
    crops, val = cut_crops(tiny_detector(1), TrainConfig(**CONFIG), data, data)
    assert crops.shown == 2 and len(val) == len(crops)


def test_the_rate_stays_that_of_new_models():
    """Larger steps undo nothing that the same pictures do not teach again."""
    assert TrainConfig(pretrain="classify").learning_rate == 5e-3
    assert TrainConfig(pretrain="classify", pretrained=True).learning_rate == 1e-3


@pytest.mark.parametrize(
    "given, words",
    [
        ({"pretrain": "masks"}, "pretrain='masks': give classify"),
        ({"pretrain": "classify", "pretrain_epochs": 0}, "pretrain_epochs=0: give a whole number"),
    ],
)
def test_wrong_values_are_refused(given, words):
    with pytest.raises(ValueError, match=words):
        TrainConfig.of(given)


def test_what_goes_together_is_taken():
    for others in ({"freeze_backbone": 3}, {"pretrained": True}, {"backbone_weights": "a.keras"}):
        given = {"pretrain": "classify", "pretrain_epochs": 5, **others}
        check_options(given, TrainConfig.of(given), "detect", is_new=True, is_cfg=False)


def test_models_that_cannot_learn_so_are_refused(few, options, tmp_path):
    options |= {"pretrain": "classify"}
    with pytest.raises(ValueError, match="pretrain='classify': plain has no backbone; leave it out"):
        kzoo.train(plain(images_input(), "conv"), masks(), **options)
    fixed = plain(images_input((96, 96)), "backbone_conv")
    with pytest.raises(ValueError, match="pretrain='classify': plain takes no crops of 64 or 128 pixels"):
        cut_crops(fixed, TrainConfig(**CONFIG), masks(), None)
    tiny_detector().save(tmp_path / "trained.keras")
    with pytest.raises(ValueError, match=r"pretrain='classify': all of .*trained.keras is trained already"):
        kzoo.train(tmp_path / "trained.keras", *few, **options)


@pytest.mark.parametrize(
    "data, words",
    [
        (
            Shapes(1, (SIDE, SIDE)),
            r"gives \d+ crops with . classes.* it takes 16 with two; give more images, or leave it out",
        ),
        (Only(FEW, slice(0, 0)), "gives 0 crops with 0 classes"),
    ],
)
def test_too_few_crops_are_refused_before_a_folder_is_made(options, tmp_path, data, words):
    with pytest.raises(ValueError, match=words) as caught:
        kzoo.train(tiny_detector(), data, **options, pretrain="classify")
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_the_command_s_help_has_it(kzoo_command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    status, out, _ = kzoo_command("train", "--help")
    assert status == 0 and "--pretrain " in out and "--pretrain-epochs" in out and "classify" in out
