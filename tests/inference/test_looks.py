"""Large photographs in tiles, mirror images and several sizes: each object once, small ones too."""

import numpy as np
import pytest

import kzoo
from kzoo.inference.detect import detect
from kzoo.inference.fusing import averaged, is_cut, joined
from kzoo.inference.looks import Looks


class Bright:
    """A detector of 64 x 64 pixels that sees bright rectangles of 4 pixels or more, by their connected regions.

    A rectangle of red is of class 0, one of green of class 1. What it is given, it sees without fault, so that what is
    wrong is the joining's.
    """

    image_size, names, batch_size, task, multiple = (64, 64), ("red", "green"), None, "detect", 1

    def __init__(self, jitter=0.0):
        self.jitter, self.batches = jitter, []

    def predict_on_batch(self, images):
        import cv2

        self.batches.append(len(images))
        results = {"boxes": [], "scores": [], "labels": []}
        for image in images:
            rows = []
            for label in range(2):
                mask = (image[..., label] > 200).astype(np.uint8)
                _, _, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
                for x, y, width, height, _ in boxes[1:]:
                    if min(width, height) >= 4:
                        rows.append(
                            ((x, y, x + width, y + height), 0.5 + min(width * height, 2000) / 5000, label)
                        )
            rows = rows[:30] + [((0, 0, 0, 0), 0.0, -1)] * (30 - len(rows))
            rows.sort(key=lambda row: -row[1])
            for name, values in zip(results, zip(*rows, strict=True), strict=True):
                results[name].append(values)
        boxes = np.array(results["boxes"], np.float32) + self.jitter
        return {
            "boxes": boxes,
            "scores": np.float32(results["scores"]),
            "labels": np.array(results["labels"]),
        }


def scene(size, rectangles):
    """A photograph with rectangles (x1, y1, x2, y2, label)."""
    image = np.full((*size, 3), 60, np.uint8)
    for x1, y1, x2, y2, label in rectangles:
        image[y1:y2, x1:x2, label] = 255
    return image


def found_of(detections):
    """Rectangles as in `scene`, in order."""
    rows = zip(detections.boxes, detections.labels, strict=True)
    return sorted([*map(int, box.round()), int(label)] for box, label in rows)


