"""What a `.cfg` says of training, and a training by one."""

import csv

import keras
import numpy as np
import pytest
import yaml
from tiny_detector import SIDE

import kzoo
from kzoo.data.formats.shapes import Shapes
from kzoo.training import resume
from kzoo.training.config import TrainConfig
from kzoo.training.darknet import CfgTraining

TINY = """[net]
batch=16
subdivisions=2
width=64
height=64
channels=3
momentum=0.9
decay=0.0005
angle=2
saturation=1.5
exposure=1.5
hue=.1
mosaic=1
cutmix=1
learning_rate=0.001
burn_in=2
max_batches=6
policy=steps
steps=4,5
scales=.1,.1
{more}
{layers}
[convolutional]
size=1
pad=1
filters=24
activation=linear

[yolo]
mask=0,1,2
anchors=8,8, 14,14, 22,22
classes=3
num=3
jitter=.3
ignore_thresh=.7
random={random}
max=90
"""
LAYER = "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n"


class Many:
    """A dataset that is only counted."""

    def __init__(self, count: int, classes: int):
        self.count, self.classes = count, [str(label) for label in range(classes)]

    def __len__(self):
        return self.count


@pytest.fixture
def tiny(tmp_path):
    """Writes the tiny network's cfg, with lines of one's own in [net]."""

    def write(more: str = "", random: str = "0", layers: str = LAYER * 5):
        path = tmp_path / "tiny.cfg"
        path.write_text(TINY.format(more=more, random=random, layers=layers))
        return path

    return write


def read(path, **given) -> tuple[CfgTraining, TrainConfig]:
    says = CfgTraining.read(path, given)
    return says, TrainConfig.of(says.options)


def test_yolov3_as_its_cfg_says(darknet_data):
    says, config = read(darknet_data / "cfg" / "yolov3.cfg")
    assert (config.batch_size, config.accumulate) == (4, 16)
    assert (config.learning_rate, config.burn_in) == (0.001, 1000)
    assert config.schedule == {
        "policy": "steps",
        "power": 4.0,
        "steps": [400000, 450000],
        "scales": [0.1, 0.1],
    }
    assert (config.optimizer, config.momentum, config.nesterov) == ("sgd", 0.9, False)
    assert config.weight_decay == pytest.approx(0.0005 / (1 - 0.9))
    assert not config.ema and config.clip_norm == 0
    assert config.augment == [
        {"darknet_jitter": {"jitter": 0.3, "resize": 1.0}},
        "flip",
        {"darknet_color": {"hue": 0.1, "saturation": 1.5, "exposure": 1.5}},
    ]
    # 608 / 1.4 and 608 * 1.4 in Darknet's rounding.
    assert config.sizes[0] == (480, 480) and config.sizes[-1] == (896, 896) and (608, 608) in config.sizes
    # 500200 iterations of 64 images, on a dataset of 117264.
    assert says.completed(config, Many(117264, 80)).epochs == -(-500200 * 64 // 117264)


def test_yolov4_csp_as_its_cfg_says(darknet_data):
    says, config = read(darknet_data / "cfg" / "yolov4-csp.cfg")
    assert config.augment[:2] == [
        {"mosaic": {"p": 0.5, "centre": [0.2, 0.8]}},
        {"darknet_jitter": {"jitter": 0.1, "resize": 1.5}},
    ]
    assert config.close_mosaic == 0 and config.sizes is None
    # The average moves with every of eight batches, Darknet's with every update.
    assert config.ema and config.ema_momentum**8 == pytest.approx(0.9998)
    lines = says.lines(config)
    assert "ema_alpha=0.9998" in lines[0] and "iou_loss=ciou" in lines[0]
    assert lines[1].endswith("ignored: max_delta (lines 1051, 1165, 1279)")


def test_darknets_own_sizes_of_random(darknet_data):
    _, config = read(darknet_data / "cfg" / "yolov3-tiny.cfg", batch_size=8)
    assert config.sizes == [(side, side) for side in range(320, 609, 32)]
    _, config = read(darknet_data / "cfg" / "yolov3-tiny.cfg", batch_size=8, image_size=(192, 416))
    heights, widths = zip(*config.sizes, strict=True)
    assert len(set(heights)) == len(set(widths)) == len(config.sizes) and (192, 416) in config.sizes
    assert all(side % 32 == 0 for side in (*heights, *widths))


def test_every_detector_at_hand_can_be_trained(darknet_data):
    for path in sorted((darknet_data / "cfg").glob("yolo*.cfg")):
        _, config = read(path, batch_size=8)
        assert config.batch_size == 8 and config.augment


def test_options_win_over_the_file(tiny):
    _, config = read(
        tiny(), batch_size=4, learning_rate=0.1, momentum=0.5, augment="none", schedule="cosine", epochs=3
    )
    assert (config.batch_size, config.accumulate) == (4, 4), "a step stays of 16 images"
    assert (config.learning_rate, config.augment, config.schedule) == (0.1, "none", "cosine")
    assert config.weight_decay == pytest.approx(0.0005 / (1 - 0.5))
    says, config = read(tiny(), accumulate=1, epochs=3)
    assert (config.batch_size, config.accumulate) == (8, 1)
    assert says.completed(config, Many(9, 3)).epochs == 3
    assert "subdivisions" in says.lines(config)[0] and "max_batches" not in says.lines(config)[0]


@pytest.mark.parametrize(("option", "value"), [("batch_size", 0), ("momentum", 1.0), ("epoch", 3)])
def test_wrong_options_are_told_before_the_file_is_worked_out(tiny, option, value):
    with pytest.raises(ValueError, match=option):
        CfgTraining.read(tiny(), {option: value})


def test_adam_and_its_keys(tiny):
    _, config = read(tiny("adam=1\nB1=.8\nB2=.99\neps=.0001"))
    assert (config.optimizer, config.beta_1, config.beta_2, config.epsilon) == ("adamw", 0.8, 0.99, 0.0001)
    assert config.weight_decay == 0.0005


def test_what_is_ignored_is_told_with_its_line(tiny):
    says, config = read(tiny("mixup=1"))
    assert says.lines(config)[1].partition("ignored: ")[2] == (
        "cutmix (line 14; Darknet itself has it for classifiers alone), mixup (line 21), max (line 72)"
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("batch=16", "batch=1", r"tiny\.cfg:2: \[net\] batch=1: .*batch size"),
        ("subdivisions=2", "subdivisions=32", r"tiny\.cfg:3: .*more than batch=16"),
        ("policy=steps", "policy=stairs", r"tiny\.cfg:18: .*policy=stairs: .*sgdr"),
        ("scales=.1,.1", "scales=.1", r"tiny\.cfg:20: .*equally many"),
        ("jitter=.3", "jitter=.6", r"\[yolo\] jitter=\.6: .*below 0\.5"),
        ("momentum=0.9", "momentum=1", r"tiny\.cfg:7: .*below 1"),
        ("saturation=1.5", "saturation=much", r"tiny\.cfg:10: .*saturation=much"),
        ("policy=steps", "policy=sgdr\nsgdr_mult=0", r"tiny\.cfg:19: .*sgdr_mult=0"),
    ],
)
def test_faults_have_their_line(tiny, old, new, words):
    path = tiny()
    path.write_text(path.read_text().replace(f"\n{old}\n", f"\n{new}\n"))
    with pytest.raises(ValueError, match=words) as caught:
        CfgTraining.read(path, {})
    assert "\n" not in str(caught.value)


