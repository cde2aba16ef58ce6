"""What `predict`, `fit` and exports take for images: looked at before they are taken for a black picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_ROUNDING = 0.5  # grey levels that a number may lie outside of 0..255


def check_images(images: np.ndarray, what: str = "images") -> None:
    """Refuses arrays that are no (B, H, W, 3) RGB in 0..255. Of uint8 no value is looked at: all of them are right.

    Args:
        images: what was given for a batch of images.
        what: what the message calls them.

    Raises:
        ValueError: shape, type or values are others; the message says what they look like, and the remedy.
    """
    remedy = _of_shape(images.shape)
    if remedy:
        raise ValueError(
            f"{what} of shape {images.shape}: a batch of images is (B, H, W, 3), RGB in 0..255; {remedy}"
        )
    if images.dtype == np.uint8 or not images.size:
        return
    if images.dtype.kind == "V":  # bfloat16, as NumPy sees it
        images = images.astype(np.float32)
    if images.dtype.kind not in "uif":
        raise ValueError(f"{what} of type {images.dtype}: give uint8, or floats in 0..255")
    low, high = images.min(), images.max()
    remedy = _of_range(float(low), float(high), images.dtype.kind == "f")
    if remedy:
        raise ValueError(
            f"{what} of type {images.dtype} from {low:.4g} to {high:.4g}: the network normalises RGB in 0..255 "
            f"itself; {remedy}"
        )


def images_of(inputs):
    """The images among what a network takes: the inputs themselves, or of several by name those called "images"."""
    return inputs["images"] if isinstance(inputs, Mapping) else inputs


def check_inputs(inputs, proposals: bool) -> None:
    """Refuses inputs of another kind than the network takes.

    Args:
        inputs: images, or images and proposals by name; values are not looked at.
        proposals: whether the network takes proposals beside the images.

    Raises:
        ValueError: something is missing, or there is too much.
    """
    if not proposals:
        if isinstance(inputs, Mapping):
            raise ValueError(
                f"inputs: {', '.join(map(str, inputs))} by name; this network takes images alone"
            )
        return
    if not isinstance(inputs, Mapping) or set(inputs) != {"images", "proposals"}:
        has = ", ".join(map(str, inputs)) if isinstance(inputs, Mapping) else "images alone"
        raise ValueError(
            f"inputs: {has}; this network takes {{'images': (B, H, W, 3), 'proposals': (B, P, 4) xyxy pixels, zeros = "
            "none}, as kzoo.data.batches(..., proposals=kzoo.proposals.Proposer()) gives them"
        )


def check_proposals(proposals: np.ndarray, count: int) -> None:
    """Refuses arrays that are no boxes for so many images.

    Args:
        proposals: what was given for them, (B, P, 4).
        count: number of images, B.

    Raises:
        ValueError: shape or values are others.
    """
    if (
        proposals.ndim != 3
        or proposals.shape[0] != count
        or proposals.shape[2] != 4
        or not proposals.shape[1]
    ):
        raise ValueError(
            f"proposals of shape {proposals.shape} for {count} images; give ({count}, P, 4) xyxy pixels"
        )
    if proposals.dtype.kind not in "uif" or not np.isfinite(proposals).all():
        raise ValueError(
            "proposals: give finite numbers, xyxy pixels of the images, zeros where there are fewer"
        )


def _of_shape(shape: tuple[int, ...]) -> str | None:
    """What to do with an array of this shape, if it is no batch of images."""
    if len(shape) == 4 and shape[-1] == 3:
        return None
    if len(shape) == 4 and shape[1] == 3:
        return "channels stand last: np.transpose(images, (0, 2, 3, 1))"
    if len(shape) == 4 and shape[-1] == 1:
        return "repeat the grey channel: np.repeat(images, 3, axis=-1)"
    if len(shape) == 4 and shape[-1] == 4:
        return "leave the fourth channel out: images[..., :3]"
    if len(shape) == 3 and shape[-1] == 3:
        return "one image is a batch of one: images[None]"
    if len(shape) == 3 and shape[0] == 3:
        return "one image with its channels first: np.transpose(images, (1, 2, 0))[None]"
    if len(shape) == 3:
        return "grey images get three channels: np.repeat(images[..., None], 3, axis=-1)"
    return "stack images of one size: np.stack(images)"


def _of_range(low: float, high: float, floats: bool) -> str | None:
    """What to do with values of this range, if they are not in 0..255."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return "there are NaN or infinite values; find out where they come from"
    if low < -_ROUNDING:
        return "give them as they were read, neither normalised nor less a mean (or clip them to 0..255)"
    if high > 255 + _ROUNDING:
        return "divide 16 bits by 257 (or clip to 0..255)"
    if floats and 0 < high <= 1:
        return "do not divide by 255 (dark pictures: give uint8)"
    return None
