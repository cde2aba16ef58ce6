"""Photographs of coloured ellipses with their masks, and a detector that sees each colour's pixels in its input."""

import cv2
import numpy as np

from kzoo.structures import Sample
from kzoo.structures.cells import crop_masks

COLORS = {"red": (250, 20, 20), "green": (20, 250, 20), "blue": (20, 20, 250)}
NAMES = list(COLORS)


class Ellipses:
    """Photographs of many shapes, each with up to three ellipses on grey, far apart.

    Args:
        count: how many.
        masks: whether samples have masks.
    """

    classes = NAMES

    def __init__(self, count=6, masks=True):
        self.count, self.masks = count, masks

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index >= self.count:
            raise IndexError(index)
        rng = np.random.default_rng(index)
        height, width = (int(side) for side in rng.integers(120, 300, 2))
        image, masks, labels = np.full((height, width, 3), 114, np.uint8), [], []
        rows, columns = np.mgrid[:height, :width] + 0.5
        for label, name in enumerate(NAMES):
            if rng.random() < 0.8 or index == 0:
                centre = rng.uniform(0.3, 0.7) * height, (label + 0.5) * width / 3
                radii = rng.uniform(0.1, 0.28) * height, rng.uniform(0.08, 0.15) * width
                mask = ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2 <= 1
                image[mask] = COLORS[name]
                masks.append(mask)
                labels.append(label)
        boxes = [box_of(mask) for mask in masks]
        masks = np.array(masks, bool).reshape(-1, height, width) if self.masks else None
        return Sample(image, boxes, labels, masks, id=f"picture_{index}")


def box_of(mask):
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return [x, y, x + width, y + height]


class SeesColours:
    """Finds the pixels of each colour in the network's input; K = 4 rows, the rest padding."""

    task, names, image_size, name = "instance", NAMES, (192, 256), "sees-colours"

    class head:
        """What a real model has there: how its masks are to be pasted."""

        masks_aligned, num_classes = True, 3

    def __init__(self, side=28, **attributes):
        self.side = side
        self.__dict__.update(attributes)

    def predict_on_batch(self, images):
        count = len(images)
        result = {
            "boxes": np.zeros((count, 4, 4), np.float32),
            "scores": np.zeros((count, 4), np.float32),
            "labels": np.full((count, 4), -1, np.int32),
            "masks": np.zeros((count, 4, self.side, self.side), np.float32),
        }
        for i, image in enumerate(images.astype(int)):
            for label, name in enumerate(NAMES):
                mask = np.abs(image - COLORS[name]).max(-1) < 90
                if mask.any():
                    box = np.array([box_of(mask)], np.float32)
                    result["boxes"][i, label] = box[0]
                    result["scores"][i, label] = 0.5 + 0.1 * label
                    result["labels"][i, label] = label
                    result["masks"][i, label] = crop_masks(mask[None], box, self.side)[0] / 255.0
        return result
