"""Datasets opened for instance masks: every format that has them gives the same, the others are refused."""

import json

import cv2
import numpy as np
import pytest
from mask_files import SIZE, numbers, squares, write_image, write_instances, write_pair
from PIL import Image

import kzoo
from kzoo.data.checks.check import check, require_sound
from kzoo.data.formats.convert import write
from kzoo.data.formats.shapes import make_splits
from kzoo.structures.cells import MASK_SIDE, crop_masks
from kzoo.structures.runs import compress_mask, encode_mask

BOXES = [[3, 2, 9, 10], [5, 8, 20, 15], [39, 20, 40, 24]]


def polygons(mask):
    """A rectangle's mask as COCO has it: [x1, y1, x2, y1, ...]."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def write_coco(root, segmentations, boxes=BOXES, **more):
    write_image(root / "images" / "a.png")
    annotations = [
        {"id": i + 1, "image_id": 1, "category_id": 7, "iscrowd": 0, "segmentation": outline, **more}
        for i, outline in enumerate(segmentations)
    ]
    for row, (x1, y1, x2, y2) in zip(annotations, boxes or [], strict=False):
        row.update(bbox=[x1, y1, x2 - x1, y2 - y1], area=(x2 - x1) * (y2 - y1))
    content = {
        "images": [{"id": 1, "file_name": "images/a.png", "height": SIZE[0], "width": SIZE[1]}],
        "categories": [{"id": 7, "name": "cell"}],
        "annotations": annotations,
    }
    (root / "coco.json").write_text(json.dumps(content))
    return root / "coco.json"


def as_coco(root):
    return write_coco(root, [polygons(mask) for mask in squares()])


def as_runs(root):
    masks = squares()
    return write_coco(root, [encode_mask(masks[0]), compress_mask(masks[1]), encode_mask(masks[2])])


def as_yolo(root):
    write_image(root / "images" / "a.png")
    (root / "labels").mkdir()
    (root / "data.yaml").write_text("train: images\nnames: [cell]\n")
    scale = np.array([SIZE[1], SIZE[0]])
    outlines = [np.array(polygons(mask)[0]).reshape(-1, 2) / scale for mask in squares()]
    lines = [" ".join(["0", *(f"{v:.8f}" for v in outline.ravel())]) for outline in outlines]
    (root / "labels" / "a.txt").write_text("\n".join(lines))
    return root


def as_folders(root):
    write_instances(root, "a", squares())
    return root


def as_voc(root):
    write_image(root / "JPEGImages" / "a.jpg")
    objects = np.zeros(SIZE, np.uint8)
    for number, mask in enumerate(squares(), 1):
        objects[mask] = number
    for folder, values in (("SegmentationObject", objects), ("SegmentationClass", np.where(objects, 15, 0))):
        (root / folder).mkdir()
        Image.fromarray(values.astype(np.uint8)).save(root / folder / "a.png")
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("a\n")
    return root


@pytest.mark.parametrize("made", [as_coco, as_runs, as_yolo, as_folders, as_voc])
def test_every_format_gives_the_objects(made, tmp_path):
    dataset = kzoo.data.load(made(tmp_path), task="instance")
    expected = squares()
    if made is as_voc:  # where a pixel is of one object alone
        expected[0] &= ~expected[1]
    sample = dataset[0]
    assert dataset.instances and not dataset.semantic
    order = np.lexsort(sample.boxes.T[::-1])
    np.testing.assert_array_equal(sample.masks[order], expected)
    np.testing.assert_allclose(sample.boxes[order], BOXES, atol=1e-4)
    name = {as_folders: "object", as_voc: "person"}.get(made, "cell")
    assert [dataset.classes[label] for label in sample.labels] == [name] * 3
    _, targets = next(iter(kzoo.data.batches(dataset, SIZE, 1, mask_side=4)))
    assert targets["masks"].shape == (1, 8, 4, 4) and targets["masks"].dtype == np.uint8
    cells = crop_masks(sample.masks, sample.boxes, 4)
    # Bounds of one level: resampling may move an edge by less than a thousandth of a pixel.
    np.testing.assert_allclose(targets["masks"][0, :3].astype(int), cells, atol=1)
    assert not targets["masks"][0, 3:].any() and (targets["labels"][0] >= 0).sum() == 3


@pytest.mark.parametrize("to", ["coco", "yolo", "voc"])
def test_shapes_keep_their_masks_through_files(to, tmp_path):
    write(make_splits(4, (64, 64), 0), tmp_path / to, to)
    drawn = kzoo.data.load("shapes:4:64", "train", task="instance")
    read = kzoo.data.load(tmp_path / to, "train", task="instance")
    for one, other in zip(drawn, read, strict=True):
        rows = [np.lexsort(sample.boxes.T) for sample in (one, other)]
        np.testing.assert_array_equal(one.boxes[rows[0]], np.rint(other.boxes[rows[1]]))
        different = one.masks[rows[0]] ^ other.masks[rows[1]]
        assert different.mean() < 0.002  # a polygon goes through the middles of edges


def test_the_side_of_the_cells_and_who_asks_for_them():
    dataset = kzoo.data.load("shapes:4:64", task="instance")
    _, targets = next(iter(kzoo.data.batches(dataset, 64, 2)))
    assert targets["masks"].shape == (2, 8, MASK_SIDE, MASK_SIDE)
    plain = kzoo.data.load("shapes:4:64", masks=True)
    assert set(next(iter(kzoo.data.batches(plain, 64, 2)))[1]) == {"boxes", "labels"}
    assert next(iter(kzoo.data.batches(plain, 64, 2, mask_side=9)))[1]["masks"].shape == (2, 8, 9, 9)
    for worker_kind in ("thread", "process"):
        batches = kzoo.data.batches(dataset, 64, 2, "mosaic", workers=1, worker_kind=worker_kind)
        np.testing.assert_array_equal(
            next(iter(batches))[1]["masks"],
            next(iter(kzoo.data.batches(dataset, 64, 2, "mosaic")))[1]["masks"],
        )
    for cache in ("memory", None):
        batches = kzoo.data.batches(dataset, 64, 2, cache=cache)
        assert next(iter(batches))[1]["masks"].shape[-1] == MASK_SIDE
    with pytest.raises(ValueError, match="mask_side is 0; give 1 to 512"):
        kzoo.data.batches(dataset, 64, 2, mask_side=0)
    with pytest.raises(ValueError, match="mask_side=9 is for instance masks"):
        kzoo.data.batches(kzoo.data.load("shapes:4:64", task="segment"), 64, 2, mask_side=9)
    with pytest.raises(
        ValueError, match="objects without masks, which mask_side=9 asks for; open the dataset with"
    ):
        next(iter(kzoo.data.batches(kzoo.data.load("shapes:4:64"), 64, 2, mask_side=9)))


def test_datasets_without_masks_are_refused(tmp_path, bccd):
    with pytest.raises(
        ValueError, match="no masks of objects in SegmentationObject/; open it with task='detect'"
    ):
        kzoo.data.load(bccd, task="instance")
    path = write_coco(tmp_path, [None, None, None])
    with pytest.raises(
        ValueError, match=r"coco.json: 3 boxes and no mask of an object; give one with outlines, or"
    ):
        kzoo.data.load(path, task="instance")
    write_pair(tmp_path / "semantic", "a", numbers(0))
    with pytest.raises(ValueError, match="semantic masks, which do not tell one object from the next"):
        kzoo.data.load(tmp_path / "semantic", task="instance")
    (tmp_path / "boxes.csv").write_text("images/a.png,3,2,9,10,cell\n")
    with pytest.raises(ValueError, match="boxes without outlines; open it with task='detect'"):
        kzoo.data.load(tmp_path / "boxes.csv", task="instance")


def faults(dataset, severity="error"):
    return [(fault.kind, fault.box) for fault in check(dataset).faults if fault.severity == severity]


def test_a_mask_without_its_box_and_a_box_without_its_mask(tmp_path):
    path = write_coco(tmp_path, [polygons(mask) for mask in squares()], boxes=None)
    np.testing.assert_array_equal(kzoo.data.load(path, task="instance")[0].boxes, BOXES)
    path = write_coco(tmp_path, [polygons(squares()[0]), None, polygons(squares()[2])])
    dataset = kzoo.data.load(path, task="instance")
    assert faults(dataset) == [("no-outline", 1)]
    with pytest.raises(ValueError, match="a box without an outline: which pixels are the object's"):
        require_sound(dataset)
    with pytest.raises(ValueError, match=r"coco.json.*a box without an outline.*--skip-faulty"):
        dataset[0]


def test_polygons_of_two_points(tmp_path):
    path = write_coco(tmp_path, [polygons(squares()[0]), [[1, 1, 5, 5]], polygons(squares()[2])])
    dataset = kzoo.data.load(path, task="instance")
    assert faults(dataset) == [("bad-outline", 1)]
    sound = require_sound(dataset, skip_faulty=True)
    assert sound.instances and sound[0].masks.shape == (2, *SIZE)


def test_a_mask_of_another_size(tmp_path):
    wrong = encode_mask(np.ones((10, 12), bool))
    dataset = kzoo.data.load(write_coco(tmp_path, [wrong]), task="instance")
    assert ("mask-size", 0) in faults(dataset)
    with pytest.raises(ValueError, match="a mask of 12 x 10 pixels on an image of 40 x 24"):
        dataset[0]


def test_outlines_that_cover_no_pixel_are_regions_to_ignore(tmp_path):
    speck = [[3.1, 2.1, 3.2, 2.1, 3.2, 2.2]]
    elsewhere = polygons(squares()[2])
    path = write_coco(
        tmp_path, [polygons(squares()[0]), speck, elsewhere], [BOXES[0], [3, 2, 4, 3], BOXES[1]]
    )
    dataset = kzoo.data.load(path, task="instance")
    assert faults(dataset) == [] and faults(dataset, "warning") == [
        ("empty-instance", 1),
        ("empty-instance", 2),
    ]
    _, targets = next(iter(kzoo.data.batches(dataset, SIZE, 1)))
    assert targets["labels"][0, :3].tolist() == [0, -1, -1]
    assert (targets["boxes"][0, :3, 2:] > targets["boxes"][0, :3, :2]).all()


def test_images_without_objects_and_crowds(tmp_path):
    write_instances(tmp_path, "a", squares())
    write_instances(tmp_path, "b", [])
    (tmp_path / "b" / "masks").mkdir()
    dataset = kzoo.data.load(tmp_path, task="instance")
    _, targets = next(iter(kzoo.data.batches(dataset, SIZE, 2, shuffle=False)))
    assert (targets["labels"] >= 0).sum(1).tolist() == [3, 0] and not targets["masks"][1].any()
    path = write_coco(tmp_path / "c", [polygons(squares()[1])], BOXES[1:2], iscrowd=1)
    crowd = kzoo.data.load(path, task="instance")
    _, targets = next(iter(kzoo.data.batches(crowd, SIZE, 1)))
    assert targets["labels"][0, 0] == -1 and targets["boxes"][0, 0].any()


@pytest.mark.long
def test_five_hundred_objects_cost_what_is_said():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 1, (500, 2)) * (1200, 700)
    outlines = [[np.array([[x, y], [x + 90, y + 9], [x + 40, y + 80]])] for x, y in corners]
    masks = kzoo.data.rle.draw_masks(outlines, (800, 1333))
    assert masks.nbytes == 500 * 800 * 1333
    boxes = np.concatenate([corners, corners + np.array([90, 80])], 1)
    assert crop_masks(masks, boxes).nbytes == 500 * MASK_SIDE**2
