"""ExtremeNet's head: an object is its top, left, bottom and right point, with its centre in their middle."""

from __future__ import annotations

import logging

import keras
from keras import ops

from kzoo.heads.keypoints import KeypointHead
from kzoo.ops.extremes import edge_aggregated, extreme_points, join_extremes, whose_points, without_ghosts
from kzoo.ops.gather import stable_top_k, take_rows
from kzoo.options import checked
from kzoo.options.heatmaps import EXTREME

log = logging.getLogger("kzoo")
_said: set[str] = set()


@keras.saving.register_keras_serializable("kzoo")
class ExtremeHead(KeypointHead):
    """A heat map a class for each of four outermost points and for the centre; nothing tells which belong together.

    All combinations of four points are looked at: those in whose middle there is a centre are objects.

    Shapes, of maps of h x w cells:
        inputs: a feature map a stack.
        outputs: `{"top_heat": (B, h, w, num_classes) logits, "top_offset": (B, h, w, 2) of the point from the cell's
            corner, in cells}`, the same of "left", "bottom" and "right", "center_heat", and those of earlier stacks.
        targets: as for `kzoo.heads.center.CenterHead`; and `"masks"` (B, M, S, S), each object's as cells of its own
            box, uint8 0..255 or float 0..1, which say where on the edges of its box it has its points. Without masks
            these are in the middle of the edges, and a warning says so.
        decoded: also `{"extremes": (B, D, 4, 2)}`, x and y in pixels of the top, left, bottom and right point of each,
            of which `kzoo.structures.contours.octagons` makes outlines.

    Args:
        num_classes: number of classes, 1 or more.
        stride: pixels a cell, 4 by default.
        stacks: number of the network's stacks, 2 by default; each is trained, the last is what counts in the end.
        branch_width: channels between the two convolutions of a branch, 1 or more, 256 by default.
        overlap: IoU, above 0 and below 1, 0.7 by default, that a box has to have still if its corners are off by the
            radius of the peaks.
        corrected: whether that radius is what the equations give; False (default) as the authors have it, larger: see
            `kzoo.ops.heatmaps.gaussian_radius`.
        offset_weight: factor of the offset term, 0 or more, 1 by default.
        peaks: number of points of each kind that are looked at in decoding, 1 or more, 40 by default.
        pairs: number of pairs of opposite points, the best ones, whose combinations are looked at, 400 by default; all
            `peaks` x `peaks` where None, of which a combination of each with each takes 16 times as long.
        aggregation: share of the heat along an edge that its point takes up, 0 or more, 0.1 by default.
        point_threshold: score, 0 to 1, 0.1 by default, that points have at least.
        center_threshold: score, 0 to 1, 0.1 by default, that centres have at least.
        ghost_factor: how many times a box's score those inside it may score together, 0 or more, 3 by default; beyond
            it loses half of its own.
        ghost_threshold: score, 0 to 1, 0.2 by default, up to which a box loses nothing so.
        multiple: pixels that the images' sides are multiples of, 128 by default.
        **kwargs: arguments of `kzoo.heads.heat_layers.HeatLayers` and `kzoo.heads.detection.DetectionHead`. Boxes lose
            score by those that overlap them: `nms_kind` is "soft-gaussian" by default, of 1000 `candidates`.

    Raises:
        ValueError: an argument is out of its range.

    Source: Zhou et al. 2019, Bottom-up Object Detection by Grouping Extreme and Center Points, arXiv:1901.08043.
    """

    options = EXTREME
    nms_last = False  # boxes around several objects lose score after it
    truth = "outlined"
    points = ("top", "left", "bottom", "right", "center")
    placed = ("top", "left", "bottom", "right")

    @checked(EXTREME)
    def __init__(
        self,
        num_classes: int,
        stride: int = 4,
        stacks: int = 2,
        branch_width: int = 256,
        overlap: float = 0.7,
        corrected: bool = False,
        offset_weight: float = 1.0,
        peaks: int = 40,
        pairs: int | None = 400,
        aggregation: float = 0.1,
        point_threshold: float = 0.1,
        center_threshold: float = 0.1,
        ghost_factor: float = 3.0,
        ghost_threshold: float = 0.2,
        multiple: int = 128,
        **kwargs,
    ):
        kwargs = {"nms_kind": "soft-gaussian", "candidates": 1000, **kwargs}
        drawn = (overlap, corrected, offset_weight, peaks)
        super().__init__(num_classes, stride, stacks, branch_width, *drawn, multiple, **kwargs)
        self.pairs = pairs
        self.aggregation = aggregation
        self.point_threshold, self.center_threshold = point_threshold, center_threshold
        self.ghost_factor, self.ghost_threshold = ghost_factor, ghost_threshold
        self.make_branches(self.point_kinds(), [f"{point}_heat" for point in self.points])

    def locate(self, targets, boxes):
        masks = targets.get("masks")
        if masks is None and not _said:
            _said.add("masks")
            log.warning(
                "targets: no 'masks', so extreme points are taken to be in the middle of boxes' edges; open the "
                "dataset with task='instance' for where they are"
            )
        places = extreme_points(boxes, masks)  # (B, M, 4, 2)
        found = {point: places[:, :, i] for i, point in enumerate(self.placed)}
        return {**found, "center": (boxes[..., :2] + boxes[..., 2:]) / 2}

    def looked_at(self, cells):
        column = (cells["left"][..., 0] + cells["right"][..., 0]) // 2
        row = (cells["top"][..., 1] + cells["bottom"][..., 1]) // 2
        return {**cells, "center": ops.stack([column, row], axis=-1)}

    def extremes(self, outputs) -> list:
        """The peaks of the four outermost points, of which each has gathered the heat along its edge."""
        found = []
        for point, axis in (("top", 2), ("left", 1), ("bottom", 2), ("right", 1)):
            heat = edge_aggregated(ops.sigmoid(outputs[f"{point}_heat"]), axis, self.aggregation)
            peaks = self.found(outputs, point, heat)
            found.append(peaks._replace(scores=ops.minimum(peaks.scores, 1.0)))
        return found

    def decode(self, outputs):
        """Detections: `boxes` (B, D, 4) xyxy pixels, `scores` (B, D), `labels` (B, D), -1 where there is none.

        And of each the four points, `extremes` (B, D, 4, 2).
        """
        centers = ops.sigmoid(outputs["center_heat"])
        limits = (self.candidates, self.pairs, self.point_threshold, self.center_threshold)
        boxes, scores, labels, points = join_extremes(*self.extremes(outputs), centers, *limits)
        boxes = boxes * self.stride
        kept = self.suppress(boxes, ops.relu(scores), labels)
        points = whose_points(kept["boxes"], kept["labels"], boxes, labels, points * self.stride)
        # Boxes around several objects lose score, and with it their place in the order.
        ghosts = (self.ghost_factor, self.ghost_threshold)
        scores = without_ghosts(kept["boxes"], kept["scores"], kept["labels"], *ghosts)
        scores, order = stable_top_k(scores, self.max_detections)
        boxes, labels, points = (take_rows(one, order) for one in (kept["boxes"], kept["labels"], points))
        return {"boxes": boxes, "scores": scores, "labels": labels, "extremes": points}
