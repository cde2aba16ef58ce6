"""Models whose answers are fixed, and pictures, for the tests of the service."""

import time

import cv2
import numpy as np


class Fixed:
    """A detector of 64 x 64 pixels that finds two things on every image; the second's score is the image's brightness.

    So each answer tells which picture it is of.
    """

    image_size, names, batch_size, task = (64, 64), ("cup", "dog"), None, "detect"

    def __init__(self, seconds=0.0):
        self.seconds, self.batches = seconds, []

    def predict_on_batch(self, images):
        time.sleep(self.seconds)
        self.batches.append(len(images))
        count = len(images)
        bright = np.asarray(images, np.float32).mean((1, 2, 3)) / 255
        return {
            "boxes": np.tile(
                np.float32([[16, 24, 48, 40], [3.3, 5.7, 20.1, 60.9], [0, 0, 0, 0]]), (count, 1, 1)
            ),
            "scores": np.stack([np.full(count, 0.9), bright, np.zeros(count)], 1).astype(np.float32),
            "labels": np.tile(np.array([0, 1, -1]), (count, 1)),
        }


class Masks(Fixed):
    """As `Fixed`, with a mask of each object: its left half."""

    task = "instance"

    def predict_on_batch(self, images):
        results = super().predict_on_batch(images)
        masks = np.zeros((len(images), 3, 8, 8), np.float32)
        masks[..., :4] = 1
        return {**results, "masks": masks}


class Halves:
    """A segmenter of 64 x 64 pixels: the left half is background, the right one a cell."""

    image_size, names, batch_size, task, resize, multiple = (
        (64, 64),
        ("background", "cell"),
        None,
        "segment",
        "stretch",
        1,
    )

    def predict_on_batch(self, images):
        cell = np.zeros((len(images), 64, 64), np.float32)
        cell[:, :, 32:] = 1
        probabilities = np.stack([1 - cell, cell], -1)
        return {"mask": cell.astype(np.uint8), "probabilities": probabilities}


class Classes:
    """A classifier of 32 x 32 pixels with fixed scores."""

    image_size, names, batch_size, task = (32, 32), ("ant", "bee", "cat"), None, "classify"

    def predict_on_batch(self, images):
        scores = np.tile(np.float32([0.2, 0.7, 0.1]), (len(images), 1))
        return {"scores": scores, "label": scores.argmax(1)}


def picture(height=90, width=120, grey=128, seed=None):
    """A picture (H, W, 3) uint8: grey, or noise."""
    if seed is None:
        return np.full((height, width, 3), grey, np.uint8)
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(image, suffix=".png"):
    """A picture as the bytes of a file."""
    ok, data = cv2.imencode(suffix, np.ascontiguousarray(image[..., ::-1]))
    assert ok
    return data.tobytes()
