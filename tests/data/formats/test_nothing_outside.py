"""Whatever splits, classes, images, ids and runs are called: nothing is written outside of the folder asked for.

Every file that Python opens to write, makes, links or renames is seen by an audit hook, wherever it lies.
"""

import itertools
import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest

import kzoo.data
from kzoo.data.checks.check import check
from kzoo.data.dataset import Dataset
from kzoo.data.formats.convert import convert, write
from kzoo.data.formats.out_names import check_splits, free_name
from kzoo.data.record import Record
from kzoo.inference.results import Results
from kzoo.options.words import is_component
from kzoo.structures.draw import encode_png
from kzoo.training import TrainConfig

PNG = encode_png(np.zeros((8, 8, 3), np.uint8))
FORMATS = ("voc", "yolo", "coco")
ROLES = ("split", "class", "image", "id", "image")
PIECES = [
    "..", "..", "/", "/", "\\", "a", "b", "val", "C:", "C:\\", "\0", "\n", "\r", "\t", "\x1b[31m", "\x9b", "~", "$HOME",
    "%2e%2e", "é", "茶", "\ud800", "\u202e", "\u2028", " ", ".", ".txt", ".png", "con", "-", "*", "x" * 120, "{ROOT}/v",
    "/tmp/v", "file:///", "names", "path", "../../v", "..\\..\\v", "./", "#", "'", '"', "<", "&", ":",
]  # fmt: skip
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_MAKING = ("os.mkdir", "os.symlink", "os.link", "os.rename", "os.truncate", "os.remove", "os.rmdir")
_seen: list[list] = []  # the lists that what is written is put in, while somebody looks


def _hook(event, arguments):
    if not _seen:
        return
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
        _seen[-1].append(arguments[0])
    elif event in _MAKING:
        _seen[-1] += [one for one in arguments[:2] if isinstance(one, (str, bytes, os.PathLike))]
        if event == "os.link":
            _seen[-1].remove(arguments[0])  # what is linked is read


@pytest.fixture(scope="module", autouse=True)
def audited():
    sys.addaudithook(_hook)


class Written(list):
    """What is written while the block runs."""

    def __enter__(self):
        _seen.append(self)
        return self

    def __exit__(self, *_):
        _seen.remove(self)

    def outside(self, folder: Path) -> list[str]:
        paths = [Path(os.fsdecode(path)).absolute() for path in self if not isinstance(path, int)]
        return [str(path) for path in paths if not _below(path, folder)]


def _below(path: Path, folder: Path) -> bool:
    # Names of open folders, by which files in a tree are removed, are relative to these.
    return Path(os.path.normpath(path)).is_relative_to(folder) or path.parent == Path.cwd()


def hostile_names(count, root, seed=0):
    rng = random.Random(seed)
    for _ in range(count):
        yield "".join(rng.choices(PIECES, k=rng.choice((1, 1, 2, 3, 4)))).replace("{ROOT}", str(root))


class Drawn(Dataset):
    """Two images under the names given, which are no files."""

    format = "shapes"

    def __init__(self, path, identifier, classes):
        super().__init__("drawn", None, classes)
        self.path, self.identifier = path, identifier

    def __len__(self):
        return 2

    def record(self, index):
        path = Path(f"{index}.png") if index else Path(self.path)
        shape = [np.array([[1.0, 1], [7, 1], [7, 7], [1, 7]])]
        identifier = f"{self.identifier}{index}"
        return Record(
            path, [[1, 1, 7, 7]], [0], [True], [index == 0], identifier, size=(8, 8), polygons=[shape]
        )

    def image(self, index):
        return np.zeros((8, 8, 3), np.uint8)

    def size(self, index):
        return 8, 8


