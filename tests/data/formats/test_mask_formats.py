"""Semantic masks come back from every format as they were written."""

import json
import pickle
import struct
import tempfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_files import SIZE, numbers, squares, write_image, write_instances, write_pair, write_palette
from PIL import Image
from pycocotools import mask as coco_mask

import kzoo.data
import kzoo.data.formats.masks.instances
from kzoo.data.formats.masks.instances import Instances
from kzoo.data.formats.masks.legend import read_legend
from kzoo.data.formats.masks.levels import read_levels
from kzoo.data.formats.voc.masks import CLASSES
from kzoo.data.loading.batch import BatchMaker
from kzoo.data.loading.loader import batches

# Numbers in files.


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([1, 2, 4, 8]), st.integers(0, 10**6), st.booleans())
def test_a_palettes_indices_are_read_whatever_its_colours(bits, seed, transparent):
    rng = np.random.default_rng(seed)
    size = tuple(rng.integers(1, 40, 2))
    mask = rng.integers(0, 2**bits, size, dtype=np.uint8)
    # Few colours, so that many indices share one: from colours alone they could not be told.
    colours = rng.integers(0, 3, 3 * 2**bits) * 127
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.png"
        write_palette(path, mask, colours, bits, **({"transparency": 0} if transparent else {}))
        with Image.open(path) as stored:
            assert stored.mode == "P"
            reference = np.array(stored)
        found = read_levels(path)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, mask)
    np.testing.assert_array_equal(found, reference)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_of_grey_are_not_stretched(tmp_path, bits):
    mask = np.random.default_rng(0).integers(0, 2**bits, (9, 13), dtype=np.uint8)
    write_palette(tmp_path / "palette.png", mask, np.arange(3 * 2**bits), bits)
    raw = bytearray((tmp_path / "palette.png").read_bytes())
    # The same pixels as grey.
    raw[25] = 0
    raw[29:33] = struct.pack(">I", zlib.crc32(raw[12:29]))
    start = raw.index(b"PLTE") - 4
    length = struct.unpack(">I", raw[start : start + 4])[0]
    del raw[start : start + 12 + length]
    (tmp_path / "grey.png").write_bytes(raw)
    assert cv2.imread(str(tmp_path / "grey.png"), -1).max() == 255  # what OpenCV makes of it
    np.testing.assert_array_equal(read_levels(tmp_path / "grey.png"), mask)


def test_an_interlaced_or_filtered_palette_is_read(tmp_path):
    mask = numbers(3, range(20))
    grey = cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH])[1].tobytes()
    header = grey[16:25] + b"\x03" + grey[26:29]
    colours = bytes(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8))

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    path = tmp_path / "mask.png"
    path.write_bytes(grey[:8] + chunk(b"IHDR", header) + chunk(b"PLTE", colours) + grey[33:])
    with Image.open(path) as stored:
        assert stored.mode == "P"
    np.testing.assert_array_equal(read_levels(path), mask)


def test_other_files_give_their_grey_or_colours(tmp_path):
    mask, colours = numbers(0), np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    alpha = np.full((*mask.shape, 1), 9, np.uint8)
    Image.fromarray(mask).save(tmp_path / "a.bmp")
    Image.fromarray(mask).save(tmp_path / "a.tif")
    Image.fromarray(np.concatenate([mask[..., None], alpha], 2), "LA").save(tmp_path / "a.png")
    for name in ("a.bmp", "a.tif", "a.png"):
        found = read_levels(tmp_path / name)
        np.testing.assert_array_equal(found if found.ndim == 2 else found[..., 0], mask)
    Image.fromarray(colours).save(tmp_path / "c.png")
    np.testing.assert_array_equal(read_levels(tmp_path / "c.png"), colours)


# Folders.


