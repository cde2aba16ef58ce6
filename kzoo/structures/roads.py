"""What a driver sees of a road, as bits of one mask and as a result."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from kzoo.structures.detections import Detections
from kzoo.structures.labels import IGNORED
from kzoo.structures.runs import compress_mask

__all__ = ["DRIVABLE", "IGNORED", "LANE", "RoadScene"]

# Bits of a mask of roads; 255 is ignored, as in any semantic mask.
DRIVABLE, LANE = 1, 2
_GREEN, _RED = (40, 200, 90), (230, 30, 30)
_OPACITY = 0.4  # how much of its colour a drivable pixel takes; lines take all of theirs


@dataclass(repr=False)
class RoadScene(Detections):
    """Boxes, and which pixels are drivable and which are of lanes' lines, in the image's own pixels.

    Attributes:
        drivable: (H, W) bool.
        lanes: (H, W) bool.

    Example:
        >>> scene = model.detect("street.jpg")
        >>> scene.drivable.mean(), scene.lanes.mean()
        (0.31, 0.02)
    """

    drivable: np.ndarray = None
    lanes: np.ndarray = None

    def __post_init__(self):
        super().__post_init__()
        shapes = {name: np.shape(getattr(self, name)) for name in ("drivable", "lanes")}
        size = shapes["drivable"] if self.image is None else self.image.shape[:2]
        for name, shape in shapes.items():
            if shape != size or len(shape) != 2:
                raise ValueError(
                    f"RoadScene: {name} of shape {shape}; give one of the image's height and width"
                )
            setattr(self, name, np.asarray(getattr(self, name), bool))

    def __getitem__(self, index) -> RoadScene:
        """The scene with those of its objects that an index selects, as `Detections` has it."""
        kept = super().__getitem__(index)
        return RoadScene(**vars(kept), drivable=self.drivable, lanes=self.lanes)

    @property
    def mask(self) -> np.ndarray:
        """Both maps as bits, (H, W) uint8: 0 nothing, 1 drivable, 2 a lane's line, 3 both."""
        return (DRIVABLE * self.drivable + LANE * self.lanes).astype(np.uint8)

    def summary(self) -> str:
        """Counts of objects, and shares of the pixels: "3 car, drivable 31.0 %, lanes 2.1 %"."""
        maps = [("drivable", self.drivable), ("lanes", self.lanes)]
        shares = [f"{name} {100 * values.mean():.1f} %" for name, values in maps if values.any()]
        return ", ".join([text for text in (super().summary(), *shares) if text])

    def to_dict(self) -> dict:
        """As `Detections` has it, with "drivable" and "lanes": COCO's compressed run lengths of either map."""
        maps = {"drivable": compress_mask(self.drivable), "lanes": compress_mask(self.lanes)}
        return {**super().to_dict(), **maps}

    def draw(self, image: np.ndarray | None = None, scale: float | None = None) -> np.ndarray:
        """The picture with a green veil on what is drivable, red lines and boxes: (h, w, 3) uint8 RGB, a copy.

        Args:
            image: (H, W, 3) uint8 RGB, what to draw on; the scene's own image where None.
            scale: how many times as large as the image the picture is, as `Detections.draw` takes it.

        Raises:
            ValueError: there is no image, it is of another size than the maps, or the scale is not above 0.
        """
        image = self.image if image is None else image
        if image is None:
            raise ValueError("draw: this scene carries no image; pass one: scene.draw(image)")
        if self.drivable.shape != image.shape[:2]:
            raise ValueError(
                f"draw: maps of {self.drivable.shape} pixels on an image of {image.shape[:2]}; give the image that "
                "they are of"
            )
        return super().draw(lay_roads(image, self.mask), scale)


def lay_roads(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A mask of roads over its image: a green veil on what is drivable, and lanes' lines in red.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bits, 255 = ignored, which stays as it is.

    Returns:
        (H, W, 3) uint8 RGB, a copy.
    """
    picture = np.ascontiguousarray(image).copy()
    known = mask != IGNORED
    drivable, lane = (known & (mask // bit % 2 == 1) for bit in (DRIVABLE, LANE))
    veil = cv2.addWeighted(picture, 1 - _OPACITY, np.full_like(picture, _GREEN), _OPACITY, 0.0)
    picture[drivable] = veil[drivable]
    picture[lane] = _RED
    return picture
