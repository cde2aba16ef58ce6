"""Masks of large photographs in tiles, mirror images and several sizes: each object once, and its mask whole."""

import json

import cv2
import numpy as np
import pytest
import typer
from colour_instances import box_of
from drawn_objects import GROUND, SeesObjects, drawn, ellipse, stroke
from pycocotools import mask as oracle
from typer.testing import CliRunner

from kzoo.cli import predict as command
from kzoo.inference.detect import detect
from kzoo.inference.fusing import averaged
from kzoo.inference.masks import Patch, agreement, common, laid, united
from kzoo.weights import opening


def check(found, masks, least=0.95):
    """Each object is there once, with its box and its mask."""
    assert len(found) == len(masks) and found.masks.shape == (len(masks), *found.image.shape[:2])
    assert (np.diff(found.scores) <= 0).all()
    left = dict(masks)
    for box, label, mask in zip(found.boxes, found.labels, found.masks, strict=True):
        number = max(left, key=lambda one: (left[one] & mask).sum() / (left[one] | mask).sum())
        true = left.pop(number)
        assert (true & mask).sum() / (true | mask).sum() > least, (number, box)
        assert number % 3 == label
        np.testing.assert_allclose(box, box_of(true), atol=0.01)


def spread(size, count, rng):
    """Ellipses, most of them no larger than what tiles share, and some that are."""
    masks, taken = {}, np.zeros(size, bool)
    while len(masks) < count:
        middle = [int(rng.integers(0, side)) for side in size[::-1]]
        radii = [int(radius) for radius in rng.integers(4, 12 if len(masks) % 4 else 60, 2)]
        mask = ellipse(size, middle, radii, int(rng.integers(180)))
        near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))) > 0
        if mask.sum() > 60 and not (near & taken).any():
            masks[len(masks)], taken = mask, taken | near
    return masks


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [(150, 200), (64, 64), (64, 300), (131, 65)])
def test_every_object_is_found_once_with_its_mask(size, seed):
    masks = spread(size, max(1, size[0] * size[1] // 3000), np.random.default_rng(seed))
    image, masks = drawn(size, masks)
    check(detect(SeesObjects(), image, method="window", overlap=24), masks)


@pytest.mark.parametrize(
    "points",
    [
        [(10, 20), (190, 130)],
        [(20, 10), (20, 140), (180, 140), (180, 10)],
        [(10, 75), (60, 20), (110, 130), (160, 20), (190, 140)],
    ],
)
def test_pieces_of_an_object_larger_than_tiles_become_one_mask(points):
    image, masks = drawn((150, 200), {4: stroke((150, 200), *points)})
    detector = SeesObjects()
    found = detect(detector, image, method="window", overlap=16)
    check(found, masks)
    assert found.masks[0].sum() > 1500
    # A whole one is taken as the tile has it that saw all of it.
    small = ellipse((150, 200), (70, 70), (7, 5))
    image, masks = drawn((150, 200), {4: small})
    check(detect(detector, image, method="window", overlap=24), masks)


def test_neighbours_whose_boxes_agree_stay_two_by_their_masks():
    """Two slanting strokes of one class: in what tiles share their boxes are nearly the same."""
    size = (160, 200)
    strokes = {
        0: stroke(size, (5, 5), (180, 140)),
        3: stroke(size, (25, 5), (195, 137)),
        6: stroke(size, (5, 25), (120, 112)),
    }
    image, masks = drawn(size, strokes)
    check(detect(SeesObjects(), image, method="window", overlap=16), masks)


@pytest.mark.parametrize("size, middle", [((40, 64), (30, 39)), ((64, 40), (39, 30))])
def test_what_the_border_of_a_small_photograph_cuts_is_there_without_its_mirror_image(size, middle):
    image, masks = drawn(size, {4: ellipse(size, middle, (9, 12))})
    check(detect(SeesObjects(), image, method="window"), masks)


def test_no_object_and_none_of_enough_score():
    image, _ = drawn((100, 100), {1: ellipse((100, 100), (50, 50), (20, 9))})
    for found in (
        detect(SeesObjects(), np.full((100, 100, 3), 60, np.uint8), method="window"),
        detect(SeesObjects(), image, method="window", score_threshold=0.9),
        detect(SeesObjects(), image, flips=["vertical"], score_threshold=0.9),
    ):
        assert len(found) == 0 and found.masks.shape == (0, 100, 100)


@pytest.mark.parametrize("flips", [["horizontal"], ["vertical"], ["horizontal", "vertical"]])
@pytest.mark.parametrize("method", ["resize", "window"])
def test_mirror_images_are_turned_back(flips, method):
    size, seen = (64, 64), []
    objects = {5: stroke(size, (6, 8), (6, 40), (30, 40)), 7: ellipse(size, (48, 20), (13, 5), 30)}
    image, masks = drawn(size, objects)
    detector = SeesObjects(seen=lambda images: seen.append(images.copy()))
    check(detect(detector, image, flips=flips, method=method), masks)
    assert len(seen) == 2 ** len(flips)
    for axis, flip in ((2, "horizontal"), (1, "vertical")):
        if flip in flips:
            assert any((np.flip(one, axis) == seen[0]).all() for one in seen[1:])


def test_mirror_images_average_what_is_off():
    # A box two pixels too far right and down, and its mask with it, is as far left and up in a mirror image.
    image, masks = drawn((64, 64), {2: ellipse((64, 64), (30, 32), (17, 11))})
    once = detect(SeesObjects(shift=2.0), image)
    assert (once.masks[0] & masks[2]).sum() / (once.masks[0] | masks[2]).sum() < 0.85
    check(detect(SeesObjects(shift=2.0), image, flips=["horizontal", "vertical"]), masks)


def test_sizes_are_averaged():
    objects = {2: ellipse((128, 96), (40, 70), (30, 22)), 4: ellipse((128, 96), (5, 5), (20, 20))}
    image, masks = drawn((128, 96), objects)
    seen = []
    found = detect(
        SeesObjects(seen=lambda images: seen.append(images.shape[1:3])), image, sizes=[128, (64, 128), 96]
    )
    assert seen == [(128, 128), (64, 128), (96, 96)] and len(found) == 2
    for label, number in ((1, 4), (2, 2)):
        (mask,) = found[found.labels == label].masks
        assert (mask & masks[number]).sum() / (mask | masks[number]).sum() > 0.9


def test_the_average_of_cells_by_hand():
    views = [
        {
            "boxes": np.array([[0, 0, 10, 10.0]]),
            "scores": np.array([score]),
            "labels": np.array([1]),
            "masks": masks,
        }
        for score, masks in ((0.9, np.full((1, 2, 2), 0.2)), (0.3, np.full((1, 2, 2), 1.0)))
    ]
    found = averaged(views)
    np.testing.assert_allclose(found["masks"], np.full((1, 2, 2), (0.9 * 0.2 + 0.3) / 1.2))
    nothing = [{name: value[:0] for name, value in view.items()} for view in views]
    assert averaged(nothing)["masks"].shape == (0, 2, 2)


class SeesPoints:
    """As ExtremeNet: the outermost points of all pixels brighter than the ground."""

    task, names, image_size, name, batch_size, multiple = "detect", ("a",), (64, 64), "sees-points", None, 1

    def predict_on_batch(self, images):
        boxes, points = (
            np.zeros((len(images), 3, 4), np.float32),
            np.zeros((len(images), 3, 4, 2), np.float32),
        )
        scores = np.zeros((len(images), 3), np.float32)
        for i, image in enumerate(images):
            mask = image[..., 0] > 200
            if mask.sum() > 5:
                x1, y1, x2, y2 = boxes[i, 0] = box_of(mask)
                rows, columns = np.nonzero(mask)
                scores[i, 0] = 0.8
                points[i, 0, 0] = columns[rows == y1].mean() + 0.5, y1
                points[i, 0, 1] = x1, rows[columns == x1].mean() + 0.5
                points[i, 0, 2] = columns[rows == y2 - 1].mean() + 0.5, y2
                points[i, 0, 3] = x2, rows[columns == x2 - 1].mean() + 0.5
        labels = np.where(scores > 0, 0, -1)
        return {"boxes": boxes, "scores": scores, "labels": labels, "extremes": points}


@pytest.mark.parametrize(
    "looks",
    [
        {"flips": ["horizontal", "vertical"]},
        {"method": "window"},
        {"method": "window", "flips": ["vertical"]},
    ],
)
def test_outermost_points_are_turned_back_and_joined_too(looks):
    # A triangle, whose octagon is another one in each mirror image that is not turned back.
    mask = np.zeros((64, 64), np.uint8)
    cv2.fillConvexPoly(mask, np.array([[8, 10], [50, 16], [20, 55]]), 1)
    image = np.full((64, 64, 3), GROUND, np.uint8)
    image[mask > 0] = 240
    once, more = detect(SeesPoints(), image), detect(SeesPoints(), image, **looks)
    np.testing.assert_allclose(more.boxes, once.boxes, atol=1e-4)
    assert once.masks.shape == (1, 64, 64) and (once.masks & (mask > 0)).sum() > 0.8 * mask.sum()
    assert (more.masks ^ once.masks).sum() <= 0.02 * once.masks.sum()


def test_patches_by_hand():
    one, other = Patch(2, 1, np.ones((2, 3), bool)), Patch(4, 2, np.eye(3, dtype=bool))
    assert common(one, other) == 1 and common(one, Patch(9, 9, np.ones((2, 2), bool))) == 0
    assert agreement(one, other, (0, 0, 9, 9)) == 1 / 8 and agreement(one, other, (4, 2, 5, 3)) == 1
    both = united([one, other])
    assert both.area == (2, 1, 7, 5) and both.count == 8
    np.testing.assert_array_equal(laid([both], (6, 8))[0], (laid([one], (6, 8)) | laid([other], (6, 8)))[0])


@pytest.mark.parametrize("looks", [("--method", "window", "--overlap", "24"), ("--flips", "horizontal")])
def test_command_writes_masks_of_tiles(tmp_path, monkeypatch, looks):
    size = (64, 64) if "--flips" in looks else (150, 200)
    objects = {3: stroke(size, (5, 10), (size[1] - 8, 55)), 7: ellipse(size, (15, 45), (9, 12))}
    image, masks = drawn(size, objects)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    monkeypatch.setattr(opening, "load", lambda *_, **__: SeesObjects())
    app, out = typer.Typer(), tmp_path / "out"
    app.command()(command.predict)
    asked = [
        "model",
        str(tmp_path / "a.png"),
        *looks,
        "--out",
        str(out),
        "--masks",
        "--cutout",
        "--json",
        "--txt",
    ]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    (row,) = json.loads((out / "predictions.json").read_text())["images"]
    numbers = cv2.imread(str(out / "masks" / "a.png"), cv2.IMREAD_UNCHANGED)
    assert len(row["objects"]) == len(objects) and numbers.shape == size
    for number, one in enumerate(row["objects"], 1):
        mask = oracle.decode(one["mask"]) > 0
        true = masks[{0: 3, 1: 7}[one["label"]]]
        assert (mask & true).sum() / (mask | true).sum() > 0.95
        assert (mask[numbers == number]).all() and (numbers == number).sum() > 0.9 * mask.sum()
        piece = cv2.imread(str(out / "cutouts" / f"a_{number:03}.png"), cv2.IMREAD_UNCHANGED)
        assert (piece[..., 3] > 0).sum() == mask.sum()
    assert len((out / "labels" / "a.txt").read_text().splitlines()) == len(objects)
