"""From a list of transforms to the sample a network trains on."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kzoo.augment.darknet import DarknetColor, DarknetJitter
from kzoo.augment.geometric import Affine, Flip, FlipVertical, Geometric, Rotate90, clip_boxes, select, warp
from kzoo.augment.letterbox import check_resize, fit, fit_placement
from kzoo.augment.mosaic import Mosaic
from kzoo.augment.photometric import ColorJitter
from kzoo.structures import Sample

Transform = Callable[[np.random.Generator, Sample], Sample]
Augment = str | Sequence[str | Mapping[str, Mapping] | Transform] | None

TRANSFORMS = {
    "affine": Affine,
    "color": ColorJitter,
    "darknet_color": DarknetColor,
    "darknet_jitter": DarknetJitter,
    "flip": Flip,
    "flip_vertical": FlipVertical,
    "mosaic": Mosaic,
    "rotate90": Rotate90,
}
PRESETS = {
    "none": (),
    "light": ("flip", "affine", "color"),
    "mosaic": ("mosaic", "flip", "affine", "color"),
}


def transforms(augment: Augment) -> list[Transform]:
    """The transforms that a preset, or a list of names and callables, stands for.

    Args:
        augment: "none", "light" or "mosaic"; or a list of names ("affine", "color", "darknet_color",
            "darknet_jitter", "flip", "flip_vertical", "mosaic", "rotate90"), of names with arguments, such as
            `{"flip": {"p": 0.3}}`, and of callables `(rng, sample) -> sample`; None is "none".

    Raises:
        ValueError: a name or an argument is unknown; the message has the nearest name.
    """
    if augment is None or isinstance(augment, str):
        augment = _find(augment or "none", PRESETS, "preset")
    return [_transform(item) for item in augment]


def _transform(item) -> Transform:
    if callable(item):
        return item
    named = {item: {}} if isinstance(item, str) else item
    if not isinstance(named, Mapping) or len(named) != 1:
        raise ValueError(f"augment: {item!r} is no transform; give a name, {{name: arguments}} or a callable")
    [(name, arguments)] = named.items()
    found = _find(name, TRANSFORMS, "transform")
    try:
        return found(**arguments)
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
    the list; the others follow in their order, on the canvas. With a `Mosaic` among them, its four pictures
    each go through the geometric transforms by themselves. Without a geometric one the picture is
    resized exactly as for inference.

    Args:
        augment: as `transforms` takes it.
        resize: as `kzoo.augment.fit` takes it.
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

    def __call__(
        self,
        rng: np.random.Generator,
        sample: Sample,
        size: tuple[int, int],
        partner: Callable[[], Sample] | None = None,
    ) -> Sample:
        """The sample on a canvas of `size`.

        Args:
            rng: the only source of chance.
            sample: an annotated image of any size.
            size: (height, width) of the canvas in pixels.
            partner: gives another sample of the dataset, drawn by the same `rng`; without it there are no
                mosaics.
        """
        if self.mosaic and partner and rng.random() < self.mosaic.p:
            four = [sample, partner(), partner(), partner()]
            sample = self.mosaic(rng, four, size, self.geometric, self.resize)
        else:
            sample = place(rng, sample, size, self.geometric, self.resize)
        for transform in self.others:
            sample = transform(rng, sample)
            if sample.size != tuple(size):
                sample = place(rng, sample, size, resize=self.resize)
        return sample


def place(
    rng: np.random.Generator,
    sample: Sample,
    size: tuple[int, int],
    geometric: Sequence[Geometric] = (),
    resize: str = "letterbox",
) -> Sample:
    """The sample resized into a canvas of (height, width), and moved by the geometric transforms."""
    placement = fit_placement(sample.size, size, resize)
    if geometric or sample.masks is not None or sample.mask is not None:
        matrix = placement.matrix
        for transform in geometric:
            matrix = transform.matrix(rng, size) @ matrix
        # What resizing alone makes small stays: it was small before.
        return warp(sample, matrix, size) if geometric else warp(sample, matrix, size, 0.0, 0.0)
    boxes = placement.to_input(sample.boxes)
    boxes, _ = clip_boxes(boxes, (0, 0, size[1], size[0]))
    result = select(sample, np.ones(len(boxes), bool), boxes)
    result.image, _ = fit(sample.image, size, resize)
    return result
