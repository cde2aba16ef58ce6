"""Made-up images on which a detector makes every kind of error, and what tidecv says of them."""

import numpy as np
from detection_scenes import detected, truth

# Counts and gains in mAP50 (percent) of `messy_scene(np.random.default_rng(seed), classes)`, by tidecv 1.0.1 (the
# package of the authors of TIDE) with its limit of 100 detections an image out of reach: `TIDE().evaluate(...)`,
# `run.ap`, `run.count_errors()`, `get_all_errors()`. False positives and negatives have no count.
TIDECV = {
    (1, 3): (
        34.96538199,
        {
            "localisation": (62, 15.72666507),
            "classification": (39, 6.02663182),
            "both": (21, 1.21581651),
            "duplicate": (53, 2.12515776),
            "background": (38, 2.53585354),
            "missed": (45, 10.87774315),
            "false positives": (None, 25.76069062),
            "false negatives": (None, 21.47328287),
        },
    ),
    (2, 8): (
        23.24182803,
        {
            "localisation": (71, 15.24448064),
            "classification": (53, 8.57796733),
            "both": (47, 2.63403584),
            "duplicate": (42, 1.69164287),
            "background": (41, 2.167231),
            "missed": (60, 9.56867501),
            "false positives": (None, 26.01559772),
            "false negatives": (None, 23.41966876),
        },
    ),
    (3, 20): (
        29.82190984,
        {
            "localisation": (40, 9.24593017),
            "classification": (44, 7.79254419),
            "both": (44, 4.74993299),
            "duplicate": (34, 1.7196344),
            "background": (36, 2.49570994),
            "missed": (52, 12.8496109),
            "false positives": (None, 24.6335357),
            "false negatives": (None, 20.18802373),
        },
    ),
}


def messy_scene(rng, classes, images=40, most=9):
    """Pairs of truth and detections; of each object up to three guesses, more or less beside it, some of another class.

    Objects overlap one another, so that a wrong guess may be near two of them.
    """
    scene = []
    for index in range(images):
        count = int(rng.integers(0, most + 1))
        corner, size = rng.uniform(0, 150, (count, 2)), rng.uniform(20, 100, (count, 2))
        boxes = np.concatenate([corner, corner + size], 1).round(1)
        labels = rng.integers(0, classes, count)
        again = np.repeat(np.arange(count), rng.integers(0, 4, count))
        jitter = rng.normal(0, 1, (len(again), 4)) * rng.choice([0.02, 0.1, 0.3], (len(again), 1))
        guesses = (boxes[again] + jitter * np.tile(size[again], 2)).reshape(-1, 2, 2)
        stray = rng.uniform(0, 300, (int(rng.integers(0, 4)), 2, 2))
        guesses = np.sort(np.concatenate([guesses, stray]), axis=1).reshape(-1, 4)
        guessed = np.concatenate([labels[again], rng.integers(0, classes, len(stray))])
        wrong = rng.random(len(guessed)) < 0.3
        guessed[wrong] = rng.integers(0, classes, wrong.sum())
        scene.append(
            (truth(boxes, labels, id=f"scene {index}"), detected(guesses, rng.random(len(guesses)), guessed))
        )
    return scene
