"""The region proposal network: where there may be an object, whatever it is."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import keras
from keras import layers, ops

from kzoo.heads.anchor import AnchorHead
from kzoo.losses.focal import sigmoid_cross_entropy
from kzoo.losses.smooth_l1 import smooth_l1
from kzoo.ops.box_coder import decode_deltas, encode_deltas
from kzoo.ops.gather import enough_rows, stable_top_k, take_rows
from kzoo.ops.nms.greedy import greedy_nms
from kzoo.ops.sampling import draw
from kzoo.ops.weighting import image_weighted, object_weighted

SMOOTH_L1_BETA = 1 / 9  # difference at which squares end: sigma 3 of the authors' code
_NEVER = -1e9  # a logit below all that a network gives


class ProposalHead(AnchorHead):
    """An `AnchorHead` of one class, object or not, that a two-stage detector looks at first.

    One tower of convolutions, for all levels, leads to the logit and the four differences of every anchor. It learns
    from some anchors of each image, drawn at random, half of them with an object where there are so many. What it
    thinks most of, less what overlaps that, are the proposals.

    Outputs, targets and anchors are those of `kzoo.heads.anchor.AnchorHead` with one class.

    Args:
        anchors: for each level a list of widths and heights in pixels, equally many.
        strides: pixels a cell of each feature map, in the order of the maps.
        tower: number of 3x3 convolutions before the last ones, 1 or more, 1 by default.
        tower_width: channels of those convolutions, 256 by default.
        positive_threshold: least IoU of an anchor with the object that it is to find, 0 to 1, 0.7 by default.
        negative_threshold: IoU below which an anchor is background, 0 to `positive_threshold`, 0.3 by default.
        samples: number of anchors of an image that are trained on, 1 or more, 256 by default; half of them at most
            have an object.
        joined: whether the anchors of all levels compete with each other; if not (default) each level is chosen from
            and suppressed by itself, and only the end is common.
        inside: whether anchors that reach beyond the image are left out in training; False by default.
        smallest: least width and height of a proposal in pixels, 0.001 by default.
        seed: what the generator starts from that draws the anchors; None (default) for Keras's own.
        least_score: probability, 0 to below 1, that a proposal has to have; 0 by default.
        **kwargs: further arguments of `kzoo.heads.anchor.AnchorHead`, such as `fit_strides`; `nms_threshold` is 0.7 by
            default.

    Source: Ren et al. 2015, arXiv:1506.01497, section 3.1; on a pyramid: Lin et al. 2017, arXiv:1612.03144, section
        4.1; in numbers as torchvision, `models/detection/rpn.py`.
    """

    def __init__(
        self,
        anchors: Sequence,
        strides: Sequence[int],
        tower: int = 1,
        tower_width: int = 256,
        positive_threshold: float = 0.7,
        negative_threshold: float = 0.3,
        samples: int = 256,
        joined: bool = False,
        inside: bool = False,
        smallest: float = 1e-3,
        seed: int | None = None,
        least_score: float = 0.0,
        **kwargs,
    ):
        kwargs = {"nms_threshold": 0.7, "num_classes": 1, "shared": True, **kwargs}
        super().__init__(
            anchors=anchors,
            strides=strides,
            tower=tower,
            tower_width=tower_width,
            positive_threshold=positive_threshold,
            negative_threshold=negative_threshold,
            **kwargs,
        )
        self.samples = samples
        self.joined = joined
        self.inside = inside
        self.smallest = smallest
        self.least_logit = math.log(least_score / (1 - least_score)) if least_score else _NEVER / 2
        self.seed_generator = keras.random.SeedGenerator(seed)

    def make_subnets(self, fields: int, rare: bool) -> None:
        self.fields = fields
        anchors = len(self.anchors[0])
        conv = functools.partial(layers.Conv2D, padding="same", kernel_initializer=_small())
        self.tower_layers = [
            conv(self.tower_width, 3, activation="relu", name=f"rpn_conv{i}") for i in range(self.tower)
        ]
        self.class_layers = [conv(anchors, 1, name="rpn_class")]
        self.box_layers = [conv(4 * anchors, 1, name="rpn_box")]

    def build(self, input_shape):
        self.check_levels(input_shape)
        shape = input_shape[0]
        for layer in self.tower_layers:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        for layer in (*self.class_layers, *self.box_layers):
            layer.build(shape)
        self.built = True

    def class_outputs(self):
        return []  # object or not, whatever the classes are

    def hidden(self, features):
        maps = [functools.reduce(lambda x, layer: layer(x), self.tower_layers, x) for x in features]
        return [*maps, *maps]  # the same for logits and for boxes

    def kernels(self, shapes):
        convs = (*self.tower_layers, *self.class_layers, *self.box_layers)
        return list(itertools.product(convs, shapes))

    def propose(self, outputs, before: int, after: int):
        """The boxes that most likely hold an object, as no gradient passes through.

        Args:
            outputs: raw outputs by name, as `call` gives them.
            before: number of anchors, of each level or of all together, that go into the suppression.
            after: number of proposals at most, P; less where there are fewer anchors.

        Returns:
            boxes (B, P, 4) xyxy pixels within the image, best first, and their logits (B, P); where fewer are left,
            boxes without area.
        """
        logits, deltas = (ops.stop_gradient(rows) for rows in self.rows(outputs))  # (B, N, 1), (B, N, 4)
        sizes = self.sizes(outputs)
        anchors = self.boxes_of_anchors(sizes)  # (N, 4)
        counts = [
            height * width * len(level) for (height, width), level in zip(sizes, self.anchors, strict=True)
        ]
        ends = [sum(counts)] if self.joined else list(itertools.accumulate(counts))
        boxes, scores = [], []
        for start, end in itertools.pairwise([0, *ends]):
            level = [x[:, start:end] for x in (logits, deltas)]  # (B, N', 1), (B, N', 4)
            found = self._best_of_level(*level, anchors[start:end], sizes, before, after)
            boxes.append(found[0])
            scores.append(found[1])
        boxes, scores = ops.concatenate(boxes, axis=1), ops.concatenate(scores, axis=1)
        scores, chosen = stable_top_k(scores, min(after, scores.shape[1]))  # (B, P)
        there = ops.expand_dims(scores > _NEVER / 2, -1)
        return ops.where(there, take_rows(boxes, chosen), 0.0), scores

    def _best_of_level(self, logits, deltas, anchors, sizes, before: int, after: int):
        """Proposals from the N anchors of a level, or of all together.

        Args:
            logits: (B, N, 1) that there is an object.
            deltas: (B, N, 4) differences of the boxes from the anchors.
            anchors: (N, 4) xyxy pixels.
            sizes: height and width of each feature map in cells.
            before: number of anchors that go into the suppression.
            after: number of proposals at most.

        Returns:
            boxes (B, T, 4) within the image and their logits (B, T), best first; very low where there are fewer.
        """
        logits = enough_rows(logits[..., 0], before, _NEVER)
        count = min(before, logits.shape[1])
        scores, chosen = stable_top_k(logits, count)  # (B, T) each
        # What stands for anchors that there are not takes the last one's place, and has no score.
        chosen = ops.minimum(chosen, ops.shape(anchors)[0] - 1)
        boxes = decode_deltas(
            take_rows(deltas, chosen), ops.take(anchors, chosen, axis=0), self.coder_weights
        )  # (B, T, 4)
        boxes = self.clipped(boxes, sizes)
        sides = boxes[..., 2:] - boxes[..., :2]  # (B, T, 2)
        sound = ops.logical_and(ops.all(sides >= self.smallest, axis=-1), scores > self.least_logit)  # (B, T)
        boxes = ops.where(ops.expand_dims(sound, -1), boxes, 0.0)  # what has no area suppresses nothing
        scores = ops.where(sound, scores, _NEVER)
        rows, valid = greedy_nms(boxes, scores, None, self.nms_threshold, _NEVER / 2, min(after, count))
        return take_rows(boxes, rows), ops.where(valid, take_rows(scores, rows), _NEVER)

    def loss(self, targets, outputs, sample_weight=None):
        """`class`, whether there is an object, and `box`, where: both divided by the anchors that were drawn."""
        logits, deltas = self.rows(outputs)  # (B, N, 1), (B, N, 4)
        anchors = self.boxes_of_anchors(self.sizes(outputs))  # (N, 4)
        boxes, _, assignment = self.assign(targets, anchors)  # (B, M, 4)
        chance = keras.random.uniform(ops.shape(logits)[:2], seed=self.seed_generator)  # (B, N)
        positive, negative = assignment.positive, assignment.negative  # (B, N)
        if self.inside:
            within = ops.all(ops.equal(self.clipped(anchors, self.sizes(outputs)), anchors), axis=-1)  # (N,)
            positive, negative = ops.logical_and(positive, within), ops.logical_and(negative, within)
        drawn = draw(positive, negative, self.samples, self.samples // 2, chance)
        owner = take_rows(assignment.owner, drawn.rows)  # (B, T)
        positive = object_weighted(drawn.positive, targets, owner)  # (B, T)
        counted = drawn.counted - drawn.positive + positive  # what has no object counts 1
        logits = take_rows(logits, drawn.rows)[..., 0]  # (B, T)
        truth = encode_deltas(
            take_rows(boxes, owner), ops.take(anchors, drawn.rows, axis=0), self.coder_weights
        )  # (B, T, 4)
        error = smooth_l1(truth, take_rows(deltas, drawn.rows), SMOOTH_L1_BETA)  # (B, T, 4)
        terms = {
            "class": counted * sigmoid_cross_entropy(drawn.positive, logits),
            # Of what has no object the truth is no number that means something.
            "box": ops.where(positive > 0, positive * ops.sum(error, axis=-1), 0.0),
        }
        total = ops.maximum(ops.sum(drawn.counted), 1.0)
        return {name: ops.sum(image_weighted(term, sample_weight)) / total for name, term in terms.items()}


def _small():
    return keras.initializers.RandomNormal(stddev=0.01)
