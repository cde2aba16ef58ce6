"""Results as answers: a list of objects, everything there is, COCO's rows, a drawn picture, a mask."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from kzoo.serving.refusal import Refusal
from kzoo.structures import Classification, Detections, RoadScene, Segmentation
from kzoo.structures.contours import regions
from kzoo.structures.draw import encode_png

_QUALITY = 92  # of JPEG, 0 to 100
_JSON = "application/json"


def objects(result) -> list[dict[str, Any]]:
    """What is in a picture: `[{"box": {"x", "y", "w", "h"}, "name", "prob"}]`, in its pixels, top left and size.

    Of a segmenter these are connected regions of all classes but the background, with their `area` in the place of
    `prob`; of a classifier the best five classes, without a box. Digits are those of `to_dict`.
    """
    if isinstance(result, Classification):
        rows = result.to_dict()["classes"][: len(result.best())]
        return [{"name": row["name"], "prob": row["score"]} for row in rows]
    if isinstance(result, Segmentation):
        found = [label for label in result.shares() if label != result.background]
        return [
            {"box": _box(*box), "name": result.name(label), "area": int(region.sum())}
            for label in found
            for region, box in regions(result.mask == label)
        ]
    rows = Detections(result.boxes, result.scores, result.labels, names=result.names).to_dict()["objects"]
    return [{"box": _box(*row["box"]), "name": row["name"], "prob": row["score"]} for row in rows]


def _box(x1: float, y1: float, x2: float, y2: float) -> dict[str, float]:
    return {"x": x1, "y": y1, "w": round(x2 - x1, 3), "h": round(y2 - y1, 3)}


def full(result) -> dict[str, Any]:
    """Everything that `to_dict` has, but for the path: there is no file."""
    return {name: value for name, value in result.to_dict().items() if name != "path"}


def coco(result) -> list[dict]:
    """COCO's rows, of image 0."""
    _refuse(result, "coco", Classification)
    return result.to_coco()


def mask(result) -> np.ndarray:
    """The class of each pixel, or the number of its object, or bits of roads: (H, W) uint8 or uint16."""
    if isinstance(result, (Segmentation, RoadScene)):
        return result.mask
    _refuse(result, "mask", Classification)
    if result.masks is None:
        raise Refusal(
            400, "format=mask: the model finds boxes alone; ask for format=objects, full, coco or image"
        )
    return result.numbered_mask()


def picture(result, image: np.ndarray) -> np.ndarray:
    """The drawn picture (H, W, 3) uint8 RGB."""
    _refuse(result, "image", Classification)
    return result.draw(image)


def _refuse(result, name: str, kind: type) -> None:
    if isinstance(result, kind):
        raise Refusal(400, f"format={name}: the model is a classifier; ask for format=objects or full")


def jpeg(image: np.ndarray) -> bytes:
    """A picture (H, W, 3) uint8 RGB as JPEG."""
    _, data = cv2.imencode(
        ".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    return data.tobytes()


FORMATS: dict[str, Callable[[Any], Any]] = {"objects": objects, "full": full, "coco": coco}
PICTURES = ("image", "mask")


def answer(result, form: str, image: Callable[[], np.ndarray]) -> tuple[bytes, str]:
    """A result as an answer.

    Args:
        result: `Detections`, `RoadScene`, `Segmentation` or `Classification`.
        form: one of `FORMATS` or `PICTURES`.
        image: gives the picture (H, W, 3) uint8 RGB, for the one form that needs it.

    Returns:
        The body and its media type.

    Raises:
        Refusal: the model has no such form.
    """
    if form == "image":
        return jpeg(picture(result, image())), "image/jpeg"
    if form == "mask":
        return encode_png(mask(result)), "image/png"
    return json.dumps(FORMATS[form](result), ensure_ascii=False).encode(), _JSON
