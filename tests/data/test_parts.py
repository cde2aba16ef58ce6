"""Which part of a dataset is taken, where nobody has named one."""

import pytest

from kzoo.data.parts import evaluation_part, training_part, validation_part


@pytest.mark.parametrize(
    ("parts", "trained", "validated", "evaluated"),
    [
        ([], None, None, None),
        (["default"], "default", None, "default"),
        (["test"], "test", None, "test"),
        (["val2017"], "val2017", None, "val2017"),
        (["train", "val", "test"], "train", "val", "val"),
        (["Train", "Validation"], "Train", "Validation", "Validation"),
        (["train", "test"], "train", None, "test"),
        (["TRAIN", "Test", "extra"], "TRAIN", None, "Test"),
        (["trainval", "test"], "trainval", None, "test"),
    ],
)
def test_the_parts_that_are_taken(parts, trained, validated, evaluated):
    assert training_part(parts, "set") == trained
    assert validation_part(parts, "set", trained) == validated
    assert evaluation_part(parts, "set") == evaluated


def test_what_cannot_be_told_has_to_be_named():
    with pytest.raises(ValueError, match=r"^set: no part 'train'; name .* --split: garden, kitchen$"):
        training_part(["garden", "kitchen"], "set")
    with pytest.raises(ValueError, match=r"'val' or 'test'; name .* --split: garden, kitchen$"):
        evaluation_part(["garden", "kitchen"], "set")
    with pytest.raises(ValueError, match=r"'val'; name .* --val-split: train, test$"):
        evaluation_part(["train", "test"], "set", None, ("val",), "--val-split")
    assert training_part(["garden", "kitchen"], "set", required=False) is None
    for choose in (training_part, evaluation_part):
        assert choose(["garden", "kitchen"], "set", "Kitchen") == "Kitchen"
    # The part that is trained on is none to validate on.
    assert validation_part(["train", "val"], "set", "val") is None
