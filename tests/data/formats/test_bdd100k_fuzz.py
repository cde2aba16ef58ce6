"""Damaged files of BDD100K: a report, or one line with the file, soon; names in them lead nowhere."""

import copy
import json
import time
import tracemalloc

import numpy as np
import pytest
from mutations import mutations

import kzoo.data
from kzoo.data.checks.check import check
from kzoo.structures.draw import encode_png

SECONDS, BYTES = 5, 2**26
BOX = {"x1": 1, "y1": 2, "x2": 20, "y2": 12}
SOUND = [
    {"name": f"{name}.jpg", "labels": [{"category": "car", "box2d": BOX, "attributes": {"crowd": False}}]}
    for name in "ab"
]
HOSTILE = [
    None, 5, -1, 1e308, 10**400, float("nan"), "", "x", [], [1], {}, {"a": 1}, True, "../../../a.jpg", "/etc/passwd",
    "\0", "\ud800", "a" * 5000, "..", "a/b", [[]], "\x1b[31m",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("bdd")
    for place in (
        "images/100k/train",
        "labels/drivable/masks/train",
        "labels/lane/masks/train",
        "labels/det_20",
    ):
        (root / place).mkdir(parents=True)
    for name in "ab":
        (root / "images/100k/train" / f"{name}.jpg").write_bytes(encode_png(np.zeros((16, 24, 3), np.uint8)))
        for kind, value in (("drivable", 2), ("lane", 255)):
            mask = encode_png(np.full((16, 24), value, np.uint8))
            (root / "labels" / kind / "masks" / "train" / f"{name}.png").write_bytes(mask)
    return root


def use(folder, content):
    """Whether a dataset with these bytes is sound; whatever is wrong is told in lines."""
    path = folder / "labels" / "det_20" / "det_train.json"
    path.write_bytes(content)
    began = time.process_time()
    try:
        sound = True
        for task in ("detect", "drive"):
            data = kzoo.data.load(folder, task=task)
            report = check(data, decode=False)
            assert all("\n" not in str(fault) and len(str(fault)) < 1000 for fault in report.faults)
            images = [data.record(index).path for index in range(len(data))]
            assert all(image.parent == folder / "images" / "100k" / "train" for image in images)
            sound &= not report.errors
        return sound
    except (ValueError, OSError) as error:
        assert str(path) in str(error) and "\n" not in str(error), error
        return False
    finally:
        assert time.process_time() - began < SECONDS


def test_a_sound_file(folder):
    assert use(folder, json.dumps(SOUND).encode())


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_every_field_with_every_hostile_value(folder, hostile):
    def places(value):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            if isinstance(value[key], (dict, list)):
                yield from places(value[key])

    for number in range(sum(1 for _ in places(SOUND))):
        content = copy.deepcopy(SOUND)
        place, key = list(places(content))[number]
        place[key] = hostile
        use(folder, json.dumps(content).encode())


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(1, 11))]
)
def test_damaged_files(folder, seed):
    outcomes = set()
    for number, content in enumerate(mutations(json.dumps(SOUND, indent=1).encode(), 1000, seed)):
        if number % 9 == 0:
            tracemalloc.start()
        try:
            outcomes.add(use(folder, content))
            assert tracemalloc.get_traced_memory()[1] < BYTES
        finally:
            tracemalloc.stop()
    assert outcomes == {True, False}
