"""Made-up truth and detections for the tests of the metrics."""

from types import SimpleNamespace

import numpy as np

from kzoo.metrics import DetectionEvaluator
from kzoo.structures import Detections


def truth(boxes=(), labels=(), difficult=None, crowd=None, areas=None, id=0):
    """What the evaluator asks of a Sample or a Record."""
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    none = np.zeros(len(boxes), bool)
    return SimpleNamespace(
        boxes=boxes,
        labels=np.array(labels, np.int64),
        difficult=none if difficult is None else np.array(difficult, bool),
        crowd=none if crowd is None else np.array(crowd, bool),
        areas=areas,
        id=id,
    )


def detected(boxes=(), scores=(), labels=None):
    """Detections, of class 0 where no labels are given."""
    scores = np.array(scores, np.float32)
    return Detections(boxes, scores, np.zeros(len(scores)) if labels is None else labels)


def random_scene(rng, images=12, classes=3, difficult=0.0, crowd=0.0, most=7, extra=4, ties=False):
    """Pairs of truth and detections: objects of 4 to 160 pixels, jittered, relabelled, missed, doubled, invented."""
    scene = []
    for index in range(images):
        count = int(rng.integers(0, most + 1))
        corner, size = rng.uniform(0, 300, (count, 2)), rng.uniform(4, 160, (count, 2))
        boxes = np.concatenate([corner, corner + size], 1).round(1)
        labels = rng.integers(0, classes, count)
        again = rng.integers(0, max(count, 1), int(count * 1.4))
        jitter = rng.normal(0, 0.08, (len(again), 4)) * np.tile(size[again], 2)
        guesses = np.sort((boxes[again] + jitter).reshape(-1, 2, 2), axis=1).reshape(-1, 4)
        stray = np.sort(rng.uniform(0, 400, (int(rng.integers(0, extra + 1)), 2, 2)), axis=1).reshape(-1, 4)
        guesses = np.concatenate([guesses, stray])
        guessed = np.concatenate([labels[again], rng.integers(0, classes, len(stray))])
        wrong = rng.random(len(guessed)) < 0.1
        guessed[wrong] = rng.integers(0, classes, wrong.sum())
        scores = rng.random(len(guesses))
        scores = scores.round(1) if ties else scores
        flags = (rng.random(count) < difficult, rng.random(count) < crowd)
        scene.append((truth(boxes, labels, *flags, id=index), detected(guesses, scores, guessed)))
    return scene


def evaluate_scene(scene, classes=3):
    evaluator = DetectionEvaluator([f"class {label}" for label in range(classes)])
    for objects, detections in scene:
        evaluator.update(objects, detections)
    return evaluator.result()
