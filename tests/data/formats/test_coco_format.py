"""COCO's JSON: what is read from it, and what is written for evaluation. pycocotools is the oracle for masks."""

import json
import re

import numpy as np
import pytest
from pycocotools import mask as oracle

import kzoo.data
from kzoo.data.checks.check import check, require_sound
from kzoo.data.formats.coco.reading import COCO, to_coco
from kzoo.data.formats.voc.reading import VOC
from kzoo.structures.draw import encode_png
from kzoo.structures.runs import encode_mask


def content(
    annotations=(), images=({"id": 7, "file_name": "a.png", "height": 30, "width": 40},), categories=None
):
    """A COCO file as plain data; annotations get ids, image 7 and category 18 where they have none."""
    rows = [
        {"id": i, "image_id": 7, "category_id": 18, "iscrowd": 0, **row} for i, row in enumerate(annotations)
    ]
    named = [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}] if categories is None else categories
    return {"images": list(images), "annotations": rows, "categories": named}


def folder(root, files: dict[str, dict], images=("images/a.png",)):
    for name, value in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(value if isinstance(value, str) else json.dumps(value))
    for name in images:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encode_png(np.zeros((30, 40, 3), np.uint8)))
    return root


def test_boxes_labels_and_flags(tmp_path):
    rows = [
        {"bbox": [1, 2, 10, 20.5], "area": 99, "difficult": 1},
        {"bbox": [0, 0, 5, 5], "category_id": 3, "iscrowd": 1},
    ]
    data = kzoo.data.load(folder(tmp_path, {"annotations/instances_train2017.json": content(rows)}), "train")
    record = data.record(0)
    assert isinstance(data, COCO) and data.split == "train2017"
    assert data.classes == ["car", "dog"] and data.category_ids == [3, 18]
    assert record.boxes.tolist() == [[1, 2, 11, 22.5], [0, 0, 5, 5]] and record.labels.tolist() == [1, 0]
    assert record.crowd.tolist() == [False, True] and record.difficult.tolist() == [True, False]
    assert record.areas.tolist() == [99, 25] and record.id == 7 and record.size == (30, 40)
    assert data[0].image.shape == (30, 40, 3)


@pytest.mark.parametrize(
    ("json_name", "image", "split"),
    [
        ("annotations/instances_val2017.json", "val2017/a.png", "val"),
        ("annotations/val.json", "images/val/a.png", "val"),
        ("valid/_annotations.coco.json", "valid/a.png", "val"),
        ("annotations.json", "images/a.png", None),
        ("instances.json", "a.png", None),
    ],
)
def test_layouts(tmp_path, json_name, image, split):
    root = folder(tmp_path, {json_name: content([{"bbox": [0, 0, 5, 5]}])}, [image])
    data = kzoo.data.load(root, split=split)
    assert data.record(0).path == root / image and len(data) == 1
    assert kzoo.data.load(root / json_name).record(0).path == root / image


def test_instances_are_preferred_and_splits_ordered(tmp_path):
    files = {
        f"annotations/instances_{s}.json": content() for s in ("val2017", "trainval", "train2017", "extra")
    }
    root = folder(tmp_path, files | {"annotations/captions_train2017.json": "{}"})
    assert kzoo.data.splits(root) == ["train2017", "val2017", "extra", "trainval"]
    assert len(kzoo.data.load(root)) == 1, "an image that several files list is there once"
    with pytest.raises(ValueError, match="no split 'test'; choose one of train2017, val2017"):
        kzoo.data.load(root, "test")