def run(root, count, seed):
    """Writes a dataset a name; how many were written and how many refused."""
    below, done = root / "below", {True: 0, False: 0}
    below.mkdir()
    for number, name in enumerate(hostile_names(count, root, seed)):
        role, out = ROLES[number % len(ROLES)], below / f"out{number}"
        names = {"split": "val", "class": "cup", "image": "a.png", "id": "a", role: name}
        with Written() as written:
            try:
                dataset = Drawn(names["image"], names["id"], [names["class"]])
                write({names["split"]: dataset}, out, FORMATS[number // len(ROLES) % 3])
            except ValueError as error:
                assert "\n" not in str(error) and not out.exists(), (name, error)
                done[False] += 1
            else:
                assert out.is_dir()
                done[True] += 1
        assert written.outside(below) == [], (name, role)
        assert role in ("split", "class") or out.exists(), "no name of an image or id stops a writer"
    assert sorted(path.name for path in root.iterdir()) == ["below"]
    assert min(done.values()) > count // 20, done


def test_no_writer_leaves_its_folder(tmp_path):
    run(tmp_path, 150, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_no_writer_leaves_its_folder_in_ten_thousand_names(tmp_path, seed):
    run(tmp_path, 1000, seed)


def test_ten_thousand_names(tmp_path):
    """What is taken as a name of a split, an image or a run is one part of a path."""
    taken = 0
    for name in hostile_names(10_000, tmp_path):
        image = free_name(Path(name), set())
        splits = [name]
        try:
            check_splits(splits, "coco")
        except ValueError:
            splits = []
        assert not splits or is_component(name)
        for one in (*splits, image, *([name] if is_component(name) else ())):
            assert (tmp_path / one).parent == tmp_path and one not in (".", "..") and one.isprintable(), (
                name,
                one,
            )
            assert os.path.normpath(tmp_path / one) == str(tmp_path / one) and "\\" not in one
        taken += bool(splits)
    assert 500 < taken < 9000


def test_names_of_runs():
    for name in hostile_names(1000, "/root"):
        try:
            assert (Path("runs") / TrainConfig(name=name).name).parent == Path("runs")
        except ValueError as error:
            assert "\n" not in str(error) and "name=" in str(error)
    for name in ("/tmp/x", "../x", "a/b", "..", "", "a\\b", "C:x", "a\x1b[31m", "\ud800"):
        with pytest.raises(ValueError, match="one part of a path"):
            TrainConfig(name=name)


def test_results_lie_in_their_folder(tmp_path):
    """By names of sources that a file system can have, wherever the sources lie."""
    names = {name for name in hostile_names(300, tmp_path) if "/" not in name and "\0" not in name} - {
        ".",
        "..",
        "",
    }
    places = [tmp_path / "in", tmp_path / "in" / "..", tmp_path / "deep" / "er", Path("/elsewhere")]
    for name, place in zip(sorted(names), itertools.cycle(places), strict=False):
        sources = [place / name, tmp_path / "in" / "b.jpg", Path("relative") / name]
        results = Results(tmp_path / "out", sources, kinds=("labels", "masks"))
        for source in sources:
            paths = [
                results.picture(source),
                results.file("labels", source),
                results.file("masks", source, 3, 4),
            ]
            assert all(Path(os.path.normpath(path)).is_relative_to(tmp_path / "out") for path in paths), paths


def yolo(root, description, lists=None):
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    for stem in "ab":
        (root / "images" / f"{stem}.png").write_bytes(PNG)
        (root / "labels" / f"{stem}.txt").write_text("0 .5 .5 .5 .5\n")
    (root / "data.yaml").write_text(description)
    for name, text in (lists or {}).items():
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("key", ["{}/victim", "../victim", "a/../../victim", '"..\\\\victim"'])
def test_keys_of_a_description_are_no_paths(tmp_path, key, to):
    (tmp_path / "victim.txt").write_text("mine")
    data = yolo(tmp_path / "data", f"names: [cup]\ntrain: images\n{key.format(tmp_path)}: images\n")
    with pytest.raises(ValueError, match="no name for a file"):
        convert(data, tmp_path / "out", to)
    assert (tmp_path / "victim.txt").read_text() == "mine" and not (tmp_path / "out").exists()


@pytest.fixture
def outside(tmp_path):
    """A picture that is none of the dataset's."""
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "secret.png").write_bytes(PNG)
    return tmp_path / "private" / "secret.png"


def coco(root, name):
    (root / "images").mkdir(parents=True)
    (root / "images" / "a.png").write_bytes(PNG)
    import json

    images = [{"id": i, "file_name": n, "height": 8, "width": 8} for i, n in enumerate(["a.png", name])]
    rows = [{"id": i, "image_id": i, "category_id": 1, "bbox": [1, 1, 4, 4], "iscrowd": 0} for i in range(2)]
    content = {"images": images, "annotations": rows, "categories": [{"id": 1, "name": "cup"}]}
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_train.json").write_text(json.dumps(content))
    return root


def voc(root, claim):
    (root / "Annotations").mkdir(parents=True)
    (root / "JPEGImages").mkdir()
    (root / "JPEGImages" / "a.png").write_bytes(PNG)
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax></bndbox>"
    for stem, inside in (("a", ""), ("b", claim)):
        text = f"<annotation>{inside}<object><name>cup</name>{box}</object></annotation>"
        (root / "Annotations" / f"{stem}.xml").write_text(text)
    return root


def csv(root, name):
    root.mkdir(parents=True)
    (root / "a.png").write_bytes(PNG)
    (root / "boxes.csv").write_text(f"a.png,1,1,4,4,cup\n{name},1,1,4,4,cup\n")
    return root


def listing(root, name):
    return yolo(root, "names: [cup]\ntrain: train.txt\n", {"train.txt": f"images/a.png\n{name}\n"})


NAMING = {
    "a list, absolute": lambda root, secret: listing(root, secret),
    "a list, upwards": lambda root, secret: listing(root, "../private/secret.png"),
    "a list, inside upwards": lambda root, secret: listing(root, "images/../../private/secret.png"),
    "a description": lambda root, secret: yolo(root, f"names: [cup]\ntrain: [images, {secret}]\n"),
    "COCO, absolute": lambda root, secret: coco(root, str(secret)),
    "COCO, upwards": lambda root, secret: coco(root, "../../private/secret.png"),
    "VOC's folder": lambda root, secret: voc(root, "<folder>../../private</folder><filename>secret.png</filename>"),
    "VOC's path": lambda root, secret: voc(root, "<path>JPEGImages/../../private/secret.png</path>"),
    "CSV, absolute": lambda root, secret: csv(root, str(secret)),
    "CSV, upwards": lambda root, secret: csv(root, "../private/secret.png"),
}  # fmt: skip


@pytest.mark.parametrize("way", NAMING)
def test_images_elsewhere_are_read_only_where_that_is_allowed(tmp_path, outside, way, monkeypatch):
    root = NAMING[way](tmp_path / "data", outside)
    report = check(root)
    faults = [fault for fault in report.errors if fault.kind == "outside-image"]
    assert len(faults) == 1 and "KZOO_DATA_FOLDERS=" in str(faults[0]) and "secret.png" in str(faults[0])
    data = kzoo.data.load(root)
    assert all(data.record(index).path.resolve() != outside for index in range(len(data)))
    with pytest.raises(ValueError, match=r"secret\.png lies outside"):
        convert(root, tmp_path / "out", "yolo")
    assert not (tmp_path / "out").exists()
    # Allowed, it is read, and copied: writing to the copy changes nobody's picture.
    monkeypatch.setenv("KZOO_DATA_FOLDERS", str(outside.parent))
    data = kzoo.data.load(root)
    assert any(data.record(index).path.resolve() == outside for index in range(len(data)))
    convert(root, tmp_path / "out", "yolo")
    copies = [path for path in (tmp_path / "out").rglob("*.png") if path.samefile(outside)]
    assert outside.stat().st_nlink == 1 and not copies


def test_pictures_behind_a_link_are_read_and_never_linked(tmp_path, outside):
    """A link in the dataset's own folder is the user's; what it leads to is copied all the same."""
    root = yolo(tmp_path / "data", "names: [cup]\ntrain: images\n")
    (root / "images" / "c.png").symlink_to(outside)
    convert(root, tmp_path / "out", "coco")
    assert (tmp_path / "out" / "images" / "c.png").read_bytes() == PNG and outside.stat().st_nlink == 1
    assert (root / "images" / "a.png").stat().st_nlink == 2, "those of the dataset are linked, as ever"


def test_a_copy_of_a_dataset_is_read_and_not_what_it_was_copied_from(tmp_path):
    old = listing(tmp_path / "old", f"{tmp_path}/old/images/b.png")
    new = listing(tmp_path / "new", f"{tmp_path}/old/images/b.png")
    assert old.exists()
    data = kzoo.data.load(new)
    assert [data.record(index).path.relative_to(new).as_posix() for index in (0, 1)] == [
        "images/a.png",
        "images/b.png",
    ]


def test_folders_that_a_description_names_are_its_own(tmp_path):
    """`path` says where a dataset lies; its lists may name what is in there."""
    root = listing(tmp_path / "sets" / "street", "images/b.png")
    (tmp_path / "cfg").mkdir()
    (tmp_path / "cfg" / "street.yaml").write_text("path: ../sets/street\nnames: [cup]\ntrain: train.txt\n")
    assert len(kzoo.data.load(tmp_path / "cfg" / "street.yaml")) == 2
    (tmp_path / "cfg" / "street.data").write_text(f"names = street.names\ntrain = {root}/train.txt\n")
    (tmp_path / "cfg" / "street.names").write_text("cup\n")
    assert len(kzoo.data.load(tmp_path / "cfg" / "street.data")) == 2


@pytest.mark.parametrize("name", ["annotations", "labels", "data", "cfg"])
def test_a_folder_of_any_name_ends_where_it_ends(tmp_path, name):
    """What lies beside a list's folder is read where the list itself is opened."""
    for make in (coco, csv, listing):
        beside = tmp_path / make.__name__ / "private" / "secret.png"
        beside.parent.mkdir(parents=True)
        beside.write_bytes(PNG)
        root = make(tmp_path / make.__name__ / name, str(beside))
        assert any(fault.kind == "outside-image" for fault in check(root).errors)
    images = tmp_path / "set" / "images"
    images.mkdir(parents=True)
    (images / "a.png").write_bytes(PNG)
    (tmp_path / "set" / name).mkdir()
    (tmp_path / "set" / name / "boxes.csv").write_text("../images/a.png,1,1,4,4,cup\n")
    data = kzoo.data.load(tmp_path / "set" / name / "boxes.csv")
    assert data.record(0).path.is_file() and not data.problems()
