"""Whatever parts, classes and images are called: what is written stays in the new folder, and is read again."""

import shutil
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import kzoo.data
from kzoo.data.dataset import Dataset
from kzoo.data.formats.convert import write
from kzoo.data.formats.out_names import free_name
from kzoo.data.record import Record

HOSTILE = [
    "../../x", "/tmp/x", "..", ".", "", " ", "a/b", "a\\b", "..\\x", "C:\\x", "a\0b", "a\nb", ".hidden", "x" * 300,
    "\ud800", "names", "path", "nc", "a b", "é", "茶", "train", "-x", "*", "con", "~", "$HOME", "%2e%2e", "a.b", "#x",
    "1", "null", "yes",
]  # fmt: skip
name = st.one_of(st.sampled_from(HOSTILE), st.text(alphabet="./\\ a:é\n\0茶\ud800-", max_size=8))


class One(Dataset):
    """One image under the names given."""

    def __init__(self, path, identifier, classes):
        super().__init__("one", None, classes)
        self.path, self.identifier = path, identifier

    def __len__(self):
        return 1

    def record(self, index):
        shape = [np.array([[1.0, 1], [9, 1], [9, 9], [1, 9]])]
        return Record(self.path, [[1, 1, 9, 9]], [0], id=self.identifier, polygons=[shape])


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "a.png"
    Image.new("RGB", (12, 12)).save(path)
    return path


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(split=name, title=name, identifier=name, stem=name, to=st.sampled_from(("voc", "yolo", "coco")))
def test_nothing_leaves_the_folder(image, tmp_path_factory, split, title, identifier, stem, to):
    root = tmp_path_factory.mktemp("names")
    (root / "in").mkdir()
    path = root / "in" / "a.png"
    try:
        shutil.copy(image, root / "in" / f"{stem}.png")
        path = root / "in" / f"{stem}.png" if (root / "in" / f"{stem}.png").parent == root / "in" else path
    except (OSError, ValueError):
        pass
    if not path.exists():
        shutil.copy(image, path)
    before = everything(root)
    try:
        write({split: One(path, identifier, [title])}, root / "below" / "out", to)
    except ValueError as error:
        assert "\n" not in str(error) and "rename it" in str(error)
        assert everything(root) in (before, sorted([*before, "below"])), "nothing half-written"
    else:
        assert all(
            entry == "below" or entry.startswith("below/out") for entry in set(everything(root)) - set(before)
        )
        data = kzoo.data.load(root / "below" / "out", split, task="detect")
        assert data.classes == [title] and data.split == split and len(data) == 1
        assert data[0].boxes.tolist() == [[1, 1, 9, 9]]
    shutil.rmtree(root)


@pytest.mark.parametrize("to", ["voc", "yolo", "coco"])
@pytest.mark.parametrize("split", ["../../x", "/tmp/x", "a/b", "..", "", "a\nb", ".x", "\ud800"])
def test_splits_that_are_no_names_are_refused(image, tmp_path, split, to):
    with pytest.raises(ValueError, match=r"split .*: no name for a file"):
        write({split: One(image, "a", ["cup"])}, tmp_path / "out", to)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("a/frame_1.5.JPG", "frame_1.5.JPG"), ("a/b\nc.png", "b_c.png"), ("a/.x.png", "_x.png"), ("a/ b .png", "b.png"),
        ("a/b\\c.png", "b_c.png"), ("a/b\udce9.png", "b_.png"), ("a/scan", "scan.jpg"), ("a/scan.dat", "scan.dat.jpg"),
        ("a/" + "x" * 240 + ".png", "x" * 150 + ".png"),
    ],
)  # fmt: skip
def test_names_of_images(tmp_path, path, wanted):
    assert free_name(tmp_path / path, set()) == wanted
    assert free_name(tmp_path / path, {wanted.rpartition(".")[0].lower()}) != wanted


def test_a_part_for_the_rest_takes_no_others_name(tmp_path, image):
    from kzoo.data.formats.convert import convert

    (tmp_path / "in" / "images").mkdir(parents=True)
    for letter in "abc":
        shutil.copy(image, tmp_path / "in" / "images" / f"{letter}.png")
        xml = f"<annotation><filename>{letter}.png</filename></annotation>"
        (tmp_path / "in" / "Annotations").mkdir(exist_ok=True)
        (tmp_path / "in" / "Annotations" / f"{letter}.xml").write_text(xml)
    (tmp_path / "in" / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "in" / "ImageSets" / "Main" / "rest.txt").write_text("a\n")
    written = convert(tmp_path / "in", tmp_path / "out", "coco")
    assert {split: count for split, (count, _) in written.parts.items()} == {"rest": 1, "rest2": 2}


def many_classes(root, image, count):
    (root / "in" / "images").mkdir(parents=True)
    shutil.copy(image, root / "in" / "images" / "a.png")
    (root / "in" / "data.yaml").write_text(f"nc: {count}\ntrain: images\n")
    return root / "in"


@pytest.mark.long
@pytest.mark.parametrize("to", ["coco", "voc"])
def test_as_many_classes_as_a_description_may_have_take_no_square_of_that(tmp_path, image, to):
    from kzoo.data.formats.convert import convert

    root, began = many_classes(tmp_path, image, 100_000), time.process_time()
    convert(root, tmp_path / "out", to)
    assert time.process_time() - began < 20


def test_names_that_no_description_would_be_read_with_are_not_written(tmp_path, image):
    from kzoo.data.formats.convert import convert

    root = many_classes(tmp_path, image, 100_000)
    (root / "data.yaml").write_text("names: classes.txt\ntrain: images\n")
    (root / "classes.txt").write_text("".join(f"class{number:06}\n" for number in range(100_000)))
    with pytest.raises(
        ValueError, match=r"100000 class names take more than the 1048576 bytes .*; choose coco$"
    ):
        convert(root, tmp_path / "out", "yolo")
    assert not (tmp_path / "out").exists()


def test_nothing_is_no_dataset(tmp_path):
    (tmp_path / "a.json").write_text('{"images": [{"id": null}], "annotations": [], "categories": []}')
    from kzoo.data.formats.convert import convert

    with pytest.raises(ValueError, match=r"a\.json: no images, so there is nothing to convert"):
        convert(tmp_path / "a.json", tmp_path / "out", "yolo")
    assert not (tmp_path / "out").exists()
