"""CornerNet's head: an object is a top left and a bottom right corner, which know each other by their tags."""

from __future__ import annotations

import keras
from keras import ops

from kzoo.heads.keypoints import KeypointHead, at
from kzoo.losses.tags import pull_and_push
from kzoo.ops.corners import pair_corners
from kzoo.ops.weighting import image_weighted
from kzoo.options import checked
from kzoo.options.heatmaps import CORNER


@keras.saving.register_keras_serializable("kzoo")
class CornerHead(KeypointHead):
    """A heat map a class for each of two corners; in their cells offsets, and tags that are alike for one object.

    Shapes, of maps of h x w cells:
        inputs: two feature maps a stack, of top left and bottom right corners.
        outputs: `{"top_left_heat": (B, h, w, num_classes) logits, "top_left_tag": (B, h, w, 1), "top_left_offset":
            (B, h, w, 2) of the corner from the cell's, in cells}`, the same of "bottom_right", and those of earlier
            stacks.
        targets: as for `kzoo.heads.center.CenterHead`.

    Args:
        num_classes: number of classes, 1 or more.
        stride: pixels a cell, 4 by default.
        stacks: number of the network's stacks, 2 by default; each is trained, the last is what counts in the end.
        branch_width: channels between the two convolutions of a branch, 1 or more, 256 by default.
        overlap: IoU, above 0 and below 1, 0.3 by default, that a box has to have still if its corners are off by the
            radius of the peaks.
        corrected: whether that radius is what the equations give (default): see `kzoo.ops.heatmaps.gaussian_radius`.
        offset_weight: factor of the offset term, 0 or more, 1 by default.
        pull_weight: factor of the term that makes tags of one object alike, 0 or more, 0.1 by default.
        push_weight: factor of the term that sets tags of different objects apart, 0 or more, 0.1 by default.
        peaks: number of corners of each kind that are looked at in decoding, 1 or more, 100 by default.
        tag_distance: how far apart the tags of one object may be, 0 or more, 0.5 by default.
        border: whether corners in a map's outermost cells count (default). CornerNet-Saccade leaves them out, for where
            a part of an image ends an object does not.
        multiple: pixels that the images' sides are multiples of, 128 by default.
        **kwargs: arguments of `kzoo.heads.heat_layers.HeatLayers` and `kzoo.heads.detection.DetectionHead`. Boxes lose
            score by those that overlap them: `nms_kind` is "soft-gaussian" by default, of 1000 `candidates`.

    Raises:
        ValueError: an argument is out of its range.

    Source: Law & Deng 2018, CornerNet, arXiv:1808.01244.
    """

    options = CORNER
    loss_names = ("heat", "offset", "pull", "push")
    points = ("top_left", "bottom_right")
    placed = points
    tagged = points

    @checked(CORNER)
    def __init__(
        self,
        num_classes: int,
        stride: int = 4,
        stacks: int = 2,
        branch_width: int = 256,
        overlap: float = 0.3,
        corrected: bool = True,
        offset_weight: float = 1.0,
        pull_weight: float = 0.1,
        push_weight: float = 0.1,
        peaks: int = 100,
        tag_distance: float = 0.5,
        border: bool = True,
        multiple: int = 128,
        **kwargs,
    ):
        kwargs = {"nms_kind": "soft-gaussian", "candidates": 1000, **kwargs}
        drawn = (overlap, corrected, offset_weight, peaks)
        super().__init__(num_classes, stride, stacks, branch_width, *drawn, multiple, **kwargs)
        self.pull_weight = pull_weight
        self.push_weight = push_weight
        self.tag_distance = tag_distance
        self.border = border
        self.make_maps()

    def make_maps(self) -> None:
        """Makes the branches, each on the feature map of its point."""
        sources = {
            f"{point}_{kind}": i for i, point in enumerate(self.points) for kind in ("heat", "tag", "offset")
        }
        self.make_branches(self.point_kinds(), [f"{point}_heat" for point in self.points], sources)

    def locate(self, targets, boxes):
        return {"top_left": boxes[..., :2], "bottom_right": boxes[..., 2:]}

    def terms(self, aims, maps, counts, sample_weight):
        tags = [at(maps[f"{point}_tag"], aims[point].place)[..., 0] for point in self.tagged]  # (B, M) each
        pull, push = (ops.sum(image_weighted(term, sample_weight)) for term in pull_and_push(*tags, counts))
        further = {"pull": self.pull_weight * pull, "push": self.push_weight * push}
        return {**super().terms(aims, maps, counts, sample_weight), **further}

    def corners(self, outputs, point: str):
        """The corners of one kind; those in a map's outermost cells are no corners, unless `border` says so."""
        peaks = self.found(outputs, point)
        if self.border:
            return peaks
        height, width = ops.shape(outputs[f"{point}_heat"])[1:3]
        row, column = (0, 0) if point == "top_left" else (height - 1, width - 1)
        outside = ops.equal(peaks.rows, row) | ops.equal(peaks.columns, column)
        return peaks._replace(scores=ops.where(outside, 0.0, peaks.scores))

    def paired(self, outputs):
        """Pairs of corners: boxes (B, N, 4) xyxy pixels, scores (B, N) best first, below 0 of none, labels (B, N)."""
        corners = [self.corners(outputs, point) for point in ("top_left", "bottom_right")]
        boxes, scores, labels = pair_corners(*corners, self.tag_distance, self.candidates)
        return boxes * self.stride, scores, labels

    def decode(self, outputs):
        """Detections: `boxes` (B, D, 4) xyxy pixels, `scores` (B, D), `labels` (B, D), -1 where there is none."""
        boxes, scores, labels = self.paired(outputs)
        return self.suppress(boxes, ops.relu(scores), labels)
