"""From a list of transforms to the sample a network trains on."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

import numpy as np

from kzoo.augment.geometric import Affine, Flip, FlipVertical, Geometric, Rotate90, clip_boxes, select, warp
from kzoo.augment.letterbox import letterbox, letterbox_placement
from kzoo.augment.mosaic import Mosaic
from kzoo.augment.photometric import ColorJitter
from kzoo.structures import Sample

Transform = Callable[[np.random.Generator, Sample], Sample]

TRANSFORMS = {
    "affine": Affine,
    "color": ColorJitter,
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


def transforms(augment: str | Sequence[str | Transform] | None) -> list[Transform]:
    """The transforms that a preset, or a list of names and callables, stands for.

    Args:
        augment: "none", "light" or "mosaic"; or a list of names ("affine", "color", "flip",
            "flip_vertical", "mosaic", "rotate90") and callables `(rng, sample) -> sample`; None is "none".

    Raises:
        ValueError: a name is unknown; the message has the nearest one.
    """
    if augment is None or isinstance(augment, str):
        augment = _find(augment or "none", PRESETS, "preset")
    return [_find(item, TRANSFORMS, "transform")() if isinstance(item, str) else item for item in augment]


def _find(name: str, table: dict, kind: str):
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(table))}"
    raise ValueError(f"augment: unknown {kind} {name!r}; {hint}")


class Compose:
    """Letterbox and transforms together: a sample of any size becomes one of the network's.

    The geometric transforms and the letterbox become one warp, which comes first, whatever their place in
    the list; the others follow in their order, on the canvas. With a `Mosaic` among them, its four pictures
    each go through the geometric transforms by themselves. Without a geometric one the picture is
    letterboxed exactly as for inference.

    Args:
        augment: as `transforms` takes it.
    """

    def __init__(self, augment: str | Sequence[str | Transform] | None = None):
        chosen = transforms(augment)
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
            sample = self.mosaic(rng, [sample, partner(), partner(), partner()], size, self.geometric)
        else:
            sample = place(rng, sample, size, self.geometric)
        for transform in self.others:
            sample = transform(rng, sample)
            if sample.size != tuple(size):
                sample = place(rng, sample, size)
        return sample


def place(
    rng: np.random.Generator, sample: Sample, size: tuple[int, int], geometric: Sequence[Geometric] = ()
) -> Sample:
    """The sample letterboxed into a canvas of (height, width), and moved by the geometric transforms."""
    placement = letterbox_placement(sample.size, size)
    if geometric or sample.masks is not None or sample.mask is not None:
        matrix = placement.matrix
        for transform in geometric:
            matrix = transform.matrix(rng, size) @ matrix
        # What the letterbox alone makes small stays: it was small before.
        return warp(sample, matrix, size) if geometric else warp(sample, matrix, size, 0.0, 0.0)
    boxes = placement.to_input(sample.boxes)
    boxes, _ = clip_boxes(boxes, (0, 0, size[1], size[0]))
    result = select(sample, np.ones(len(boxes), bool), boxes)
    result.image, _ = letterbox(sample.image, size)
    return result
