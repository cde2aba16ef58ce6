"""What data.yaml and .data files say: names as they are written, paths as other machines wrote them."""

import re

import numpy as np
import pytest

import kzoo.data
from kzoo.data.checks.check import check
from kzoo.data.formats.yolo.reading import YOLO
from kzoo.structures.draw import encode_png

PNG = encode_png(np.zeros((64, 96, 3), np.uint8))
BOX = "0 .41666667 .390625 .41666667 .46875\n"


def put(path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def dataset(root, description="train: images\nnames: [kettle]\n", name="data.yaml", images="images"):
    """One image with a box, in `images/`, its label in `labels/` or beside it."""
    put(root / name, description)
    put(root / images / "a.png", PNG)
    put(root / images.replace("images", "labels") / "a.txt", BOX)
    return root


def boxes(path, split="train"):
    data = kzoo.data.load(path, split)
    return [(data.record(i).path.name, data.record(i).boxes.round(1).tolist()) for i in range(len(data))]


@pytest.mark.parametrize(
    "names, classes",
    [
        ("[yes, no, on, Off, NULL, ~, n]", ["yes", "no", "on", "Off", "NULL", "~", "n"]),
        ("[1, 2.0, 007, 0x1F, 1e3, 1_000]", ["1", "2.0", "007", "0x1F", "1e3", "1_000"]),
        ("[2024-01-01, 12:30:00, .inf]", ["2024-01-01", "12:30:00", ".inf"]),
        ("{0: yes, 1: 'no'}", ["yes", "no"]),
        ("{'1': b, '0': a}", ["a", "b"]),
        ("\n  - !!str 5\n  - 'a: b'\n  - \"c\\u00e9\"", ["5", "a: b", "cé"]),
        ("[ théière , 茶壶]", ["théière", "茶壶"]),
        ("pets.names", ["cat", "dog"]),
        ("C:\\data\\pets.names", ["cat", "dog"]),
        ("data/pets.names", ["cat", "dog"]),
    ],
)
def test_names_are_taken_as_they_are_written(tmp_path, names, classes):
    put(tmp_path / "pets.names", "cat\ndog\n")
    assert YOLO(dataset(tmp_path, f"train: images\nnames: {names}\n")).classes == classes


@pytest.mark.parametrize(
    "names, words",
    [
        ("kettle", "'kettle' is no list of names and no file of them; write a list, such as names: [kettle]"),
        ("5", "'5' is no list of names"),
        ("nowhere.names", "'nowhere.names' is no list of names and no file"),
        ("{0: a, b: c}", "key 'b' is no number"),
        ("{0: a, -1: c}", "key '-1' is no number"),
        ("{0: a, 2: c}", "there is no class 1; number the classes from 0 without a gap"),
        ("{999999999: a}", "there is no class 0"),
        ("{0: a, 0: b}", "key '0' is given twice"),
        ("[a, [b, c]]", "class 1 is ['b', 'c']; write one name a class"),
        ("{0: {name: a}}", "class 0 is {'name': 'a'}; write one name a class"),
        ("[a, b, a]", "'a' is the name of classes 0 and 2; rename one of them"),
        ("[a, '']", "class 1 has no name; write one"),
        ("\n  - a\n  -\n", "class 1 has no name"),
        ("[]", "no 'names'"),
        ("~", "no 'names'"),
        ("[a]\nnc: two", "nc: two; write the number of classes"),
        ("~\nnc: 999999999", "nc: 999999999; write the number of classes, at most 100000"),
        ("~\nnc: -1", "nc: -1"),
        ("[a]\nnames: [b]", "key 'names' is given twice"),
        ("&x [*x]", "not YAML"),
        ("[" * 5000, "not YAML"),
    ],
)
def test_names_that_are_none(tmp_path, names, words):
    with pytest.raises(ValueError) as caught:
        YOLO(dataset(tmp_path, f"train: images\nnames: {names}\n"))
    said = str(caught.value)
    # What is no YAML is told with its line.
    assert re.match(rf"{re.escape(str(tmp_path / 'data.yaml'))}(:\d+)?: ", said)
    assert words in said and "\n" not in said


def test_classes_without_names(tmp_path):
    assert YOLO(dataset(tmp_path, "train: images\nnc: 3\n")).classes == ["0", "1", "2"]


@pytest.mark.parametrize("content", ["a\n\nb\n", "a\nb\na\n"])
def test_a_names_file_that_is_unsound(tmp_path, content):
    put(tmp_path / "obj.names", content)
    dataset(tmp_path, "train = images\nnames = obj.names\n", "obj.data")
    with pytest.raises(
        ValueError, match=r"obj\.names: names: .*(has no name|is the name of classes 0 and 2)"
    ):
        YOLO(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_texts_with_a_mark(tmp_path, encoding):
    dataset(tmp_path, "train: list.txt\nnames: [théière]\n".encode(encoding))
    put(tmp_path / "list.txt", "images/a.png\n".encode(encoding))
    put(tmp_path / "labels/a.txt", BOX.encode(encoding))
    assert boxes(tmp_path) == [("a.png", [[20, 10, 60, 40]])]


@pytest.mark.parametrize(
    "file", ["data.yaml", "list.txt", "obj.data", "obj.names", "classes.txt", "flags.json"]
)
@pytest.mark.parametrize("encoding", ["latin-1", "gbk", "utf-16-le"])
def test_texts_in_other_encodings_are_refused_by_name(tmp_path, file, encoding):
    dataset(tmp_path, "train: list.txt\nnames: classes.txt\n")
    put(tmp_path / "obj.data", "train = list.txt\nnames = obj.names\n")
    for name, content in (("list.txt", "images/a.png"), ("classes.txt", "kettle"), ("obj.names", "kettle")):
        put(tmp_path / name, f"{content}\n")
    put(tmp_path / file, ("x\né" if encoding == "latin-1" else "x\n茶壶").encode(encoding))
    with pytest.raises(ValueError, match=rf"{file.replace('.', '[.]')}:\d: .*; save it as UTF-8") as caught:
        YOLO(tmp_path / ("obj.data" if file.startswith("obj") else "data.yaml"))
    assert "\n" not in str(caught.value)


def test_a_label_file_in_another_encoding_is_a_fault_of_its_image(tmp_path):
    put(dataset(tmp_path) / "labels/a.txt", b"0 .5 .5 .5 .5\n\xe9\n")
    (problem,) = YOLO(tmp_path).record(0).problems
    assert (problem.kind, problem.line, problem.file.name) == ("unreadable-label", 2, "a.txt")
    assert "save it as UTF-8" in problem.message


@pytest.mark.parametrize(
    "description",
    [
        "path: /home/else/set\ntrain: images\n",
        "path: C:\\Users\\else\\set\ntrain: C:\\Users\\else\\set\\images\n",
        "train: images\\\n",
        "train: ../../set/images\n",
        "train: /content/drive/set/images/\n",
        "path: datasets/set\ntrain: ./images\n",
        "train: lists/train.txt\n",
        "train: D:\\set\\lists\\train.txt\n",
        "Train: images\n",
        "train: images/a.png\n",
        "kitchen: images\n",
    ],
)
def test_paths_that_other_machines_wrote(tmp_path, description):
    root = dataset(tmp_path / "set", f"{description}names: [kettle]\n")
    put(root / "lists/train.txt", "data\\set\\images\\a.png\n")
    assert boxes(root) == [("a.png", [[20, 10, 60, 40]])]


@pytest.mark.parametrize("prefix", ["data/", "C:\\darknet\\data\\", "/home/else/", "build/x64/data/"])
def test_darknet_paths_that_other_machines_wrote(tmp_path, prefix):
    put(tmp_path / "obj.names", "kettle\n")
    put(tmp_path / "train.txt", f"{prefix}obj_train_data/a.png\n")
    content = f"classes = 1\ntrain = {prefix}train.txt\nnames = {prefix}obj.names\nbackup = backup/\n"
    dataset(tmp_path, content, "obj.data", "obj_train_data")
    assert boxes(tmp_path) == [("a.png", [[20, 10, 60, 40]])]


def test_an_end_of_a_path_that_holds_another_part_is_not_taken(tmp_path):
    root = dataset(
        tmp_path,
        "train: images/train\nval: images/val\ntest: test/images\nnames: [k]\n",
        images="images/train",
    )
    put(root / "images/val/b.png", PNG)
    assert [name for name, _ in boxes(root)] == ["a.png"] and len(kzoo.data.load(root, "val")) == 1
    with pytest.raises(ValueError, match=r"test: .*test/images is no folder"):
        kzoo.data.load(root, "test")


def test_links_to_folders(tmp_path):
    put(tmp_path / "disk/a.png", PNG)
    put(tmp_path / "set/labels/train/a.txt", BOX)
    put(tmp_path / "set/data.yaml", "train: images\nnames: [kettle]\n")
    (tmp_path / "set/images").mkdir()
    (tmp_path / "set/images/train").symlink_to(tmp_path / "disk")
    assert boxes(tmp_path / "set") == [("a.png", [[20, 10, 60, 40]])]


def test_hidden_names_are_passed_over_and_counted(tmp_path):
    root = dataset(tmp_path, "train: images\nval: val.txt\nnames: [kettle]\n")
    for name in (
        "images/._a.png",
        "images/.ipynb_checkpoints/a-checkpoint.png",
        "labels/._a.txt",
        "._data.yaml",
    ):
        put(root / name, PNG)
    put(
        root / "val.txt",
        "images/a.png\nimages/._a.png\nimages/.ipynb_checkpoints/a-checkpoint.png\n./images/a.png\n",
    )
    assert [name for name, _ in boxes(root)] == [name for name, _ in boxes(root, "val")] == ["a.png"]
    assert check(root, "train").faults == []
    faults = check(root, "val").faults
    assert [(f.kind, f.line, f.severity) for f in faults] == [
        ("hidden-image", 2, "warning"),
        ("listed-twice", 4, "warning"),
    ]
    assert faults[0].message.startswith("2 of its lines")


def test_a_dataset_below_a_hidden_folder_is_read(tmp_path):
    root = dataset(tmp_path / ".cache/set", "train: list.txt\nnames: [kettle]\n")
    put(root / "list.txt", f"{root}/images/a.png\n")
    assert [name for name, _ in boxes(root)] == ["a.png"]


def test_every_suffix_that_is_decoded_and_what_is_passed_over(tmp_path):
    root = dataset(tmp_path)
    for name in ("b.GIF", "c.avif", "d.jp2", "e.psd", "f.psd", "g.dng", "LICENSE", "notes.md"):
        put(root / "images" / name, PNG)
    data = YOLO(root)
    assert [path.name for path in data.paths] == ["a.png", "b.GIF", "c.avif", "d.jp2"]
    (fault,) = data.problems()
    assert (fault.kind, fault.severity, fault.file) == ("unread-files", "warning", root / "images")
    assert "4 files" in fault.message and ".dng 1, .psd 2, none 1" in fault.message


def test_label_files_of_folders_without_images_are_counted(tmp_path):
    root = dataset(tmp_path)
    for name in ("old/b.txt", "old/c.txt", "old/classes.txt"):
        put(root / "labels" / name, BOX)
    (fault,) = YOLO(root).problems()
    assert (fault.kind, fault.severity, fault.file) == ("unread-labels", "warning", root / "labels/old/b.txt")
    assert fault.message.startswith("2 label files are passed over")


def test_a_description_of_names_alone_leaves_the_parts_to_the_layout(tmp_path):
    root = dataset(tmp_path, "names: [kettle]\n", images="images/train")
    put(root / "images/val/b.png", PNG)
    assert kzoo.data.splits(root) == ["train", "val"] and boxes(root) == [("a.png", [[20, 10, 60, 40]])]


def test_images_in_a_list_that_are_missing_are_named_with_its_line(tmp_path):
    put(
        dataset(tmp_path, "train: list.txt\nnames: [k]\n") / "list.txt",
        f"images/a.png\n\nimages/lost.png\n{'x' * 300}\nimages\n",
    )
    faults = {(fault.kind, fault.place): fault for fault in check(tmp_path).errors}
    missing = faults["missing-image", str(tmp_path / "images/lost.png")]
    assert missing.message == "no such image file, named by list.txt:3"
    assert "too long" in faults["malformed", f"{tmp_path / 'list.txt'}:4"].message
    assert "a folder" in faults["malformed", f"{tmp_path / 'list.txt'}:5"].message


@pytest.mark.parametrize(
    "description, words",
    [
        (
            "train: {images: images, masks: masks}\nnames: [k]\n",
            "train: has images, masks, as a dataset of semantic",
        ),
        ("train: [[images]]\nnames: [k]\n", "train: [['images']]; write a folder"),
        ("train: images\npath: [a]\nnames: [k]\n", "path: ['a']; write a folder"),
        ("train: images\nval: gone\nnames: [k]\n", "val: .*gone is no folder and no .txt list"),
        (
            "train: images\nkpt_shape: [17]\nnames: [k]\n",
            "kpt_shape: ['17']; write [points, 2] or [points, 3]",
        ),
        ("train: images\nkpt_shape: [17, 4]\nnames: [k]\n", "a key point has 2 numbers, or 3"),
        ("train: images\nkpt_shape: 17\nnames: [k]\n", "kpt_shape: 17"),
    ],
)
def test_what_a_description_may_not_say(tmp_path, description, words):
    with pytest.raises(ValueError) as caught:
        YOLO(dataset(tmp_path, description))
    said = str(caught.value)
    assert str(tmp_path / "data.yaml") in said and "\n" not in said
    assert words.replace(".*", f"{tmp_path}/") in said


@pytest.mark.parametrize("empty", ["test:", "test: ''", "test: null", "test: ~", "test: []"])
def test_parts_that_are_left_empty_are_none(tmp_path, empty):
    assert kzoo.data.splits(dataset(tmp_path, f"train: images\n{empty}\nnames: [k]\n")) == ["train"]


def test_a_huge_description_is_none(tmp_path):
    with pytest.raises(ValueError, match=r"data\.yaml: \d+ bytes, and more than 1048576 are not read"):
        YOLO(dataset(tmp_path, "train: images\nnames: [" + "a, " * 400_000 + "]"))


def test_other_letters_in_the_name_of_the_labels_folder_are_told(tmp_path):
    root = dataset(tmp_path)
    (root / "labels").rename(root / "LABELS")
    (fault,) = YOLO(root).problems()
    assert (fault.kind, fault.file) == ("folder-name", root / "LABELS")
    (problem,) = YOLO(root).record(0).problems
    assert str(root / "labels" / "a.txt") in problem.message
    (root / "images").rename(root / "Images")
    (root / "LABELS").rename(root / "Labels")
    put(root / "data.yaml", "train: Images\nnames: [kettle]\n")
    assert boxes(root) == [("a.png", [[20, 10, 60, 40]])]


@pytest.mark.parametrize(
    "content",
    ["[1]", '{"labels/a.txt": [1]}', '{"labels/a.txt": {"difficult": 3}}', '{"labels/a.txt": {"crowd": ["1"]}}',
     '{"labels/a.txt": {"hard": [1]}}', '{"": {}}', "5", "{", '{"labels/a.txt": {"crowd": [true]}}'],
)  # fmt: skip
def test_flags_that_are_none(tmp_path, content):
    put(dataset(tmp_path) / "flags.json", content)
    with pytest.raises(ValueError, match=r"flags\.json.*; correct or remove") as caught:
        YOLO(tmp_path)
    assert "\n" not in str(caught.value)


def test_flags_of_files_that_are_not_there_are_counted(tmp_path):
    put(dataset(tmp_path) / "flags.json", '{"labels/b.txt": {"crowd": [1]}, "labels/a.txt": {"crowd": [1]}}')
    (fault,) = YOLO(tmp_path).problems()
    assert fault.kind == "unused-flags" and fault.message.startswith("1 label files")
    assert YOLO(tmp_path).record(0).crowd.tolist() == [True]


def test_keys_that_lead_nowhere_are_told(tmp_path):
    lines = "train: images\nvaild: images/of-val\nnames: [kettle]\nnc: 1\nlicense: MIT\nfolds: [1, 2]\n"
    root = dataset(tmp_path, lines)
    (fault,) = YOLO(root).problems()
    assert (fault.file, fault.kind, fault.severity) == (root / "data.yaml", "unread-keys", "warning")
    assert "2 keys" in fault.message and "'vaild' (did you mean val?), 'folds'" in fault.message
    put(root / "images/of-val/b.png", encode_png(np.zeros((8, 8, 3), np.uint8)))  # a part of one's own name
    assert YOLO(root, "vaild").splits == ["train", "vaild"]
    assert "'folds'" in str(YOLO(root, "train").problems()[0]) and "vaild" not in str(
        YOLO(root, "train").problems()[0]
    )


def test_keys_of_darknet_s_that_lead_nowhere_are_told(tmp_path):
    root = dataset(tmp_path, "train = images\nvaild = images\nnames = some.names\nbackup = b\n", "set.data")
    put(root / "some.names", "kettle\n")
    (fault,) = [
        fault for fault in kzoo.data.load(root / "set.data").problems() if fault.kind == "unread-keys"
    ]
    assert "'vaild' (did you mean val?)" in fault.message


@pytest.mark.parametrize("word", ["1e19", "-1e308", "9" * 400, "2147483648"])
def test_classes_beyond_all_numbers(tmp_path, word):
    put(dataset(tmp_path) / "labels/a.txt", f"{word} .5 .5 .2 .2\n0 1e300 1e300 1e300 1e300\n")
    report = check(tmp_path)
    assert {fault.kind for fault in report.errors} >= {"not-finite"}
    assert any(fault.kind in ("unknown-class", "malformed") and fault.line == 1 for fault in report.errors)
    assert all(len(str(fault)) < 400 for fault in report.errors)


def test_addresses_are_refused_as_they_are_written(tmp_path):
    file = tmp_path / "data.yaml"
    file.write_text("train: https://example.com/set\nval: x\nnames: [a]\n")
    with pytest.raises(ValueError, match=r"data\.yaml: train: https://example\.com/set is an address"):
        kzoo.data.load(file)


def test_a_pose_task_without_its_shape_is_refused(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(encode_png(np.zeros((8, 8, 3), np.uint8)))
    file = tmp_path / "data.yaml"
    file.write_text("train: images\nnames: [a]\ntask: pose\n")
    with pytest.raises(ValueError, match=r"data\.yaml: task: pose, but no kpt_shape; write kpt_shape"):
        kzoo.data.load(file)
    file.write_text("train: images\nnames: [a]\ntask: pose\nkpt_shape: null\n")
    assert len(kzoo.data.load(file)) == 1
