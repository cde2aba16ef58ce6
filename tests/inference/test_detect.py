"""Photographs in, boxes in the photograph's own pixels out; and pictures that are none."""

import numpy as np
import pytest

from kzoo.augment import fit
from kzoo.inference.detect import detect


class Fixed:
    """A detector that finds the same box, in the pixels of its own input, on every image."""

    image_size = (64, 64)
    names = ("thing",)
    batch_size = None

    def __init__(self):
        self.seen = []

    def predict_on_batch(self, images):
        self.seen.append(images)
        count = len(images)
        return {
            "boxes": np.tile(np.array([[16.0, 24.0, 48.0, 40.0], [0, 0, 0, 0]]), (count, 1, 1)),
            "scores": np.tile(np.array([0.9, 0.0]), (count, 1)),
            "labels": np.tile(np.array([0, -1]), (count, 1)),
        }


@pytest.mark.parametrize("height, width, box", [(64, 64, (16, 24, 48, 40)), (100, 200, (50, 25, 150, 75))])
def test_boxes_come_back_in_the_photographs_pixels(height, width, box):
    found = detect(Fixed(), np.zeros((height, width, 3), np.uint8))
    np.testing.assert_allclose(found.boxes, [box], atol=0.5)
    assert found.image.shape == (height, width, 3) and found.summary() == "1 thing"


@pytest.mark.parametrize("shape", [(1, 1), (6000, 8000), (1, 500)])
def test_extreme_sizes(shape):
    found = detect(Fixed(), np.zeros((*shape, 3), np.uint8))
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, 2:] <= shape[::-1]).all()


def test_the_last_batch_is_filled_up():
    detector = Fixed()
    found = detect(detector, [np.zeros((32, 32, 3), np.uint8)] * 5, batch_size=4)
    assert len(found) == 5 and [len(batch) for batch in detector.seen] == [4, 4]


def test_photographs_are_resized_as_the_detector_wants_them_or_as_asked():
    photograph = np.random.default_rng(0).integers(0, 256, (50, 100, 3), dtype=np.uint8)
    for own, asked, shown in (
        (None, None, "letterbox"),
        ("darknet", None, "darknet"),
        ("darknet", "stretch", "stretch"),
        (None, "darknet", "darknet"),
    ):
        detector = Fixed()
        if own:
            detector.resize = own
        found = detect(detector, photograph, resize=asked)
        np.testing.assert_array_equal(detector.seen[0][0], fit(photograph, (64, 64), shown)[0])
        box = (25, 12.5, 75, 37.5) if shown == "letterbox" else (25, 18.75, 75, 31.25)
        np.testing.assert_allclose(found.boxes, [box], atol=1e-4)
    with pytest.raises(ValueError, match="resize='crop': give letterbox"):
        detect(Fixed(), photograph, resize="crop")


def test_the_threshold_is_honoured():
    assert len(detect(Fixed(), np.zeros((8, 8, 3), np.uint8), score_threshold=0.95)) == 0


@pytest.mark.parametrize(
    "image", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32), np.zeros((8, 8, 4), np.uint8)]
)
def test_an_array_that_is_no_image_is_named(image):
    with pytest.raises(ValueError, match=r"is no image; give \(H, W, 3\) uint8 RGB"):
        detect(Fixed(), image)


def test_a_text_file_named_jpg(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_text("this is no picture")
    with pytest.raises(ValueError, match=r"a\.jpg"):
        detect(Fixed(), path)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        detect(Fixed(), tmp_path / "nowhere.jpg")


def test_a_classifier_finds_no_boxes():
    classifier = Fixed()
    classifier.task, classifier.name = "classify", "darknet53"
    with pytest.raises(ValueError, match=r"darknet53.*classify"):
        detect(classifier, np.zeros((8, 8, 3), np.uint8))
