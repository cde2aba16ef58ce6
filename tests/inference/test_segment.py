"""Photographs in, the class of every pixel out, at the photograph's own size."""

import numpy as np
import pytest
from pycocotools import mask as coco_masks

from kzoo.inference.segment import segment
from kzoo.structures import Segmentation


class Reddish:
    """Tells red from not red, pixel by pixel; sees no neighbours."""

    image_size = (64, 64)
    names = ("background", "red")
    batch_size = None
    task = "segment"
    name = "reddish"
    multiple = 1

    def __init__(self):
        self.seen = []

    def predict_on_batch(self, images):
        self.seen.append(images)
        red = images[..., :1].astype(np.float32) / 255
        return {
            "mask": (red[..., 0] > 0.5).astype(np.int32),
            "probabilities": np.concatenate([1 - red, red], -1),
        }


def half(height, width):
    """Red on the left, green on the right."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0] = 255
    image[:, width // 2 :, 1] = 255
    return image


@pytest.mark.parametrize("method", ["resize", "window"])
@pytest.mark.parametrize("size", [(64, 64), (100, 200), (31, 17), (1, 1), (200, 40), (400, 300)])
def test_masks_come_back_at_the_photographs_size(method, size):
    found = segment(Reddish(), half(*size), method=method)
    assert found.mask.shape == size and found.mask.dtype == np.uint8
    assert found.probabilities.shape == (*size, 2)
    np.testing.assert_allclose(found.probabilities.sum(-1), 1, atol=1e-5)
    expected = half(*size)[..., 0] > 0
    # What is shrunk to 64 pixels and enlarged again is off by no more than a few columns at the border.
    assert (found.mask != expected).mean() <= (0.03 if method == "resize" and max(size) > 64 else 0)


def test_letterbox_margins_stay_outside():
    """The grey beside a wide picture is no part of the result."""
    white = np.full((20, 100, 3), 255, np.uint8)
    found = segment(Reddish(), white)
    assert found.mask.all() and found.probabilities[..., 1].min() > 0.99


def test_flips_are_undone_and_averaged():
    class Slanted(Reddish):
        def predict_on_batch(self, images):
            self.seen.append(images)
            ramp = np.broadcast_to(np.linspace(0, 1, 64)[:, None, None], (len(images), 64, 64, 1))
            return {"probabilities": np.concatenate([ramp, 1 - ramp], -1)}

    slanted = Slanted()
    found = segment(slanted, half(64, 64), flips=["vertical"])
    np.testing.assert_allclose(found.probabilities, 0.5, atol=1e-6)
    np.testing.assert_array_equal(slanted.seen[1], slanted.seen[0][:, ::-1])
    both = Reddish()
    segment(both, half(64, 64), flips=["horizontal", "vertical"])
    assert len(both.seen) == 4
    np.testing.assert_array_equal(both.seen[3], both.seen[0][:, ::-1, ::-1])


def test_lists_and_batches():
    images = [half(64, 64), half(30, 50), half(90, 10)]
    model = Reddish()
    found = segment(model, images, batch_size=2)
    assert [one.mask.shape for one in found] == [image.shape[:2] for image in images]
    assert [len(seen) for seen in model.seen] == [2, 1]
    few = Reddish()
    segment(few, half(200, 64), method="window", batch_size=16)
    assert [len(seen) for seen in few.seen] == [1] * len(few.seen), "no tiles are made up"
    fixed = Reddish()
    fixed.batch_size = 4
    assert len(segment(fixed, images)) == 3 and [len(seen) for seen in fixed.seen] == [4]
    assert segment(model, images[0], probabilities=False).probabilities is None


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"method": "tiles"}, "tiles.*resize or window"),
        ({"flips": ["left"]}, "left.*horizontal, vertical"),
        ({"flips": "horizontal"}, "give a list"),
        ({"overlap": -1}, "overlap=-1"),
        ({"method": "window", "overlap": 60}, "overlap=60.*give .* or less"),
        ({"resize": "squeeze"}, "squeeze"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        segment(Reddish(), half(64, 64), **arguments)
    assert "\n" not in str(caught.value)


def test_no_image_and_no_segmenter(tmp_path):
    with pytest.raises(ValueError, match="no image"):
        segment(Reddish(), np.zeros((4, 4), np.uint8))
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        segment(Reddish(), tmp_path / "none.png")
    finder = Reddish()
    finder.task = "detect"
    with pytest.raises(ValueError, match="finds no masks"):
        segment(finder, half(8, 8))


def result(**more):
    mask = np.zeros((20, 30), np.uint8)
    mask[2:8, 3:9] = 1
    mask[4:6, 5:7] = 0  # a hole
    mask[10:18, 20:28] = 2
    image = np.full((20, 30, 3), 90, np.uint8)
    return Segmentation(mask, image=image, names=("background", "cell", "plate"), **more)


def test_coco_polygons_fill_the_pixels():
    rows = result().to_coco(7, category_ids=[0, 11, 12])
    assert [row["category_id"] for row in rows] == [11, 12] and all(row["image_id"] == 7 for row in rows)
    assert rows[0]["bbox"] == [3, 2, 6, 6] and rows[0]["area"] == 32
    for row, label in zip(rows, (1, 2), strict=True):
        drawn = coco_masks.decode(coco_masks.frPyObjects(row["segmentation"], 20, 30))[..., 0]
        np.testing.assert_array_equal(drawn, result().mask == label)


def test_scores_of_regions():
    probabilities = np.zeros((20, 30, 3), np.float32)
    probabilities[..., 1] = 0.75
    assert result(probabilities=probabilities).to_coco()[0]["score"] == pytest.approx(0.75)


def test_words_and_plain_data():
    found = result()
    assert found.summary() == "plate 10.7 %, cell 5.3 %" and "plate" in repr(found)
    content = found.to_dict()
    assert [row["name"] for row in content["classes"]] == ["background", "cell", "plate"]
    assert sum(row["share"] for row in content["classes"]) == pytest.approx(1, abs=1e-5)
    assert len(content["regions"]) == 2 and "image_id" not in content["regions"][0]


def test_a_dataset_without_background():
    road = Segmentation(
        np.array([[0, 1]], np.uint8), names=("road", "sky"), image=np.zeros((1, 2, 3), np.uint8)
    )
    assert road.summary() == "sky 50.0 %, road 50.0 %" and len(road.to_coco()) == 2
    assert road.cutout()[..., 3].tolist() == [[255, 255]]


def test_pictures():
    found = result()
    plain = found.draw(legend=False, scale=1)
    assert plain.shape == found.image.shape
    np.testing.assert_array_equal(plain[0, 0], found.image[0, 0])
    assert (plain[3, 3] != found.image[3, 3]).any() and (plain[3, 3] != plain[12, 22]).any()
    assert found.draw(scale=1).shape[1] > 30, "the legend stands beside it"
    assert found._repr_png_().startswith(b"\x89PNG")
    found.image = None
    assert found._repr_png_() is None
    with pytest.raises(ValueError, match="carries no image"):
        found.draw()


def test_cutout_is_as_soft_as_the_probabilities():
    probabilities = np.zeros((20, 30, 3), np.float32)
    probabilities[..., 0], probabilities[..., 2] = 0.6, 0.4
    cut = result(probabilities=probabilities).cutout()
    assert cut.shape == (20, 30, 4) and (cut[..., 3] == 102).all()
    np.testing.assert_array_equal(cut[..., :3], result().image)
    assert (result().cutout([2])[..., 3] == 255 * (result().mask == 2)).all()
