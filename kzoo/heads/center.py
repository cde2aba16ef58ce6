"""CenterNet's head: an object is the peak at its centre, and what is told there of its size."""

from __future__ import annotations

import keras
from keras import ops

from kzoo.heads.base import SURE
from kzoo.heads.heat_layers import HeatLayers
from kzoo.losses.peaks import peak_focal_loss
from kzoo.ops.gather import take_rows
from kzoo.ops.heatmaps import draw_peaks, find_peaks, gaussian_radius, in_cells
from kzoo.ops.weighting import image_weighted
from kzoo.options import checked
from kzoo.options.heatmaps import CENTER


@keras.saving.register_keras_serializable("kzoo")
class CenterHead(HeatLayers):
    """A heat map a class, with a peak at each object's centre; size and offset of the object stand in the same cell.

    Shapes, of maps of h x w cells:
        inputs: a feature map a stack.
        outputs: `{"heat": (B, h, w, num_classes) logits, "size": (B, h, w, 2) width and height in cells, "offset":
            (B, h, w, 2) of the centre from the cell's corner, in cells}`, and those of earlier stacks.
        targets: `{"boxes": (B, M, 4) xyxy pixels, "labels": (B, M)}`; a label of -1 is padding, or, with a box of
            positive area, a region that is neither object nor background. Where there are `"weights"` (B, M), as MixUp
            makes them, an object's size and offset count by its weight.

    Args:
        num_classes: number of classes, 1 or more.
        stride: pixels a cell, 4 by default.
        stacks: number of the network's feature maps, 1 by default; each is trained, the last is what counts in the end.
        branch_width: channels between the two convolutions of a branch, 1 or more, 64 by default.
        overlap: IoU, above 0 and below 1, 0.7 by default, that a box has to have still if it is off by the radius of
            the peaks.
        corrected: whether that radius is what the equations give; False (default) as the authors have it, larger: see
            `kzoo.ops.heatmaps.gaussian_radius`.
        size_weight: factor of the size term, 0 or more, 0.1 by default.
        offset_weight: factor of the offset term, 0 or more, 1 by default.
        multiple: pixels that the images' sides are multiples of, 32 by default.
        **kwargs: arguments of `kzoo.heads.detection.DetectionHead`. Peaks need no suppression: `nms_threshold` is 1
            by default; `max_detections` peaks are taken.

    Raises:
        ValueError: an argument is out of its range.

    Source: Zhou et al. 2019, Objects as Points, arXiv:1904.07850, section 3.
    """

    options = CENTER
    loss_names = ("heat", "size", "offset")
    meaning = ("stride", "stacks")

    @checked(CENTER)
    def __init__(
        self,
        num_classes: int,
        stride: int = 4,
        stacks: int = 1,
        branch_width: int = 64,
        overlap: float = 0.7,
        corrected: bool = False,
        size_weight: float = 0.1,
        offset_weight: float = 1.0,
        multiple: int = 32,
        **kwargs,
    ):
        kwargs = {"nms_threshold": 1.0, **kwargs}
        super().__init__(num_classes, stride, stacks, branch_width, multiple, **kwargs)
        self.make_branches({"heat": num_classes, "size": 2, "offset": 2}, ("heat",))
        self.overlap = overlap
        self.corrected = corrected
        self.size_weight = size_weight
        self.offset_weight = offset_weight

    def loss(self, targets, outputs, sample_weight=None):
        # 1. Objects in cells: boxes (B, M, 4), and whether they are any (B, M).
        boxes, labels = self.objects(targets)
        height, width = ops.shape(outputs["heat"])[1:3]
        cells, offset = in_cells((boxes[..., :2] + boxes[..., 2:]) / 2, height, width)  # (B, M, 2) each
        counts = ops.cast(labels >= 0, "float32")
        if "weights" in targets:
            counts = counts * ops.cast(targets["weights"], "float32")

        # 2. What the maps are to be.
        extent = boxes[..., 2:] - boxes[..., :2]  # (B, M, 2)
        whole = ops.ceil(extent)
        radius = gaussian_radius(whole[..., 1], whole[..., 0], self.overlap, self.corrected)  # (B, M)
        radius = ops.maximum(ops.floor(radius), 0.0)
        heat = draw_peaks(cells, radius, labels, (height, width), self.num_classes)  # (B, h, w, C)
        heat = ops.stop_gradient(heat)
        known = self.known(targets, height, width)  # (B, h, w, 1)
        place = cells[..., 1] * width + cells[..., 0]  # (B, M)

        # 3. The terms, the mean of all stacks.
        peaks = ops.maximum(ops.sum(ops.cast(ops.equal(heat, 1.0), "float32")), 1.0)
        objects = 2.0 * ops.sum(counts) + 1e-4  # of both coordinates
        weight = ops.expand_dims(image_weighted(counts, sample_weight), -1)  # (B, M, 1)
        terms = dict.fromkeys(self.loss_names, 0.0)
        for stack in range(self.stacks):
            maps = self.of_stack(outputs, stack)
            wrong = image_weighted(peak_focal_loss(heat, maps["heat"]) * known, sample_weight)
            terms["heat"] = terms["heat"] + ops.sum(wrong) / peaks
            for name, true in (("size", extent), ("offset", offset)):
                rows = ops.reshape(maps[name], (-1, height * width, 2))
                off = ops.abs(take_rows(rows, place) - true) * weight  # (B, M, 2)
                terms[name] = terms[name] + ops.sum(off) / objects
        factors = {"heat": 1.0, "size": self.size_weight, "offset": self.offset_weight}
        return {name: term * factors[name] / self.stacks for name, term in terms.items()}

    def encode(self, targets, sizes) -> dict:
        """Raw outputs that decode to the targets: for tests.

        Args:
            targets: boxes (B, M, 4) and labels (B, M) by name, as `loss` takes them.
            sizes: height and width of each stack's feature map in cells.
        """
        height, width = sizes[-1]
        boxes, labels = self.objects(targets)
        cells, offset = in_cells((boxes[..., :2] + boxes[..., 2:]) / 2, height, width)
        found = {
            "heat": ops.one_hot(labels, self.num_classes),
            "size": boxes[..., 2:] - boxes[..., :2],
            "offset": offset,
        }  # (B, M, channels) each
        there = ops.where(labels >= 0, cells[..., 1] * width + cells[..., 0], -1)
        maps = self.written(found, there, height, width)
        return self.of_all_stacks({**maps, "heat": SURE * (2.0 * maps["heat"] - 1.0)})

    def decode(self, outputs):
        """Detections: `boxes` (B, K, 4) xyxy pixels, `scores` (B, K), `labels` (B, K), -1 where there is none."""
        height, width = ops.shape(outputs["heat"])[1:3]
        scores, labels, column, row = find_peaks(
            outputs["heat"], self.max_detections, logits=True
        )  # (B, K) each
        place = row * width + column
        size, offset = (
            take_rows(ops.reshape(outputs[kind], (-1, height * width, 2)), place)
            for kind in ("size", "offset")
        )  # (B, K, 2) each
        center = ops.cast(ops.stack([column, row], axis=-1), "float32") + offset
        boxes = ops.concatenate([center - size / 2, center + size / 2], axis=-1) * self.stride
        return self.suppress(boxes, scores, labels)