def test_polygons_and_run_lengths_against_pycocotools(tmp_path):
    polygon = [3.5, 4, 30.2, 6, 20, 25.5, 8, 12]
    square = encode_mask(np.pad(np.ones((5, 6), bool), ((10, 15), (20, 14))))
    packed = oracle.frPyObjects(square, 30, 40)
    rows = [
        {"bbox": [0, 0, 5, 5], "segmentation": [polygon, [0, 0, 5, 0, 5, 5]]},
        {"bbox": [0, 0, 5, 5], "segmentation": square},
        {"bbox": [0, 0, 5, 5], "segmentation": {**packed, "counts": packed["counts"].decode()}},
        {"bbox": [0, 0, 5, 5]},
    ]
    root = folder(tmp_path, {"annotations/train.json": content(rows)})
    masks = kzoo.data.load(root, "train", masks=True)[0].masks
    parts = oracle.decode(oracle.frPyObjects([polygon, [0, 0, 5, 0, 5, 5]], 30, 40)).any(axis=2)
    assert np.array_equal(masks[0], parts) and np.array_equal(masks[1], oracle.decode(packed))
    assert np.array_equal(masks[1], masks[2]) and masks[1].sum() == 30 and not masks[3].any()
    assert kzoo.data.load(root, "train")[0].masks is None


def test_faulty_annotations_are_problems(tmp_path):
    rows = [
        {"bbox": [1, 2, 3, 4]},
        {"bbox": [1, 2, 3]},
        {},
        {"bbox": [1, 2, None, 4]},
        {"bbox": [1, 2, 3, 4], "category_id": 99},
        {"bbox": [1, 2, 3, 4], "image_id": 1234},
    ]
    data = COCO(folder(tmp_path, {"train.json": content(rows)}))
    record = data.record(0)
    assert record.lines == [0, 4] and record.labels.tolist() == [1, -1]
    assert [(f.kind, f.line) for f in record.problems] == [
        ("malformed", 1), ("malformed", 2), ("malformed", 3), ("unknown-class", 4)
    ]  # fmt: skip
    assert record.problems[0].place == f"{tmp_path / 'train.json'}:annotations[1]"
    assert [(f.kind, f.line) for f in data.problems()] == [("label-without-image", 5)]


def test_image_id_given_twice(tmp_path):
    images = [{"id": 7, "file_name": "a.png"}, {"id": 7, "file_name": "b.png"}]
    data = COCO(folder(tmp_path, {"train.json": content([{"bbox": [1, 2, 3, 4]}], images)}))
    assert [data.record(i).problems[0].kind for i in range(2)] == ["duplicate-id"] * 2


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not COCO's format"),
        ('{"images": [], "annotations": {}}', "not COCO's format"),
        (content([{}], categories=[]), "no 'categories'"),
        (content(categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]), "id 1 is 'a' already"),
        (content([{}], categories=[{"id": "x"}]), r"categories\[0\]: needs a whole number 'id' and a"),
    ],
)
def test_faulty_files(tmp_path, value, message):
    with pytest.raises(ValueError, match=message) as error:
        COCO(folder(tmp_path, {"annotations/train.json": value}))
    assert "train.json" in str(error.value) and "\n" not in str(error.value)


def test_to_coco_of_bccd(bccd):
    data = VOC(bccd, "test")
    coco = to_coco(data)
    assert [image["id"] for image in coco["images"]] == list(range(1, 73))
    assert [c["name"] for c in coco["categories"]] == data.classes and [
        c["id"] for c in coco["categories"]
    ] == [0, 1, 2]
    assert len(coco["annotations"]) == 945 and len({row["id"] for row in coco["annotations"]}) == 945
    first = coco["annotations"][0]
    x1, y1, x2, y2 = data.record(0).boxes[0]
    assert first["bbox"] == [x1, y1, x2 - x1, y2 - y1] and first["area"] == (x2 - x1) * (y2 - y1)
    assert set(first) == {"id", "image_id", "category_id", "bbox", "area", "iscrowd", "difficult"}


