"""Models of strangers: no more memory than their file is worth, no other file read, no code run; one line says so."""

import io
import json
import re
import time
import tracemalloc
import zipfile
import zlib

import h5py
import keras
import pytest
from mutations import mutations

import kzoo
from kzoo.training.checkpoint import read_state
from kzoo.weights.archives import (
    ExpandingError,
    check_model_file,
    check_weights_file,
    open_archive,
    read_json_member,
)
from kzoo.weights.pickled import read_pickled
from kzoo.weights.saved import open_saved
from kzoo.weights.strangers import check_stranger

SECONDS, BYTES = 10, 2**28
SIZE = 2**26 + 2**20  # bytes that a member becomes, just beyond the limit


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The members of a whole file, by name."""
    path = tmp_path_factory.mktemp("sound") / "m.keras"
    kzoo.build("yolov3-tiny", num_classes=2, width=0.25, image_size=64, names=["a", "b"]).save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def refusal(read, path):
    """What is said, in one line with the file's name, soon and in bounded memory."""
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
    assert str(path) in said and "\n" not in said and len(said) < 600
    return said


@pytest.mark.parametrize(
    "name", ["config.json", "metadata.json", "training.json", "model.weights.h5", "extra.bin"]
)
@pytest.mark.parametrize("read", [open_saved, read_state, kzoo.load])
def test_members_that_expand(sound, tmp_path, name, read):
    path = written(tmp_path / "m.keras", {**sound, name: b'{"a":' + b" " * SIZE + b"1}"})
    assert path.stat().st_size < 2**23
    said = refusal(read, path)
    assert f"{name} would become" in said and "more than 67108864" in said, said


def test_files_of_the_hub_that_expand(sound, tmp_path):
    path = written(tmp_path / "m.keras", {**sound, "config.json": b" " * SIZE})
    with pytest.raises(ValueError, match=r"^hf://a/b: config\.json would become"):
        check_stranger(path, "hf://a/b")


def with_weights(sound, tmp_path, change):
    content = io.BytesIO(sound["model.weights.h5"])
    with h5py.File(content, "r+") as file:
        names = []
        file.visititems(lambda name, one: names.append(name) if isinstance(one, h5py.Dataset) else None)
        del file[names[0]]
        change(file, names[0])
    return written(tmp_path / "m.keras", {**sound, "model.weights.h5": content.getvalue()})


def _virtual(file, name):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "a", (4,))
    file.create_virtual_dataset(name, layout)


WEIGHTS = {
    "an array of nothing but a shape": (
        lambda file, name: file.create_dataset(name, (10**6, 10**5), "f4", chunks=(64, 64)),
        "would become",
    ),
    "bytes of another file": (
        lambda file, name: file.create_dataset(name, (9,), "u1", external=[("/etc/hostname", 0, 9)]),
        "leads to another file",
    ),
    "an array of another file": (_virtual, "leads to another file"),
    "a link": (
        lambda file, name: file.__setitem__(name, h5py.ExternalLink("/tmp/other.h5", "a")),
        "leads to another file",
    ),
}


@pytest.mark.parametrize("what", WEIGHTS)
def test_weights_that_are_not_in_the_file(sound, tmp_path, what):
    change, words = WEIGHTS[what]
    assert words in refusal(open_saved, with_weights(sound, tmp_path, change))


@pytest.mark.parametrize("what", WEIGHTS)
@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_numbers_alone_that_are_not_in_the_file(sound, tmp_path, what, suffix):
    change, words = WEIGHTS[what]
    with zipfile.ZipFile(with_weights(sound, tmp_path, change)) as archive:
        path = tmp_path / f"m{suffix}"
        path.write_bytes(archive.read("model.weights.h5"))
    assert words in refusal(take_weights, path)


