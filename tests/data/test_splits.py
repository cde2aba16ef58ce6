"""What the parts of a dataset are called, and which of them is meant."""

import pytest

from kzoo.data.parts import choose_split, is_usual_split, order_splits


@pytest.mark.parametrize(
    "asked, available, meant",
    [
        ("train", ["Test", "Train", "Validation"], "Train"),
        ("val", ["Test", "Train", "Validation"], "Validation"),
        ("test", ["Test", "Train", "Validation"], "Test"),
        ("VAL", ["train", "valid"], "valid"),
        ("train", ["training", "eval", "testing"], "training"),
        ("val", ["training", "eval", "testing"], "eval"),
        ("train", ["TRAIN2017", "VAL2017"], "TRAIN2017"),
        ("Validation", ["train_1", "val_1"], "val_1"),
        ("train", ["Train", "train"], "train"),
        ("kitchen", ["Kitchen", "Garden"], "Kitchen"),
        ("train", ["default"], "default"),
        ("train", ["kitchen2"], "kitchen2"),
    ],
)
def test_the_split_that_is_meant(asked, available, meant):
    assert choose_split(asked, available, "set") == meant


@pytest.mark.parametrize(
    "asked, available",
    [
        ("train", ["val"]),
        ("train", ["Test"]),
        ("val", ["default"]),
        ("train", ["kitchen", "garden"]),
        ("fold1", ["fold2"]),
        ("train2", ["train"]),
        ("test", []),
    ],
)
def test_no_other_part_is_taken_for_it(asked, available):
    with pytest.raises(ValueError, match=f"set: no split '{asked}'"):
        choose_split(asked, available, "set")


def test_train_val_and_test_come_first():
    assert order_splits(["a", "Test", "Validation", "Train"]) == ["Train", "Validation", "Test", "a"]
    assert order_splits({"test2017", "val2017", "train2017"}) == ["train2017", "val2017", "test2017"]


def test_usual_names():
    usual = ["train", "Train", "VALID", "Validation", "dev", "test2017", "Testing"]
    assert all(map(is_usual_split, usual))
    assert not any(map(is_usual_split, ["default", "kitchen", "trainval", "training data"]))
