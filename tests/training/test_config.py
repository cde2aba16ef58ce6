import dataclasses

import pytest
import yaml

from kzoo.training.config import TrainConfig


def test_comes_back_from_yaml():
    config = TrainConfig(
        image_size=320,
        augment=["flip", {"darknet_jitter": {"jitter": 0.2}}],
        head={"focal_gamma": 2.0},
        anchors=[1, 2, 3, 4],
        schedule={"policy": "steps", "steps": [10], "scales": [0.1]},
        sizes=[320, (352, 384)],
    )
    again = TrainConfig.of(yaml.safe_load(yaml.safe_dump(config.to_dict())))
    assert again.to_dict() == config.to_dict()
    assert tuple(again.image_size) == (320, 320)


def test_every_option_says_what_it_is():
    assert {one.name for one in dataclasses.fields(TrainConfig)} == set(TrainConfig.options)
    for name, option in TrainConfig.options.items():
        assert option.help.endswith("."), name


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epoch": 3}, "did you mean epochs"),
        ({"epochs": 0}, "epochs=0: give a whole number, 1 to"),
        ({"batch_size": -1}, "batch_size=-1"),
        ({"optimizer": "adam"}, "adamw or sgd"),
        ({"schedule": "linear"}, "cosine, step"),
        ({"schedule": {"policy": "stairs"}}, "cosine, step"),
        ({"sizes": [0]}, "sizes="),
        ({"beta_2": 1.0}, "beta_2=1.0"),
        ({"momentum": 1}, "momentum=1"),
        ({"precision": "float8"}, "mixed_bfloat16"),
        ({"learning_rate": 0}, "above 0"),
        ({"learning_rate": float("nan")}, "above 0"),
        ({"ema_momentum": 1.0}, "ema_momentum=1.0"),
        ({"image_size": (1, 2, 3)}, "height and width"),
        ({"weight_decay": float("nan")}, "weight_decay=nan"),
    ],
)
def test_wrong_options_are_told_in_a_line(options, words):
    with pytest.raises(ValueError, match=words) as caught:
        TrainConfig.of(options)
    assert "\n" not in str(caught.value)
