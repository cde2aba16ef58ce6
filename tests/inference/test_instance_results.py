"""Masks in the photographs' own pixels: pasted, drawn, cut out and written, with a detector that sees colours."""

import json

import cv2
import numpy as np
import pytest
from colour_instances import NAMES, Ellipses, SeesColours
from pycocotools import mask as oracle
from typer.testing import CliRunner

from kzoo.augment.letterbox import RESIZES, fit, fit_placement
from kzoo.cli import predict as command
from kzoo.inference.detect import detect, to_detections
from kzoo.structures import Detections
from kzoo.structures.cells import paste_masks
from kzoo.structures.draw import automatic_scale
from kzoo.weights import opening


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("resize", RESIZES)
def test_masks_come_back_in_the_photographs_pixels(resize):
    for sample in Ellipses(3):
        result = detect(SeesColours(), sample.image, resize=resize)
        assert result.masks.shape == (len(sample.boxes), *sample.size) and result.masks.dtype == bool
        order = np.argsort(result.labels)
        for true, found in zip(sample.masks, result.masks[order], strict=True):
            assert overlap(true, found) > 0.9


def test_the_head_says_how_masks_are_pasted():
    sample = Ellipses()[0]
    exact, grown = SeesColours(), SeesColours(head=None)
    areas = [detect(one, sample.image).masks.sum() for one in (exact, grown)]
    assert areas[0] < areas[1] and areas[1] - areas[0] > 0.02 * sample.masks.sum()


def test_boxes_are_clipped_and_masks_stay_where_they_lie():
    """A box that reaches into the grey beside the picture: its cells cover what they covered."""
    placement = fit_placement((100, 200), (128, 128))  # 32 rows of grey above and below
    box = np.array([[16, 0, 112, 128]], np.float32)
    cells = np.zeros((1, 28, 28), np.float32)
    cells[:, 14:] = 1  # the lower half of the input
    result = {"boxes": box, "scores": np.array([0.9]), "labels": np.array([0]), "masks": cells}
    found = to_detections(result, placement, aligned=True)
    np.testing.assert_allclose(found.boxes, [[25, 0, 175, 100]])
    rows = np.flatnonzero(found.masks[0].any(1))
    assert rows.min() == 50 and rows.max() == 99 and found.masks[0][60, 25:175].all()
    low = to_detections({**result, "labels": np.array([-1])}, placement)
    assert low.masks.shape == (0, 100, 200)


def test_outermost_points_become_octagons():
    placement = fit(np.zeros((100, 200, 3), np.uint8), (100, 100), "stretch")[1]
    points = np.array([[[20, 20], [10, 50], [20, 80], [30, 50]]] * 2, np.float32)
    result = {
        "boxes": np.array([[10, 20, 30, 80], [0, 0, 0, 0]], np.float32),
        "scores": np.array([0.9, 0]),
        "labels": np.array([1, -1]),
        "extremes": points,
    }
    found = to_detections(result, placement)
    assert found.masks.shape == (1, 100, 200)
    assert found.masks[0, 20, 36:44].all() and not found.masks[0, 20, :34].any()  # 20 to 60 wide: 5 each way
    assert found.masks[0, 50, 20:60].all() and found.masks[0].sum() == found.masks[0, 20:80, 20:60].sum()
    assert found.draw(np.zeros((100, 200, 3), np.uint8)).any() and "mask" in found.to_dict()["objects"][0]


def test_results_as_plain_data_and_for_coco():
    sample = Ellipses()[0]
    result = detect(SeesColours(), sample.image)
    result.masks[0, 40:44, 10:12] = True  # a second region
    result.masks[1] &= ~np.pad(
        np.ones((4, 4), bool), ((100, sample.size[0] - 104), (80, sample.size[1] - 84))
    )
    json.dumps(result.to_dict())
    for row, mask in zip(result.to_dict()["objects"], result.masks, strict=True):
        np.testing.assert_array_equal(oracle.decode(row["mask"]), mask)
    for polygons in (False, True):
        rows = result.to_coco(7, [11, 12, 13], polygons)
        json.dumps(rows)
        for row, mask in zip(rows, result.masks, strict=True):
            outline = row["segmentation"]
            runs = oracle.merge(oracle.frPyObjects(outline, *sample.size)) if polygons else outline
            np.testing.assert_array_equal(oracle.decode(runs), mask)
            assert row["area"] == mask.sum() and row["category_id"] > 10
    assert result[1].masks.shape == (1, *sample.size)
    assert "masks" not in Detections([[0, 0, 1, 1]], [1], [0]).to_dict()["objects"][0]


def test_which_object_a_pixel_is_of():
    masks = np.zeros((3, 4, 6), bool)
    masks[0, 1:3, 1:3] = masks[1, 0:3, 2:5] = True
    result = Detections(np.zeros((3, 4)), [0.9, 0.8, 0.7], [0, 0, 0], masks)
    numbers = result.numbered_mask()
    assert numbers.dtype == np.uint8 and numbers[1, 2] == 1 and numbers[0, 2] == 2 and numbers.max() == 2
    many = Detections(np.zeros((300, 4)), np.ones(300), np.zeros(300), np.ones((300, 2, 2), bool))
    assert many.numbered_mask().dtype == np.uint16 and (many.numbered_mask() == 1).all()


