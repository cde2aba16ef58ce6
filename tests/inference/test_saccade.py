"""Second looks: what the first one is too coarse for is found where attention says that it is, each object once."""

import numpy as np
import pytest
from keras import ops

import kzoo
from kzoo.inference.detect import detect
from kzoo.inference.fusing import softened
from kzoo.inference.saccade import Place, _without_near, window
from kzoo.ops.nms import soft_nms


class Attentive:
    """A detector of 64 x 64 pixels that knows bright squares of 6 to 40 pixels, and attends to all that is bright.

    A square of red is of class 0, one of green of class 1. It finds what it sees without fault.
    """

    image_size, names, batch_size, task, resize = (64, 64), ("red", "green"), None, "detect", "letterbox"

    def __init__(self, attends=True):
        self.head, self.seen, self.attends = self, [], attends
        self.looks = 30

    def predict_on_batch(self, images):
        import cv2

        self.seen.append(images)
        found = {"boxes": np.zeros((len(images), 10, 4)), "scores": np.zeros((len(images), 10))}
        found |= {"labels": np.full((len(images), 10), -1), "looks": np.zeros((len(images), self.looks, 4))}
        for i, image in enumerate(images):
            row = 0
            for label in range(2):
                mask = (image[..., label] > 170).astype(np.uint8)
                _, _, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
                for x, y, w, h, _ in boxes[1:]:
                    zoom = 1.0 if max(w, h) > 24 else (2.0 if max(w, h) > 8 else 4.0)
                    if self.attends:
                        found["looks"][i, row] = x + w / 2, y + h / 2, zoom, 0.9
                    if 6 <= max(w, h) <= 40:
                        found["boxes"][i, row], found["labels"][i, row] = (x, y, x + w, y + h), label
                        found["scores"][i, row] = 0.8
                    row += 1
        return found


def scene(size, squares):
    image = np.full((*size, 3), 60, np.uint8)
    for x1, y1, x2, y2, label in squares:
        image[y1:y2, x1:x2, label] = 255
    return image


def test_small_objects_are_found_by_second_looks_alone():
    squares = [[20, 30, 32, 42, 0], [200, 40, 212, 54, 1], [100, 200, 114, 212, 0], [60, 90, 160, 180, 1]]
    photograph = scene((224, 256), squares)
    assert len(detect(Attentive(), photograph)) == 1
    detector = Attentive()
    found = detect(detector, photograph, method="saccade", batch_size=4, score_threshold=0.5)
    rows = sorted(
        [*map(float, box), int(label)] for box, label in zip(found.boxes, found.labels, strict=True)
    )
    np.testing.assert_allclose(rows, sorted(squares), atol=2)
    # Windows all have the input's size, and batches the number that was asked for.
    assert {images.shape for images in detector.seen} == {(4, 64, 64, 3)}


def test_boxes_are_looked_at_again_without_attention():
    detector = Attentive(attends=False)
    found = detect(
        detector,
        scene((256, 256), [[100, 104, 144, 144, 0]]),
        method="saccade",
        batch_size=1,
        score_threshold=0.5,
    )
    # Both views of the first look point there, 44 pixels that are to become 64: looked at once, and too large then.
    assert len(detector.seen) == 3 and len(found) == 1
    bright = detector.seen[2][0, ..., 0] > 170
    assert bright.any(0).sum() == pytest.approx(64, abs=1)


def test_pieces_at_the_edges_of_windows_are_left_out():
    # Around the small square the large one is cut, of which a piece is in the window.
    squares = [[96, 96, 108, 108, 0], [112, 60, 240, 220, 0]]
    found = detect(Attentive(), scene((256, 256), squares), method="saccade", batch_size=8)
    assert all(
        (box[2] - box[0]) in (pytest.approx(12, abs=2), pytest.approx(128, abs=5)) for box in found.boxes
    )


def test_a_window_has_what_lies_there():
    row, column = np.mgrid[:20, :30]
    image = np.stack([8 * row, 4 * column, 4 * row + 4 * column], -1).astype(np.uint8)
    np.testing.assert_array_equal(window(image, Place(15, 10, 1.0), (20, 30), (9, 9, 9)), image)
    twice = window(image, Place(15, 10, 2.0), (8, 12), (9, 9, 9))
    np.testing.assert_allclose(twice.reshape(4, 2, 6, 2, 3).mean((1, 3)), image[8:12, 12:18], atol=1)
    beside = window(image, Place(0, 0, 1.0), (4, 4), (1, 2, 3))
    assert (beside[:2] == (1, 2, 3)).all() and (beside[2:, 2:] == image[:2, :2]).all()
    quarter = window(np.full((64, 64, 3), 77, np.uint8), Place(32, 32, 0.25), (20, 20), (0, 0, 0))
    assert (quarter[2:18, 2:18] == 77).all() and not quarter[:2].any()


def test_near_places_are_looked_at_once():
    places = [Place(10, 10, 1, 0.5), Place(20, 20, 1.1, 0.9), Place(20, 20, 2, 0.4), Place(40, 20, 1, 0.3)]
    assert _without_near(places) == [places[1], places[2], places[3]]


def test_scores_fall_as_the_models_own_suppression_lets_them():
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 60, (80, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 40, (80, 2))], 1).astype(np.float32)
    scores, labels = rng.uniform(0.1, 1, 80).astype(np.float32), rng.integers(0, 2, 80)
    mine = softened({"boxes": boxes, "scores": scores, "labels": labels}, 0.7, 20)
    index, known, _ = soft_nms(boxes[None], scores[None], labels[None], max_detections=20, sigma=0.7)
    np.testing.assert_allclose(mine["boxes"], boxes[ops.convert_to_numpy(index)[0]])
    np.testing.assert_allclose(mine["scores"], ops.convert_to_numpy(known)[0], rtol=1e-5)


def test_the_head_says_where_to_look():
    head = kzoo.heads.SaccadeHead(2, stacks=1, looks=3)
    maps = {
        f"attention_{size}": np.full((1, cells, cells, 1), -9, np.float32)
        for size, cells in (("large", 4), ("medium", 8), ("small", 16))
    }
    maps["attention_small"][0, 3, 5], maps["attention_large"][0, 2, 1] = 2, 3
    maps["attention_medium"][0, 7, 0] = -1  # a probability of 0.27
    looks = ops.convert_to_numpy(head.places(maps))[0]
    np.testing.assert_allclose(looks[:, :3], [[24, 40, 1], [22, 14, 4], [0, 0, 0]])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "saccade", "flips": ["horizontal"]}, "flips"),
        ({"method": "saccade", "overlap": 4}, "overlap"),
    ],
)
def test_what_has_no_effect_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        detect(Attentive(), scene((64, 64), []), **options)


def test_other_detectors_are_refused():
    detector = Attentive()
    detector.head, detector.name = None, "yolo"
    with pytest.raises(ValueError, match="method='saccade': yolo does not say where"):
        detect(detector, scene((64, 64), []), method="saccade")


@pytest.mark.long
def test_a_model_looks_twice():
    small = {"image_size": 64, "width": 0.1, "depth": 0.2, "stacks": 1}
    # Untrained it attends to everything a little, and no tag is of any other.
    model = kzoo.build("cornernet-saccade", num_classes=2, **small, attention_threshold=0, tag_distance=1000)
    photograph = scene((90, 120), [[20, 30, 50, 60, 0]])
    found = model.detect(photograph, method="saccade", score_threshold=0, batch_size=2)
    assert not len(model.detect(photograph, method="saccade"))
    assert len(found) and (found.boxes[:, [0, 2]] <= 120).all() and (found.boxes >= 0).all()
