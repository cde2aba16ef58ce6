"""Damaged COCO files end in a report or in one line with the file, in time and memory that follow from them."""

import copy
import json
import time
import tracemalloc

import numpy as np
import pytest

import kzoo.data
from kzoo.data.checks.check import check, require_sound
from kzoo.structures.draw import encode_png
from kzoo.structures.runs import compress_mask, encode_mask

SECONDS, BYTES = 5, 2**26
SIZE = (60, 80)
HOSTILE = [
    None, True, False, 0, 1, -1, 3, 7.5, 1e8, -1e8, 1e308, -1e308, float("nan"), float("inf"), 2**31, 2**63, 10**400,
    "", "7", "a.png", "../../a.png", "\0", "\ud800", "x" * 5000, "é", [], [[]], [[[]]], {}, [1] * 9, [None] * 4,
    [1, 2, 3], ["1", "2", "3", "4"], [float("nan")] * 8, [1e8, -1e8] * 4, [[1e8, -1e8] * 4], [10**400] * 4,
    {"size": [10**9, 10**9], "counts": [10**18]}, {"size": [60, 80], "counts": [10**12]},
    {"size": [60, 80], "counts": "~" * 50}, {"size": [60, 80], "counts": "o" * 500}, {"size": [60], "counts": [60]},
    {"size": [60, 80], "counts": [-1, 4801]}, {"size": [60, 80], "counts": [0.5] * 9600},
]  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder with images, and the content of a sound file."""
    root = tmp_path_factory.mktemp("coco")
    mask = np.zeros(SIZE, bool)
    mask[10:40, 20:60] = True
    for name in ("a.png", "b.png"):
        (root / name).write_bytes(encode_png(np.zeros((*SIZE, 3), np.uint8)))
    square = [20, 10, 60, 10, 60, 40, 20, 40]
    rows = [
        {"bbox": [20, 10, 40, 30], "segmentation": [square], "area": 1200.0, "category_id": 1},
        {"segmentation": encode_mask(mask), "iscrowd": 1, "category_id": 2},
        {"segmentation": compress_mask(mask), "category_id": 2},
        {
            "bbox": [1.5, 2.5, 10, 10],
            "segmentation": [[1.5, 2.5, 11.5, 2.5, 11.5, 12.5], square],
            "category_id": 1,
        },
    ]
    content = {
        "images": [{"id": i, "file_name": f"{n}.png", "height": 60, "width": 80} for i, n in enumerate("ab")],
        "annotations": [{"id": i, "image_id": i % 2, "iscrowd": 0, **row} for i, row in enumerate(rows)],
        "categories": [
            {"id": i, "name": n, "supercategory": s} for i, n, s in ((1, "cup", "top"), (2, "top", ""))
        ],
    }
    return root, content


def damaged(content, rng):
    """The content with one to three of its values replaced, left out, doubled or exchanged, at any depth."""
    content = copy.deepcopy(content)
    for _ in range(int(rng.integers(1, 4))):
        place = content
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = keys[int(rng.integers(len(keys)))]
            inner = place[key]
            if isinstance(inner, (dict, list)) and inner and rng.random() < 0.8:
                place = inner
                continue
            _damage(place, key, keys, rng)
            break
    return content


def _damage(place, key, keys, rng):
    match int(rng.integers(5)):
        case 0 | 1:
            place[key] = copy.deepcopy(HOSTILE[int(rng.integers(len(HOSTILE)))])
        case 2:
            del place[key]
        case 3 if isinstance(place, list):
            place.append(copy.deepcopy(place[key]))
        case 3:
            place[f"{key}s"] = place.pop(key)
        case _:
            other = keys[int(rng.integers(len(keys)))]
            place[key], place[other] = place[other], place[key]


def use(path, way):
    """One of the ways in which a file is used; what comes out is looked at."""
    if way < 2:
        report = check(path, task=("detect", "segment")[way], decode=False)
        assert all(str(fault.file) and "\n" not in str(fault) for fault in report.faults)
        return not report.errors
    if way == 2:
        data = kzoo.data.load(path, masks=True)
        return all(np.isfinite(data[index].boxes).all() for index in range(len(data)))
    data = require_sound(
        kzoo.data.load(path, task=("detect", "segment")[way - 3]), skip_faulty=True, decode=False
    )
    for sample in data:
        assert sample.labels.max(initial=0) < len(data.classes), "what is left can be trained on"
    return True


def outcome(path, way):
    began = time.process_time()
    try:
        return use(path, way)
    except (ValueError, OSError) as error:
        text = str(error)
        assert type(error) in (ValueError, OSError, FileNotFoundError) or hasattr(error, "fault"), repr(error)
        assert str(path.parent) in text and ("\n" not in text or "train.json" in text), text
        return False
    finally:
        assert time.process_time() - began < SECONDS


def run(sound, count, seed, traced=1):
    """Every `traced`-th file's memory is looked at, which takes time."""
    root, content = sound
    rng, outcomes, path = np.random.default_rng(seed), set(), root / "train.json"
    for number in range(count):
        text = json.dumps(damaged(content, rng))
        if rng.random() < 0.2:
            cut, inside = (
                int(rng.integers(len(text))),
                ("[" * 50, "9" * 50, "", '"', "\0")[int(rng.integers(5))],
            )
            text = text[:cut] + inside + text[cut + int(rng.integers(9)) :]
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        if number % traced == 0:
            tracemalloc.start()
        try:
            outcomes.add(outcome(path, number % 5))
            assert tracemalloc.get_traced_memory()[1] < BYTES
        finally:
            tracemalloc.stop()
    assert outcomes == {True, False}, "some are read and some are refused, or this tests nothing"


def test_a_thousand_damaged_files(sound):
    run(sound, 1000, seed=0, traced=9)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(1, 11))
def test_many_damaged_files(sound, seed):
    run(sound, 3000, seed)


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_every_field_with_every_hostile_value(sound, hostile):
    """Not at random: each field of each entry in turn."""
    root, content = sound
    path = root / "train.json"
    for name in ("images", "annotations", "categories"):
        for key in content[name][0]:
            changed = copy.deepcopy(content)
            changed[name][0][key] = hostile
            path.write_text(json.dumps(changed))
            for way in (0, 4) if key in ("segmentation", "category_id") else (0,):
                outcome(path, way)
