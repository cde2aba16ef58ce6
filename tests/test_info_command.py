"""`kzoo info`: every argument that a model takes, with type, default and meaning."""

import json

import pytest

import kzoo
from kzoo.cli.models import arguments
from kzoo.heads import YoloHead
from kzoo.options.documented import REQUIRED, args_entries, documented
from kzoo.registry import architecture_function


def accepted(name) -> set[str]:
    """What a model's function lets through: to a name that it does not know it says all that it knows."""
    with pytest.raises(ValueError, match="known: ") as caught:
        architecture_function(name)(**{"~": 0})
    return set(str(caught.value).split("known: ")[1].split(", "))


@pytest.mark.parametrize("name", kzoo.list_models())
def test_every_argument_is_listed_once_with_its_meaning(name):
    of_model, of_head = arguments(name)
    listed = [*of_model, *of_head]
    names = [one.name for one in listed]
    assert set(names) == accepted(name) and len(set(names)) == len(names)
    assert [one.name for one in listed if len(one.meaning.split()) < 2 or not one.type] == []
    assert [one.name for one in listed if one.default is REQUIRED] == []


def test_the_command_prints_them_all(kzoo_command):
    small = ("--width", "0.1", "--depth", "0.1", "--image-size", "64")
    status, printed, _ = kzoo_command("info", "retinanet-v2", *small)
    assert status == 0
    words = set(printed.split())
    of_model, of_head = arguments("retinanet-v2")
    assert {one.name for one in (*of_model, *of_head)} <= words
    assert (
        "Sequence[int]" in words and "head" not in words
    )  # brackets are no markup, and **head is taken apart


def test_defaults_are_the_familys_and_the_variants(kzoo_command):
    small = ("--width", "0.1", "--depth", "0.1", "--image-size", "64")
    shown = json.loads(kzoo_command("info", "retinanet-v2", *small, "--json")[1])
    assert shown["head"] == "AnchorHead"
    own = {row["name"]: row.get("default") for row in shown["arguments"]}
    of_head = {row["name"]: row.get("default") for row in shown["head_arguments"]}
    assert own["batch_norm"] == "trained" and own["num_classes"] == 80
    assert (
        of_head["nms_threshold"] == 0.5 and of_head["tower_norm"] == "group" and of_head["focal_gamma"] == 2.0
    )


def test_a_class_documents_what_it_hands_on():
    found = documented(YoloHead)
    assert found["nms_kind"].default == "greedy" and "suppression" in found["candidates"].meaning
    assert found["anchors"].default is REQUIRED and found["box_loss"].type == "str"
    assert "kwargs" not in found and "self" not in found


def test_entries_are_read_as_they_are_written():
    doc = """Does something.

    Args:
        one, two: a phrase
            that goes on: with a colon.
        **more: further ones.

    Raises:
        three: is no argument.
    """
    assert args_entries(doc) == {
        "one": "a phrase that goes on: with a colon.",
        "two": "a phrase that goes on: with a colon.",
        "more": "further ones.",
    }


@pytest.mark.parametrize(
    "options, words",
    [
        (("--backbones", "--task", "classify"), "classifiers are backbones themselves"),
        (("--json", "--markdown"), "--json and --markdown: give one of them"),
    ],
)
def test_lists_that_would_be_empty_or_of_two_kinds_are_refused(kzoo_command, options, words):
    status, said, error = kzoo_command("list", *options)
    assert status and not said and words in " ".join(error.split())
