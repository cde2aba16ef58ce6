"""JSON and YAML of strangers: what expands, is nested too deep or is none, is refused in one line, soon."""

import time
import tracemalloc

import pytest

import kzoo.data
from kzoo.data.formats.parsing import read_json, read_yaml
from kzoo.training import RunFolder

SECONDS, BYTES = 5, 2**27


def bomb(value="x"):
    """Ten lines of YAML whose last one stands for 10**10 values."""
    lines = [f"a: &a [{', '.join([value] * 10)}]"]
    for before, name in zip("abcdefghi", "bcdefghij", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]")
    return "\n".join(lines) + "\n"


def bomb_of_mappings():
    lines = ["a: &a {k: v}"]
    for before, name in zip("abcdefghi", "bcdefghij", strict=True):
        lines.append(f"{name}: &{name} {{{', '.join(f'k{i}: *{before}' for i in range(10))}}}")
    return "\n".join(lines) + "\n"


def refusal(read, path):
    """What is said of a file that must be refused, in one line with its name, in bounded time and memory."""
    began = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as caught:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < BYTES
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < SECONDS
    said = str(caught.value)
    assert said.startswith(str(path)) and "\n" not in said and len(said) < 1000
    return said


@pytest.mark.parametrize(
    "text, words",
    [
        ('{"a": 1,\n]', ":2: not JSON"),
        ("[" * 100_000, "nested too deep"),
        ("[" * 100_000 + "]" * 100_000, "nested too deep"),
        ('{"a":' * 100_000, "nested too deep"),
        ("1" * 5000, "not usable: Exceeds"),
    ],
)
def test_json_that_is_none(text, words, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(text)
    assert words in refusal(read_json, path)


@pytest.mark.parametrize(
    "text, words",
    [
        ("a: [1", ":2: not YAML"),
        ("x: " + "[" * 2000 + "]" * 2000, ":1: not YAML: exceeded maximum nesting depth"),
        ("".join(" " * depth + "a:\n" for depth in range(1400)), "nesting depth"),
        (bomb(), "aliases that stand for more than"),
        (bomb_of_mappings(), "aliases that stand for more than"),
        ("&x [*x]", "a value that holds itself"),
        ("a: &a\n  b: *a\n", "a value that holds itself"),
        ("x" * 2**20 + "x", "more than 1048576 are not read"),
        ("!!python/object/apply:os.system [id]", ":1: not YAML"),
        ("a: " + "9" * 5000, "not YAML"),
        ("2020-13-01", "not YAML"),
        ("? [a]\n: b\n", "not YAML"),
    ],
    ids=range(12),
)
def test_yaml_that_is_none(text, words, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert words in refusal(read_yaml, path)


def test_yaml_with_a_few_aliases_is_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: &a [1, 2]\nb: *a\nc: [*a, *a]\n")
    assert read_yaml(path) == {"a": [1, 2], "b": [1, 2], "c": [[1, 2], [1, 2]]}
    path.write_text("")
    assert read_yaml(path) is None


@pytest.mark.parametrize(
    "key", ["names: *j", "names: [a]\ntrain: *j", "names: [a]\nkpt_shape: *j", "names: [a]\nx: *j"]
)
def test_a_description_that_expands(tmp_path, key):
    path = tmp_path / "data.yaml"
    path.write_text(bomb() + key + "\n")
    assert "aliases" in refusal(kzoo.data.load, path)


def test_args_of_a_run_that_expand(tmp_path):
    folder = RunFolder(tmp_path)
    folder.args.write_text(bomb() + "model: a\ndata: b\nval: c\n")
    folder.last.touch()
    assert "aliases" in refusal(lambda _: folder.read_args(), folder.args)