def test_to_coco_is_what_was_read(tmp_path):
    rows = [
        {"bbox": [1, 2, 10, 20], "area": 99.5, "segmentation": [[1, 2, 11, 2, 11, 22]]},
        {"bbox": [0, 0, 5, 5], "iscrowd": 1, "category_id": 3},
    ]
    written = to_coco(COCO(folder(tmp_path, {"train.json": content(rows)})), segmentations=True)
    first, second = written["annotations"]
    assert first["category_id"] == 18 and first["area"] == 99.5 and first["bbox"] == [1, 2, 10, 20]
    assert first["segmentation"] == [[1, 2, 11, 2, 11, 22]] and "segmentation" not in second
    assert second["iscrowd"] == 1 and written["images"][0]["id"] == 7


SQUARE = [20, 10, 60, 10, 60, 40, 20, 40]
IMAGE = {"id": 7, "file_name": "a.png", "height": 60, "width": 80}


def only(tmp_path, *rows, images=(IMAGE,), masks=False, **more):
    """The record of one image of 60 x 80 pixels."""
    root = folder(tmp_path, {"train.json": content(rows, images) | more}, images=())
    (root / "a.png").write_bytes(encode_png(np.zeros((60, 80, 3), np.uint8)))
    return COCO(root, masks=masks)


def run_length(box=(20, 10, 60, 40), size=(60, 80)):
    mask = np.zeros(size, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return encode_mask(mask)


@pytest.mark.parametrize("nothing", [{}, {"bbox": None}, {"bbox": []}])
@pytest.mark.parametrize(
    "outline",
    [
        [SQUARE], SQUARE, [np.reshape(SQUARE, (4, 2)).tolist()], [SQUARE, [30, 20, 35, 20, 35, 25]], run_length(),
        {**run_length(), "counts": oracle.frPyObjects(run_length(), 60, 80)["counts"].decode()},
    ],
)  # fmt: skip
def test_the_box_follows_from_the_outline(tmp_path, outline, nothing):
    data = only(tmp_path, {"segmentation": outline, **nothing})
    assert data.record(0).boxes.tolist() == [[20, 10, 60, 40]] and not data.record(0).problems
    mask = kzoo.data.load(tmp_path, task="segment")[0].mask
    assert abs((mask == 2).sum() - 1200) <= 100, "the outline's pixels are its class's"


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [60, 80], "counts": ["a"]}, "not whole numbers"),
        ({"size": [60, 80], "counts": [0.5, 4799.5]}, "not whole numbers"),
        ({"size": [60, 80], "counts": [10**400]}, "not whole numbers"),
        ({"size": [60, 80], "counts": [[4800]]}, "not whole numbers"),
        ({"size": [60, 80], "counts": [-1, 4801]}, "negative run"),
        ({"size": [60, 80], "counts": [10, 10**15]}, "counts sum to"),
        ({"size": [60, 80], "counts": [10, 20]}, "counts sum to 30, not to the 4800 pixels"),
        ({"size": [60, 80], "counts": []}, "counts sum to 0"),
        ({"size": [60, 80], "counts": "~~~~"}, "no compressed run lengths"),
        ({"size": [60, 80], "counts": "oooooooooooooooooooooo1"}, "longer than any image"),
        ({"size": [60, 80], "counts": None}, "neither a list nor text"),
        ({"size": [4800], "counts": [4800]}, r"size \[4800\]"),
        ({"size": [60, 80, 1], "counts": [4800]}, r"size \[60, 80, 1\]"),
        ({"size": ["60", 80], "counts": [4800]}, r"size \['60', 80\]"),
        ({"size": [10**400, 80], "counts": [4800]}, "size"),
        ({"size": [60, 80], "counts": [4800]}, "covers no pixel"),
        ({"counts": [1]}, "size None"),
        ([[1, 2, 3]], "no pairs"),
        ([[1, 2, 3, 4]], "fewer than three points"),
        ([[1, 2, 3, 4, 5, None]], "NaN, infinity or nothing"),
        ([[1, 2, 3, 4, 5, float("nan")]], "NaN, infinity"),
        ([[1, 2, 3, 4, 5, "x"]], "not a list of numbers"),
        ([[1, 2, 3, 4, 5, 10**400]], "not a list of numbers"),
        ([{"x": 1}], "not a list of numbers"),
        ("outline", "neither polygons nor run lengths"),
    ],
)
def test_outlines_that_are_none(tmp_path, segmentation, message):
    data = only(
        tmp_path, {"segmentation": segmentation}, {"bbox": [1, 2, 3, 4], "segmentation": segmentation}
    )
    record = data.record(0)
    assert record.lines == [1] and record.polygons is None
    first, second = record.problems
    assert (first.kind, first.line, first.severity) == ("malformed", 0, "error")
    assert (second.kind, second.line, second.severity) == ("bad-outline", 1, "warning")
    assert "segmentation" in second.message and "no bbox" in first.message
    assert re.search(message, second.message)
    assert (
        len(only(tmp_path, {"bbox": [1, 2, 3, 4], "segmentation": segmentation}, masks=True).record(0)) == 1
    )
    (strict,) = COCO(tmp_path, masks=True).record(0).problems
    assert strict.severity == "error", "who asked for masks is not given an empty one"


