"""A dataset of noise, and transforms that use all of a batch's means, for tests of batches in any process."""

import cv2
import numpy as np

from kzoo.structures import Sample

# Mosaics and mixes look at partners, the others draw from their own numbers.
MANY = ["mosaic", "affine", "mixup", "cutmix", "random_erasing", "color"]


class Drawn:
    """Pictures of noise with boxes: what a user's own dataset may be."""

    classes = ("a", "b", "c")

    def __init__(self, count: int = 22, objects: int = 4, broken: int | None = None):
        self.count = count
        self.objects = objects
        self.broken = broken

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if index == self.broken:
            raise ValueError(f"img{index}.jpg: not an image; replace or remove the file")
        rng = np.random.default_rng(index)
        points = rng.uniform(0, (60, 40), (self.objects, 2, 2))
        boxes = np.concatenate([points.min(1), points.max(1) + 3], 1)
        image = cv2.resize(rng.integers(0, 256, (6, 9, 3), dtype=np.uint8), (64, 48))
        return Sample(image, boxes, rng.integers(0, 3, self.objects), id=f"img{index}")


class Recorded(Drawn):
    """The same with labels that are known without decoding."""

    def record(self, index: int) -> Sample:
        return self[index]


def equal(one, other) -> bool:
    """Whether two batches are the same, byte for byte."""
    return (
        one[0].tobytes() == other[0].tobytes()
        and one[1].keys() == other[1].keys()
        and all(one[1][name].tobytes() == other[1][name].tobytes() for name in one[1])
    )
