"""Decoded images, kept in memory or on disk: the same samples, decoded once, and never more than there is room."""

import json
import logging
import os
import shutil
import threading

import numpy as np
import pytest

import kzoo.data
from kzoo.data import dataset
from kzoo.data.loading import cache
from kzoo.data.loading.cache import Recent, cached, default_folder
from kzoo.data.loading.loader import batches
from kzoo.structures import Sample
from kzoo.structures.draw import encode_png


@pytest.fixture
def photographs(tmp_path, monkeypatch) -> kzoo.data.Dataset:
    """Five images with masks in COCO's format, and KERAS_HOME in a folder of its own."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    root = tmp_path / "data"
    (root / "images").mkdir(parents=True)
    images, annotations = [], []
    for i in range(5):
        image = np.random.default_rng(i).integers(0, 256, (30 + i, 40, 3), dtype=np.uint8)
        (root / "images" / f"{i}.png").write_bytes(encode_png(image))
        images.append({"id": i, "file_name": f"images/{i}.png", "height": 30 + i, "width": 40})
        box = {
            "bbox": [2, 3, 10, 12],
            "segmentation": [[2, 3, 12, 3, 12, 15, 2, 15]],
            "area": 120,
            "iscrowd": 0,
        }
        annotations.append({"id": i + 1, "image_id": i, "category_id": 1, **box})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}]}
    (root / "all.json").write_text(json.dumps(content))
    return kzoo.data.load(root / "all.json", masks=True)


@pytest.fixture
def decoded(monkeypatch) -> list:
    """The files that are decoded from now on."""
    paths, read = [], dataset.read_image
    monkeypatch.setattr(
        dataset, "read_image", lambda path, *bits: paths.append(str(path)) or read(path, *bits)
    )
    return paths


def assert_equal(one: Sample, other: Sample) -> None:
    for name in ("image", "boxes", "labels", "masks", "difficult", "crowd", "id"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("kind", ["memory", "disk", "disk:FOLDER"])
def test_same_samples_decoded_once(photographs, decoded, tmp_path, kind):
    plain = [photographs[i] for i in range(5)]
    decoded.clear()
    kept = cached(photographs, kind.replace("FOLDER", str(tmp_path / "here")))
    assert len(kept) == 5 and kept.classes == photographs.classes
    for _ in range(3):
        for i, sample in enumerate(plain):
            assert_equal(kept[i], sample)
    assert len(decoded) == len(set(decoded)) == 5
    files = sorted(tmp_path.rglob("*.npy"))
    assert len(files) == (0 if kind == "memory" else 5)
    if kind == "disk":
        assert all(default_folder() in file.parents for file in files)
        assert default_folder() == tmp_path / "keras" / "kzoo" / "images"
    assert cached(photographs, None) is photographs


def test_batches_are_the_same_and_each_image_is_decoded_once(photographs, decoded):
    def run(**options):
        made = batches(photographs, 48, 2, ["affine", "color"], seed=3, repeat=True, **options)
        stream = iter(made)
        taken = [next(stream) for _ in range(9)]
        stream.close()
        return taken

    plain = run()
    for options in ({"cache": "memory"}, {"cache": "disk"}, {"cache": "memory", "workers": 2}):
        decoded.clear()
        for (images, targets), (others, theirs) in zip(plain, run(**options), strict=True):
            np.testing.assert_array_equal(images, others)
            np.testing.assert_array_equal(targets["boxes"], theirs["boxes"])
        # Two threads may both decode an image that neither has.
        assert len(decoded) <= (10 if options.get("workers") else 5)


def test_disk_is_found_again_by_a_later_run(photographs, decoded):
    plain = [cached(photographs, "disk")[i] for i in range(5)]
    decoded.clear()
    again = cached(kzoo.data.load(photographs.root, masks=True), "disk")
    for i, sample in enumerate(plain):
        assert_equal(again[i], sample)
    assert not decoded


def test_a_changed_file_is_decoded_anew(photographs, decoded):
    kept = cached(photographs, "disk")
    before = kept[0].image
    path = photographs.record(0).path
    path.write_bytes(encode_png(255 - before))
    os.utime(path, ns=(1, 1))
    np.testing.assert_array_equal(kept[0].image, 255 - before)
    assert len(decoded) == 2


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"no array at all"])
def test_a_damaged_file_is_written_anew(photographs, tmp_path, damage):
    kept = cached(photographs, f"disk:{tmp_path / 'c'}")
    sample = kept[1]
    [file] = (tmp_path / "c").rglob("*.npy")
    whole = file.read_bytes()
    for content in (damage, whole[:-100]):
        file.write_bytes(content)
        assert_equal(kept[1], sample)
        assert file.read_bytes() == whole
    assert [path.name for path in file.parent.iterdir()] == [file.name], "nothing temporary is left"


def test_how_much_it_takes_is_said(photographs, caplog):
    with caplog.at_level(logging.INFO, "kzoo"):
        cached(photographs, "memory")
    assert "5 decoded images will take" in caplog.text and "MiB of memory" in caplog.text


def test_more_than_is_free_is_refused(photographs, monkeypatch, tmp_path):
    # Of 30 to 34 rows of 40: three bytes a pixel, and one more for the mask.
    needed = sum(40 * (30 + i) * 4 for i in range(5))
    monkeypatch.setattr(cache, "available_memory", lambda: needed)
    cached(photographs, "memory")
    with pytest.raises(
        ValueError, match=r"5 decoded images take 0 MiB and memory has 0 MiB free; .*cache='disk'"
    ):
        cached(photographs, "memory", copies=2)
    with pytest.raises(ValueError, match="memory has"):
        batches(photographs, 32, 2, workers=2, worker_kind="process", cache="memory")
    batches(photographs, 32, 2, workers=2, cache="memory")
    monkeypatch.setattr(cache, "available_memory", lambda: needed - 1)
    with pytest.raises(ValueError, match="memory has"):
        cached(photographs, "memory")
    monkeypatch.setattr(cache, "available_memory", lambda: None)
    cached(photographs, "memory")

    free = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(ValueError, match=r"take 0 MiB and .*here has 0 MiB free; .*disk:FOLDER"):
        cached(photographs, f"disk:{tmp_path / 'here'}")


def test_what_is_on_disk_already_needs_no_room(photographs, monkeypatch, tmp_path):
    kept = cached(photographs, "disk")
    for i in range(5):
        kept[i]
    free = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    assert len(cached(photographs, "disk")) == 5


def test_available_memory():
    free = cache.available_memory()
    assert free is None or 2**20 < free < 2**50


class Noise:
    """A user's own dataset: it has no files."""

    classes = ("a",)

    def __init__(self):
        self.reads = 0

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Sample:
        self.reads += 1
        return Sample(np.full((8, 9, 3), index, np.uint8), [[0, 0, 4, 4]], [0], id=index)