def test_a_part_that_is_no_polygon_is_passed_over_and_said(tmp_path):
    record = only(tmp_path, {"segmentation": [SQUARE, [1, 2, 3, 4]]}).record(0)
    assert len(record.polygons[0]) == 1 and "1 of 2 polygons" in record.problems[0].message


@pytest.mark.parametrize("value", [[1], {"a": 1}, "x", None, 99, 10**400, 18.5, True])
def test_categories_of_other_types_are_unknown_classes(tmp_path, value):
    record = only(tmp_path, {"bbox": [1, 2, 3, 4], "category_id": value}).record(0)
    (problem,) = record.problems
    assert problem.kind == "unknown-class" and problem.place.endswith("train.json:annotations[0]")


@pytest.mark.parametrize("value", [[1], {"a": 1}, None, 7.5, 10**400, True])
def test_image_ids_of_other_types_are_faults_of_their_entries(tmp_path, value):
    rows = {"bbox": [1, 2, 3, 4], "image_id": value}, {"bbox": [1, 2, 3, 4]}
    data = only(tmp_path, *rows, images=(IMAGE, {**IMAGE, "id": value, "file_name": "b.png"}))
    assert len(data) == 1 and len(data.record(0)) == 1
    assert [fault.place.partition("json:")[2] for fault in data.problems()] == ["images[1]", "annotations[0]"]


@pytest.mark.parametrize("name", [None, "", 3, "a\0.png", "x" * 300, "y/" * 3000, "\ud800.png"])
def test_file_names_that_are_none_are_faults_of_their_entries(tmp_path, name):
    data = only(tmp_path, images=(IMAGE, {"id": 8, "file_name": name}))
    assert len(data) == 1 and data.problems()[0].place.endswith("images[1]")


def test_whole_floats_are_ids(tmp_path):
    record = only(tmp_path, {"bbox": [1, 2, 3, 4], "image_id": 7.0, "category_id": 18.0}).record(0)
    assert record.labels.tolist() == [1] and not record.problems


def test_a_file_listed_twice_is_told_of(tmp_path):
    data = only(tmp_path, {"bbox": [1, 2, 3, 4], "image_id": 8}, images=(IMAGE, {**IMAGE, "id": 8}))
    assert len(data) == 1 and [(f.kind, f.line, f.element) for f in data.problems()] == [
        ("malformed", 1, "images")
    ]


def test_flags_areas_and_sizes_that_are_none_are_said(tmp_path):
    row = {"bbox": [1, 2, 3, 4], "iscrowd": "maybe", "difficult": [1], "area": "wide"}
    record = only(tmp_path, row, images=({**IMAGE, "height": "tall"},)).record(0)
    assert [fault.severity for fault in record.problems] == ["warning"] * 4
    assert not record.crowd[0] and not record.difficult[0] and record.areas is None


