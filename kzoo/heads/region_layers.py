"""What a two-stage detector computes: proposals, what branches make of the features under them, and detections."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.base import SURE, check_choice, leaves
from kzoo.heads.box_branch import BoxBranch
from kzoo.heads.detection import DetectionHead
from kzoo.heads.levels import level_names
from kzoo.heads.region_loss import of_class
from kzoo.ops.assign import sound_boxes
from kzoo.ops.box_coder import CODERS
from kzoo.ops.boxes import within
from kzoo.ops.gather import take_rows
from kzoo.ops.nms.selection import multiclass_candidates
from kzoo.ops.roi import roi_align, roi_pool

POOLS = ("align", "max")


class RegionLayers(DetectionHead):
    """From feature maps to raw outputs and on to detections, as `kzoo.heads.rcnn.RCNNHead` describes them.

    A subclass says where proposals come from: `before_regions` and `propose`.

    Args:
        num_classes: number of classes, 1 or more, without the background.
        strides: pixels a cell of each feature map, in the order of the maps.
        branches: for each stage what looks at its regions.
        **kwargs: arguments of `kzoo.heads.second_stage.SecondStage` that have these names, and of
            `kzoo.heads.detection.DetectionHead`.
    """

    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int],
        pooled_levels: int,
        proposals: Sequence[int],
        pool: str,
        pool_size: int,
        pool_sampling: int,
        pool_aligned: bool,
        coder: str,
        coder_weights: Sequence,
        smallest: float,
        multiple: int,
        seed: int | None,
        *,
        branches: Sequence[BoxBranch],
        **kwargs,
    ):
        super().__init__(num_classes, **kwargs)
        check_choice("pool", pool, POOLS)
        check_choice("coder", coder, tuple(CODERS))
        self.branches = list(branches)
        self.strides = tuple(strides)
        self.multiple = multiple
        self.pooled_levels = pooled_levels
        self.proposals = tuple(proposals)
        self.pool = pool
        self.pool_size = pool_size
        self.pool_sampling = pool_sampling
        self.pool_aligned = pool_aligned
        self.coder = coder
        self.smallest = smallest
        self.coder_weights = one_a_stage("coder_weights", coder_weights, len(self.branches))
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        self.channels = input_shape[0][-1]
        for branch in self.branches:
            branch.build((None, *self.pooled_shape))
        self.built = True

    def class_outputs(self):
        return [each for branch in self.branches for each in branch.class_outputs()]

    def kernels(self, shapes):
        grid = (1, *self.pooled_shape)
        layers = [one for branch in self.branches for one in leaves(branch)]
        of_regions = [(layer, grid) for layer in layers if hasattr(layer, "kernel")]
        return of_regions * self.proposals[1]

    def before_regions(self, features) -> dict:
        """Raw outputs by name that proposals are made of, from all that the network gives."""
        raise NotImplementedError

    def propose(self, outputs, training: bool):
        """The proposals (B, P, 4) xyxy pixels, best first; without area where there are fewer."""
        raise NotImplementedError

    def call(self, features, training=None):
        outputs = self.before_regions(features)
        for name, x in zip(self.pooled_names, features, strict=False):
            outputs[f"features_{name}"] = x
        # In training the regions hang on the truth as well, so that `loss` goes on from here.
        return outputs if training else {**outputs, **self.look_at_proposals(outputs)}

    @property
    def pooled_names(self) -> list[str]:
        """Names of the levels that are pooled from."""
        return level_names(self.strides)[: self.pooled_levels]

    @property
    def pooled_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of what a branch sees of a region."""
        return self.pool_size, self.pool_size, self.channels

    def features(self, outputs) -> list:
        """The maps (B, H, W, C) that are pooled from."""
        return [outputs[f"features_{name}"] for name in self.pooled_names]

    def sizes(self, outputs) -> list:
        """Height and width in cells of each map that is pooled from."""
        return [ops.shape(x)[1:3] for x in self.features(outputs)]

    def clipped(self, boxes, sizes):
        """Boxes (..., 4) within the image, which the first map covers, of these heights and widths in cells."""
        height, width = (cells * self.strides[0] for cells in sizes[0])
        return within(boxes, height, width)

    def pooled(self, features, boxes, size: int):
        """Features under boxes: maps (B, H, W, C), (B, N, 4) -> (B * N, size, size, C)."""
        strides = self.strides[: self.pooled_levels]
        if self.pool == "align":
            x = roi_align(features, boxes, size, strides, self.pool_sampling, self.pool_aligned)
        else:
            x = roi_pool(features[0], boxes, size, strides[0])
        return ops.reshape(x, (-1, size, size, self.channels))

    def look(self, stage: int, features, boxes, counted=None, training: bool = False) -> dict:
        """What a stage's branch says of boxes.

        Args:
            stage: the number of the stage, from 0.
            features: the maps (B, H, W, C) that are pooled from.
            boxes: (B, N, 4) xyxy pixels.
            counted: (B, N) float, 0 for padding, in training.
            training: whether layers act as in training; False by default.

        Returns:
            By name (B, N, ...), as `kzoo.heads.box_branch.BoxBranch` has them.
        """
        counted = None if counted is None else ops.reshape(counted, (-1,))
        pooled = self.pooled(features, boxes, self.pool_size)
        raw, count = self.branches[stage](pooled, counted, training=training), boxes.shape[1]
        return {name: ops.reshape(value, (-1, count, *value.shape[1:])) for name, value in raw.items()}

    def look_at_proposals(self, outputs) -> dict:
        """What inference adds to the raw outputs: proposals and what the branches say of them, stage by stage."""
        features, boxes = self.features(outputs), self.propose(outputs, training=False)  # (B, P, 4)
        logits, raw = [], {}
        for stage in range(len(self.branches)):
            if stage:
                boxes = self.refined(stage - 1, boxes, raw["box"], raw["class"], self.sizes(outputs))
            raw = self.look(stage, features, boxes)
            logits.append(raw["class"])
        further = {name: value for name, value in raw.items() if name != "class"}
        return {"proposals": boxes, "class": ops.stack(logits, axis=2), **further}

    def refined(self, stage: int, boxes, deltas, logits, sizes):
        """The boxes that the next stage begins with, as no gradient passes through.

        Args:
            stage: the number of the stage that gave the differences, from 0.
            boxes: (B, N, 4) its regions, xyxy pixels.
            deltas: (B, N, 4, K + 1) or (B, N, 4, 1) differences.
            logits: (B, N, K + 1) of the classes, of which the likeliest moves the box.
            sizes: height and width in cells of each map.

        Returns:
            (B, N, 4) within the image; without area where they were so before.
        """
        likeliest = ops.argmax(logits[..., 1:], axis=-1) + 1  # (B, N)
        moved = self.boxes_of(of_class(deltas, likeliest), boxes, stage)
        there = boxes[..., 2:] > boxes[..., :2]  # (B, N, 2)
        moved = ops.where(ops.all(there, axis=-1, keepdims=True), self.clipped(moved, sizes), 0.0)
        return ops.stop_gradient(moved)

    def boxes_of(self, deltas, regions, stage: int):
        """Boxes from differences (..., 4) from regions (..., 4) that a stage gave: (..., 4) xyxy pixels."""
        return CODERS[self.coder][1](deltas, regions, self.coder_weights[stage])

    def encode(self, targets, sizes) -> dict:
        """Raw outputs of inference that decode to the targets: each object its own proposal, for tests.

        Args:
            targets: boxes (B, M, 4) and labels (B, M) by name, as `loss` takes them.
            sizes: height and width in cells of each map that is pooled from.
        """
        boxes, labels = sound_boxes(targets["boxes"]), ops.cast(targets["labels"], "int32")
        batch, count = ops.shape(labels)[0], labels.shape[1]
        classes = ops.one_hot(ops.maximum(labels + 1, 0), self.num_classes + 1)  # (B, M, K + 1)
        logits = ops.expand_dims(SURE * (2.0 * classes - 1.0), 2)  # (B, M, 1, K + 1)
        outputs = {
            f"features_{name}": ops.zeros((batch, *size, self.channels))
            for name, size in zip(self.pooled_names, sizes, strict=True)
        }
        return {
            **outputs,
            "proposals": boxes,
            "class": ops.repeat(logits, len(self.branches), axis=2),
            "box": ops.zeros((batch, count, 4, self.branches[-1].boxes)),
        }

    def class_scores(self, outputs):
        """How likely each class is under each proposal, (B, P, K) in 0..1, from the raw outputs of inference."""
        # Each stage has judged its own boxes; what they say is averaged. The background is left out.
        return ops.mean(ops.softmax(outputs["class"]), axis=2)[..., 1:]

    def decode(self, outputs):
        """Detections, clipped to the image: as `kzoo.heads.detection.DetectionHead` has them."""
        return self.suppress(*self.pairs(outputs))

    def pairs(self, outputs):
        """The best (box, class) pairs, of which detections are chosen.

        Returns:
            boxes (B, T, 4) xyxy pixels within the image, their scores (B, T), 0 where they are none, and labels (B, T)
            int32; and the variances of their coordinates (B, T, 4), or None where none are predicted.
        """
        proposals, sizes = outputs["proposals"], self.sizes(outputs)  # (B, P, 4)
        scores = self.class_scores(outputs)  # (B, P, K)
        there = ops.all(proposals[..., 2:] > proposals[..., :2], axis=-1, keepdims=True)
        scores = ops.where(there, scores, 0.0)
        count = min(self.candidates, scores.shape[1] * self.num_classes)  # T
        scores, rows, labels = multiclass_candidates(scores, count)  # (B, T) each
        own = self._own_class(outputs["box"], rows, labels)  # (B, T, 4)
        boxes = self.boxes_of(own, take_rows(proposals, rows), -1)
        boxes = self.clipped(boxes, sizes)  # (B, T, 4)
        large = ops.all(boxes[..., 2:] - boxes[..., :2] >= self.smallest, axis=-1)
        variance = None
        if "deviation" in outputs:
            variance = ops.exp(self._own_class(outputs["deviation"], rows, labels))
        return boxes, ops.where(large, scores, 0.0), labels, variance

    def _own_class(self, values, rows, labels):
        """What is given for every class of each region, at some regions and classes.

        Args:
            values: (B, P, 4, K + 1), or (B, P, 4, 1) of what all classes share.
            rows: (B, T) int32 into P.
            labels: (B, T) int32, the class of each, from 0.

        Returns:
            (B, T, 4).
        """
        count, classes = values.shape[1], values.shape[3]
        flat = ops.reshape(ops.transpose(values, (0, 1, 3, 2)), (-1, count * classes, 4))
        return take_rows(flat, rows if classes == 1 else rows * classes + labels + 1)


def one_a_stage(name: str, values: Sequence, stages: int) -> tuple:
    """A value for each stage, from one for all or from as many.

    Args:
        name: name of the argument, for the message.
        values: the values.
        stages: number of stages.

    Raises:
        ValueError: there are more values than stages, or fewer.
    """
    values = tuple(values)
    if len(values) not in (1, stages):
        raise ValueError(
            f"{name}={values!r}: {len(values)} values for {stages} stages; give one, or one each"
        )
    return values * (stages if len(values) == 1 else 1)