def test_datasets_of_one_s_own():
    own = Noise()
    kept = cached(own, "memory")
    reads = own.reads  # One, to see how large an image is.
    for _ in range(2):
        assert [kept[i].image[0, 0, 0] for i in range(3)] == [0, 1, 2]
    assert own.reads - reads == 3
    with pytest.raises(ValueError, match=r"Noise: cache='disk' wants .*cache='memory'"):
        cached(own, "disk")


def test_a_missing_file_cannot_be_kept_on_disk(photographs, tmp_path):
    photographs.record(2).path.unlink()
    with pytest.raises(ValueError, match=r"2\.png: no such image file, and cache='disk' wants one"):
        cached(photographs, f"disk:{tmp_path}")


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_datasets_without_files(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    noise = np.random.default_rng(0).integers(0, 256, (3, 32, 40, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", noise)
    np.save(tmp_path / "masks.npy", np.ones((3, 32, 40), np.uint8))
    for plain in (
        kzoo.data.load("shapes:3:48"),
        kzoo.data.load("shapes:3:48", "val"),
        kzoo.data.load("shapes:3:64", masks=True),
        kzoo.data.load("shapes:3:48", task="segment"),
        kzoo.data.load(tmp_path),
    ):
        for _ in range(2):
            kept = cached(plain, kind)
            for index in range(len(plain)):
                assert_equal(kept[index], plain[index])
                if plain.semantic:
                    np.testing.assert_array_equal(kept[index].mask, plain[index].mask)


@pytest.mark.parametrize("wrong", ["ram", "memory:8", "", "dsk:/x"])
def test_unknown_caches(wrong):
    with pytest.raises(ValueError, match="unknown cache"):
        batches(Noise(), 32, 2, cache=wrong)


def test_an_unreadable_image_stops_with_its_name(photographs):
    photographs.record(3).path.write_bytes(b"")
    for kind in ("memory", "disk"):
        with pytest.raises(ValueError, match=r"3\.png: an empty file"):
            list(batches(photographs, 32, 5, cache=kind))


def recent_of(count: int, size: int = 10, **options) -> tuple[Recent, list]:
    reads = []

    def read(index: int) -> Sample:
        reads.append(index)
        return Sample(np.zeros((size, 1, 3), np.uint8), id=index)

    recent = Recent(count, **options)
    return (lambda index, place: recent.get(index, place, read)), reads


def test_recent_keeps_those_shown_last():
    get, reads = recent_of(3)
    for place, index in enumerate([0, 1, 2, 0, 3]):
        assert get(index, place).id == index
    assert reads == [0, 1, 2, 3]
    for index in (0, 2, 3):
        get(index, 0)
    assert reads == [0, 1, 2, 3], "1 was shown longest ago"
    # One of long ago is read, and not kept in the place of newer ones.
    get(1, 1), get(0, 5), get(2, 5), get(3, 5)
    assert reads == [0, 1, 2, 3, 1]


def test_recent_is_bounded_in_bytes():
    get, reads = recent_of(100, size=10, most_bytes=70)
    for place in range(10):
        get(place, place)
    get(9, 10), get(8, 10)
    assert len(reads) == 10
    get(7, 10)
    assert len(reads) == 11
    get, reads = recent_of(100, size=1000, most_bytes=70)
    assert get(1, 0).id == get(1, 1).id == 1 and len(reads) == 2, "one that is too large is read, not kept"


def test_kept_pixels_cannot_be_written():
    get, _ = recent_of(3)
    with pytest.raises(ValueError, match="read-only"):
        get(0, 0).image[:] = 1
    with pytest.raises(ValueError, match="read-only"):
        cached(Noise(), "memory")[0].image[:] = 1


def test_recent_among_threads():
    get, _ = recent_of(20)
    wrong = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for place in range(2000):
            index = int(rng.integers(60))
            if get(index, place).id != index:
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
