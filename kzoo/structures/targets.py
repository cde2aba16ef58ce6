"""What `fit` and `evaluate` take for the truth: refused where it cannot be meant so, be it of one batch or of all."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from kzoo.structures.labels import IGNORED

log = logging.getLogger("kzoo")

# The keys of each task's targets: those that have to be there, and those that may; also of detection that looks at
# masks, where there are any.
KEYS = {
    "detect": (("boxes", "labels"), ("weights",)),
    "outlined": (("boxes", "labels"), ("weights", "masks")),
    "instance": (("boxes", "labels", "masks"), ("weights",)),
    "drive": (("boxes", "labels", "mask"), ("weights",)),
    "segment": (("mask",), ("weights",)),
    "classify": (("label",), ()),
}
_SHAPES = {
    "detect": "{'boxes': (B, M, 4) xyxy pixels, 'labels': (B, M) int, -1 = none}",
    "outlined": "{'boxes': (B, M, 4) xyxy pixels, 'labels': (B, M) int, -1 = none}; 'masks': (B, M, S, S) uint8 may be "
    "there",
    "instance": "{'boxes': (B, M, 4) xyxy pixels, 'labels': (B, M) int, -1 = none, 'masks': (B, M, S, S) uint8, each "
    "cut out by its box, 255 = all of a cell}",
    "drive": "{'boxes': (B, M, 4) xyxy pixels, 'labels': (B, M) int, -1 = none, 'mask': (B, H, W) int, 1 drivable + "
    "2 a lane's line, 255 = ignored}",
    "segment": "{'mask': (B, H, W) int, 255 = ignored}",
    "classify": "{'label': (B,) int, or shares of the classes (B, classes)}",
}
_OTHER_NAMES = {
    "boxes": ("bboxes", "bbox"), "labels": ("classes", "class"), "mask": ("masks", "segmentation_masks"),
    "masks": ("mask", "segmentation_masks", "instance_masks"), "label": ("labels",),
}  # fmt: skip
_SHARE = 2.0  # pixels: where all objects of a batch end before, the boxes are shares of the picture
ROADS = 4  # values of a mask of roads: two bits, see `kzoo.structures.roads`
_CHUNK = 64  # images whose masks are looked at together
_warned: set[tuple[str, ...]] = set()


def check_keys(task: str, targets) -> None:
    """Refuses targets that are no mapping, or lack what the task asks for; says once what is passed over.

    Args:
        task: the task of the head; those that are not in `KEYS` are passed over.
        targets: what `fit` got for the truth; the values, be they arrays, tensors or descriptions, are not looked at.

    Raises:
        ValueError: something is missing; the message says under which name it may have been given.
    """
    if task not in KEYS:
        return
    needed, further = KEYS[task]
    if not isinstance(targets, Mapping):
        received = "nothing" if targets is None else f"a {type(targets).__name__}"
        raise ValueError(f"targets: {received}; give {_SHAPES[task]}")
    for key in needed:
        if key not in targets:
            meant = next((name for name in _OTHER_NAMES.get(key, ()) if name in targets), None)
            hint = f"call {meant!r} so" if meant else f"give {_SHAPES[task]}"
            raise ValueError(f"targets: no {key!r} among {', '.join(map(str, targets))}; {hint}")
    unused = tuple(str(key) for key in targets if key not in (*needed, *further))
    if unused and unused not in _warned:
        _warned.add(unused)
        log.warning("targets: %s passed over: not used in training; leave it out", ", ".join(unused))


def check_targets(
    task: str, targets: Mapping[str, np.ndarray], num_classes: int, images: Sequence[int]
) -> None:
    """Refuses targets whose shapes, types or values cannot be meant so.

    Args:
        task: the task of the head; those that are not in `KEYS` are passed over.
        targets: arrays by name, such as `boxes` (B, M, 4) and `labels` (B, M).
        num_classes: how many classes the head tells apart, the background of masks among them.
        images: the shape of the batch of images, (B, H, W, 3).

    Raises:
        ValueError: the message names the first that is wrong, its value, and the remedy.
    """
    check_keys(task, targets)
    if task not in KEYS:
        return
    arrays = {name: np.asarray(targets[name]) for name in (*KEYS[task][0], *KEYS[task][1]) if name in targets}
    for name, values in arrays.items():
        if values.dtype.kind not in ("uifb" if name == "mask" else "uif"):
            raise ValueError(f"targets: {name!r} of type {values.dtype}; give {_SHAPES[task]}")
        if values.shape[:1] != tuple(images[:1]):
            raise ValueError(
                f"targets: {name!r} of shape {values.shape} for {images[0]} images; give one row an image"
            )
    checks = {
        "detect": (_check_boxes,),
        "outlined": (_check_boxes, *([_check_masks] if "masks" in arrays else [])),
        "instance": (_check_boxes, _check_masks),
        "drive": (_check_boxes, _check_roads),
        "segment": (_check_mask,),
        "classify": (_check_label,),
    }
    for check in checks[task]:
        check(arrays, num_classes, tuple(images))


def _check_boxes(targets: dict[str, np.ndarray], num_classes: int, images: tuple[int, ...]) -> None:
    boxes, labels = targets["boxes"], targets["labels"]  # (B, M, 4), (B, M)
    if boxes.ndim != 3 or boxes.shape[-1] != 4 or labels.shape != boxes.shape[:2]:
        raise ValueError(
            f"targets: 'boxes' of shape {boxes.shape} and 'labels' of shape {labels.shape}; give (B, M, 4) and (B, M), "
            "labels of -1 where an image has fewer than M objects"
        )
    _check_labels(labels, num_classes, least=-1)
    objects = labels >= 0  # (B, M)
    _refuse(~np.isfinite(boxes).all(-1), "boxes", boxes, "there are NaN or infinite values; mend or drop it")
    objects &= (boxes != 0).any(-1)  # zeros are padding whatever the label
    _refuse(
        objects & (boxes[..., 2:] <= boxes[..., :2]).any(-1), "boxes", boxes,
        "right and bottom have to be beyond left and top: boxes are (left, top, right, bottom) in pixels, not xywh or "
        "yxyx; without area, give label -1",
    )  # fmt: skip
    height, width = images[1:3]
    if objects.any() and boxes[objects].max() <= _SHARE < min(height, width):
        _refuse(
            objects, "boxes", boxes,
            f"no box ends beyond {_SHARE:g} pixels: shares of the picture? Multiply by its {width} x {height} pixels",
        )  # fmt: skip
    _refuse(
        objects & ((boxes[..., :2] >= (width, height)) | (boxes[..., 2:] <= 0)).any(-1), "boxes", boxes,
        f"lies outside of the {width} x {height} pixels of the images; boxes are in the pixels of what the network "
        "gets, so scale them with the photographs",
    )  # fmt: skip
    _check_weights(targets, labels.shape)


def _check_masks(targets: dict[str, np.ndarray], num_classes: int, images: tuple[int, ...]) -> None:
    masks, rows = targets["masks"], targets["labels"].shape  # (B, M, S, S)
    if masks.ndim != 4 or masks.shape[:2] != rows or masks.shape[2] != masks.shape[3] or not masks.shape[2]:
        remedy = f"give {(*rows, 'S', 'S')}".replace("'", "")
        if masks.shape == (*rows, *images[1:3]):
            remedy = "masks of whole images are cut out by their boxes: kzoo.structures.cells.crop_masks(masks, boxes)"
        raise ValueError(
            f"targets: 'masks' of shape {masks.shape}; {remedy}, S cells along each side of a box"
        )
    if masks.dtype != np.uint8:
        raise ValueError(
            f"targets: 'masks' of type {masks.dtype} from {masks.min(initial=0):.4g} to {masks.max(initial=0):.4g}; "
            "give uint8, 255 where the object covers all of a cell"
        )
    if masks.max(initial=0) == 1:
        raise ValueError(
            "targets: 'masks' are 0 and 1; an object that covers all of a cell has 255: multiply by 255"
        )


def _check_labels(labels: np.ndarray, num_classes: int, least: int, name: str = "labels") -> None:
    if labels.dtype.kind == "f":
        _refuse(~(labels == np.rint(labels)), name, labels, "give whole numbers")
    greatest = labels.max(initial=-1)
    counted = labels[labels >= 0]
    if greatest == num_classes and counted.min() > 0:
        hint = "classes are counted from 0: subtract 1"
    else:
        hint = f"{num_classes} classes are counted from 0 to {num_classes - 1}"
    if least < 0:
        hint += "; -1 is padding"
    _refuse((labels < least) | (labels >= num_classes), name, labels, hint)


def _check_mask(targets: dict[str, np.ndarray], num_classes: int, images: tuple[int, ...]) -> None:
    mask, wanted = targets["mask"], images[:3]
    if mask.shape != wanted:
        if mask.shape == (*wanted, 1):
            remedy = "take its last axis away: mask[..., 0]"
        elif mask.ndim == 4 and mask.shape[:3] == wanted:
            remedy = "one-hot masks become class numbers by np.argmax(mask, axis=-1)"
        else:
            remedy = f"give {wanted}, a class for each pixel of the images"
        raise ValueError(f"targets: 'mask' of shape {mask.shape}; {remedy}")
    if mask.dtype.kind == "f":
        raise ValueError(
            f"targets: 'mask' of type {mask.dtype} from {mask.min():.4g} to {mask.max():.4g}; give class numbers as "
            "integers: masks are neither divided by 255 nor resized by interpolation"
        )
    for start in range(0, len(mask), _CHUNK):
        part = mask[start : start + _CHUNK]
        if part.dtype == np.uint8 and (part + np.uint8(1)).max(initial=0) <= num_classes:
            continue  # 255 has become 0: the quick way for what is right
        wrong = ((part < 0) | (part >= num_classes)) & (part != IGNORED)
        if wrong.any():
            values, counts = np.unique(part[wrong], return_counts=True)
            listed = ", ".join(f"{v} ({c} pixels)" for v, c in zip(values[:5], counts[:5], strict=True))
            raise ValueError(
                f"targets: 'mask' has {listed}{', ...' if len(values) > 5 else ''}; {num_classes} classes are counted "
                f"from 0 to {num_classes - 1}, and {IGNORED} is ignored"
            )
    _check_weights(targets, mask.shape)


def _check_roads(targets: dict[str, np.ndarray], num_classes: int, images: tuple[int, ...]) -> None:
    """A mask of two bits; weights are of objects."""
    _check_mask({"mask": targets["mask"]}, ROADS, images)


def _check_label(targets: dict[str, np.ndarray], num_classes: int, images: tuple[int, ...]) -> None:
    label = targets["label"]
    if label.ndim == 2 and label.shape[1] == num_classes and (num_classes > 1 or label.dtype.kind == "f"):
        _refuse(~(np.isfinite(label) & (label >= 0)), "label", label, "shares of the classes are 0 or more")
    elif label.ndim == 1:
        _check_labels(label, num_classes, least=0, name="label")
    else:
        remedy = (
            "take its last axis away: label[:, 0]"
            if label.shape[1:] == (1,)
            else f"give {_SHAPES['classify']}"
        )
        raise ValueError(f"targets: 'label' of shape {label.shape} for {num_classes} classes; {remedy}")


def _check_weights(targets: dict[str, np.ndarray], shape: tuple[int, ...]) -> None:
    weights = targets.get("weights")
    if weights is None:
        return
    if weights.shape != shape:
        raise ValueError(f"targets: 'weights' of shape {weights.shape}; give {shape}")
    _refuse(~(np.isfinite(weights) & (weights >= 0)), "weights", weights, "weights are 0 or more")


def check_sample_weight(weight: np.ndarray, count: int) -> None:
    """Refuses weights that are not one an image.

    Args:
        weight: what `fit` got as `sample_weight`: a factor of each image's loss, (B,) or (B, 1), 0 or more.
        count: how many images there are.

    Raises:
        ValueError: shape or values are others.
    """
    if weight.shape not in ((count,), (count, 1)):
        raise ValueError(
            f"sample_weight of shape {weight.shape} for {count} images; give one number an image, ({count},), and "
            "weights of objects or pixels as 'weights' of the targets"
        )
    if weight.dtype.kind not in "uifb":
        raise ValueError(f"sample_weight of type {weight.dtype}; give numbers")
    _refuse(~(np.isfinite(weight) & (weight >= 0)), "sample_weight", weight, "weights are 0 or more", "")


def _refuse(wrong: np.ndarray, name: str, values: np.ndarray, remedy: str, prefix: str = "targets: ") -> None:
    """Names the first of the places that are wrong."""
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        index, further = ", ".join(map(str, place)), int(wrong.sum()) - 1
        others = f" and {further} more" if further else ""
        value = np.asarray(values[place]).tolist()
        shown = [round(v, 4) for v in value] if isinstance(value, list) else value
        raise ValueError(f"{prefix}{name}[{index}] = {shown}{others}; {remedy}")
