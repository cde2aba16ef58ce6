"""COCO's figures where they hang on the last bit of a box or on the order of the images; pycocotools is the oracle."""

import contextlib
import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pycocotools.coco import COCO as Oracle
from pycocotools.cocoeval import COCOeval

from kzoo.data.dataset import Dataset, Selection
from kzoo.data.formats.coco.reading import COCO, to_coco
from kzoo.data.record import Record
from kzoo.metrics import DetectionEvaluator, ErrorEvaluator
from kzoo.structures import Detections

THRESHOLDS = np.arange(0.5, 1, 0.05).round(2)


def dataset_file(path, rng, images=12):
    """A COCO file of boxes with two decimals, images in any order of ids."""
    rows = []
    ids = [int(number) for number in rng.permutation(1000)[:images]]
    for image in ids:
        for _ in range(int(rng.integers(1, 5))):
            box = rng.uniform(1, 100, 4).round(2).tolist()
            row = {"image_id": image, "category_id": int(rng.integers(3, 5)), "bbox": box}
            rows.append({"id": len(rows) + 1, "area": box[2] * box[3], "iscrowd": 0, **row})
    content = {
        "images": [{"id": image, "file_name": f"{image}.png", "width": 300, "height": 300} for image in ids],
        "annotations": rows,
        "categories": [{"id": 3, "name": "a"}, {"id": 4, "name": "b"}],
    }
    path.write_text(json.dumps(content))
    return content


def detections_on_thresholds(content, rng):
    """Results whose overlap with an object is a threshold, but for the last bit; of three scores."""
    results = []
    for row in content["annotations"]:
        x, y, width, height = row["bbox"]
        box = [x, y, width * float(rng.choice(THRESHOLDS)), height]
        score = float(rng.integers(1, 4)) / 4
        results.append(
            {"image_id": row["image_id"], "category_id": row["category_id"], "bbox": box, "score": score}
        )
    return results


def figures_of_pycocotools(path, results):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = Oracle(path)
        run = COCOeval(truth, truth.loadRes(results), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return np.where(run.stats < 0, np.nan, run.stats)


def figures_of(data, found_on, order, evaluator=DetectionEvaluator):
    measured = evaluator(data.classes)
    for index in order:
        record = data.record(index)
        measured.update(record, found_on(record.id))
    return measured.result()


def exactly(results, data):
    """What was found on an image, as the results have it."""

    def found_on(image):
        rows = [row for row in results if row["image_id"] == image]
        return SimpleNamespace(
            xywh=[row["bbox"] for row in rows],
            scores=[row["score"] for row in rows],
            labels=[data.category_ids.index(row["category_id"]) for row in rows],
        )

    return found_on


@pytest.mark.parametrize("seed", range(8))
def test_overlaps_on_a_threshold_and_images_in_any_order(tmp_path, seed):
    rng = np.random.default_rng(seed)
    content = dataset_file(tmp_path / "truth.json", rng)
    results = detections_on_thresholds(content, rng)
    data = COCO(tmp_path / "truth.json")
    wanted = figures_of_pycocotools(tmp_path / "truth.json", results)
    for order in (range(len(data)), reversed(range(len(data))), rng.permutation(len(data))):
        found = figures_of(data, exactly(results, data), order)
        np.testing.assert_allclose(list(found.coco.values()), wanted, atol=1e-12, rtol=0)


def test_corners_alone_would_not_do(tmp_path):
    """The pairs are hard enough: in corners of float32, some are on the other side."""
    rng = np.random.default_rng(0)
    content = dataset_file(tmp_path / "truth.json", rng)
    results = detections_on_thresholds(content, rng)
    data = COCO(tmp_path / "truth.json")
    measured = DetectionEvaluator(data.classes)
    for index in range(len(data)):
        record = data.record(index)
        record.xywh = None
        measured.update(record, exactly(results, data)(record.id))
    wanted = figures_of_pycocotools(tmp_path / "truth.json", results)
    assert np.nanmax(np.abs(np.array(list(measured.result().coco.values())) - wanted)) > 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_what_detections_write_is_what_they_are_measured_by(tmp_path, seed):
    rng = np.random.default_rng(seed)
    content = dataset_file(tmp_path / "truth.json", rng)
    data = COCO(tmp_path / "truth.json")
    found, results = {}, []
    for image in content["images"]:
        rows = [row for row in content["annotations"] if row["image_id"] == image["id"]]
        corners = [
            [x, y, x + w * rng.choice(THRESHOLDS), y + h] for x, y, w, h in (row["bbox"] for row in rows)
        ]
        labels = [row["category_id"] - 3 for row in rows]
        found[image["id"]] = Detections(corners, rng.integers(1, 4, len(rows)) / 4, labels)
        results += found[image["id"]].to_coco(image["id"], data.category_ids)
    got = figures_of(data, found.get, rng.permutation(len(data)), ErrorEvaluator)
    wanted = figures_of_pycocotools(tmp_path / "truth.json", results)
    np.testing.assert_allclose(list(got.coco.values()), wanted, atol=1e-12, rtol=0)
    ordered = figures_of(data, found.get, range(len(data)), ErrorEvaluator)
    assert ordered.to_dict(curves=True) == got.to_dict(curves=True), "no figure depends on the order"


class Named(Dataset):
    """Images of these ids with a box each."""

    def __init__(self, ids):
        super().__init__("named", None, ["a"])
        self.ids = ids

    def __len__(self):
        return len(self.ids)

    def record(self, index):
        return Record(Path("a.png"), [[0, 0, 10, 10]], [0], id=self.ids[index], size=(20, 20))


def test_texts_as_ids_break_ties_alike_in_what_is_written(tmp_path):
    data = Named(["c", "a", "d", "b"])
    found = {
        name: Detections([[0, 0, 10, side]], [0.5], [0])
        for name, side in zip("abcd", (10, 9, 4, 8), strict=True)
    }
    (tmp_path / "truth.json").write_text(json.dumps(to_coco(data)))
    numbers = {data.ids[i]: image["id"] for i, image in enumerate(to_coco(data)["images"])}
    assert numbers == {"a": 1, "b": 2, "c": 3, "d": 4}
    results = [row for name, number in numbers.items() for row in found[name].to_coco(number)]
    wanted = figures_of_pycocotools(tmp_path / "truth.json", results)
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        got = figures_of(Selection(data, order), found.get, range(4))
        np.testing.assert_allclose(list(got.coco.values()), wanted, atol=1e-12, rtol=0)


def test_boxes_are_written_as_they_were_read(tmp_path):
    content = dataset_file(tmp_path / "truth.json", np.random.default_rng(0))
    written = to_coco(COCO(tmp_path / "truth.json"))
    by_image = sorted(
        content["annotations"], key=lambda row: [i["id"] for i in content["images"]].index(row["image_id"])
    )
    assert [row["bbox"] for row in written["annotations"]] == [row["bbox"] for row in by_image]
