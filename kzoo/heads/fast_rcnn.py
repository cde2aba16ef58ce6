"""The head of Fast R-CNN: its proposals come with the image."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from kzoo.heads.second_stage import SecondStage
from kzoo.options import checked
from kzoo.options.building import FAST_RCNN

_GIVEN = "given"  # the raw output that is the proposals as they came


@keras.saving.register_keras_serializable("kzoo")
class FastRCNNHead(SecondStage):
    """One look at each of the proposals that the network hands on behind its maps, as they were given.

    Where they come from is not the head's business; `search` says how `kzoo.proposals` finds them where nobody gives
    any.

    Shapes:
        inputs: the maps, and last the proposals (B, P, 4) xyxy pixels of the input, zeros for padding.
        outputs: those of `kzoo.heads.second_stage.SecondStage`, and `given`, the proposals as they came.
        targets: as for `kzoo.heads.anchor.AnchorHead`.

    Args:
        num_classes: number of classes, 1 or more, without the background.
        strides: pixels a cell of each feature map, in the order of the maps.
        pooled_levels: number of maps, the finest, that are pooled from, 1 by default.
        proposals: number of proposals of an image in training and in inference, (2000, 2000) by default.
        search: settings of the selective search, one of `kzoo.proposals.MODES`, "rcnn" by default.
        search_width: pixels that a wider image is scaled to before it is searched, 500 by default.
        search_side: pixels that a proposal is wide and high at least, after scaling, 20 by default.
        **kwargs: further arguments of `kzoo.heads.second_stage.SecondStage`, such as `region_samples`, and of
            `kzoo.heads.detection.DetectionHead`, for the suppression of detections.

    Raises:
        ValueError: an argument is out of its range.

    Source: Girshick 2015, arXiv:1504.08083.
    """

    options = FAST_RCNN
    needs_proposals = True

    @checked(FAST_RCNN)
    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int],
        pooled_levels: int = 1,
        proposals: Sequence[int] = (2000, 2000),
        search: str = "rcnn",
        search_width: int = 500,
        search_side: float = 20.0,
        **kwargs,
    ):
        super().__init__(num_classes, strides, pooled_levels, proposals, **kwargs)
        self.autocast = False  # half precision would round the edges of boxes
        self.search = search
        self.search_width = search_width
        self.search_side = search_side

    def searching(self, training: bool = False) -> dict:
        """How proposals are found: arguments of `kzoo.proposals.Proposer`, by name."""
        return {
            "count": self.proposals[not training],
            "mode": self.search,
            "width": self.search_width,
            "min_side": self.search_side,
        }

    def before_regions(self, features):
        return {_GIVEN: ops.cast(features[-1], "float32")}

    def propose(self, outputs, training):
        # Where the network's input ends there is nothing to look at.
        return self.clipped(ops.stop_gradient(outputs[_GIVEN]), self.sizes(outputs))
