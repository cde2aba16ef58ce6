"""Class names, from wherever they are written down."""

import pytest

from kzoo.data.formats.names import COCO, VOC, class_names


def test_the_known_lists_are_darknets(darknet_data):
    for name, known in (("coco", COCO), ("voc", VOC)):
        written = (darknet_data / f"{name}.names").read_text().split("\n")
        assert [line for line in written if line] == list(known) == class_names(name)
        assert class_names(darknet_data / f"{name}.names") == list(known)


def test_names_themselves():
    assert class_names(["a", "b"]) == ["a", "b"]
    assert class_names(("a", 3)) == ["a", "3"]
    assert class_names(None) is None


@pytest.mark.parametrize("content", ["cat\ndog\n", "\ufeffcat\r\n dog \r\n\r\n\n", "cat\ndog"])
def test_a_file_of_names(content, tmp_path):
    path = tmp_path / "pets.names"
    path.write_bytes(content.encode())
    assert class_names(path) == class_names(str(path)) == ["cat", "dog"]


def test_a_darknet_data_file(tmp_path):
    """Its paths are relative to where Darknet is run: the folder above it."""
    (tmp_path / "cfg").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pets.names").write_text("cat\ndog\n")
    path = tmp_path / "cfg" / "pets.data"
    path.write_text("classes= 2\ntrain = data/train.txt\nnames = data/pets.names # both\nbackup = backup/\n")
    assert class_names(path) == ["cat", "dog"]
    path.write_text("names = data/pets.names\n")
    assert class_names(path) == ["cat", "dog"]
    path.write_text("classes= 3\ntrain = data/train.txt\nnames = data/pets.names\n")
    with pytest.raises(ValueError, match=r"pets\.data: classes = 3, but .*pets\.names has 2 names"):
        class_names(path)


def test_a_description_of_a_dataset(tmp_path):
    path = tmp_path / "data.yaml"
    path.write_text("train: images\nval: images\nnames: {0: cat, 1: dog}\n")
    assert class_names(path) == ["cat", "dog"]


def test_a_file_goes_before_a_known_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "voc").write_text("fox\n")
    assert class_names("voc") == ["fox"]


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "no class names in it"),
        (b"\n \n", "no class names in it"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "is no UTF-8; save it as UTF-8"),
        ("Käfer\n".encode("latin-1"), "is no UTF-8; save it as UTF-8"),
    ],
)
@pytest.mark.parametrize("name", ["a.names", "a.txt"])
def test_files_without_names(content, words, name, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        class_names(path)
    said = str(caught.value)
    assert said.startswith(str(path)) and words in said


def test_a_data_file_that_is_no_text(tmp_path):
    path = tmp_path / "a.data"
    path.write_bytes(b"names=\xff\xfe\n")
    with pytest.raises(ValueError, match=r"a\.data:1: byte 0xff is no UTF-8"):
        class_names(path)


def test_nothing_there(tmp_path):
    for missing in (tmp_path / "pets.names", "cocoo", tmp_path):
        with pytest.raises(FileNotFoundError) as caught:
            class_names(missing)
        said = str(caught.value)
        assert said.startswith(f"{missing}: no such file of class names") and "coco or voc" in said
