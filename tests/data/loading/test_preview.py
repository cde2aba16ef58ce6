"""The contact sheet: a row a transform, the same for the same seed, with all that is known drawn."""

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import kzoo.data
from kzoo.augment import Affine, Compose, Flip
from kzoo.cli.data import app
from kzoo.data.loading.preview import describe, preview
from kzoo.structures import Sample
from kzoo.structures.draw import color


def run(*arguments):
    return CliRunner().invoke(app, ["preview", *map(str, arguments)], catch_exceptions=False)


class Halves:
    """Pictures that are dark on the left and light on the right, with an object on the left."""

    classes = ("dark",)

    def __init__(self, count: int = 5, masks: bool = False, side: int = 64):
        self.count, self.masks, self.side = count, masks, side

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        side = self.side
        image = np.zeros((side, side, 3), np.uint8)
        image[:, side // 2 :] = 250
        sample = Sample(image, [[4, side // 2, side // 2 - 4, side - 4]], [0], id=index)
        if self.masks:
            sample.masks = np.zeros((1, side, side), bool)
            sample.masks[0, side // 2 : side - 4, 4 : side // 2 - 4] = True
        return sample


def rows(sheet: np.ndarray, cell: int) -> list[np.ndarray]:
    """The strips of a sheet of square pictures, without their captions."""
    tall = 22 + cell + 2
    assert len(sheet) % tall == 0
    return [sheet[top + 22 : top + 22 + cell] for top in range(0, len(sheet), tall)]


def test_a_row_for_every_transform_between_the_originals_and_all_together():
    sheet = preview(Halves(), ["flip", "gray", "cutout"], image_size=64, images=3, width=300)
    assert sheet.shape == (5 * (22 + 102), 300, 3) and sheet.dtype == np.uint8
    originals, flipped, gray, _, together = rows(sheet, 100)
    assert originals[5, 10].max() == 0 and originals[5, 90].min() == 250
    for column in range(
        3
    ):  # although half of the samples are flipped in training, the row shows what it does
        assert flipped[5, column * 100 + 10].min() > 240 and flipped[5, column * 100 + 90].max() < 10
    assert (gray[5] == originals[5]).all() and together.shape == originals.shape


def test_one_transform_needs_no_row_for_all_and_none_but_one():
    assert len(rows(preview(Halves(), ["flip"], image_size=64, images=2, width=200), 100)) == 2
    assert len(rows(preview(Halves(), "none", image_size=64, images=2, width=200), 100)) == 1


def test_all_together_is_what_training_sees():
    dataset = Halves(side=100)
    sheet = preview(dataset, ["flip", "affine"], image_size=100, images=4, width=4 * 102, seed=3)
    maker = kzoo.data.batches(dataset, 100, 1, ["flip", "affine"], seed=3).maker
    picked = np.random.default_rng(3).permutation(5)[:4]
    strip = rows(sheet, 102)[-1]
    for column, index in enumerate(picked):
        sample = maker.sample(0, int(index), (100, 100))
        shown = cv2.resize(strip[:102, column * 102 : column * 102 + 100], (100, 100))
        # The drawn box and its name cover a few per cent.
        assert (np.abs(shown.astype(int) - sample.image).max(2) < 60).mean() > 0.8


def test_boxes_names_and_masks_are_drawn():
    paint = np.array(color(0))
    bare = preview(Halves(masks=False), "none", image_size=128, images=1, width=200)
    veiled = preview(Halves(masks=True), "none", image_size=128, images=1, width=200)
    assert (np.abs(bare.astype(int) - paint) < 40).all(2).sum() > 150, "a frame and a name on its ground"
    picture = rows(veiled, 200)[0]
    np.testing.assert_allclose(picture[170, 50], paint / 2, atol=12)  # half of it, on black
    assert rows(bare, 200)[0][170, 50].max() < 5
    assert (picture[20, 50] == rows(bare, 200)[0][20, 50]).all()


def test_semantic_masks_are_drawn_but_where_ignored():
    class Semantic(Halves):
        def __getitem__(self, index):
            image = np.zeros((64, 64, 3), np.uint8)
            mask = np.zeros((64, 64), np.uint8)
            mask[:, :20], mask[:, 40:] = 1, 255
            return Sample(image, mask=mask)

    picture = rows(preview(Semantic(), "none", image_size=64, images=1, width=66), 66)[0]
    np.testing.assert_allclose(picture[30, 10], np.array(color(1)) / 2, atol=3)
    assert picture[30, 30].max() < 3 and picture[30, 50].max() < 3


def test_fewer_images_than_asked_and_other_shapes():
    assert preview(Halves(2), "light", image_size=(64, 128), images=6, width=600).shape == (
        5 * (22 + 152),
        600,
        3,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": 0}, "preview: 0 images"),
        ({"width": 10}, "6 images at a width of 10"),
        ({"seed": -1}, "seed is -1"),
        ({"augment": ["nothing"]}, "unknown transform 'nothing'"),
        ({"resize": "crop"}, "resize='crop'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        preview(Halves(), **{"image_size": 64, **arguments})


def test_a_dataset_without_images_is_refused():
    with pytest.raises(ValueError, match="no images"):
        preview(Halves(0), "light", image_size=64)


def test_captions():
    def own(rng, sample):
        return sample

    assert describe(Flip(p=0.3)) == "flip: p 0.3" and describe(Flip(p=1.0)) == "flip"
    assert describe(Affine(rotate=10.0)) == "affine: rotate 10" and describe(own) == "own"
    assert describe(Compose()) == "Compose"


def test_the_same_seed_gives_the_same_file(tmp_path):
    def sheet(name, *more):
        out = tmp_path / name
        result = run(
            "shapes:8", "--augment", "yolov4", "--images", 3, "--image-size", 96, "--out", out, *more
        )
        assert result.exit_code == 0 and str(out) in result.output
        return out.read_bytes()

    first = sheet("a.png")
    assert first == sheet("b.png") and first != sheet("c.png", "--seed", 1)
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert picture.shape[1] == 1200 and picture.shape[0] % (22 + 402) == 0


def test_faulty_boxes_are_left_out(bccd, tmp_path):
    out = tmp_path / "sheet.jpg"
    names = "ssd_crop,perspective,grid_mask,jpeg"
    result = run(bccd, "--augment", names, "--images", 4, "--width", 400, "--image-size", 128, "--out", out)
    assert result.exit_code == 0
    assert cv2.imread(str(out)).shape == (6 * (22 + 102), 400, 3)


def test_a_picture_of_another_kind_is_refused_before_the_work(tmp_path):
    with pytest.raises(ValueError, match=r"sheet.tiff: cannot write this kind"):
        run("shapes:8", "--out", tmp_path / "sheet.tiff")
    with pytest.raises(ValueError, match="no split 'trian'"):
        run("shapes:8", "--split", "trian", "--out", tmp_path / "sheet.png")
