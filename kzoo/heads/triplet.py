"""The head of CenterNet's keypoint triplets: two corners, and a centre that says if they are those of an object."""

from __future__ import annotations

import keras
from keras import ops

from kzoo.heads.corner import CornerHead
from kzoo.ops.corners import center_scores
from kzoo.options import checked
from kzoo.options.heatmaps import TRIPLET


@keras.saving.register_keras_serializable("kzoo")
class TripletHead(CornerHead):
    """Corners as `kzoo.heads.corner.CornerHead` has them, and heat maps of centres; boxes without one are no objects.

    Shapes, of maps of h x w cells, besides those of `CornerHead`:
        inputs: three feature maps a stack: of top left corners, of bottom right ones, and of centres.
        outputs: also `{"center_heat": (B, h, w, num_classes) logits, "center_offset": (B, h, w, 2)}`.

    Args:
        num_classes: number of classes, 1 or more.
        small_area: square pixels, 0 or more, 22500 by default, up to which the centre has to lie in the middle third of
            a box's sides; in larger ones in the middle fifth.
        **kwargs: arguments of `CornerHead`; `overlap` is 0.7 by default, `corrected` False, `peaks` 70.

    Source: Duan et al. 2019, CenterNet: Keypoint Triplets for Object Detection, arXiv:1904.08189.
    """

    options = TRIPLET
    points = ("top_left", "bottom_right", "center")
    placed = points
    sixths = {"center": 5.0}  # noqa: RUF012

    @checked(TRIPLET)
    def __init__(self, num_classes: int, small_area: float = 22500.0, **kwargs):
        super().__init__(num_classes, **{"overlap": 0.7, "corrected": False, "peaks": 70, **kwargs})
        self.small_area = small_area

    def locate(self, targets, boxes):
        return {**super().locate(targets, boxes), "center": (boxes[..., :2] + boxes[..., 2:]) / 2}

    def decode(self, outputs):
        boxes, scores, labels = self.paired(outputs)  # (B, N, 4), (B, N) each
        centers = self.found(outputs, "center")
        centers = centers._replace(x=centers.x * self.stride, y=centers.y * self.stride)
        scores = center_scores(boxes, scores, labels, centers, self.small_area)
        return self.suppress(boxes, ops.relu(scores), labels)
