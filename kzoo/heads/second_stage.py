"""What a two-stage detector learns once there are proposals: for each of them a class and a better box."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.base import check_choice
from kzoo.heads.box_branch import BoxBranch
from kzoo.heads.region_layers import RegionLayers, one_a_stage
from kzoo.heads.region_loss import (
    REGION_BOX_LOSSES,
    REGION_CLASS_LOSSES,
    box_loss,
    class_loss,
    of_class,
    own_truth,
)
from kzoo.heads.regions import Regions, matched_again, sample_regions
from kzoo.ops.assign import sound_boxes
from kzoo.ops.weighting import image_weighted, object_weighted
from kzoo.options import checked
from kzoo.options.building import SECOND_STAGE

_UNIT = (0.0, 0.0, 1.0, 1.0)  # a box that stands for any


class SecondStage(RegionLayers):
    """A branch of dense layers that looks at each proposal, wherever these come from.

    Features are pooled from under each proposal to a grid of fixed size, from the pyramid's level for its size, and go
    through the branch (`kzoo.heads.box_branch.BoxBranch`), which tells the class, or that it is background, and how
    the box is off. In training, regions are drawn from the proposals, a quarter of them with an object. In a cascade,
    further branches begin with the boxes of the one before, and ask for more overlap.

    Shapes, of P proposals, S stages, K classes and the background, which is the first:
        outputs: `features_stride4` and so on, the maps that are pooled from; in inference besides `proposals`
            (B, P, 4) xyxy pixels, those of the last stage, without area where there are fewer; `class`
            (B, P, S, K + 1) logits; `box` (B, P, 4, K + 1) differences of the last stage, or (B, P, 4, 1).
        targets: as for `kzoo.heads.anchor.AnchorHead`.

    Args:
        num_classes: number of classes, 1 or more, without the background.
        strides: pixels a cell of each feature map, in the order of the maps.
        pooled_levels: number of maps, the finest, that are pooled from.
        proposals: number of proposals of an image in training and in inference, (2000, 1000) by default.
        region_samples: number of regions of an image that are trained on, 1 or more, 512 by default.
        region_positives: share of them that has an object at most, 0 to 1, 0.25 by default.
        region_thresholds: for each stage the least IoU of a region with the object that it is to find, 0 to 1; (0.5,)
            by default, one stage. What is below is background.
        background_from: IoU, 0 to 1, that background has to have with an object; 0 by default.
        pool: "align" (default), bilinear samples, or "max", the largest value of whole cells.
        pool_size: cells of the pooled grid along a side, 1 or more, 7 by default.
        pool_sampling: number of samples along a cell's side, 1 or more, 2 by default. With "align" alone.
        pool_aligned: whether samples are taken half a cell higher and further left, where pixels really are; False by
            default, as torchvision's. With "align" alone.
        convs: number of 3x3 convolutions of a branch, 0 by default.
        conv_width: channels of these convolutions, 256 by default.
        dense: units of a branch's dense layers, (1024, 1024) by default.
        ranks: for each dense layer the units of a linear layer before it, the two together in the place of a larger
            one, 0 for none; none where None (default): see `kzoo.compress`.
        dropout: share of the dense layers' outputs that is left out in training, 0 (default) to below 1.
        agnostic: whether all classes share a box; False by default.
        coder: what a box's differences are of: "center" (default), centre, width and height, or "edges".
        coder_weights: for each stage four factors of the differences, as `kzoo.ops.box_coder` has them; (10, 10, 5, 5)
            by default.
        class_loss: "softmax" (default), cross-entropy over classes and background, or "focal".
        focal_gamma: exponent of the focal modulation, 0 or more, 2 by default. With "focal" alone.
        box_loss: what is compared: the differences by "smooth_l1" (default) or "l1", or by "kl", for which their
            variances are predicted, too; or the boxes by "iou", "giou", "diou" or "ciou".
        smooth_l1_beta: difference at which the squares of "smooth_l1" end, 0 or more, 1 / 9 by default.
        class_weight: factor of the class term, 0 or more, 1 by default.
        box_weight: factor of the box term, 0 or more, 1 by default.
        stage_weights: factor of each stage's terms, 0 or more; 1 for all where None (default).
        smallest: least width and height in pixels of a detection, 0.01 by default.
        multiple: pixels that the input's sides have to be multiples of, 32 by default.
        seed: what the generator starts from that draws regions; None (default) for Keras's own.
        **kwargs: arguments of `kzoo.heads.detection.DetectionHead`, for the suppression of detections.

    Raises:
        ValueError: an argument is out of its range.

    Source: Girshick 2015, arXiv:1504.08083; cascade: Cai & Vasconcelos 2018, arXiv:1712.00726; in numbers as
        torchvision, `models/detection/roi_heads.py`.
    """

    loss_names: tuple[str, ...] = ("class", "box")
    loss_by_device = True  # its regions are drawn and looked at in `loss`
    meaning = ("strides", "coder", "coder_weights", "pool", "pool_size")

    @checked(SECOND_STAGE)
    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int],
        pooled_levels: int = 4,
        proposals: Sequence[int] = (2000, 1000),
        region_samples: int = 512,
        region_positives: float = 0.25,
        region_thresholds: Sequence[float] = (0.5,),
        background_from: float = 0.0,
        pool: str = "align",
        pool_size: int = 7,
        pool_sampling: int = 2,
        pool_aligned: bool = False,
        convs: int = 0,
        conv_width: int = 256,
        dense: Sequence[int] = (1024, 1024),
        ranks: Sequence[int] | None = None,
        dropout: float = 0.0,
        agnostic: bool = False,
        coder: str = "center",
        coder_weights: Sequence = ((10.0, 10.0, 5.0, 5.0),),
        class_loss: str = "softmax",
        focal_gamma: float = 2.0,
        box_loss: str = "smooth_l1",
        smooth_l1_beta: float = 1 / 9,
        class_weight: float = 1.0,
        box_weight: float = 1.0,
        stage_weights: Sequence[float] | None = None,
        smallest: float = 0.01,
        multiple: int = 32,
        seed: int | None = None,
        **kwargs,
    ):
        check_choice("class_loss", class_loss, REGION_CLASS_LOSSES)
        check_choice("box_loss", box_loss, REGION_BOX_LOSSES)
        stages = len(region_thresholds)
        if stages > 1 and not agnostic:
            raise ValueError(
                f"region_thresholds={tuple(region_thresholds)}: stages hand on one box a region; give agnostic=True"
            )
        if ranks is not None and len(ranks) != len(dense):
            raise ValueError(
                f"ranks={ranks}: {len(ranks)} for {len(dense)} dense layers; give one each, 0 for none"
            )
        prefixes = ["box_", *(f"box{stage + 1}_" for stage in range(1, stages))]
        dense_layers = {"dense": dense, "dropout": dropout, "ranks": ranks}
        options = {
            "convs": convs,
            "conv_width": conv_width,
            "agnostic": agnostic,
            "deviations": box_loss == "kl",
        }
        branches = [
            self.make_branch(num_classes=num_classes, prefix=prefix, **dense_layers, **options)
            for prefix in prefixes
        ]
        structure = (pooled_levels, proposals, pool, pool_size, pool_sampling, pool_aligned)
        super().__init__(
            num_classes,
            strides,
            *structure,
            coder,
            coder_weights,
            smallest,
            multiple,
            seed,
            branches=branches,
            **kwargs,
        )
        self.region_samples = region_samples
        self.region_positives = region_positives
        self.region_thresholds = tuple(region_thresholds)
        self.background_from = background_from
        self.class_loss = class_loss
        self.focal_gamma = focal_gamma
        self.box_loss = box_loss
        self.smooth_l1_beta = smooth_l1_beta
        self.class_weight = class_weight
        self.box_weight = box_weight
        self.stage_weights = one_a_stage("stage_weights", stage_weights or (1.0,), stages)

    def make_branch(self, **options) -> BoxBranch:
        """What looks at a stage's regions: see `kzoo.heads.box_branch.BoxBranch` for the arguments."""
        return BoxBranch(**options)

    def loss(self, targets, outputs, sample_weight=None):
        # Inference has looked at proposals; in training, for which they are drawn here, layers act otherwise.
        training = "proposals" not in outputs
        truth = {
            **targets,
            "boxes": sound_boxes(targets["boxes"]),
            "labels": ops.cast(targets["labels"], "int32"),
        }
        regions = self.sample(truth, self.propose(outputs, training=True))
        return self.region_losses(truth, self.features(outputs), regions, sample_weight, training)

    def sample(self, truth, proposals) -> Regions:
        """The regions (B, T, 4) that are trained on, from proposals (B, P, 4) and the objects' own boxes."""
        boxes, labels = truth["boxes"], truth["labels"]  # (B, M, 4), (B, M)
        count = proposals.shape[1] + boxes.shape[1]
        chance = keras.random.uniform((ops.shape(boxes)[0], count), seed=self.seed_generator)
        return sample_regions(
            proposals,
            boxes,
            labels,
            self.region_thresholds[0],
            self.background_from,
            self.region_samples,
            self.region_positives,
            chance,
        )

    def region_losses(self, truth, features, regions, sample_weight, training: bool) -> dict:
        """The terms of all stages.

        Args:
            truth: the targets, their boxes (B, M, 4) sound and their labels (B, M) int32.
            features: the maps (B, H, W, C) that are pooled from.
            regions: the regions of the first stage.
            sample_weight: (B,) factors of what each image adds, or None, as `loss` takes them.
            training: whether layers act as in training.
        """
        sizes = [ops.shape(x)[1:3] for x in features]
        total, raw = {"class": 0.0, "box": 0.0}, {}
        for stage, threshold in enumerate(self.region_thresholds):
            if stage:
                boxes = self.refined(stage - 1, regions.boxes, raw["box"], raw["class"], sizes)
                regions = matched_again(boxes, truth["boxes"], truth["labels"], threshold)
            raw = self.look(stage, features, regions.boxes, regions.counted, training)
            for name, value in self._stage_losses(stage, truth, regions, raw, sample_weight).items():
                total[name] += self.stage_weights[stage] * value
        return total

    def _stage_losses(self, stage: int, truth, regions, raw, sample_weight) -> dict:
        """The terms of a stage, both divided by its regions."""
        own_boxes, own_labels = own_truth(regions, truth["boxes"], truth["labels"])  # (B, T, 4), (B, T)
        positive = object_weighted(regions.positive, truth, regions.owner)  # (B, T)
        counted = regions.counted - regions.positive + positive  # background counts 1
        # Of background and padding nothing is asked: any box does, as long as its numbers are finite.
        boxes = ops.where(
            ops.expand_dims(regions.positive > 0, -1), regions.boxes, ops.convert_to_tensor(_UNIT)
        )
        deltas = of_class(raw["box"], own_labels)  # (B, T, 4)
        deviations = of_class(raw["deviation"], own_labels) if "deviation" in raw else None
        kinds = (self.coder, self.coder_weights[stage], self.box_loss, self.smooth_l1_beta, deviations)
        terms = {  # (B, T)
            "class": self.class_weight
            * counted
            * class_loss(raw["class"], own_labels, self.class_loss, self.focal_gamma),
            "box": self.box_weight * positive * box_loss(deltas, boxes, own_boxes, *kinds),
        }
        count = ops.maximum(ops.sum(regions.counted), 1.0)
        return {name: ops.sum(image_weighted(term, sample_weight)) / count for name, term in terms.items()}
