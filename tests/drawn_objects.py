"""Photographs of objects each of a colour of its own, and an instance model that finds exactly what is drawn."""

import cv2
import numpy as np
from colour_instances import box_of

from kzoo.structures.cells import crop_masks

# Each object has a colour of its own: all are far from each other, from the ground, and from the grey beside pictures.
LEVELS = (0, 120, 240)
PALETTE = np.array([(r, g, b) for r in LEVELS for g in LEVELS for b in LEVELS if len({r, g, b}) > 1])
GROUND = (60, 60, 60)


class SeesObjects:
    """An instance model of 64 x 64 pixels that finds exactly what is drawn: all pixels of each colour of the palette.

    The class is the colour's number modulo 3. The score rises with what is seen of an object.
    """

    task, names, name, batch_size, multiple = "instance", ("a", "b", "c"), "sees-objects", None, 1

    class head:
        """What a real model has there: how its masks are to be pasted."""

        masks_aligned, num_classes = True, 3

    def __init__(self, image_size=(64, 64), side=56, shift=0.0, seen=lambda images: None):
        self.image_size, self.side, self.shift, self.seen = image_size, side, shift, seen

    def check_size(self, size):
        """All sizes do."""

    def predict_on_batch(self, images):
        self.seen(images)
        rows = [self.rows(image.astype(int)) for image in images]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def rows(self, image):
        count = len(PALETTE)
        found = {
            "boxes": np.zeros((count, 4), np.float32),
            "scores": np.zeros(count, np.float32),
            "labels": np.full(count, -1, np.int32),
            "masks": np.zeros((count, self.side, self.side), np.float32),
        }
        for number, colour in enumerate(PALETTE):
            mask = np.abs(image - colour).max(-1) < 30
            if mask.sum() >= 6:
                box = np.array([box_of(mask)], np.float32)
                found["boxes"][number] = box[0] + self.shift
                found["scores"][number] = 0.5 + min(mask.sum(), 4000) / 10000
                found["labels"][number] = number % 3
                found["masks"][number] = crop_masks(mask[None], box, self.side)[0] / 255
        return found


def drawn(size, masks):
    """A photograph of objects by their numbers, which give the colours; a later one hides the earlier."""
    image, owner = np.full((*size, 3), GROUND, np.uint8), np.full(size, -1)
    for number, mask in masks.items():
        image[mask], owner[mask] = PALETTE[number], number
    return image, {number: owner == number for number in masks}


def ellipse(size, middle, radii, angle=0):
    mask = cv2.ellipse(np.zeros(size, np.uint8), middle, radii, angle, 0, 360, 1, -1)
    return mask.astype(bool)


def stroke(size, *points, width=9):
    mask = cv2.polylines(np.zeros(size, np.uint8), [np.array(points)], False, 1, width)
    return mask.astype(bool)
