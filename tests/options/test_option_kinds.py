"""What each kind of option takes from Python, and how it says no."""

from pathlib import Path

import numpy as np
import pytest

from kzoo.options import (
    Component,
    Flag,
    Names,
    Number,
    Place,
    Size,
    Sizes,
    Text,
    Whole,
    Word,
    checked,
    refuse_idle,
)
from kzoo.options.checking import ANY, check_known

RIGHT = [
    (Whole(least=1), 3, 3),
    (Whole(least=1), np.int64(3), 3),
    (Whole(none=True), None, None),
    (Number(above=0), np.float32(0.5), 0.5),
    (Number(least=0), 2, 2),
    (Flag(), np.bool_(True), True),
    (Size(), 64, (64, 64)),
    (Size(), [64, np.int32(96)], (64, 96)),
    (Size(), np.array([64, 96]), (64, 96)),
    (Sizes(), [64, (96, 64)], [(64, 64), (96, 64)]),
    (Place(), Path("a/b"), Path("a/b")),
    (Place(others=True), [1, 2], [1, 2]),
    (Names(choices=("a", "b")), (), []),
    (Names(choices=("a", "b")), ("b", "a"), ["b", "a"]),
    (Word(choices=("a",), prefixes=("disk:",)), "disk:x", "disk:x"),
]
WRONG = [
    (Whole(least=1), (0, -1, True, "3", 2.0, None, [], float("nan"), 10**400)),
    (Whole(least=1, most=5), (6, np.int64(6))),
    (Number(least=0, below=1), (-0.1, 1, float("inf"), "a", None, False, [0.5], 1j)),
    (Number(above=0), (0, -1, float("nan"))),
    (Flag(), (1, 0, "true", None)),
    (Text(), ("", " ", 3, None, "a\0b")),
    (Place(), ("", None, 3, "a\0")),
    (Place(others=True), ("",)),
    (Component(), ("", "/", "a/b", "..", "a\\b", "\n", "x" * 201, "\udcff" * 201)),
    (Word(choices=("a", "b")), ("c", "A", "", None, 1)),
    (Names(choices=("a", "b")), ("a", ["c"], ["a", "a"], None, 3)),
    (Names(choices=("a", "b"), least=1), ([],)),
    (Size(), (0, -1, (64,) * 3, "64", None, 64.5, (64, 0), 10**7, float("inf"), {"a": 1})),
    (Sizes(), (64, "64", [], [0], [[64, 64, 64]])),
]


@pytest.mark.parametrize(("option", "value", "used"), RIGHT)
def test_right_values(option, value, used):
    found = option.check("x", value)
    assert found == used and type(found) is type(used)


@pytest.mark.parametrize(("option", "value"), [(option, one) for option, ones in WRONG for one in ones])
def test_wrong_values_are_told_in_a_line(option, value):
    with pytest.raises(ValueError, match=r"^some_name=") as caught:
        option.check("some_name", value)
    said = str(caught.value)
    assert "\n" not in said and said.endswith(f"give {option.wanted}") and len(said) < 300


def test_a_long_value_is_cut_short():
    with pytest.raises(ValueError, match="give a whole number") as caught:
        Whole().check("x", "y" * 10_000)
    assert len(str(caught.value)) < 150


def test_checked_functions_get_what_is_used_and_keep_their_signature():
    @checked({"size": Size(), "count": Whole(least=1)})
    def make(size, count=0, *others, **more):
        return size, count, others, more

    assert make(64) == ((64, 64), 0, (), {})  # the default is not looked at
    assert make([32, 64], 2, 3, a=4) == ((32, 64), 2, (3,), {"a": 4})
    with pytest.raises(ValueError, match="count=0: give"):
        make(64, count=0)


def test_the_nearest_name_is_offered():
    with pytest.raises(ValueError, match="train: unknown option 'epoch'; did you mean epochs"):
        check_known("train", {"epoch": 3}, ["epochs", "batch"])
    with pytest.raises(ValueError, match="known: epochs, batch"):
        check_known("train", ["xyz"], ["epochs", "batch"])


TABLE = {
    "momentum": Number(needs={"optimizer": ("sgd",)}),
    "nesterov": Flag(needs={"optimizer": ("sgd",)}, neutral=(None,)),
    "name": Text(needs={"run": (None,)}),
    "exist_ok": Flag(needs={"run": (ANY,)}),
    "nms": Text(task="detect"),
}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"momentum": 0}, "momentum=0: has an effect with optimizer=sgd alone, and it is 'adamw'"),
        ({"nesterov": False}, "nesterov=False"),
        ({"exist_ok": True}, "exist_ok=True: has no effect without run"),
        ({"name": "x", "run": "y"}, "name='x': has no effect beside run='y'"),
        ({"nms": "diou"}, "nms='diou' is not for a segmenter; leave it out"),
    ],
)
def test_what_has_no_effect_is_refused(given, words):
    settings = {"optimizer": "adamw", "run": None, **given}
    with pytest.raises(ValueError, match=words) as caught:
        refuse_idle(given, TABLE, settings.get, "segment")
    assert "leave" in str(caught.value)


def test_what_has_an_effect_or_asks_for_nothing_passes():
    settings = {"optimizer": "sgd", "run": None}
    given = {"momentum": 0.5, "nesterov": False, "name": "x", "exist_ok": False, "nms": None, "other": 1}
    refuse_idle(given, TABLE, settings.get, "segment")
    refuse_idle({"exist_ok": True, "nms": "diou"}, TABLE, {"run": "x"}.get, "detect")
