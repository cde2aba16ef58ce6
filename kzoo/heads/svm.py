"""The head of R-CNN and SPP-net: fine-tuned dense layers, then a support vector machine and box regressors a class."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.base import check_choice
from kzoo.heads.fast_rcnn import FastRCNNHead
from kzoo.heads.svm_branch import SVMBranch, crop_network
from kzoo.ops.roi import pyramid_pool, warp_crops
from kzoo.options import checked
from kzoo.options.building import SVM

SCORES = ("softmax", "svm")


@keras.saving.register_keras_serializable("kzoo")
class SVMHead(FastRCNNHead):
    """Regions are told by dense layers that are trained as a classifier, and boxes by what goes into these.

    Training by gradients is of the classes alone, background among them, and of `scores` "softmax". What comes after
    it, `kzoo.training.svm.finish`, puts a linear support vector machine a class in the place of the last layer, ridge
    regressors in the place of the layer for boxes, and says so: `scores` "svm". A score is then the logistic of the
    machine's, which keeps its order.

    Shapes: as `kzoo.heads.fast_rcnn.FastRCNNHead` has them.

    Args:
        num_classes: number of classes, 1 or more, without the background.
        strides: pixels a cell of the only map; 1 for an image, of which crops are made.
        regions: what is seen of a region: a "pyramid" (default) of maxima of a map's cells, or a "crop" of the image.
        pyramid: bins along each side of the pyramid's grids, (6, 3, 2, 1) by default. With "pyramid" alone.
        crop: pixels along each side of a crop, 224 by default. With "crop" alone.
        context: pixels of a crop on each side of the region, 16 by default. With "crop" alone.
        crop_width: factor of the channels of the crops' network, VGG16, 1 by default. With "crop" alone.
        crop_depth: factor of the convolutions of its stages, 1 by default. With "crop" alone.
        crop_norm: whether its convolutions are batch-normalised; False by default. With "crop" alone.
        at_once: number of regions of an image that are looked at together in inference, 2000 by default: of crops a
            few, for each takes a hundred megabytes.
        scores: what the last layer is, "softmax" (default) or "svm".
        dense: units of the dense layers, (4096, 4096) by default.
        dropout: share of the dense layers' outputs that is left out in training, 0 to below 1, 0.5 by default.
        **kwargs: further arguments of `kzoo.heads.fast_rcnn.FastRCNNHead`, such as `proposals`.

    Raises:
        ValueError: an argument is out of its range.

    Source: Girshick et al. 2014, arXiv:1311.2524; He et al. 2014, arXiv:1406.4729.
    """

    options = SVM
    loss_names: tuple[str, ...] = ("class",)
    meaning = ("strides", "regions", "pyramid", "crop", "context", "scores")

    @checked(SVM)
    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int],
        regions: str = "pyramid",
        pyramid: Sequence[int] = (6, 3, 2, 1),
        crop: int = 224,
        context: int = 16,
        crop_width: float = 1.0,
        crop_depth: float = 1.0,
        crop_norm: bool = False,
        at_once: int = 2000,
        scores: str = "softmax",
        dense: Sequence[int] = (4096, 4096),
        dropout: float = 0.5,
        **kwargs,
    ):
        check_choice("regions", regions, ("pyramid", "crop"))
        check_choice("scores", scores, SCORES)
        self.regions = regions
        self.pyramid = tuple(pyramid)
        self.crop = crop
        self.crop_options = (crop_width, crop_depth, crop_norm)
        self.context = context
        self.at_once = at_once
        self.scores = scores
        super().__init__(num_classes, strides, dense=dense, dropout=dropout, **kwargs)

    def make_branch(self, num_classes, dense, dropout, ranks, **options):
        crops = crop_network(self.crop, *self.crop_options) if self.regions == "crop" else None
        return SVMBranch(num_classes, crops, dense=dense, dropout=dropout, ranks=ranks)

    @property
    def pooled_shape(self):
        if self.regions == "crop":
            return self.crop, self.crop, self.channels
        return sum(level**2 for level in self.pyramid), 1, self.channels

    def pooled(self, features, boxes, size):
        if self.regions == "crop":
            x = warp_crops(features[0], boxes, self.crop, self.context)
        else:
            x = pyramid_pool(features[0], boxes, self.pyramid, self.strides[0])
        return ops.reshape(x, (-1, *self.pooled_shape))

    def look(self, stage, features, boxes, counted=None, training=False):
        count = boxes.shape[1]
        if training or count <= self.at_once:
            return super().look(stage, features, boxes, counted, training)
        parts = [
            super(SVMHead, self).look(stage, features, boxes[:, start : start + self.at_once])
            for start in range(0, count, self.at_once)
        ]
        return {name: ops.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}

    def described(self, features, boxes):
        """What machines and regressors are fitted to, of regions (B, N, 4): rows (B * N, units) and (B * N, F)."""
        branch, rows = self.branches[0], []
        for start in range(0, boxes.shape[1], self.at_once):
            seen = branch.seen(
                self.pooled(features, boxes[:, start : start + self.at_once], 0), training=False
            )
            rows.append((branch.hidden(seen), branch.flat(seen)))
        return tuple(ops.concatenate(each, axis=0) for each in zip(*rows, strict=True))

    def kernels(self, shapes):
        crops = self.branches[0].crops
        if crops is None:
            return super().kernels(shapes)
        laid = [(layer, layer.output.shape) for layer in crops.layers if hasattr(layer, "kernel")]
        dense = [(layer, (1,)) for layer in (*self.branches[0].tower, *self.branches[0].last_layers())]
        return (laid + [each for each in dense if hasattr(each[0], "kernel")]) * self.proposals[1]

    def region_losses(self, truth, features, regions, sample_weight, training):
        losses = super().region_losses(truth, features, regions, sample_weight, training)
        return {"class": losses["class"]}

    def class_scores(self, outputs):
        if self.scores == "softmax":
            return super().class_scores(outputs)
        return ops.sigmoid(outputs["class"][:, :, 0, 1:])
