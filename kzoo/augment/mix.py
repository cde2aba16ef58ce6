"""Two pictures in one: by a patch, by transparency, or by objects cut out of one and laid into the other.

Both are finished canvases of one size. The classes of whole pictures, `Sample.shares`, are mixed like the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np

from kzoo.augment.arguments import check_number
from kzoo.augment.objects import (
    MIN_SIDE,
    MIN_VISIBLE,
    Region,
    behind,
    behind_rectangle,
    clip_boxes,
    clip_proposals,
    join,
    mixed_shares,
    select,
)
from kzoo.structures import Sample


@dataclass(frozen=True)
class Pair:
    """A transform of two samples: `pair(rng, sample, partner) -> Sample`, which takes the first one's id.

    Attributes:
        p: the share of samples it is applied to, which `Compose` draws.
    """

    p: float = 0.5

    def __call__(self, rng: np.random.Generator, sample: Sample, partner: Sample) -> Sample:
        """The mixture of two samples of one size; neither is changed."""
        raise NotImplementedError

    def _check(self, name: str, **bounds: tuple[float, float]) -> None:
        for field, (least, most) in {"p": (0.0, 1.0), **bounds}.items():
            check_number(name, field, getattr(self, field), least, most)


@dataclass(frozen=True)
class CutMix(Pair):
    """A rectangle of the picture shows the partner's, at the same place.

    Objects are cut to what is seen of them: of their masks where there are masks, else of their boxes. A
    semantic mask is mixed where both have one, and shares of classes by the area.

    Attributes:
        alpha: both parameters of the beta distribution that the rectangle's share of the area is drawn from, above 0; 1
            draws it evenly.
        min_visible: objects of which a smaller share is seen are left out.

    Raises:
        ValueError: an argument is out of its bounds.

    Source: Yun et al. 2019, CutMix, arXiv:1905.04899.
    """

    alpha: float = 1.0
    min_visible: float = MIN_VISIBLE

    def __post_init__(self):
        self._check("cutmix", alpha=(0.01, 1000.0), min_visible=(0.0, 1.0))

    def __call__(self, rng: np.random.Generator, sample: Sample, partner: Sample) -> Sample:
        region = self._region(rng, sample.size)
        x1, y1, x2, y2 = region
        if x2 <= x1 or y2 <= y1:
            return sample
        canvas = replace(_both_masked(sample, partner), image=sample.image.copy())
        canvas.image[y1:y2, x1:x2] = partner.image[y1:y2, x1:x2]
        if canvas.mask is not None:
            canvas.mask = sample.mask.copy()
            canvas.mask[y1:y2, x1:x2] = partner.mask[y1:y2, x1:x2]
        share = (x2 - x1) * (y2 - y1) / (sample.size[0] * sample.size[1])
        canvas.shares = mixed_shares((sample, partner), (1 - share, share))
        own = behind_rectangle(sample, region, self.min_visible)
        pasted = _within(partner, region, self.min_visible)
        pasted.proposals = clip_proposals(partner.proposals, region)
        return join(canvas, [own, pasted])

    def _region(self, rng: np.random.Generator, size: tuple[int, int]) -> Region:
        """x1, y1, x2, y2 of the rectangle: of the frame's shape, its centre anywhere, clipped to the frame."""
        height, width = size
        # Half of each side, as a share of the frame's: the root of the area's share.
        half = 0.5 * rng.beta(self.alpha, self.alpha) ** 0.5
        x, y = rng.random(2).tolist()
        x1, x2 = (round(width * min(max(x + end, 0), 1)) for end in (-half, half))
        y1, y2 = (round(height * min(max(y + end, 0), 1)) for end in (-half, half))
        return x1, y1, x2, y2