def spread(size, count, sides, rng):
    """Rectangles that keep a distance of two pixels."""
    taken, found = np.zeros(size, bool), []
    while len(found) < count:
        width, height = rng.integers(*sides, 2)
        x, y = rng.integers(0, size[1] - width), rng.integers(0, size[0] - height)
        around = np.s_[max(0, y - 2) : y + height + 2, max(0, x - 2) : x + width + 2]
        if not taken[around].any():
            taken[around] = True
            found.append([int(v) for v in (x, y, x + width, y + height)] + [int(rng.integers(2))])
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [(150, 200), (64, 64), (40, 300), (65, 64)])
def test_every_object_is_found_once(size, seed):
    rng = np.random.default_rng(seed)
    rectangles = spread(size, size[0] * size[1] // 2000, (5, 24), rng)
    found = detect(Bright(), scene(size, rectangles), method="window", overlap=24)
    assert found_of(found) == sorted(rectangles)
    assert (np.diff(found.scores) <= 0).all() and found.image.shape == (*size, 3)


@pytest.mark.parametrize("box", [(10, 20, 180, 40), (30, 5, 50, 140), (5, 5, 195, 145), (60, 60, 130, 130)])
def test_an_object_larger_than_a_tile_is_joined(box):
    found = detect(Bright(), scene((150, 200), [(*box, 0)]), method="window", overlap=16)
    assert found_of(found) == [[*box, 0]]


def test_what_the_border_of_a_small_photograph_cuts_is_there_without_its_mirror_image():
    rectangles = [[5, 20, 25, 40, 0], [30, 4, 50, 16, 1], [6, 5, 16, 10, 0]]
    found = detect(Bright(), scene((40, 50), rectangles), method="window")
    assert found_of(found) == sorted(rectangles)


def test_neighbours_of_two_classes_stay_two():
    rectangles = [[10, 10, 110, 30, 0], [10, 33, 110, 53, 1], [10, 60, 110, 80, 0], [10, 84, 110, 104, 0]]
    found = detect(Bright(), scene((128, 128), rectangles), method="window", overlap=16)
    assert found_of(found) == sorted(rectangles)


def test_small_objects_of_a_large_photograph_that_one_pass_misses():
    rectangles = spread((500, 4000), 20, (8, 20), np.random.default_rng(0))
    image = scene((500, 4000), rectangles)
    assert len(detect(Bright(), image)) == 0
    detector = Bright()
    found = detect(detector, image, method="window", overlap=24, batch_size=64)
    assert found_of(found) == sorted(rectangles) and max(detector.batches) == 64


@pytest.mark.parametrize("flips", [["horizontal"], ["vertical"], ["horizontal", "vertical"]])
@pytest.mark.parametrize("method", ["resize", "window"])
def test_mirror_images_are_turned_back(flips, method):
    rectangles = [[5, 9, 30, 25, 0], [40, 30, 60, 60, 1]]
    found = detect(Bright(), scene((64, 64), rectangles), flips=flips, method=method)
    assert found_of(found) == sorted(rectangles)
    once = detect(Bright(), scene((64, 64), rectangles))
    np.testing.assert_allclose(found.scores, once.scores, atol=1e-6)


def test_mirror_images_average_what_is_off():
    # Boxes that are half a pixel too far right and down are as far left and up in a mirror image.
    image = scene((64, 64), [[10, 20, 40, 50, 0]])
    assert detect(Bright(jitter=1.0), image).boxes[0].tolist() == [11, 21, 41, 51]
    both = detect(Bright(jitter=1.0), image, flips=["horizontal", "vertical"])
    np.testing.assert_allclose(both.boxes, [[10, 20, 40, 50]], atol=1e-4)


def test_sizes(monkeypatch):
    seen = []

    class Sized(Bright):
        def check_size(self, size):
            if size[0] % 32:
                raise ValueError("must be multiples of 32")

        def predict_on_batch(self, images):
            seen.append(images.shape[1:3])
            return super().predict_on_batch(images)

    image = scene((64, 128), [[16, 16, 64, 48, 0]])
    found = detect(Sized(), image, sizes=[64, (128, 128)])
    assert seen == [(64, 64), (128, 128)]
    np.testing.assert_allclose(found.boxes, [[16, 16, 64, 48]], atol=2)
    with pytest.raises(ValueError, match="multiples of 32"):
        detect(Sized(), image, sizes=[50])


def test_a_list_of_photographs():
    images = [scene((100, 100), [[5, 5, 20, 20, 0]]), scene((64, 64), [[30, 30, 50, 50, 1]])]
    found = detect(Bright(), images, method="window")
    assert [found_of(one) for one in found] == [[[5, 5, 20, 20, 0]], [[30, 30, 50, 50, 1]]]


@pytest.mark.parametrize(
    "asked, said",
    [
        ({"method": "tiles"}, "method='tiles': give resize, window or saccade"),
        ({"overlap": 8}, "overlap=8: has an effect with method=window alone"),
        ({"method": "window", "sizes": [64]}, "sizes=.*has an effect with method=resize alone"),
        ({"flips": ["diagonal"]}, "flips="),
        ({"sizes": [96]}, r"sizes=\(96, 96\): Bright takes \(64, 64\) alone"),
        ({"method": "window", "overlap": 64}, "leaves too little of tiles"),
    ],
)
def test_what_has_no_effect_is_refused(asked, said):
    with pytest.raises(ValueError, match=said):
        detect(Bright(), scene((64, 64), []), **asked)


def test_roads_are_refused():
    detector = Bright()
    detector.task = "drive"
    for looks in ({"method": "window"}, {"flips": ["horizontal"]}, {"sizes": [64]}):
        with pytest.raises(ValueError, match="for the task 'drive', whose results are not joined"):
            detect(detector, scene((64, 64), []), **looks)


def boxes(*rows):
    """(x1, y1, x2, y2, score, label) of each, as a dictionary."""
    array = np.array(rows, float).reshape(-1, 6)
    return {"boxes": array[:, :4], "scores": array[:, 4], "labels": array[:, 5].astype(int)}


def test_the_average_of_views():
    one = boxes((0, 0, 10, 10, 0.9, 0), (50, 50, 60, 60, 0.6, 1))
    other = boxes((0, 0, 12, 10, 0.3, 0), (0, 0, 10, 10, 0.8, 1))
    found = averaged([one, other])
    # By hand: the first two by .9 and .3, (.9 * 10 + .3 * 12) / 1.2 = 10.5; the others are in one view of two.
    np.testing.assert_allclose(found["boxes"], [[0, 0, 10.5, 10], [0, 0, 10, 10], [50, 50, 60, 60]])
    np.testing.assert_allclose(found["scores"], [0.6, 0.4, 0.3])
    assert found["labels"].tolist() == [0, 1, 1]
    assert len(averaged([boxes(), boxes()])["boxes"]) == 0


def test_what_is_cut():
    area, size = np.array([50, 0, 100, 50.0]), (50, 200)
    cut = is_cut(
        np.array([[50, 5, 60, 10], [60, 0, 70, 10], [90, 5, 100, 10], [60, 40, 70, 50.0]]), area, size
    )
    assert cut.tolist() == [True, False, True, False]


def test_a_piece_that_does_not_agree_is_left_out():
    areas = np.array([[0, 0, 64, 64], [48, 0, 112, 64.0]])
    whole, piece = boxes((20, 10, 62, 50, 0.9, 0)), boxes((48, 12, 55, 30, 0.8, 0), (80, 10, 90, 20, 0.7, 0))
    found = joined([whole, piece], areas, (64, 112))
    np.testing.assert_array_equal(found["boxes"], [[20, 10, 62, 50], [80, 10, 90, 20]])
    assert len(joined([boxes(), boxes()], areas, (64, 112))["boxes"]) == 0


@pytest.mark.slow
def test_a_model_of_the_zoo_in_every_way():
    model = kzoo.load("cards")
    image = np.random.default_rng(0).integers(0, 256, (400, 500, 3), dtype=np.uint8)
    plain = model.detect(image, score_threshold=0.01)
    for looks in (
        {"method": "window"},
        {"flips": ["horizontal", "vertical"]},
        {"sizes": [256, 320]},
        {"sizes": [320], "flips": ["horizontal"]},
    ):
        assert not Looks(**looks).single
        found = model.detect(image, score_threshold=0.01, **looks)
        assert found.names == plain.names and (found.scores >= 0.01).all()
        assert (found.boxes >= 0).all() and (found.boxes <= [500, 400, 500, 400]).all()
    same = model.detect(image, score_threshold=0.01, sizes=[320])
    np.testing.assert_allclose(same.boxes, plain.boxes, atol=1e-3)