@pytest.mark.parametrize("kind", ["grey", "palette"])
def test_folders(tmp_path, kind):
    masks = {name: numbers(seed) for seed, name in enumerate("abc")}
    for name, mask in masks.items():
        write_pair(tmp_path, name, mask, kind)
    (tmp_path / "classes.txt").write_text("ground\nroad\ncar\n")
    dataset = kzoo.data.load(tmp_path)
    assert dataset.semantic and dataset.format == "masks" and dataset.classes == ["ground", "road", "car"]
    assert kzoo.data.splits(tmp_path) == []
    for index, (name, mask) in enumerate(masks.items()):
        sample = dataset[index]
        assert sample.id == name and sample.mask.dtype == np.uint8 and len(sample.boxes) == 0
        np.testing.assert_array_equal(sample.mask, mask)
        np.testing.assert_array_equal(dataset.mask(index), mask)
        assert dataset.record(index).mask == tmp_path / "masks" / f"{name}.png"
        np.testing.assert_array_equal(sample.image, np.array(Image.open(tmp_path / "images" / f"{name}.png")))


def test_without_names_the_values_are_the_classes(tmp_path):
    write_pair(tmp_path, "a", numbers(0, (0, 1, 255)))
    write_pair(tmp_path, "b", numbers(1, (0, 3)))
    assert kzoo.data.load(tmp_path).classes == ["background", "class 1", "class 2", "class 3"]


def test_names_of_a_data_yaml(tmp_path):
    write_pair(tmp_path, "a", numbers(0))
    (tmp_path / "data.yaml").write_text("names: [ground, road, car]\n")
    assert kzoo.data.load(tmp_path).classes == ["ground", "road", "car"]
    (tmp_path / "labels").mkdir()
    assert kzoo.data.sniff(tmp_path, "segment") == "masks" and kzoo.data.sniff(tmp_path) == "yolo"