def test_damaged_numbers_alone(sound, tmp_path):
    """In one line with the file, whatever HDF5 makes of it."""
    path, whole = tmp_path / "m.weights.h5", sound["model.weights.h5"]
    for content in (
        b"",
        b"\x89HDF\r\n\x1a\n",
        b"\x89HDF\r\n\x1a\n" + b"\xff" * 900,
        whole[: len(whole) // 2],
    ):
        path.write_bytes(content)
        assert "no HDF5, or damaged (" in refusal(take_weights, path)
    for content in mutations(whole[:4096], 30, seed=0):
        path.write_bytes(content + whole[4096:])
        try:
            check_weights_file(path)
        except ValueError as error:
            assert str(path) in str(error) and "\n" not in str(error)


def take_weights(path):
    return kzoo.build("yolov3-tiny", num_classes=2, width=0.25, image_size=64, weights=path)


@pytest.mark.parametrize(
    ("filters", "words"), [(10**9, "filters of 1000000000"), (2**20 - 1, r"layer \w+ asks for \d+ numbers")]
)
def test_layers_that_no_file_can_fill(sound, tmp_path, filters, words):
    config = re.sub(rb'"filters": \d+', b'"filters": %d' % filters, sound["config.json"])
    path = written(tmp_path / "m.keras", {**sound, "config.json": config})
    original = keras.layers.Layer.add_weight
    assert re.search(words, refusal(open_saved, path))
    assert keras.layers.Layer.add_weight is original


def test_a_whole_file_is_opened(sound, tmp_path):
    path = written(tmp_path / "m.keras", sound)
    assert open_saved(path).names == ["a", "b"] and check_model_file(path) >= open_saved(path).count_params()


@pytest.mark.parametrize("name", ["a\x1b[31m", "a\x9b", "a\u202e"])
def test_names_of_classes_in_a_file(sound, tmp_path, name):
    config = json.loads(sound["config.json"])
    config["config"]["names"] = ["a", name]
    path = written(tmp_path / "m.keras", {**sound, "config.json": json.dumps(config)})
    said = refusal(open_saved, path)
    assert said.isprintable() and "control character" in said
    with pytest.raises(ValueError, match="control character"):
        kzoo.build("yolov3-tiny", num_classes=2, names=["a", name], width=0.25, image_size=64)


def test_code_is_called_code(tmp_path):
    """And no word of how to have it run all the same."""
    inputs = keras.Input((8, 8, 3))
    path = tmp_path / "m.keras"
    keras.Model(inputs, keras.layers.Lambda(lambda x: x, name="mine")(inputs)).save(path)
    said = refusal(open_saved, path)
    assert "the layer 'mine' is a Lambda: code of whoever wrote the file, which kzoo does not run" in said
    assert "safe_mode" not in said and "unsafe" not in said


class _Shell:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.backends
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("torch", [True, False])
def test_pickles_are_called_so(tmp_path, capsys, protocol, torch, monkeypatch):
    """What they ask for is said, not how to have it run all the same."""
    import pickle
    import sys

    from kzoo.weights.state_dicts import state_dict

    if torch:
        pytest.importorskip("torch")
    else:
        monkeypatch.setitem(sys.modules, "torch", None)
    path = tmp_path / "m.pth"
    content = pickle.dumps({"a": _Shell()}, protocol)
    written(path, {"m/data.pkl": content, "m/version": b"3\n", "m/byteorder": b"little"})
    said = refusal(lambda one: state_dict(one), path)
    assert "of which nothing is run" in said and "weights_only" not in said and "safetensors" in said
    assert protocol == 4 or "print" in said, said
    assert capsys.readouterr().out == ""


def test_pickles_that_number_beyond_their_length(tmp_path):
    """Python makes room for as many values as the highest number there is: 2**28 of them take gigabytes."""
    content = b"\x80\x02}r" + (2**28).to_bytes(4, "little") + b"."
    path = written(tmp_path / "m.pth", {"m/data.pkl": content})
    with pytest.raises(ValueError, match="the number 268435456 where 2 are the most"):
        read_pickled(path)


def test_pickles_that_expand(tmp_path):
    """Ten dictionaries of which each names the next ten times."""
    import pickle

    inner = {"x": 1}
    for _ in range(9):
        inner = {str(key): inner for key in range(10)}
    path = written(tmp_path / "m.pth", {"m/data.pkl": pickle.dumps(inner, 2), "m/byteorder": b"little"})
    began = time.process_time()
    with pytest.raises(ValueError, match="more than 262144 values"):
        read_pickled(path)
    assert time.process_time() - began < SECONDS
    with pytest.raises(ExpandingError, match="would become"):
        read_pickled(written(tmp_path / "n.pth", {"m/data.pkl": b"", "m/data/0": bytes(SIZE)}))


def state():
    rows = [{"epoch": 1, "loss": 2.5}]
    return {"epoch": 1, "best_epoch": 1, "rows": rows, "best": 0.5, "stopped": False, "frozen": []}


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 6))])
def test_damaged_archives(sound, tmp_path, seed):
    """A thousand of them: a result, or one line with the file's name."""
    path, outcomes = tmp_path / "m.keras", set()
    small = {"config.json": sound["config.json"][:3000], "training.json": json.dumps(state()).encode()}
    whole = written(path, small).read_bytes()
    members = [(name, content) for name in small for content in mutations(small[name], 250, seed)]
    files = [*((None, content) for content in mutations(whole, 500, seed)), *members]
    for name, content in files:
        if name is None:
            path.write_bytes(content)
        else:
            written(path, {**small, name: content})
        for read in (check_model_file, lambda one: read_json_member(one, "training.json"), read_state):
            try:
                read(path)
                outcomes.add(True)
            except (
                ValueError,
                KeyError,
                zipfile.BadZipFile,
                OSError,
                RuntimeError,
                EOFError,
                NotImplementedError,
            ):
                outcomes.add(False)
            except zlib.error:
                outcomes.add(False)
    assert outcomes == {True, False}


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 6))])
def test_damaged_states_of_trainings(tmp_path, seed):
    from kzoo.training.checkpoint import check_state

    path, outcomes = tmp_path / "last.keras", set()
    for content in mutations(json.dumps(state()).encode(), 1000, seed):
        written(path, {"training.json": content})
        try:
            check_state(path, read_state(path))
            outcomes.add(True)
        except ValueError as error:
            said = str(error)
            assert said.startswith(f"{path}: not a checkpoint") and "\n" not in said and len(said) < 600, said
            outcomes.add(False)
    assert outcomes == {True, False}


@pytest.mark.backends
@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 6))])
def test_damaged_pickles(tmp_path, seed):
    torch = pytest.importorskip("torch")
    from kzoo.weights.state_dicts import _reason

    path, outcomes = tmp_path / "m.pth", set()
    torch.save({"a.weight": torch.zeros(3, 4), "n": 1}, path)
    with open_archive(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(name for name in members if name.endswith("data.pkl"))
    for content in mutations(members[pickled], 1000, seed):
        written(path, {**members, pickled: content})
        began = time.process_time()
        try:
            read_pickled(path)
            outcomes.add(True)
        except Exception as error:
            assert "\n" not in _reason(error) and not isinstance(error, MemoryError)
            outcomes.add(False)
        assert time.process_time() - began < SECONDS
    assert outcomes == {True, False}
