"""A contact sheet of what augmentation does to the pictures of a dataset."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from kzoo.augment.compose import TRANSFORMS, Augment, transforms
from kzoo.data.loading.loader import batches
from kzoo.structures import Sample
from kzoo.structures.draw import color, draw_boxes, draw_mask
from kzoo.structures.lettering import write
from kzoo.structures.overlay import lay_masks
from kzoo.structures.roads import lay_roads

WIDTH = 1200  # Of a sheet, in pixels.
_CAPTION = 22  # Height of the line above a row.
_ANY = 10**9  # Boxes; to count those of the fullest image means to read the whole dataset.


def preview(
    dataset,
    augment: Augment = "light",
    *,
    image_size: int | tuple[int, int] = 416,
    images: int = 6,
    seed: int = 0,
    resize: str = "letterbox",
    width: int = WIDTH,
) -> np.ndarray:
    """One row for every transform, over the same pictures; the pictures as they are above, all together below.

    A transform that is applied to a share of the samples is applied to all of them in its own row.

    Args:
        dataset: the dataset that the pictures are drawn from: anything with `len`, `[i] -> Sample` and `classes`.
        augment: the name of a preset, such as "light", or a list of transforms and their names (see
            `kzoo.augment.transforms`).
        image_size: (height, width) of the network's input in pixels, or one number for a square: what the
            transforms work at.
        images: pictures in a row; fewer where the dataset has fewer.
        seed: another one gives other pictures and other changes.
        resize: the name of the way in which photographs become inputs, one of `kzoo.augment.RESIZES`.
        width: width of the sheet in pixels, 16 or more for each of `images`.

    Returns:
        (H, about width, 3) uint8 RGB: the same for the same arguments, byte for byte.

    Raises:
        ValueError: the dataset is empty, an argument is wrong, or a picture's boxes are faulty.

    Example:
        >>> sheet = preview(kzoo.data.load("shapes"), ["flip", "affine", "color"], images=4)
    """
    if images < 1 or width < 16 * images:
        raise ValueError(f"preview: {images} images at a width of {width}; give 1 or more, 16 pixels each")
    if seed < 0:
        raise ValueError(f"preview: seed is {seed}; give 0 or more")
    chosen = transforms(augment)
    rows = [("as they are", []), *((describe(transform), [_always(transform)]) for transform in chosen)]
    if len(chosen) > 1:
        rows.append(("all together", chosen))
    picked = np.random.default_rng(seed).permutation(len(dataset))[:images]
    strips = []
    for caption, applied in rows:
        maker = batches(dataset, image_size, 1, applied, seed=seed, resize=resize, max_boxes=_ANY).maker
        samples = [maker.sample(0, int(index), maker.size(0, 0)) for index in picked]
        cell = width // len(samples)
        roads = getattr(dataset, "roads", False)
        strips += [_caption(caption, cell * len(samples)), _strip(samples, dataset.classes, cell, roads)]
    return np.concatenate(strips)


def describe(transform: Any) -> str:
    """What to call a transform in a caption: its name, its share of samples if not all, and what is not as by
    default.

    Example:
        >>> describe(Affine(rotate=10.0))
        'affine: rotate 10'
    """
    kind = type(transform)
    name = next((name for name, known in TRANSFORMS.items() if known is kind), None)
    name = name or getattr(transform, "__name__", kind.__name__)
    if not dataclasses.is_dataclass(transform):
        return name
    shown = []
    for field in dataclasses.fields(transform):
        value = getattr(transform, field.name)
        if field.repr and value != (1.0 if field.name == "p" else field.default):
            shown.append(f"{field.name} {value:g}" if isinstance(value, float) else f"{field.name} {value}")
    return f"{name}: {', '.join(shown)}" if shown else name


def _always(transform: Any) -> Any:
    """A transform with its share of samples set to 1, if it has one."""
    shares = dataclasses.is_dataclass(transform) and any(f.name == "p" for f in dataclasses.fields(transform))
    return dataclasses.replace(transform, p=1.0) if shares else transform


def _caption(text: str, width: int) -> np.ndarray:
    line = np.full((_CAPTION, width, 3), 24, np.uint8)
    write(line, text, 6, 2, 13, (235, 235, 235))
    return line


def _strip(samples: Sequence[Sample], names: Sequence[str], cell: int, roads: bool) -> np.ndarray:
    """Samples of one size beside each other, as wide as so many cells, with all that is known of them drawn.

    Args:
        samples: pictures of one size, with what is known of them.
        names: class names.
        cell: pixels of each sample's width.
        roads: whether the samples' masks are of roads, beside boxes.
    """
    height, width = samples[0].size
    ratio = cell / width
    tall = max(1, round(height * ratio))
    strip = np.full((tall + 2, cell * len(samples), 3), 24, np.uint8)
    for column, sample in enumerate(samples):
        left = column * cell
        masked = lay_roads(sample.image, sample.mask) if roads else _with_masks(sample)
        small = cv2.resize(masked, (cell - 2, tall), interpolation=cv2.INTER_AREA)
        if sample.mask is None or roads:
            # Drawn at the size it is shown at, or names could not be read.
            scale = np.array([(cell - 2) / width, tall / height] * 2)
            small = draw_boxes(small, sample.boxes * scale, sample.labels, names=names, scale=1)
        strip[:tall, left : left + cell - 2] = small
    return strip


def _with_masks(sample: Sample) -> np.ndarray:
    """The image under a veil of class colours: of the semantic mask, or else of every object's, with its outline."""
    if sample.mask is not None:
        # Boxes and names of hundreds of objects would hide it.
        return draw_mask(sample.image, sample.mask)
    picture = sample.image.copy()
    if sample.masks is not None:
        lay_masks(picture, sample.masks, [color(int(label)) for label in sample.labels])
    return picture