@pytest.mark.parametrize(
    "written",
    [r"images\a.png", "C:\\set\\train2017\\a.png", "/mnt/elsewhere/images/a.png", "data/images/a.png", "./a.png",
     "set/images/a.png", "../images/a.png"],
)  # fmt: skip
def test_paths_of_other_machines(tmp_path, written):
    image = {"id": 7, "file_name": written}
    root = folder(tmp_path, {"annotations/train.json": content([{"bbox": [1, 2, 3, 4]}], (image,))})
    assert COCO(root, "train").record(0).path.resolve() == root / "images" / "a.png"


def test_letter_case_of_folders_and_files(tmp_path):
    images = ("Images/Train/a.png", "Images/Validation/a.png")
    files = {f"Annotations/Instances_{name}.json": content() for name in ("Train", "Validation")}
    root = folder(tmp_path, files, images)
    assert kzoo.data.splits(root) == ["Train", "Validation"]
    assert COCO(root, "train").record(0).path == root / images[0]
    assert COCO(root, "val").record(0).path == root / images[1] and len(COCO(root)) == 2


def test_hidden_files_are_passed_over(tmp_path):
    files = {"annotations/instances_train.json": content(), "annotations/._instances_train.json": "x"}
    assert kzoo.data.splits(folder(tmp_path, files)) == ["train"]


def test_two_files_of_one_split_are_refused(tmp_path):
    root = folder(tmp_path, {"labels.json": content(), "instances.json": content()})
    with pytest.raises(ValueError, match="both split"):
        kzoo.data.load(root)


def test_images_that_are_not_listed_are_counted(tmp_path):
    root = folder(tmp_path, {"train.json": content()}, ("images/a.png", "images/b.png", "images/c.png"))
    (fault,) = COCO(root).problems()
    assert (fault.kind, fault.severity) == ("unused-image", "warning") and "2 image files" in fault.message
    other = content(images=[{"id": 1, "file_name": "b.png"}, {"id": 2, "file_name": "c.png"}])
    folder(tmp_path, {"val.json": other}, ())
    assert not COCO(root).problems() and not COCO(root, "train").problems()


GROUPED = [
    {"id": 0, "name": "things", "supercategory": "none"},
    {"id": 1, "name": "car", "supercategory": "things"},
    {"id": 2, "name": "person", "supercategory": "person"},
]


def test_a_group_is_no_class(tmp_path):
    data = only(tmp_path, {"bbox": [1, 2, 3, 4], "category_id": 1}, categories=GROUPED)
    assert data.classes == ["car", "person"] and data.category_ids == [1, 2]
    assert data.record(0).labels.tolist() == [0]
    assert [(f.kind, f.severity) for f in data.problems()] == [("group-category", "warning")]


def test_a_category_with_annotations_is_a_class_in_every_part(tmp_path):
    files = {
        "train.json": content([{"bbox": [1, 2, 3, 4], "category_id": 0}]) | {"categories": GROUPED},
        "val.json": content([{"bbox": [1, 2, 3, 4], "category_id": 1}]) | {"categories": GROUPED},
    }
    root = folder(tmp_path, files)
    assert COCO(root, "train").classes == COCO(root, "val").classes == ["things", "car", "person"]


def test_panoptic_files_are_called_so(tmp_path):
    row = {"image_id": 7, "file_name": "a.png", "segments_info": [{"id": 1, "category_id": 1}]}
    root = folder(tmp_path, {"panoptic.json": {"images": [], "annotations": [row], "categories": []}})
    with pytest.raises(ValueError, match=r"panoptic\.json: a panoptic file"):
        COCO(root)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a": ' * 100_000, '{"images": [], "annotations": [' + "9" * 5000 + "]}"]
)
def test_deep_nesting_and_long_numbers_are_one_line(tmp_path, text):
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(ValueError, match=r"train\.json"):
        COCO(tmp_path / "train.json")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings(tmp_path, encoding):
    folder(tmp_path, {}, ["a.png"])
    (tmp_path / "train.json").write_bytes(json.dumps(content()).encode(encoding))
    assert len(kzoo.data.load(tmp_path)) == 1