@dataclass(frozen=True)
class MixUp(Pair):
    """Both pictures, one shining through the other, with the objects of both.

    Each object gets the weight of its picture, `Sample.weights`, and so do the shares of classes. The semantic mask
    is that of the picture of greater weight, if both have one.

    Attributes:
        alpha: both parameters of the beta distribution that the first picture's weight is drawn from, above 0; the
            greater, the closer to one half.

    Raises:
        ValueError: an argument is out of its bounds.

    Source: Zhang et al. 2019, Bag of Freebies for Training Object Detection Neural Networks, arXiv:1902.04103.
    """

    alpha: float = 1.5
    weighted: ClassVar[bool] = True

    def __post_init__(self):
        self._check("mixup", alpha=(0.01, 1000.0))

    def __call__(self, rng: np.random.Generator, sample: Sample, partner: Sample) -> Sample:
        share = float(rng.beta(self.alpha, self.alpha))  # the weight of `sample`; the partner's is 1 - share
        canvas = _both_masked(sample, partner)
        if canvas.mask is not None and share < 0.5:
            canvas.mask = partner.mask
        canvas = replace(canvas, image=cv2.addWeighted(sample.image, share, partner.image, 1 - share, 0.0))
        canvas.shares = mixed_shares((sample, partner), (share, 1 - share))
        return join(canvas, [_weighted(sample, share), _weighted(partner, 1 - share)])


@dataclass(frozen=True)
class CopyPaste(Pair):
    """Objects of the partner, cut out along their masks, lie in front of the picture.

    What they hide is cut from the masks and boxes of the objects behind. A semantic mask is mixed where both have
    one. Crowds are not pasted.

    Attributes:
        share: how many of the partner's objects are pasted: each by this chance.
        min_visible: objects of which a smaller share is left to see are left out.

    Raises:
        ValueError: an argument is out of its bounds; or, when it is called, a sample with objects has no
            instance masks.

    Source: Ghiasi et al. 2021, Simple Copy-Paste is a Strong Data Augmentation Method, arXiv:2012.07177.
    """

    instances = True

    share: float = 0.5
    min_visible: float = MIN_VISIBLE

    def __post_init__(self):
        self._check("copy_paste", share=(0.0, 1.0), min_visible=(0.0, 1.0))

    def __call__(self, rng: np.random.Generator, sample: Sample, partner: Sample) -> Sample:
        for picture in (sample, partner):
            if picture.masks is None and len(picture.boxes):
                raise ValueError(
                    f"copy_paste: image {picture.id!r} has objects without masks; load the dataset with masks=True, "
                    "or leave copy_paste out"
                )
        chosen = (rng.random(len(partner.boxes)) < self.share) & ~partner.crowd  # (N,)
        if not chosen.any():
            return sample
        pasted = select(partner, chosen)
        front = pasted.masks.any(0)  # (H, W), of (N, H, W)
        canvas = replace(_both_masked(sample, partner), image=sample.image.copy(), shares=sample.shares)
        canvas.image[front] = partner.image[front]
        if canvas.mask is not None:
            canvas.mask = np.where(front, partner.mask, sample.mask)
        own = behind(sample, front, self.min_visible) if len(sample.boxes) else sample
        return join(canvas, [own, pasted])


def _both_masked(sample: Sample, partner: Sample) -> Sample:
    """The sample's picture alone, without its objects; its semantic mask only if the partner has one too."""
    return Sample(sample.image, mask=None if partner.mask is None else sample.mask, id=sample.id)


def _within(sample: Sample, region: Region, min_visible: float) -> Sample:
    """The sample's objects, as far as they are seen through a window."""
    if sample.masks is not None:
        x1, y1, x2, y2 = region
        outside = np.ones(sample.size, bool)
        outside[y1:y2, x1:x2] = False
        return behind(sample, outside, min_visible)
    boxes, keep = clip_boxes(sample.boxes, region, min_visible, MIN_SIDE)
    return select(sample, keep, boxes)


def _weighted(sample: Sample, share: float) -> Sample:
    """The sample, its objects' weights multiplied."""
    weights = np.ones(len(sample.boxes), np.float32) if sample.weights is None else sample.weights
    return replace(sample, weights=weights * np.float32(share))
