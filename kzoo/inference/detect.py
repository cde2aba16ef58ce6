"""From photographs to `Detections` in their own pixels, for every detector: a model or an exported file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from kzoo.augment.letterbox import Placement, check_resize, fit
from kzoo.inference.decoded import BOX_TASKS, kept, takes_fractions
from kzoo.inference.looks import Looks
from kzoo.inference.masks import in_photograph, masks_of
from kzoo.inference.roads import road_maps
from kzoo.options import checked
from kzoo.options.commands import PREDICT
from kzoo.sources import chunks
from kzoo.sources.image import read_image
from kzoo.structures import Detections, RoadScene
from kzoo.system.files import refuse_address

DEFAULT_SCORE = 0.25


class Detector(Protocol):
    """What can be detected with: a `ZooModel`, or an exported file that `kzoo.load` opened.

    Attributes:
        image_size: height and width in pixels of the input.
        names: class names.
        resize: how photographs become its input: one of `kzoo.augment.RESIZES`; "letterbox" where it has none.
    """

    image_size: tuple[int, int]
    names: Sequence[str]
    resize: str

    def predict_on_batch(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Images (B, H, W, 3) in 0..255 -> `boxes` (B, M, 4), `scores` (B, M), `labels` (B, M).

        Of the task "instance" also `masks` (B, M, S, S), probabilities inside each box, 0 to 1; of the task "drive"
        `drivable` and `lanes` (B, H, W), 0 or 1 each.
        """


@checked(PREDICT)
def detect(
    detector: Detector,
    source: str | Path | np.ndarray | Sequence,
    score_threshold: float = DEFAULT_SCORE,
    batch_size: int = 8,
    resize: str | None = None,
    method: str = "resize",
    overlap: int | None = None,
    flips: Sequence[str] = (),
    sizes: Sequence | None = None,
) -> Detections | list[Detections]:
    """Finds objects in photographs, and their masks, or the road that can be driven on, where it finds such.

    Args:
        detector: a model or an exported file.
        source: a path, an (H, W, 3) uint8 RGB image, or a list of these.
        score_threshold: what scores lower is left out, from 0 to 1.
        batch_size: images a step, where `source` is a list, or tiles a step.
        resize: how photographs become inputs: one of `kzoo.augment.RESIZES`; the detector's own where None.
        method, overlap, flips, sizes: how the photograph is looked at, once and as a whole by default: see
            `kzoo.inference.looks.Looks`. Of the tasks "detect" and "instance".

    Returns:
        `Detections` in the photograph's own pixels, of the task "drive" a `RoadScene`; a list of them for a list.

    Raises:
        ValueError: a file is no readable image, or an array is no image.
        FileNotFoundError: there is no such file.

    Example:
        >>> kzoo.load("runs/detect/cells").detect("blood.jpg").draw()
        >>> kzoo.load("runs/detect/cells").detect("slide.png", method="window", flips=["horizontal"])
    """
    if getattr(detector, "task", "detect") not in BOX_TASKS:
        raise ValueError(
            f"{detector.name}: a model for the task {detector.task!r} finds no boxes; use segment or predict"
        )
    looks, several = Looks(method or "resize", overlap, flips or (), sizes), isinstance(source, (list, tuple))
    sources = source if several else [source]
    if looks.single:
        found = detect_stream(detector, sources, score_threshold, batch_size if several else 1, resize)
    else:
        found = look_stream(detector, sources, looks, score_threshold, batch_size, resize)
    return list(found) if several else next(found)


def with_nms(detector: Detector, kind: str | None, sigma: float | None = None):
    """The same detector with another suppression; the one that is given stays as it is.

    Args:
        detector: a `ZooModel`, or an exported file without suppression; others have theirs inside, and take no other.
        kind: one of `kzoo.ops.nms.KINDS`; where None the detector itself is given back.
        sigma: width of the suppression's kernel, above 0, the head's `nms_sigma`; the paper's where None.

    Returns:
        A model of the same network and of a head with the same weights, as they are now.

    Raises:
        ValueError: there is no such kind, or the detector cannot have it.

    Example:
        >>> with_nms(model, "soft-gaussian").detect("crowd.jpg")
    """
    if kind is None:
        return detector
    head = getattr(detector, "head", None)
    if head is None:
        return _with_its_own(detector, kind, sigma)
    if not hasattr(head, "nms_kind"):
        raise ValueError(f"nms={kind!r}: {detector.name} is for the task {detector.task!r}; leave it out")
    from kzoo.ops.nms import check_kind

    # Here and not in the head alone: what its constructor says does not come through Keras in one line.
    settings = {"nms_kind": check_kind(kind, head.nms_kinds), "nms_sigma": sigma}
    other = type(head).from_config({**head.get_config(), **settings})
    remade = detector.remade(detector.network, other)
    other.set_weights(head.get_weights())
    return remade


def _with_its_own(detector, kind: str, sigma: float | None):
    """An exported file, if the kind is what it has, or comes behind it."""
    metadata = getattr(detector, "metadata", None)
    own = getattr(metadata, "decoding", {}).get("nms_kind")
    if own == kind:
        return detector
    if not getattr(metadata, "suppressed", True):
        from kzoo.ops.nms import check_kind

        return detector.suppressing(check_kind(kind), sigma)
    raise ValueError(
        f"nms={kind!r}: {getattr(detector, 'path', detector)} has its suppression inside"
        f"{f', {own}' if own else ''}; export the model anew with nms={kind!r} (--nms {kind})"
    )


