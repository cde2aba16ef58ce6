"""How well a small detector keeps identities on a drawn video, trained on frames of others, of other colours."""

import numpy as np
import pytest
from moving_shapes import drawn, paths

import kzoo
from kzoo.data.formats.shapes import CLASSES
from kzoo.metrics import TrackingEvaluator
from kzoo.structures import Sample

FRAMES, SIZE, OBJECTS = 200, (480, 640), 8
LEAST_SEEN = 0.2  # share of a box that later shapes leave free, from which it is to be found

pytest.importorskip("trackers")


class Frames:
    """Frames of drawn videos with twelve shapes, each from a video of its own.

    Args:
        count: how many.
        first: the first video's seed.
    """

    classes = CLASSES

    def __init__(self, count, first):
        self.count, self.first = count, first

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index >= self.count:
            raise IndexError(index)
        seed = self.first + index
        rng = np.random.default_rng(seed)
        boxes, numbers = list(paths(FRAMES, SIZE, 12, seed))[int(rng.integers(40, 190))]
        # The number tells the colour: these are no test video's.
        image, labels = drawn(boxes, numbers + 3 * seed, SIZE, rng.integers(20, 120, 3))
        seen = free(boxes) >= LEAST_SEEN
        return Sample(image, boxes[seen], labels[seen], id=f"frame_{seed}")


def free(boxes):
    """The share of each box (N, 4) that no later one covers."""
    owner, shares = np.zeros(SIZE, int), []
    whole = np.rint(boxes).astype(int).tolist()
    for number, (x1, y1, x2, y2) in enumerate(whole, 1):
        owner[y1:y2, x1:x2] = number
    for number, (x1, y1, x2, y2) in enumerate(whole, 1):
        shares.append((owner[y1:y2, x1:x2] == number).mean() if x2 > x1 and y2 > y1 else 0.0)
    return np.array(shares)


def trained(run):
    """A small detector, of 17 minutes of processor time."""
    return kzoo.train(
        "yolov8n",
        Frames(1280, 1000),
        val=Frames(40, 5000),
        image_size=(256, 320),
        width=0.5,
        epochs=20,
        batch_size=16,
        learning_rate=5e-3,
        augment=["flip", "flip_vertical"],
        seed=0,
        run=run,
    )


def figures_of(model, tracker, seed):
    """The figures of a tracker on a video of colours that the model has not seen."""
    truth, evaluator = list(paths(FRAMES, SIZE, OBJECTS, seed)), TrackingEvaluator()
    frames = (drawn(boxes, numbers, SIZE)[0] for boxes, numbers in truth)
    tracks = kzoo.track(model, frames, tracker=tracker, batch_size=8, rate=25)
    for (boxes, numbers), found in zip(truth, tracks, strict=True):
        evaluator.update(boxes, numbers, found.boxes[found.ids > 0], found.ids[found.ids > 0])
    return evaluator.result()


@pytest.mark.benchmark
def test_a_trained_detector_on_a_drawn_video(tmp_path):
    trained(tmp_path / "run")
    model = kzoo.load(tmp_path / "run" / "best.keras")
    for tracker in ("bytetrack", "sort"):
        found = [figures_of(model, tracker, seed) for seed in range(3)]
        means = {name: np.mean([getattr(one, name) for one in found]) for name in ("idf1", "hota", "mota")}
        print(f"\n{tracker}: {means}")
        print("\n".join(map(str, found)))
