"""What reaches a terminal: names, paths and messages without anything that steers it."""

import logging

import numpy as np
import pytest

from kzoo.data.dataset import Dataset
from kzoo.data.formats.names import class_names
from kzoo.data.formats.text import shorten
from kzoo.structures.draw import encode_png
from kzoo.system.messages import check_names, is_plain, one_line, printable

STEERING = {
    "colour": "\x1b[31mred",
    "title": "\x1b]0;title\x07",
    "one byte": "\x9b31m",
    "back": "a\x08\x08b",
    "line": "a\nb",
    "return": "a\rb",
    "separator": "a\u2028b",
    "backwards": "a\u202eb",
    "isolated": "a\u2066b",
    "half": "a\ud800",
    "next line": "a\x85b",
    "delete": "a\x7f",
}
PLAIN = ["cup", "tasse à thé", "茶壶", "a b", "फूल", "👩\u200d🚀", "a\tb", "\u00a0x"]


def harmless(text):
    return not any(letter in text for letter in "\x1b\x07\x9b\x08\r\u2028\u202e\u2066\x85\x7f\ud800")


@pytest.mark.parametrize("name", STEERING.values(), ids=STEERING)
def test_names_that_steer_a_terminal_are_refused_and_written_out(name, tmp_path):
    assert (
        not is_plain(name)
        and harmless(one_line(name))
        and harmless(printable(name))
        and harmless(shorten(name))
    )
    assert "\n" not in one_line(name)
    with pytest.raises(ValueError, match="control character") as caught:
        check_names(["cup", name], "data.yaml")
    assert str(caught.value).isprintable() and str(caught.value).startswith("data.yaml: ")
    for make in (
        lambda: Dataset("here", None, ["cup", name]),
        lambda: class_names(["cup", name]),
    ):
        with pytest.raises(ValueError, match="control character"):
            make()


@pytest.mark.parametrize("name", PLAIN)
def test_names_of_all_letters_are_taken(name):
    assert is_plain(name) and printable(name) == name
    assert Dataset("here", None, [name]).classes == [name]


def test_names_that_would_fill_a_terminal():
    with pytest.raises(ValueError, match="a name of 5000000 letters"):
        Dataset("here", None, ["x" * 5_000_000])


@pytest.mark.parametrize("command", [("data", "info"), ("data", "check"), ("data", "convert")])
@pytest.mark.parametrize("kind", ["yaml", "coco", "voc", "csv", "names"])
def test_commands_say_no_such_name(kzoo_command, tmp_path, command, kind):
    root = tmp_path / "data"
    (root / "images").mkdir(parents=True)
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    files = {
        "yaml": {"data.yaml": 'names: ["\\e[31mred\\a"]\ntrain: images\n'},
        "coco": {
            "a.json": '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "\\u001b[31mred\\u0007"}]}'
        },
        "voc": {"images/a.xml": f"<annotation><object><name>a&#x9b;31m</name>{box}</object></annotation>"},
        "csv": {"boxes.csv": "images/a.png,1,1,9,9,\x1b[31mred\x07\n"},
        "names": {"classes.txt": "\x1b[31mred\x07\n", "images/a.txt": "0 .5 .5 .1 .1\n"},
    }[kind]
    for name, text in files.items():
        (root / name).write_text(text, encoding="utf-8")
    (root / "images" / "a.png").write_bytes(encode_png(np.zeros((20, 30, 3), np.uint8)))
    out = (tmp_path / "out", "--to", "voc") if command[1] == "convert" else ()
    status, said, wrong = kzoo_command(*command, root, *out)
    assert harmless(said + wrong), said + wrong
    assert "Traceback" not in wrong and (status == 1 or kind == "voc")


def test_names_of_files_in_log_lines(kzoo_command, tmp_path):
    (tmp_path / "a").mkdir()
    kzoo_command("data", "info", tmp_path / "a")  # which sets up how lines are written
    record = logging.LogRecord("kzoo", logging.WARNING, "", 0, "%s: odd", ("\x1b[31m",), None)
    assert harmless(logging.lastResort.format(record))