def detect_stream(
    detector: Detector,
    sources: Iterable[str | Path | np.ndarray],
    score_threshold: float = DEFAULT_SCORE,
    batch_size: int = 1,
    resize: str | None = None,
) -> Iterator[Detections]:
    """As `detect`, one result after the other; no more than a batch of images is held."""
    resize = resize_of(detector, resize)
    # An export of fixed batch size says so.
    size = getattr(detector, "batch_size", None) or batch_size
    for batch in chunks(map(read_source, sources), size):
        yield from _detect_batch(detector, batch, score_threshold, size, resize)


def look_stream(
    detector: Detector,
    sources: Iterable[str | Path | np.ndarray],
    looks: Looks,
    score_threshold: float = DEFAULT_SCORE,
    batch_size: int = 8,
    resize: str | None = None,
) -> Iterator[Detections]:
    """As `detect_stream`, looking at each photograph more than once.

    Args:
        detector: a model or an exported file, of the task "detect" or "instance".
        sources: paths, or images (H, W, 3) uint8 RGB.
        looks: how each is looked at.
        score_threshold: score below which detections are left out, 0 to 1.
        batch_size: number of tiles a step.
        resize: how photographs become inputs; the detector's own way where None.
    """
    looks.check(detector)
    size, resize = getattr(detector, "batch_size", None) or batch_size, resize_of(detector, resize)
    aligned = masks_aligned(detector)
    for image, path in map(read_source, sources):
        found = looks.find(detector, image, score_threshold, size, resize, aligned)
        yield Detections(**found, names=detector.names, image=image, path=path)


def resize_of(detector: Detector, resize: str | None = None) -> str:
    """How photographs become a detector's inputs.

    Args:
        detector: a model or an exported file.
        resize: the name of the way to take in the place of its own; None for its own.

    Raises:
        ValueError: there is no such way.
    """
    return check_resize(getattr(detector, "resize", "letterbox") if resize is None else resize)


def read_source(source: str | Path | np.ndarray) -> tuple[np.ndarray, str | Path | None]:
    """An image (H, W, 3) uint8 RGB, and the file it came from, if any.

    Raises:
        FileNotFoundError, ValueError: a file is not there or no readable image, or an array is no image.
    """
    if isinstance(source, (str, Path)):
        refuse_address(source, "download the picture and give its file")
        return read_image(source), source
    image = np.asarray(source)
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"an array of shape {image.shape} and type {image.dtype} is no image; give (H, W, 3) uint8 RGB"
        )
    return image, None


def _detect_batch(detector, batch, score_threshold: float, size: int, resize: str) -> Iterator[Detections]:
    """The detections of each image of a batch of (image, path), of which the detector gets `size`."""
    exact, aligned = takes_fractions(detector), masks_aligned(detector)
    inputs, placements = zip(
        *(fit(image, detector.image_size, resize, exact) for image, _ in batch), strict=True
    )
    # The last batch is filled up, so that the network is compiled for one shape only.
    filled = np.stack([*inputs, *[inputs[-1]] * (size - len(inputs))])  # (size, H, W, 3)
    results = detector.predict_on_batch(filled)
    for i, ((image, path), placement) in enumerate(zip(batch, placements, strict=True)):
        yield to_detections(
            {key: np.asarray(value)[i] for key, value in results.items()},
            placement,
            score_threshold,
            aligned,
            names=detector.names,
            image=image,
            path=path,
        )


def to_detections(
    result: dict,
    placement: Placement,
    score_threshold: float = 0.0,
    aligned: bool = False,
    **fields,
) -> Detections:
    """One image's decoded result as `Detections` in the original image's pixels, clipped to it.

    Args:
        result: `boxes` (M, 4), `scores` (M,), `labels` (M,) in the input's pixels, -1 = none; where the detector finds
            them `masks` (M, S, S), probabilities inside each box, 0 to 1, `extremes` (M, 4, 2), the outermost points,
            whose octagons become masks, or `drivable` and `lanes` (H, W), 0 or 1.
        placement: how the image lay in the input.
        score_threshold: what scores lower is left out.
        aligned: how masks are pasted: see `kzoo.structures.cells.pasted`.
        **fields: further fields of `Detections`, such as `names`.
    """
    found, maps = in_photograph(kept(result, score_threshold), placement), road_maps(result, placement)
    masks = masks_of(found, placement.original, aligned)  # (N, H, W)
    rows = found["boxes"], found["scores"], found["labels"], masks
    return RoadScene(*rows, **fields, **maps) if maps else Detections(*rows, **fields)


def masks_aligned(detector: Detector) -> bool:
    """How a detector's masks are pasted: its head's `masks_aligned`, or what the description of an export says."""
    if hasattr(detector, "metadata"):
        return bool(detector.metadata.decoding.get("masks_aligned", False))
    return bool(getattr(getattr(detector, "head", None), "masks_aligned", False))
