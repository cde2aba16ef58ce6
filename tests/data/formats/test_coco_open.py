"""Photographs of COCO 2017: gaps in the ids, crowds as run lengths, outlines of several parts."""

import numpy as np
import pytest
from pycocotools.coco import COCO

import kzoo
from kzoo.data.checks.check import check
from kzoo.data.loading.preview import preview


@pytest.fixture(scope="module")
def folder(shared):
    path = shared / "data" / "coco-open"
    if not path.is_dir():
        pytest.skip("coco-open is not at hand")
    return path


@pytest.fixture(scope="module")
def reference(folder):
    return COCO(folder / "instances_train.json")


def test_objects_are_those_of_pycocotools(folder, reference):
    dataset = kzoo.data.load(folder, masks=True)
    names = {category["id"]: category["name"] for category in reference.dataset["categories"]}
    assert dataset.classes == list(names.values()) and max(names) == 90 > len(names) == 80
    counts = {"objects": 0, "crowds": 0, "parts": 0}
    for index in range(len(dataset)):
        sample = dataset[index]
        rows = reference.loadAnns(reference.getAnnIds(imgIds=sample.id))
        assert [dataset.classes[label] for label in sample.labels] == [
            names[row["category_id"]] for row in rows
        ]
        assert sample.crowd.tolist() == [bool(row["iscrowd"]) for row in rows]
        for mask, box, row in zip(sample.masks, sample.boxes, rows, strict=True):
            np.testing.assert_array_equal(mask, reference.annToMask(row).astype(bool))
            x, y, width, height = row["bbox"]
            np.testing.assert_allclose(box, [x, y, x + width, y + height], atol=1e-3)
        counts["objects"] += len(rows)
        counts["crowds"] += sum(row["iscrowd"] for row in rows)
        counts["parts"] += sum(
            isinstance(row["segmentation"], list) and len(row["segmentation"]) > 1 for row in rows
        )
    assert counts == {"objects": 407, "crowds": 6, "parts": 24}


def test_the_check_says_nothing_but_which_classes_are_missing(folder, reference):
    report = check(folder)
    assert not report.errors and {fault.kind for fault in report.faults} == {"class-without-example"}
    seen = {row["category_id"] for row in reference.dataset["annotations"]}
    missing = {category["name"] for category in reference.dataset["categories"] if category["id"] not in seen}
    assert len(report.faults) == len(missing) == 28
    assert all(any(f"'{name}'" in fault.message for fault in report.faults) for name in missing)


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_they_are_drawn(folder, task):
    dataset = kzoo.data.load(folder, task=task)
    sheet = preview(dataset, "none", images=3, width=600, image_size=(192, 192))
    bare = preview(_Bare(dataset), "none", images=3, width=600, image_size=(192, 192))
    assert sheet.shape == bare.shape and np.mean(np.abs(sheet.astype(int) - bare)) > 1


class _Bare:
    """A dataset without what is known of its images."""

    def __init__(self, dataset):
        self.dataset, self.classes = dataset, dataset.classes

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        sample = self.dataset[index]
        return kzoo.Sample(sample.image)