NO_CATEGORIES = [
    *({"id": value, "name": "b"} for value in ("x", True, None, 1.5, [1], 10**400)),
    *({"id": 4, "name": value} for value in ("b\ud800", False, None, {})),
    *(5, None, []),
]


@pytest.mark.parametrize("category", NO_CATEGORIES, ids=range(len(NO_CATEGORIES)))
@pytest.mark.parametrize("task", ["detect", "segment", "instance"])
def test_categories_that_are_none_are_reported_and_passed_over(tmp_path, category, task):
    rows = [
        {"bbox": [10, 10, 9, 9], "segmentation": [[10, 10, 19, 10, 19, 19]], "category_id": 3},
        {"bbox": [0, 0, 5, 5], "segmentation": [[0, 0, 5, 0, 5, 5, 0, 5]], "category_id": 4},
    ]
    only(tmp_path, *rows, categories=[category, {"id": 3, "name": "car"}])
    data = kzoo.data.load(tmp_path, task=task)
    assert data.classes[-1] == "car" and len(data.classes) == 1 + (task == "segment")
    faults = [(fault.element, fault.line, fault.kind) for fault in check(data).errors]
    assert sorted(faults) == [("annotations", 1, "unknown-class"), ("categories", 0, "malformed")]
    sound = require_sound(data, skip_faulty=True)
    assert [sample.labels.tolist() for sample in sound] == [[len(data.classes) - 1]]


@pytest.mark.parametrize("decode", [True, False])
def test_an_image_that_unknown_categories_cover_is_left_out_of_masks(tmp_path, decode):
    rows = [
        {"bbox": [0, 0, 5, 5], "segmentation": [[0, 0, 5, 0, 5, 5, 0, 5]]},
        {"image_id": 8, "category_id": 99, "segmentation": [[0, 0, 40, 0, 40, 30, 0, 30]]},
    ]
    images = [{"id": key, "file_name": name} for key, name in ((7, "a.png"), (8, "b.png"))]
    folder(tmp_path, {"train.json": content(rows, images)}, ["images/a.png", "images/b.png"])
    data = kzoo.data.load(tmp_path, task="segment")
    kinds = sorted(fault.kind for fault in check(data, decode=decode).errors)
    assert kinds == ["all-ignored", "unknown-class"]
    assert [sample.id for sample in require_sound(data, skip_faulty=True, decode=decode)] == [7]


def test_faults_are_reported_and_skipped_for_boxes_and_for_masks(tmp_path):
    rows = [
        {"bbox": [20, 10, 40, 30], "segmentation": [SQUARE], "category_id": 3},
        {"bbox": [0, 0, 5, 5], "segmentation": [[0, 0, 5, 0, 5, 5, 0, 5]], "category_id": 99},
        {"bbox": [70, 50, 5, 5], "segmentation": [[70, 50, 75, 50, 75, 55]], "category_id": [3]},
        {"bbox": "x"},
        {"image_id": None},
    ]
    only(tmp_path, *rows)
    for task in ("detect", "segment"):
        report = check(tmp_path, task=task)
        assert sorted(fault.kind for fault in report.errors) == ["malformed"] * 2 + ["unknown-class"] * 2
        with pytest.raises(ValueError, match="--skip-faulty"):
            require_sound(kzoo.data.load(tmp_path, task=task))
        sound = require_sound(kzoo.data.load(tmp_path, task=task), skip_faulty=True)
        assert len(sound[0].boxes) == 1
    mask = sound[0].mask
    assert mask[20, 30] == 1 and mask[2, 2] == 255 and mask[52, 74] == 255 and mask[58, 5] == 0


def test_a_mask_of_another_size_names_its_place(tmp_path):
    data = only(tmp_path, {"segmentation": run_length((1, 1, 3, 3), (10, 10))}, masks=True)
    with pytest.raises(ValueError, match=r"train\.json:annotations\[0\]: a mask of 10 x 10 pixels"):
        data[0]
