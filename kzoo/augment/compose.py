"""From a list of transforms to the sample a network trains on."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kzoo.augment.border import BorderWeights
from kzoo.augment.crop import DETRCrop, RandomResizedCrop, SSDCrop
from kzoo.augment.darknet import DarknetColor, DarknetJitter
from kzoo.augment.degrade import Clahe, Gamma, GaussianBlur, Gray, Jpeg, MedianBlur, MotionBlur, Noise
from kzoo.augment.erase import Cutout, GridMask, HideAndSeek, RandomErasing
from kzoo.augment.geometric import Affine, Flip, FlipVertical, Geometric, Rotate90, clip_boxes, select, warp
from kzoo.augment.letterbox import RESIZES, check_resize, fit, fit_placement
from kzoo.augment.mix import CopyPaste, CutMix, MixUp, Pair
from kzoo.augment.mosaic import Mosaic
from kzoo.augment.named import FromAlbumentations
from kzoo.augment.objects import clip_proposals
from kzoo.augment.perspective import Perspective
from kzoo.augment.photometric import ColorJitter, Distort, Recolor
from kzoo.structures import Sample

Transform = Callable[[np.random.Generator, Sample], Sample]
Augment = str | Sequence[str | Mapping[str, Mapping] | Transform] | None

TRANSFORMS = {
    "affine": Affine,
    "albumentations": FromAlbumentations,
    "border_weights": BorderWeights,
    "clahe": Clahe,
    "color": ColorJitter,
    "copy_paste": CopyPaste,
    "cutmix": CutMix,
    "cutout": Cutout,
    "darknet_color": DarknetColor,
    "darknet_jitter": DarknetJitter,
    "detr_crop": DETRCrop,
    "distort": Distort,
    "flip": Flip,
    "flip_vertical": FlipVertical,
    "gamma": Gamma,
    "gaussian_blur": GaussianBlur,
    "gray": Gray,
    "grid_mask": GridMask,
    "hide_and_seek": HideAndSeek,
    "jpeg": Jpeg,
    "median_blur": MedianBlur,
    "mixup": MixUp,
    "mosaic": Mosaic,
    "motion_blur": MotionBlur,
    "noise": Noise,
    "perspective": Perspective,
    "random_erasing": RandomErasing,
    "random_resized_crop": RandomResizedCrop,
    "rotate90": Rotate90,
    "ssd_crop": SSDCrop,
}
PRESETS = {
    "none": (),
    "light": ("flip", "affine", "color"),
    "mosaic": ("mosaic", "flip", "affine", "color"),
    # What Darknet makes of the published yolov4.cfg, which has neither CutMix nor MixUp.
    "yolov4": (
        {"mosaic": {"p": 0.5, "centre": (0.2, 0.8)}},
        {"darknet_jitter": {"jitter": 0.3}},
        "flip",
        {"darknet_color": {"hue": 0.1, "saturation": 1.5, "exposure": 1.5}},
    ),
    "detr": ("flip", "detr_crop"),
    # The ground in half of the samples, and then by itself a crop of what there is in four fifths.
    "rt-detr": (
        "distort",
        {"ssd_crop": {"min_iou": ()}},
        {"ssd_crop": {"zoom_out": 1.0, "p": 0.8}},
        "flip",
    ),
}


def transforms(augment: Augment) -> list[Transform]:
    """The transforms that a preset, or a list of names and callables, stands for.

    Args:
        augment: a name out of `PRESETS`, "none", "light", "mosaic", "yolov4", "detr" or "rt-detr"; or a list of names
            out of `TRANSFORMS`, of names with arguments, such as `{"flip": {"p": 0.3}}`, and of callables
            `(rng, sample) -> sample`; None is "none".

    Raises:
        ValueError: a name or an argument is unknown; the message has the nearest name.

    Example:
        >>> transforms(["flip", {"mixup": {"p": 0.2}}])
        [Flip(p=0.5), MixUp(p=0.2, alpha=1.5)]
    """
    if augment is None or isinstance(augment, str):
        augment = _find("none" if augment is None else augment, PRESETS, "preset")
    return [_transform(item) for item in augment]


def _transform(item) -> Transform:
    if callable(item):
        return item
    named = {item: {}} if isinstance(item, str) else item
    if not isinstance(named, Mapping) or len(named) != 1:
        raise ValueError(f"augment: {item!r} is no transform; give a name, {{name: arguments}} or a callable")
    [(name, arguments)] = named.items()
    kind = _find(name, TRANSFORMS, "transform")
    try:
        return kind(**arguments)
    except TypeError as error:
        raise ValueError(f"augment: {name}: {error}") from error


def _find(name: str, table: dict, kind: str):
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(table))}"
    raise ValueError(f"augment: unknown {kind} {name!r}; {hint}")


class Compose:
    """Resizing and transforms together: a sample of any size becomes one of the network's.

    The geometric transforms and the resizing become one warp, which comes first, whatever their place in
    the list; the others follow in their order, on the canvas. With a `Mosaic` among them, its pictures each go
    through the geometric transforms by themselves. Without a geometric one the picture is resized exactly as for
    inference.

    The partner of a `Pair`, such as `MixUp`, is a canvas made in the same way (a mosaic again, where there is
    one): what stands before the pair in the list, but other pairs, has been done to both; what stands after it
    is done to the mixture.

    Args:
        augment: the name of a preset, or a list of transforms and their names: see `transforms`; None for none.
        resize: the name of the way in which a picture becomes an input, one of `kzoo.augment.RESIZES`.

    Attributes:
        partners: whether some samples are made of several pictures.
        pictures: the most pictures in a sample: 4 or 9 with a mosaic, and as many again for each pair.
        instances: whether a transform makes use of instance masks, which a dataset gives when asked for them.
        weighted: whether samples can have weights. A callable of your own that sets them has an attribute
            `weighted` that is true.

    Raises:
        ValueError: a name or an argument is unknown, there are two mosaics, or `resize` is none.

    Example:
        >>> compose = Compose(["flip", {"affine": {"rotate": 10}}, "color"])
        >>> compose(np.random.default_rng(0), sample, size=(416, 416)).image.shape
        (416, 416, 3)
    """

    def __init__(self, augment: Augment = None, resize: str = "letterbox"):
        chosen = transforms(augment)
        self.resize = check_resize(resize)
        mosaics = [t for t in chosen if isinstance(t, Mosaic)]
        if len(mosaics) > 1:
            raise ValueError(f"augment: {len(mosaics)} mosaics; list one")
        self.mosaic = mosaics[0] if mosaics else None
        self.geometric = [t for t in chosen if isinstance(t, Geometric)]
        self.others = [t for t in chosen if not isinstance(t, (Geometric, Mosaic))]
        pairs = sum(isinstance(t, Pair) for t in self.others)
        self.partners = bool(mosaics or pairs)
        self.pictures = (self.mosaic.pictures if mosaics else 1) * (1 + pairs)
        self.instances = any(getattr(t, "instances", False) for t in self.others)
        self.weighted = any(getattr(t, "weighted", False) for t in self.others)

    def __call__(
        self,
        rng: np.random.Generator,
        sample: Sample,
        size: tuple[int, int],
        partner: Callable[[], Sample] | None = None,
        out: np.ndarray | None = None,
    ) -> Sample:
        """The sample on a canvas of `size`.

        Args:
            rng: the only source of chance.
            sample: an annotated image of any size; it is not changed.
            size: (height, width) of the canvas in pixels.
            partner: gives another sample of the dataset, drawn by the same `rng`; without it there are neither
                mosaics nor pairs.
            out: (height, width, 3) uint8 that may be drawn on; whether the result's image is this very array
                depends on the transforms.
        """
        return self._run(rng, sample, size, partner, self.others, out)

    def _run(self, rng, sample, size, partner, steps, out=None) -> Sample:
        """The canvas of a sample, and the other transforms, `steps`, applied to it in their order."""
        canvas = self._canvas(rng, sample, size, partner, out)
        # Whether the image may be written over: one that a callable of the user's has seen may be in use elsewhere.
        ours = True
        for position, step in enumerate(steps):
            if isinstance(step, Pair):
                if partner and rng.random() < step.p:
                    # The partner goes through what the canvas has gone through, but for other pairs: each would
                    # double the work.
                    before = [t for t in steps[:position] if not isinstance(t, Pair)]
                    canvas = step(rng, canvas, self._run(rng, partner(), size, partner, before))
            elif isinstance(step, Recolor) and ours:
                canvas.image = step.recolor(rng, canvas.image, out=canvas.image)
            else:
                canvas, ours = step(rng, canvas), False
                if canvas.size != tuple(size):
                    canvas = place(rng, canvas, size, resize=self.resize)
        return canvas

    def _canvas(self, rng, sample, size, partner, out) -> Sample:
        """A sample alone, or in a mosaic, on a canvas of `size`."""
        if self.mosaic and partner and rng.random() < self.mosaic.p:
            others = [partner() for _ in range(self.mosaic.pictures - 1)]
            return self.mosaic(rng, [sample, *others], size, self.geometric, self.resize, out)
        return place(rng, sample, size, self.geometric, self.resize, out)


def place(
    rng: np.random.Generator,
    sample: Sample,
    size: tuple[int, int],
    geometric: Sequence[Geometric] = (),
    resize: str = "letterbox",
    out: np.ndarray | None = None,
) -> Sample:
    """The sample resized into a canvas of (height, width), and moved by the geometric transforms.

    Args:
        rng: the only source of chance.
        sample: an annotated image of any size; it is not changed.
        size: (height, width) of the canvas in pixels.
        geometric: transforms that join the resizing, in this order.
        resize: the name of the way in which a picture becomes an input, one of `kzoo.augment.RESIZES`.
        out: (height, width, 3) uint8 that may be drawn on; a new array where None.
    """
    placement = fit_placement(sample.size, size, resize)
    if geometric or sample.masks is not None or sample.mask is not None:
        matrix, fill = placement.matrix, RESIZES[resize].fill
        for transform in geometric:
            sample, matrix = transform.extend(rng, sample, matrix, size)
        # What resizing alone makes small stays: it was small before.
        least = () if geometric else (0.0, 0.0)
        return warp(sample, matrix, size, *least, out=out, fill=fill)
    boxes = placement.to_input(sample.boxes)  # (N, 4)
    boxes, _ = clip_boxes(boxes, (0, 0, size[1], size[0]))
    result = select(sample, np.ones(len(boxes), bool), boxes)
    if sample.proposals is not None:
        result.proposals = clip_proposals(placement.to_input(sample.proposals), (0, 0, size[1], size[0]))
    result.image, _ = fit(sample.image, size, resize)
    if result.image is sample.image:
        # Others may hold the same picture.
        result.image = sample.image.copy()
    return result