def test_objects_are_cut_out():
    sample = Ellipses()[0]
    result = Detections(sample.boxes, np.ones(3), sample.labels, sample.masks, image=sample.image)
    for piece, mask, (x1, y1, x2, y2) in zip(
        result.cutouts(), sample.masks, sample.boxes.astype(int), strict=True
    ):
        assert piece.shape == (y2 - y1, x2 - x1, 4)
        np.testing.assert_array_equal(piece[..., 3] == 255, mask[y1:y2, x1:x2])
        np.testing.assert_array_equal(piece[..., :3], sample.image[y1:y2, x1:x2])
    nothing = Detections([[0, 0, 1, 1]], [1], [0], np.zeros((1, *sample.size), bool), image=sample.image)
    assert nothing.cutouts()[0].shape == (1, 1, 4) and not nothing.cutouts()[0][..., 3].any()


def test_what_masks_cannot_be():
    image = np.zeros((6, 8, 3), np.uint8)
    for masks in (
        np.zeros((1, 6, 9), bool),
        np.zeros((2, 6, 8), bool),
        np.zeros((1, 6, 8)),
        np.zeros((6, 8), bool),
    ):
        with pytest.raises(ValueError, match=r"Detections: masks of shape .* give \(1, 6, 8\) bool"):
            Detections([[0, 0, 1, 1]], [1], [0], masks, image=image)
    plain = Detections([[0, 0, 1, 1]], [1], [0], image=image)
    for call in (plain.numbered_mask, plain.cutouts):
        with pytest.raises(ValueError, match="these detections have no masks"):
            call()
    with pytest.raises(ValueError, match="carry no image"):
        Detections([[0, 0, 1, 1]], [1], [0], np.zeros((1, 6, 8), bool)).cutouts()
    with pytest.raises(ValueError, match=r"masks of \(6, 8\) pixels on an image of \(9, 9\)"):
        Detections([[0, 0, 1, 1]], [1], [0], np.zeros((1, 6, 8), bool)).draw(np.zeros((9, 9, 3), np.uint8))


def nearest(mask, size):
    """A mask at another size, each pixel the nearest one."""
    places = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(size, mask.shape, strict=True)
    )
    return mask[np.ix_(*places)]


@pytest.mark.parametrize("scale", [1, 0.5, None, 2.7])
def test_masks_are_drawn_as_veils_with_outlines(scale):
    sample = Ellipses()[0]
    result = Detections(np.zeros((3, 4)), np.ones(3), sample.labels, sample.masks, image=0 * sample.image)
    picture = result.draw(scale=scale)
    ratio = max(1, round(scale or automatic_scale(*sample.size)))
    bright = picture.max(-1)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    for mask in sample.masks:
        small = nearest(mask, bright.shape)
        core = cv2.erode(small.astype(np.uint8), np.ones((3, 3)), iterations=3 + ratio) > 0
        assert core.any() and (abs(bright[core].astype(int) - 0.45 * 240) < 3).all()  # a veil of 45 %
        edge = small & ~(cv2.erode(small.astype(np.uint8), cross) > 0)
        assert (bright[edge] > 200).mean() > 0.9  # the full colour; a name may lie on it
    everything = cv2.dilate(sample.masks.any(0).astype(np.uint8), np.ones((9, 9)))
    clear = nearest(everything, bright.shape) == 0
    clear[: 45 * ratio, : 120 * ratio] = False  # names of the boxes, which are empty, stand there
    assert not picture[clear].any()


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "street"
    place.mkdir()
    for index, sample in enumerate(Ellipses(2)):
        cv2.imwrite(str(place / f"{index}.png"), sample.image[..., ::-1])
    cv2.imwrite(str(place / "empty.png"), np.full((150, 150, 3), 114, np.uint8))
    return place


@pytest.mark.parametrize("aligned", [False, True])
def test_command_writes_masks_and_cutouts(folder, tmp_path, monkeypatch, aligned):
    head = type("Head", (), {"masks_aligned": aligned})
    monkeypatch.setattr(opening, "load", lambda *_, **__: SeesColours(head=head))
    out = tmp_path / "out"
    import typer

    app = typer.Typer()
    app.command()(command.predict)
    done = CliRunner().invoke(app, ["model", str(folder), "--out", str(out), "--masks", "--cutout", "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads((out / "predictions.json").read_text())["images"]
    for row in rows:
        stem, count = row["path"].rsplit("/", 1)[1][:-4], len(row["objects"])
        numbers = cv2.imread(str(out / "masks" / f"{stem}.png"), cv2.IMREAD_UNCHANGED)
        assert sorted(set(np.unique(numbers)) - {0}) == list(range(1, count + 1))
        files = sorted(path.name for path in (out / "cutouts").glob(f"{stem}_*.png"))
        assert files == [f"{stem}_{number:03}.png" for number in range(1, count + 1)]
        for number, one in enumerate(row["objects"], 1):
            mask = oracle.decode(one["mask"]) > 0
            piece = cv2.imread(str(out / "cutouts" / f"{stem}_{number:03}.png"), cv2.IMREAD_UNCHANGED)
            assert (piece[..., 3] > 0).sum() == mask.sum() and one["name"] in NAMES
    assert (out / "0.png").is_file() and len(rows) == 3


def test_a_mask_at_its_own_size_pasted_twice_is_the_same():
    cells = np.random.default_rng(0).random((2, 28, 28))
    boxes = np.array([[3, 4, 40, 50], [10, 10, 11, 11]])
    np.testing.assert_array_equal(
        paste_masks(cells, boxes, (60, 60)), paste_masks(cells, boxes, (90, 70))[:, :60, :60]
    )