def test_zero_and_255_are_ground_and_foreground(tmp_path):
    masks = {"a": numbers(0, (0, 255)), "b": numbers(1, (0,))}
    for name, mask in masks.items():
        write_pair(tmp_path, name, mask, ending="_mask")
    for names, classes in (
        (None, ["background", "class 1"]),
        ("cell\n", ["background", "cell"]),
        ("x\ny\n", ["x", "y"]),
    ):
        if names:
            (tmp_path / "classes.txt").write_text(names)
        dataset = kzoo.data.load(tmp_path)
        assert dataset.classes == classes
        for index, mask in enumerate(masks.values()):
            np.testing.assert_array_equal(dataset[index].mask, mask // 255)


def test_with_a_1_anywhere_255_is_ignored(tmp_path):
    write_pair(tmp_path, "a", numbers(0, (0, 255)))
    write_pair(tmp_path, "b", numbers(0, (0, 1)))
    (tmp_path / "classes.txt").write_text("ground\ncell\n")
    np.testing.assert_array_equal(kzoo.data.load(tmp_path)[0].mask, numbers(0, (0, 255)))


@pytest.mark.parametrize(
    "file, text",
    [
        ("legend.txt", "road 128 64 128\nbus stop 70 70 70\ncar\t0 0 142\nvoid 1 2 3\n"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nroad:128,64,128::\nbus stop:70,70,70::\n"
                         "car:0,0,142::a,b\nignore:1,2,3::\n"),
        ("classes.txt", "128 64 128 road\n70 70 70 bus stop\n0 0 142 car\n1 2 3 ignored\n"),
    ],
)  # fmt: skip
def test_colours_of_a_legend(tmp_path, file, text):
    mask = numbers(0)
    write_pair(tmp_path, "a", mask, "colour")
    (tmp_path / file).write_text(text)
    dataset = kzoo.data.load(tmp_path)
    assert dataset.classes == ["road", "bus stop", "car"]
    np.testing.assert_array_equal(dataset[0].mask, mask)


def test_a_legend_does_not_touch_the_indices_of_a_palette(tmp_path):
    mask = numbers(0)
    write_pair(tmp_path, "a", mask, "palette")
    (tmp_path / "legend.txt").write_text("road 128 64 128\nbus 70 70 70\ncar 0 0 142\n")
    np.testing.assert_array_equal(kzoo.data.load(tmp_path)[0].mask, mask)


def test_a_legend_of_greys_is_for_grey_files(tmp_path):
    mask = numbers(0, (0, 1))
    write_pair(tmp_path, "a", mask * 200)
    (tmp_path / "legend.txt").write_text("ground 0 0 0\ncell 200 200 200\n")
    np.testing.assert_array_equal(kzoo.data.load(tmp_path)[0].mask, mask)


@pytest.mark.parametrize(
    "text, message",
    [
        ("road 1 2 3\ncar\n", "'car' has no colour"),
        ("road 1 2 3\ncar 1 2 3\n", "second class of this colour"),
        ("road 1 2 300\n", "beyond 255"),
    ],
)
def test_a_wrong_legend(tmp_path, text, message):
    (tmp_path / "legend.txt").write_text(text)
    with pytest.raises(ValueError, match=rf"legend\.txt: .*{message}"):
        read_legend(tmp_path / "legend.txt")


@pytest.mark.parametrize(
    "images, masks", [("images/{}", "masks/{}"), ("{}/images", "{}/masks"), ("{}/image", "{}/mask")]
)
def test_parts_in_folders(tmp_path, images, masks):
    for part, names in (("val", "c"), ("train", "ab")):
        for seed, name in enumerate(names):
            write_pair(tmp_path, name, numbers(seed), images=images.format(part), masks=masks.format(part))
    assert kzoo.data.splits(tmp_path) == ["train", "val"]
    assert [len(kzoo.data.load(tmp_path, part)) for part in ("train", "val", None)] == [2, 1, 3]
    # The classes of a part are those of the whole.
    write_pair(tmp_path, "d", numbers(0, (0, 6)), images=images.format("val"), masks=masks.format("val"))
    assert len(kzoo.data.load(tmp_path, "train").classes) == 7


@pytest.mark.parametrize("how", ["train.txt", "splits/train.txt", "splits.json"])
def test_parts_in_lists(tmp_path, how):
    for seed, name in enumerate(("a", "b", "c.1")):
        write_pair(tmp_path, name, numbers(seed))
    file = tmp_path / how
    file.parent.mkdir(exist_ok=True)
    names = ["images/c.1.png", "a"]
    file.write_text(json.dumps({"train": names}) if how.endswith("json") else "\n".join(names))
    assert kzoo.data.splits(tmp_path) == ["train"]
    assert [sample.id for sample in kzoo.data.load(tmp_path, "train")] == ["c.1", "a"]
    assert len(kzoo.data.load(tmp_path)) == 3


def test_masks_have_no_boxes_to_detect(tmp_path):
    write_pair(tmp_path, "a", numbers(0))
    with pytest.raises(ValueError, match="no boxes; open it with task='segment'"):
        kzoo.data.load(tmp_path, task="detect")
    with pytest.raises(ValueError, match="task 'classify'; give detect, segment, instance or drive"):
        kzoo.data.load(tmp_path, task="classify")


# A folder an image.


def test_a_folder_an_image(tmp_path):
    for name in ("x", "y"):
        write_instances(tmp_path, name, squares())
    (tmp_path / "splits.json").write_text('{"val": ["y"], "train": ["x"]}')
    dataset = kzoo.data.load(tmp_path, "train", masks=True)
    sample = dataset[0]
    assert dataset.classes == ["background", "object"] and sample.id == "x"
    np.testing.assert_array_equal(sample.mask, squares().any(axis=0))
    np.testing.assert_array_equal(sample.masks, squares())
    np.testing.assert_array_equal(sample.boxes, [[3, 2, 9, 10], [5, 8, 20, 15], [39, 20, 40, 24]])
    assert sample.labels.tolist() == [1, 1, 1]
    assert kzoo.data.load(tmp_path, "train")[0].masks is None
    boxes = kzoo.data.load(tmp_path, task="detect")
    assert not boxes.semantic and boxes.classes == ["object"] and boxes[1].labels.tolist() == [0, 0, 0]
    assert boxes[1].mask is None
    assert Instances(tmp_path, name="nucleus").classes == ["background", "nucleus"]
    (tmp_path / "classes.txt").write_text("ground\ncell\n")
    assert kzoo.data.load(tmp_path).classes == ["background", "cell"]


def test_a_folder_an_image_in_folders_of_parts(tmp_path):
    write_instances(tmp_path / "train", "x", squares())
    write_instances(tmp_path / "test", "y", squares())
    assert kzoo.data.splits(tmp_path) == ["train", "test"]
    assert [sample.id for sample in kzoo.data.load(tmp_path, "test")] == ["y"]
    assert len(kzoo.data.load(tmp_path)) == 2


def test_masks_of_an_image_are_decoded_once(tmp_path, monkeypatch):
    write_instances(tmp_path, "x", squares())
    dataset, read = kzoo.data.load(tmp_path), []
    real = kzoo.data.formats.masks.instances.read_levels
    monkeypatch.setattr(
        kzoo.data.formats.masks.instances, "read_levels", lambda path: read.append(path) or real(path)
    )
    first, again = dataset[0], dataset[0]
    assert len(read) == 3
    np.testing.assert_array_equal(first.mask, again.mask)


@pytest.mark.long
def test_nuclei_are_as_their_files(nuclei):
    split = json.loads((nuclei / "splits.json").read_text())
    parts = {part: kzoo.data.load(nuclei, part) for part in ("train", "val", "test")}
    assert {part: len(dataset) for part, dataset in parts.items()} == {"train": 100, "val": 20, "test": 20}
    whole = kzoo.data.load(nuclei)
    assert len(whole) == 140 and sum(len(whole.record(index)) for index in range(140)) == 4266
    for part, dataset in parts.items():
        assert [dataset.record(index).id for index in range(len(dataset))] == split[part]
    for index in (0, 60, 139):
        sample = whole[index]
        files = sorted((nuclei / sample.id / "masks").iterdir())
        masks = np.array([np.array(Image.open(file)) > 0 for file in files])
        np.testing.assert_array_equal(sample.mask, masks.any(axis=0))
        rgba = np.array(Image.open(nuclei / sample.id / "images" / f"{sample.id}.png"))
        np.testing.assert_array_equal(sample.image, rgba[..., :3])
        assert len(sample.boxes) == len(masks)


# Pascal VOC.


@pytest.fixture
def voc(tmp_path):
    masks = {"2007_1": numbers(0, (0, 15, 20, 255)), "2007_2": numbers(1, (0, 7))}
    palette = np.zeros((256, 3), np.uint8)  # VOC's own: the bits of a number, spread over the channels
    for number in range(256):
        for bit in range(8):
            for channel in range(3):
                palette[number, channel] |= (
                    number >> (3 * bit + channel) & 1 if 3 * bit + channel < 8 else 0
                ) << (7 - bit)
    for name, mask in masks.items():
        write_image(tmp_path / "JPEGImages" / f"{name}.jpg")
        write_palette(tmp_path / "SegmentationClass" / f"{name}.png", mask, palette.ravel())
    for part, names in (("train", "2007_1"), ("val", "2007_2"), ("trainval", "2007_1\n2007_2")):
        path = tmp_path / "ImageSets" / "Segmentation" / f"{part}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(names)
    return tmp_path, masks


def test_voc(voc):
    root, masks = voc
    dataset = kzoo.data.load(root, "train")  # no Annotations: for segmentation
    assert dataset.format == "voc" and dataset.semantic and dataset.classes == list(CLASSES)
    assert len(CLASSES) == 21 and CLASSES[15] == "person"
    np.testing.assert_array_equal(dataset[0].mask, masks["2007_1"])
    assert kzoo.data.splits(root) == ["train", "val", "trainval"] and len(kzoo.data.load(root)) == 2
    with pytest.raises(ValueError, match="no boxes; open it with task='segment'"):
        kzoo.data.load(root, task="detect")


def test_voc_with_boxes_is_for_detection_unless_asked(voc):
    root, _ = voc
    (root / "Annotations").mkdir()
    assert not kzoo.data.load(root).semantic
    assert kzoo.data.load(root, "val", task="segment").semantic
    assert kzoo.data.splits(root) == [] and len(kzoo.data.splits(root, "segment")) == 3


def test_voc_objects(voc):
    root, _ = voc
    mask = np.zeros(SIZE, np.uint8)
    mask[:10, :10], mask[10:15, 20:30], mask[9:11, 9:30] = 15, 7, 255
    objects = np.where(mask == 15, 1, np.where(mask == 7, 2, mask)).astype(np.uint8)
    write_palette(root / "SegmentationClass" / "2007_1.png", mask)
    write_palette(root / "SegmentationObject" / "2007_1.png", objects)
    sample = kzoo.data.load(root, "train", masks=True)[0]
    assert sample.labels.tolist() == [15, 7]
    np.testing.assert_array_equal(sample.masks, [mask == 15, mask == 7])
    assert sample.boxes.tolist() == [[0, 0, 10, 10], [20, 11, 30, 15]]
    np.testing.assert_array_equal(sample.mask, mask)


def test_voc_boxes_without_masks(bccd):
    with pytest.raises(ValueError, match=r"no SegmentationClass/ with masks; open it with task='detect'"):
        kzoo.data.load(bccd, task="segment")


# COCO and YOLO.


def test_coco_is_painted_as_pycocotools_does(tmp_path):
    height, width = SIZE
    rng = np.random.default_rng(0)
    write_image(tmp_path / "images" / "a.png")
    blob = cv2.GaussianBlur(rng.random(SIZE).astype(np.float32), (0, 0), 3) > 0.5
    counts = coco_mask.encode(np.asfortranarray(blob, np.uint8))
    rows = [
        {"category_id": 7, "segmentation": [[2.3, 3.1, 30.7, 4.9, 12.2, 20.5], [30.0, 15.0, 38.0, 15.0, 38.0, 22.0]]},
        {"category_id": 3, "segmentation": {"size": [height, width], "counts": counts["counts"].decode()}},
        {"category_id": 7, "segmentation": [[20.0, 2.0, 36.0, 2.0, 36.0, 12.0, 20.0, 12.0]]},
        {"category_id": 3, "iscrowd": 1,
         "segmentation": {"size": [height, width], "counts": [0, 50, height * width - 50]}},
    ]  # fmt: skip
    boxes = {"bbox": [1, 1, 20, 20], "image_id": 1}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": height, "width": width}],
        "annotations": [{"id": number, **boxes, **row} for number, row in enumerate(rows)],
        "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    expected = np.zeros(SIZE, np.uint8)
    for row in rows:
        shape = row["segmentation"]
        runs = (
            coco_mask.frPyObjects(shape, height, width)
            if not isinstance(shape, dict) or isinstance(shape["counts"], list)
            else shape
        )
        covered = coco_mask.decode(coco_mask.merge(runs) if isinstance(runs, list) else runs) > 0
        assert covered.any()
        expected[covered] = 255 if row.get("iscrowd") else {3: 1, 7: 2}[row["category_id"]]
    dataset = kzoo.data.load(tmp_path / "a.json", task="segment")
    assert dataset.classes == ["background", "cat", "dog"] and dataset.category_ids == [0, 3, 7]
    np.testing.assert_array_equal(dataset[0].mask, expected)
    assert set(np.unique(expected)) == {0, 1, 2, 255}
    assert dataset[0].labels.tolist() == [2, 1, 2, 1]
    plain = kzoo.data.load(tmp_path / "a.json")
    assert plain[0].mask is None and plain[0].labels.tolist() == [1, 0, 1, 0]


def test_yolo_polygons(tmp_path):
    write_image(tmp_path / "images" / "train" / "a.png")
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "labels" / "train" / "a.txt").write_text("1 .25 .25 .75 .25 .75 .75 .25 .75\n")
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: [cat, dog]\n")
    dataset = kzoo.data.load(tmp_path, "train", task="segment")
    assert dataset.classes == ["background", "cat", "dog"]
    expected = np.zeros(SIZE, np.uint8)
    expected[6:18, 10:30] = 2
    np.testing.assert_array_equal(dataset[0].mask, expected)
    with (tmp_path / "labels" / "train" / "a.txt").open("a") as file:
        file.write("0 .5 .5 .1 .1\n")
    with pytest.raises(ValueError, match=r"a\.txt:2: a box without an outline"):
        dataset[0]


