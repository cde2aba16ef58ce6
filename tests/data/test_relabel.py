"""Datasets in another list of classes: everywhere that datasets go."""

import json
import time

import numpy as np
import pytest
from PIL import Image

import kzoo.data
from kzoo.data.checks.check import check, require_sound
from kzoo.data.dataset import Selection
from kzoo.data.formats.shapes import Shapes
from kzoo.data.loading.cache import cached
from kzoo.data.relabel import class_difference, label_table, relabelled, translate

KNOWN = ["triangle", "square", "circle", "rectangle"]
PLACES = [2, 3, 0]  # of circle, rectangle and triangle


def shapes(**options):
    return Shapes(6, (64, 64), **options)


def test_labels_are_told_by_name():
    base = shapes()
    data = relabelled(base, KNOWN)
    for index in range(len(base)):
        expected = [PLACES[label] for label in base[index].labels]
        assert data[index].labels.tolist() == data.record(index).labels.tolist() == expected
        assert np.array_equal(data[index].image, base[index].image)
        assert np.array_equal(data[index].boxes, base[index].boxes)
    assert data.classes == KNOWN and relabelled(base, base.classes) is base
    assert check(data).counts["square"] == 0 and not check(data).errors


def test_what_is_no_class_stays_none():
    assert translate(np.array([-1, 0, 2, 3, 99]), np.array(PLACES)).tolist() == [-1, 2, 0, -1, -1]
    assert translate(np.array([], np.int64), np.array(PLACES)).tolist() == []
    assert label_table(["a"], ["b"]) is None and label_table(["a", "a"], ["a", "b"]) is None
    assert label_table(["a"], ["a", "a"]) is None


@pytest.mark.parametrize("painted", [False, True])
def test_semantic_masks_have_the_new_values(tmp_path, painted):
    if painted:  # from outlines, whose labels are the values
        rows = [
            {"id": n, "image_id": 1, "category_id": n, "bbox": [8 * n, 4, 6, 6], "segmentation": [box]}
            for n in (1, 2)
            for box in ([8 * n, 4, 8 * n + 6, 4, 8 * n + 6, 10, 8 * n, 10],)
        ]
        content = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": rows}
        content["categories"] = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
        (tmp_path / "set.json").write_text(json.dumps(content))
        Image.new("RGB", (32, 16)).save(tmp_path / "a.png")
        base, names = (
            kzoo.data.load(tmp_path / "set.json", task="segment"),
            ["dog", "background", "cow", "cat"],
        )
    else:
        for folder in ("images", "masks"):
            (tmp_path / folder).mkdir()
        Image.new("RGB", (32, 16)).save(tmp_path / "images" / "a.png")
        values = np.zeros((16, 32), np.uint8)
        values[4:10, 8:14], values[4:10, 16:22], values[0] = 1, 2, 255
        Image.fromarray(values).save(tmp_path / "masks" / "a.png")
        (tmp_path / "classes.txt").write_text("background\ncat\ndog\n")
        base, names = kzoo.data.load(tmp_path), ["dog", "background", "cow", "cat"]
    data = relabelled(base, names)
    table = np.array([1, 3, 0, *[255] * 253])
    for shown in (
        data,
        Selection(data, [0]),
        cached(data, "memory"),
        cached(data, f"disk:{tmp_path / 'cache'}"),
    ):
        assert np.array_equal(shown[0].mask, table[base[0].mask])
    assert np.array_equal(data.mask(0), table[base.mask(0)])
    assert not check(data).errors and require_sound(data, skip_faulty=True) is data


def test_through_caches_and_selections(tmp_path):
    data = relabelled(shapes(), KNOWN)
    expected = [sample.labels.tolist() for sample in data]
    for shown in (cached(data, "memory"), Selection(data, range(6))):
        assert [shown[i].labels.tolist() for i in range(6)] == expected
    twice = relabelled(data, ["other", *KNOWN])
    assert [sample.labels.tolist() for sample in twice] == [[label + 1 for label in row] for row in expected]


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_through_workers(kind):
    data = Selection(relabelled(shapes(), KNOWN), [3, 1, 4])
    made = kzoo.data.batches(data, 64, 3, "none", shuffle=False, workers=1, worker_kind=kind)
    _, targets = next(iter(made))
    for row, index in zip(targets["labels"], [3, 1, 4], strict=True):
        expected = [PLACES[label] for label in shapes()[index].labels]
        assert np.asarray(row)[: len(expected)].tolist() == expected


def test_plain_datasets_of_samples():
    class Plain:
        classes = ("circle", "rectangle", "triangle")

        def __len__(self):
            return 6

        def __getitem__(self, index):
            return shapes(task="detect")[index]

    assert relabelled(Plain(), KNOWN)[2].labels.tolist() == [PLACES[label] for label in shapes()[2].labels]


def test_unknown_names_are_refused_with_a_remedy():
    with pytest.raises(
        ValueError, match=r"shapes: has 1 \(triangle\), none of the 2 .*classes\.txt"
    ) as caught:
        relabelled(shapes(), ["rectangle", "circle"])
    assert "\n" not in str(caught.value)


def test_a_hundred_thousand_names_take_no_square_of_that():
    names = [str(number) for number in range(100_000)]
    began = time.process_time()
    assert "has 1 (x), none of the" in class_difference([*names[1:], "x"], names)
    assert time.process_time() - began < 2
