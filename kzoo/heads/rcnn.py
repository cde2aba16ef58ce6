"""The head of Faster R-CNN and what was made of it: proposals, and for each of them a class and a better box."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kzoo.heads.proposals import ProposalHead
from kzoo.heads.second_stage import SecondStage
from kzoo.options import checked
from kzoo.options.building import RCNN

_RPN = "rpn_"  # how the names of the proposal network's outputs begin


@keras.saving.register_keras_serializable("kzoo")
class RCNNHead(SecondStage):
    """Two stages: a network proposes regions, whatever they hold; a branch of dense layers looks at each of them.

    The proposals (`kzoo.heads.proposals.ProposalHead`) are boxes of all sizes. What is made of them is in
    `kzoo.heads.second_stage.SecondStage`.

    Shapes:
        outputs: those of `kzoo.heads.second_stage.SecondStage`, and `rpn_class_stride4` and so on, the raw outputs of
            the proposal network.
        targets: as for `kzoo.heads.anchor.AnchorHead`.

    Args:
        num_classes: number of classes, 1 or more, without the background.
        anchors: for each level a list of widths and heights in pixels, equally many.
        strides: pixels a cell of each feature map, in the order of the maps.
        pooled_levels: number of maps, the finest, that are pooled from; the others serve the proposals alone.
        rpn_tower: number of 3x3 convolutions of the proposal network, 1 by default.
        rpn_width: channels of these convolutions, 256 by default.
        rpn_positive_threshold: least IoU of an anchor with the object that it is to find, 0 to 1, 0.7 by default.
        rpn_negative_threshold: IoU below which an anchor is background, 0 to 1, 0.3 by default.
        rpn_samples: number of anchors of an image that are trained on, 256 by default.
        rpn_inside: whether anchors that reach beyond the image are left out in training; False by default.
        rpn_smallest: least width and height of a proposal in pixels, 0.001 by default.
        rpn_nms_threshold: IoU, 0 to 1, 0.7 by default, above which the weaker proposal goes.
        rpn_score_threshold: probability of an object, 0 to below 1, that a proposal has to have; 0 by default.
        anchors_kept: number of anchors, of each level, that go into the suppression: in training and in inference,
            (2000, 1000) by default.
        joined: whether the anchors of all levels compete with each other; False by default.
        offset: place of an anchor's centre in its cell: 0 (default) at the upper left, 0.5 in the middle.
        fit_strides: whether strides are measured from the image's size (torchvision), True by default.
        multiple: pixels that the input's sides have to be multiples of, 32 by default.
        seed: what the generators start from that draw anchors and regions; None (default) for Keras's own.
        **kwargs: further arguments of `kzoo.heads.second_stage.SecondStage`, such as `region_samples`, and of
            `kzoo.heads.detection.DetectionHead`, for the suppression of detections.

    Raises:
        ValueError: an argument is out of its range.

    Source: Ren et al. 2015, arXiv:1506.01497; cascade: Cai & Vasconcelos 2018, arXiv:1712.00726; in numbers as
        torchvision, `models/detection/roi_heads.py`.
    """

    options = RCNN
    loss_names: tuple[str, ...] = ("rpn_class", "rpn_box", "class", "box")
    meaning = ("anchors", "strides", "offset", "fit_strides", "coder", "coder_weights", "pool", "pool_size")

    @checked(RCNN)
    def __init__(
        self,
        num_classes: int,
        anchors: Sequence,
        strides: Sequence[int],
        pooled_levels: int = 4,
        rpn_tower: int = 1,
        rpn_width: int = 256,
        rpn_positive_threshold: float = 0.7,
        rpn_negative_threshold: float = 0.3,
        rpn_samples: int = 256,
        rpn_inside: bool = False,
        rpn_smallest: float = 1e-3,
        rpn_nms_threshold: float = 0.7,
        rpn_score_threshold: float = 0.0,
        anchors_kept: Sequence[int] = (2000, 1000),
        joined: bool = False,
        offset: float = 0.0,
        fit_strides: bool = True,
        multiple: int = 32,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(num_classes, strides, pooled_levels, multiple=multiple, seed=seed, **kwargs)
        self.rpn = ProposalHead(
            anchors,
            strides,
            rpn_tower,
            rpn_width,
            rpn_positive_threshold,
            rpn_negative_threshold,
            rpn_samples,
            joined,
            rpn_inside,
            rpn_smallest,
            seed=seed,
            offset=offset,
            fit_strides=fit_strides,
            nms_threshold=rpn_nms_threshold,
            multiple=multiple,
            least_score=rpn_score_threshold,
            name="rpn",
        )
        self.anchors = self.rpn.anchors
        self.anchors_kept = tuple(anchors_kept)

    def build(self, input_shape):
        self.rpn.build(input_shape)
        super().build(input_shape)

    def kernels(self, shapes):
        return self.rpn.kernels(shapes) + super().kernels(shapes)

    def before_regions(self, features):
        return {f"{_RPN}{name}": raw for name, raw in self.rpn(features).items()}

    def of_rpn(self, outputs) -> dict:
        """The raw outputs of the proposal network, by the names that it knows."""
        return {name.removeprefix(_RPN): raw for name, raw in outputs.items() if name.startswith(_RPN)}

    def propose(self, outputs, training):
        counts = (self.anchors_kept[not training], self.proposals[not training])
        return self.rpn.propose(self.of_rpn(outputs), *counts)[0]

    def loss(self, targets, outputs, sample_weight=None):
        losses = self.rpn.loss(targets, self.of_rpn(outputs), sample_weight)
        losses = {f"{_RPN}{name}": value for name, value in losses.items()}
        return {**losses, **super().loss(targets, outputs, sample_weight)}