# Arrays.


@pytest.mark.parametrize(
    "images, masks",
    [("images", "masks"), ("X", "Y"), ("x", "y"), ("train_images", "train_masks"), ("X_val", "Y_val")],
)
def test_arrays(tmp_path, images, masks):
    pixels = np.random.default_rng(0).integers(0, 256, (5, *SIZE, 3), dtype=np.uint8)
    stored = np.stack([numbers(seed) for seed in range(5)])
    np.save(tmp_path / f"{images}.npy", pixels)
    np.save(tmp_path / f"{masks}.npy", stored.astype(np.int64))
    split = {"train_images": "train", "X_val": "val"}.get(images)
    assert kzoo.data.splits(tmp_path) == ([split] if split else [])
    for path, part in ((tmp_path, split), (tmp_path / f"{images}.npy", None)):
        dataset = kzoo.data.load(path, part)
        assert dataset.format == "arrays" and dataset.semantic and len(dataset) == 5
        assert dataset.classes == ["background", "class 1", "class 2"] and dataset.size(0) == SIZE
        for index, sample in enumerate(dataset):
            np.testing.assert_array_equal(sample.image, pixels[index])
            np.testing.assert_array_equal(sample.mask, stored[index])
            assert sample.mask.dtype == np.uint8


def test_arrays_of_several_parts_and_shapes(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (2, *SIZE), dtype=np.uint8)
    for part, count in (("test", 1), ("train", 2)):
        (tmp_path / part).mkdir()
        np.save(tmp_path / part / "images.npy", grey[:count])
        np.save(tmp_path / part / "masks.npy", grey[:count, ..., None] > 99)
    assert kzoo.data.splits(tmp_path) == ["train", "test"]
    whole = kzoo.data.load(tmp_path)
    assert len(whole) == 3 and len({whole.record(index).id for index in range(3)}) == 3
    np.testing.assert_array_equal(whole[1].image, np.repeat(grey[1][..., None], 3, 2))
    np.testing.assert_array_equal(whole[2].mask, grey[0] > 99)
    np.testing.assert_array_equal(kzoo.data.load(tmp_path, "train")[1].mask, grey[1] > 99)