def test_other_classes_are_refused_with_the_remedy(tiny):
    says, config = read(tiny())
    words = r"\[yolo\] classes=3: the dataset has 5: give classes=5, and filters=\(classes\+5\)\*3=30 in"
    with pytest.raises(ValueError, match=words):
        says.completed(config, Many(9, 5))


def test_a_classifier_is_refused(darknet_data):
    with pytest.raises(ValueError, match=r"darknet53\.cfg:564: \[softmax\]: ends a classifier") as caught:
        kzoo.train(darknet_data / "cfg" / "darknet53.cfg", "nowhere")
    assert "\n" not in str(caught.value)


def test_without_max_batches_epochs_are_asked_for(tiny):
    path = tiny()
    path.write_text(path.read_text().replace("max_batches=6\n", ""))
    says, config = read(path)
    with pytest.raises(ValueError, match="max_batches: says nothing of how long"):
        says.completed(config, Many(9, 3))


def test_options_that_the_file_states_itself_are_refused(tiny, drawn):
    for options in ({"width": 0.5}, {"anchors": [1, 2, 3, 4]}):
        with pytest.raises(ValueError, match=r"for a model by name only; .*tiny\.cfg says it itself"):
            kzoo.train(tiny(), *drawn, epochs=1, **options)
    with pytest.raises(ValueError, match=r"stop_at=3: for the \.weights of a \.cfg"):
        kzoo.train("yolov3-tiny", *drawn, stop_at=3)


@pytest.mark.long
def test_a_training_by_a_cfg_and_its_resumption(untraced, tiny, tmp_path, capsys):
    """Six updates of two batches each; the rate falls at the fourth and fifth."""
    train, val = Shapes(24, (SIDE, SIDE), split="train"), Shapes(8, (SIDE, SIDE), split="val")
    options = {"runs": tmp_path / "runs", "workers": 0, "precision": "float32", "verbose": 2}

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    path = tiny()
    with pytest.raises(KeyboardInterrupt):
        kzoo.train(str(path), train, val, callbacks=[Stop()], **options)
    path.unlink()  # the checkpoint has all of it
    result = resume(tmp_path / "runs" / "exp", train, val, verbose=0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{path}: 4 epochs, 16 images a step; batch=16, subdivisions=2, momentum=0.9")
    assert "ignored: cutmix" in lines[1]
    with (result.folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    # After 3, 6, 9 and 12 batches: of the updates that come next, 2, 4, 5 and 7.
    found = [float(row["learning_rate"]) for row in rows]
    np.testing.assert_allclose(found, [1e-3, 1e-4, 1e-5, 1e-5], rtol=1e-4)
    assert result.model.resize == "darknet" and result.model.names == train.classes
    args = yaml.safe_load((result.folder / "args.yaml").read_text())
    assert args["model"] == str(path) and args["schedule"]["policy"] == "steps" and args["accumulate"] == 2
