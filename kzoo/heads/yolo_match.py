"""Objects beside the predictions that are to find them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from keras import ops

from kzoo.heads.yolo_boxes import Places
from kzoo.ops.gather import take_rows


@dataclass
class Objects:
    """Objects, each beside the prediction that is to find it; Q of them an image.

    Attributes:
        boxes: (B, Q, 4) xyxy pixels.
        labels: (B, Q) int32, the classes of the objects, from 0.
        places: (B, Q, 2) each, where the predictions sit, or (Q, 2) where that is the same for all images.
        weight: (B, Q) float, 1 where this pair counts.
        level: (B, Q) int32, or (Q,) where that is the same for all images: the levels of the predictions.
    """

    boxes: object
    labels: object
    places: Places
    weight: object
    level: object


@dataclass
class Match(Objects):
    """Objects and the predictions that take them; Q = M objects x the anchors, and cells, that may take each.

    Of several objects on one prediction the last one counts, or, where pairs are kept, all do, and the last owns it.

    Attributes:
        index: (B, Q) int32, row of the prediction.
        taken: (B, N) float, 1 for predictions that take an object.
        owner: (B, N) int32, which of the Q takes it; meaningless where not taken.
        importance: (B, N) float, how much each prediction counts, or None where all count alike.
        source: (B, Q) int32, which of the M objects each is; None where they stand object by object, as many pairs for
            each.
    """

    index: object
    taken: object
    owner: object
    importance: object = None
    source: object = None

    def weighted(self, weights) -> Match:
        """The same match where each object counts by a weight of its own, (B, M)."""
        weights = ops.cast(weights, "float32")
        if self.source is None:
            of_pairs = ops.repeat(weights, self.boxes.shape[1] // weights.shape[1], axis=1)  # (B, Q)
        else:
            of_pairs = take_rows(weights, self.source)  # (B, Q)
        # (B, N): what takes no object, and learns that there is none, counts as before.
        importance = self.taken * take_rows(of_pairs, self.owner) + 1.0 - self.taken
        return replace(self, weight=self.weight * of_pairs, importance=importance)
