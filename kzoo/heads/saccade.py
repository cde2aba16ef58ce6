"""CornerNet-Saccade's head: that of CornerNet, and maps that say where to look closer."""

from __future__ import annotations

from collections.abc import Mapping

import keras
from keras import ops

from kzoo.heads.base import SURE
from kzoo.heads.corner import CornerHead
from kzoo.heads.keypoints import Aim, heat_term
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.ops.heatmaps import draw_peaks, find_peaks, in_cells
from kzoo.options import checked
from kzoo.options.heatmaps import SACCADE

# By the longer side of objects in pixels, above and below which they belong to the next: the smallest and the largest.
SIZES = {"large": (96.0, float("inf")), "medium": (32.0, 96.0), "small": (0.0, 32.0)}
ZOOMS = {
    "large": 1.0,
    "medium": 2.0,
    "small": 4.0,
}  # how much such objects are enlarged to be looked at again
STEPS = {
    "large": 4,
    "medium": 2,
    "small": 1,
}  # strides of the maps of corners that a cell of attention is long


@keras.saving.register_keras_serializable("kzoo")
class SaccadeHead(CornerHead):
    """Corners as `kzoo.heads.corner.CornerHead` has them, and attention: how likely an object of a size is there.

    The authors look once at a downsized image, then at parts of it where attention is above 0.3, enlarged 4, 2 or 1
    times by the size of what is there, and join what they find. This head detects in one look at the whole image, and
    says beside where to look again, and how much enlarged: `kzoo.inference.saccade` does so.

    Shapes, of maps of h x w cells, besides those of `CornerHead`:
        inputs: five feature maps a stack: of top left and bottom right corners, and of large, medium and small objects,
            at four times, twice and once the stride.
        outputs: also `{"attention_large": (B, h / 4, w / 4, 1) logits, "attention_medium": (B, h / 2, w / 2, 1),
            "attention_small": (B, h, w, 1)}`, of objects longer than 96 pixels, shorter than 32, and between.

    Args:
        num_classes: number of classes, 1 or more.
        attention_weight: factor of the attention term, 0 or more, 1 by default.
        attention_threshold: attention, 0 to 1, 0.3 by default, above which a place is worth another look.
        looks: number of such places that are given out at most, 1 or more, 30 by default.
        **kwargs: arguments of `CornerHead`; `stacks` is 3 by default, `overlap` 0.5, `tag_distance` 0.3, `multiple` 32,
            and `nms_sigma` 0.7, with "soft-gaussian".

    Source: Law et al. 2019, CornerNet-Lite, arXiv:1904.08900, section 4.
    """

    options = SACCADE
    loss_names = (*CornerHead.loss_names, "attention")

    @checked(SACCADE)
    def __init__(
        self,
        num_classes: int,
        attention_weight: float = 1.0,
        attention_threshold: float = 0.3,
        looks: int = 30,
        **kwargs,
    ):
        kwargs = {"stacks": 3, "overlap": 0.5, "tag_distance": 0.3, "multiple": 32, **kwargs}
        if kwargs.get("nms_kind", "soft-gaussian") == "soft-gaussian":
            kwargs = {"nms_sigma": 0.7, **kwargs}
        super().__init__(num_classes, **kwargs)
        self.attention_weight = attention_weight
        self.attention_threshold = attention_threshold
        self.looks = looks

    def make_maps(self):
        kinds = [f"attention_{size}" for size in SIZES]
        sources = {
            f"{point}_{kind}": i for i, point in enumerate(self.points) for kind in ("heat", "tag", "offset")
        }
        sources |= {kind: 2 + i for i, kind in enumerate(kinds)}
        heats = [f"{point}_heat" for point in self.points]
        self.make_branches({**self.point_kinds(), **dict.fromkeys(kinds, 1)}, heats, sources, kinds)

    def aims(self, targets, boxes, labels, size):
        found = super().aims(targets, boxes, labels, size)
        height, width = size
        sides = (boxes[..., 2:] - boxes[..., :2]) * self.stride  # (B, M, 2) pixels
        longer = ops.maximum(sides[..., 0], sides[..., 1])
        for name, (least, most) in SIZES.items():
            step = STEPS[name]
            cells, offset = in_cells(
                (boxes[..., :2] + boxes[..., 2:]) / (2 * step), height // step, width // step
            )
            # What is of no other size is of the middle one.
            of_size = (
                (longer >= least) & (longer <= most)
                if name == "medium"
                else (longer > least) & (longer < most)
            )
            there = ops.where(of_size & (labels >= 0), 0, -1)
            spot = draw_peaks(cells, ops.zeros_like(longer), there, (height // step, width // step), 1)
            known = self.known(targets, height // step, width // step)
            found[f"attention_{name}"] = Aim(ops.stop_gradient(spot), known, None, offset)
        return found

    def terms(self, aims: Mapping[str, Aim], maps, counts, sample_weight):
        attention = sum(
            heat_term(aims[f"attention_{size}"], maps[f"attention_{size}"], sample_weight) for size in SIZES
        )
        found = super().terms(aims, maps, counts, sample_weight)
        return {**found, "attention": self.attention_weight * attention}

    def encode(self, targets, sizes) -> dict:
        aims = self.aims(targets, *self.objects(targets), sizes[-1])
        attention = {f"attention_{size}": aims[f"attention_{size}"].heat for size in SIZES}
        sure = {kind: SURE * (2.0 * heat - 1.0) for kind, heat in attention.items()}
        return {**super().encode(targets, sizes), **self.of_all_stacks(sure)}

    def places(self, outputs):
        """Where to look again, the most attended first: (B, looks, 4), x and y in pixels, how much enlarged, attention.

        Where there are fewer the rest is 0.
        """
        found = []
        for size, zoom in ZOOMS.items():
            cell = self.stride * STEPS[size]  # pixels
            scores, _, columns, rows = find_peaks(
                outputs[f"attention_{size}"], self.looks, logits=True
            )  # (B, L) each
            x, y = ((ops.cast(place, "float32") + 0.5) * cell for place in (columns, rows))
            found.append(ops.stack([x, y, zoom * ops.ones_like(x), scores], axis=-1))
        found = ops.concatenate(found, axis=1)  # (B, 3 * L, 4)
        _, order = stable_top_k(found[..., 3], self.looks)
        found = take_rows(found, order)
        return ops.where(found[..., 3:] > self.attention_threshold, found, 0.0)

    def decode(self, outputs):
        """Detections as `CornerHead` gives them, and `looks` (B, looks, 4), where to look again: see `places`."""
        return {**super().decode(outputs), "looks": self.places(outputs)}
