"""What heads share whose objects are several points, each the peak of a heat map of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from keras import ops

from kzoo.heads.base import SURE
from kzoo.heads.heat_layers import HeatLayers
from kzoo.losses.peaks import peak_focal_loss
from kzoo.losses.smooth_l1 import smooth_l1
from kzoo.ops.corners import Peaks
from kzoo.ops.gather import take_rows
from kzoo.ops.heatmaps import draw_peaks, find_peaks, gaussian_radius, in_cells
from kzoo.ops.weighting import image_weighted


class Aim(NamedTuple):
    """What the maps of a point are to be.

    Attributes:
        heat: (B, h, w, C), 1 at the points, 0 to 1 elsewhere.
        known: (B, h, w, 1), 0 for cells that are neither object nor background.
        place: (B, M) int32, the cell of each object's point, row by row.
        offset: (B, M, 2) of the point from that cell's corner, in cells.
    """

    heat: object
    known: object
    place: object
    offset: object


class KeypointHead(HeatLayers):
    """A heat map of every class for each kind of point; most kinds have offsets in their cells, some tags.

    Attributes:
        points: names of the kinds of points.
        placed: kinds of points whose offset from the cell's corner is predicted.
        tagged: kinds of points with a number that is alike for those of one object.
        sixths: how many standard deviations the peaks are wide that are drawn, by kind; 6 where nothing is said.

    Args:
        num_classes: number of classes, 1 or more.
        stride: pixels a cell.
        stacks: number of the network's stacks, 1 or more.
        branch_width: channels between the two convolutions of a branch.
        overlap: IoU, above 0 and below 1, that a box has to have still if its corners are off by the radius of the
            peaks.
        corrected: whether that radius is what the equations give: see `kzoo.ops.heatmaps.gaussian_radius`.
        offset_weight: factor of the offset term, 0 or more.
        peaks: number of peaks of each kind that are looked at in decoding, 1 or more.
        multiple: pixels that the images' sides are multiples of.
        **kwargs: arguments of `HeatLayers` and of `kzoo.heads.detection.DetectionHead`.
    """

    loss_names = ("heat", "offset")
    meaning = ("stride", "stacks")
    points: tuple[str, ...] = ()
    placed: tuple[str, ...] = ()
    tagged: tuple[str, ...] = ()
    sixths: ClassVar[Mapping[str, float]] = {}

    def __init__(
        self,
        num_classes: int,
        stride: int,
        stacks: int,
        branch_width: int,
        overlap: float,
        corrected: bool,
        offset_weight: float,
        peaks: int,
        multiple: int,
        **kwargs,
    ):
        super().__init__(num_classes, stride, stacks, branch_width, multiple, **kwargs)
        self.overlap = overlap
        self.corrected = corrected
        self.offset_weight = offset_weight
        self.peaks = peaks

    def point_kinds(self) -> dict[str, int]:
        """Of all points' maps the number of channels, by kind."""
        return {
            **{f"{point}_heat": self.num_classes for point in self.points},
            **{f"{point}_tag": 1 for point in self.tagged},
            **{f"{point}_offset": 2 for point in self.placed},
        }

    def locate(self, targets, boxes) -> dict:
        """Where objects have their points, by kind: (B, M, 2) x and y in cells.

        Args:
            targets: the truth by name.
            boxes: (B, M, 4) of the objects, xyxy in cells.
        """
        raise NotImplementedError

    def looked_at(self, cells: Mapping) -> dict:
        """Of objects whose points lie in `cells`, (B, M, 2) by kind, the cells that decoding looks at: the same."""
        return dict(cells)

    def loss(self, targets, outputs, sample_weight=None):
        boxes, labels = self.objects(targets)  # (B, M, 4) in cells, (B, M)
        counts = ops.cast(labels >= 0, "float32")
        if "weights" in targets:
            counts = counts * ops.cast(targets["weights"], "float32")
        aims = self.aims(targets, boxes, labels, self.sizes(outputs)[-1])
        terms = dict.fromkeys(self.loss_names, 0.0)
        for stack in range(self.stacks):
            found = self.terms(aims, self.of_stack(outputs, stack), counts, sample_weight)
            terms = {name: term + found[name] / self.stacks for name, term in terms.items()}
        return terms

    def aims(self, targets, boxes, labels, size) -> dict:
        """What the maps of each kind of point are to be.

        Args:
            targets: the truth by name.
            boxes: (B, M, 4) of the objects, xyxy in cells.
            labels: (B, M) int32, -1 for none.
            size: height and width of the maps in cells.
        """
        height, width = size
        whole = ops.ceil(boxes[..., 2:] - boxes[..., :2])  # (B, M, 2)
        radius = gaussian_radius(whole[..., 1], whole[..., 0], self.overlap, self.corrected)
        radius = ops.maximum(ops.floor(radius), 0.0)  # (B, M)
        known = self.known(targets, height, width)
        aims = {}
        for point, where in self.locate(targets, boxes).items():
            cells, offset = in_cells(where, height, width)  # (B, M, 2) each
            sixth = self.sixths.get(point, 6.0)
            heat = draw_peaks(cells, radius, labels, size, self.num_classes, sixth)  # (B, h, w, C)
            place = cells[..., 1] * width + cells[..., 0]
            aims[point] = Aim(ops.stop_gradient(heat), known, place, offset)
        return aims

    def terms(self, aims: Mapping[str, Aim], maps: Mapping, counts, sample_weight) -> dict:
        """The terms of one stack's maps.

        Args:
            aims: what the maps of each point are to be.
            maps: raw outputs by kind.
            counts: (B, M) what each object counts, 0 for none.
            sample_weight: (B,) what each image counts, or None for 1.
        """
        heat = sum(heat_term(aims[point], maps[f"{point}_heat"], sample_weight) for point in self.points)
        weight = ops.expand_dims(image_weighted(counts, sample_weight), -1)  # (B, M, 1)
        offset = 0.0
        for point in self.placed:
            off = smooth_l1(aims[point].offset, at(maps[f"{point}_offset"], aims[point].place))  # (B, M, 2)
            offset = offset + ops.sum(off * weight)
        return {"heat": heat, "offset": self.offset_weight * offset / (ops.sum(counts) + 1e-4)}

    def encode(self, targets, sizes) -> dict:
        """Raw outputs that decode to the targets: for tests.

        Args:
            targets: boxes (B, M, 4) and labels (B, M) by name, as `loss` takes them.
            sizes: height and width of each stack's feature map in cells.
        """
        height, width = sizes[-1]
        boxes, labels = self.objects(targets)
        lie = {point: in_cells(where, height, width) for point, where in self.locate(targets, boxes).items()}
        cells = self.looked_at({point: cell for point, (cell, _) in lie.items()})
        # Every object has a tag of its own, which is not that of cells without any: its number, from 1.
        tags = ops.broadcast_to(1.0 + ops.arange(labels.shape[1], dtype="float32"), ops.shape(labels))
        maps = {}
        for point, cell in cells.items():
            said = {
                "heat": ops.one_hot(labels, self.num_classes),
                "tag": ops.expand_dims(tags, -1),
                "offset": lie[point][1],
            }  # (B, M, channels) each
            found = {f"{point}_{kind}": values for kind, values in said.items()}
            there = ops.where(labels >= 0, cell[..., 1] * width + cell[..., 0], -1)
            maps |= self.written(
                {kind: found[kind] for kind in found if kind in self.kinds}, there, height, width
            )
        for point in self.points:
            maps[f"{point}_heat"] = SURE * (2.0 * maps[f"{point}_heat"] - 1.0)
        return self.of_all_stacks(maps)

    def found(self, outputs, point: str, heat=None) -> Peaks:
        """The peaks of one kind of point.

        Args:
            outputs: raw outputs by name.
            point: one of `points`.
            heat: (B, h, w, C) scores in which they are looked for; those of the raw outputs where None.
        """
        raw = heat is None
        maps = outputs[f"{point}_heat"] if raw else heat
        scores, labels, columns, rows = find_peaks(maps, self.peaks, logits=raw)  # (B, K) each
        place = rows * ops.shape(maps)[2] + columns
        offset, tags = at(outputs[f"{point}_offset"], place), None  # (B, K, 2)
        if point in self.tagged:
            tags = at(outputs[f"{point}_tag"], place)[..., 0]
        x, y = (ops.cast(cells, "float32") + offset[..., i] for i, cells in enumerate((columns, rows)))
        return Peaks(scores, labels, columns, rows, x, y, tags)


def at(maps, place):
    """Of maps (B, h, w, C) what stands in the cells (B, M), counted row by row: (B, M, C)."""
    height, width, channels = ops.shape(maps)[1:]
    return take_rows(ops.reshape(maps, (-1, height * width, channels)), place)


def heat_term(aim: Aim, logits, sample_weight):
    """The focal loss of heat maps (B, h, w, C), over the number of peaks."""
    peaks = ops.maximum(ops.sum(ops.cast(ops.equal(aim.heat, 1.0), "float32")), 1.0)
    return ops.sum(image_weighted(peak_focal_loss(aim.heat, logits) * aim.known, sample_weight)) / peaks