def test_arrays_of_0_and_255(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((1, *SIZE, 4), np.uint8))
    np.save(tmp_path / "masks.npy", numbers(0, (0, 255))[None])
    sample = kzoo.data.load(tmp_path)[0]
    assert sample.image.shape == (*SIZE, 3)
    np.testing.assert_array_equal(sample.mask, numbers(0, (0, 255)) // 255)


def test_arrays_are_not_sent_to_other_processes(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((50, *SIZE, 3), np.uint8))
    np.save(tmp_path / "masks.npy", np.ones((50, *SIZE), np.uint8))
    dataset = kzoo.data.load(tmp_path)
    dataset[0]
    sent = pickle.dumps(dataset)
    assert len(sent) < 5000
    np.testing.assert_array_equal(pickle.loads(sent)[49].mask, 1)


# All of them.


def test_batches_have_the_masks(tmp_path):
    for seed, name in enumerate("abcd"):
        write_pair(tmp_path, name, numbers(seed))
    dataset = kzoo.data.load(tmp_path)
    again = pickle.loads(pickle.dumps(dataset))
    loader = batches(dataset, SIZE, 2, shuffle=False)
    for step, (images, targets) in enumerate(loader):
        assert targets.keys() == {"mask"} and images.shape == (2, *SIZE, 3)
        for row in range(2):
            np.testing.assert_array_equal(targets["mask"][row], numbers(2 * step + row))
            np.testing.assert_array_equal(again[2 * step + row].mask, dataset[2 * step + row].mask)
    assert isinstance(loader.maker, BatchMaker)


def test_a_view_of_a_dataset_has_its_masks(tmp_path):
    for seed, name in enumerate("abc"):
        write_pair(tmp_path, name, numbers(seed))
    view = kzoo.data.Selection(kzoo.data.load(tmp_path), [2, 0])
    assert view.semantic
    np.testing.assert_array_equal(view[0].mask, numbers(2))
    np.testing.assert_array_equal(view.mask(-1), numbers(0))


def test_a_dataset_of_boxes_says_that_it_has_no_masks():
    with pytest.raises(ValueError, match="opened without semantic masks; open it with task='segment'"):
        kzoo.data.load("shapes:1:32").mask(0)
