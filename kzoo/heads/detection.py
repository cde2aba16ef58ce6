"""What every head that finds boxes shares: which of its boxes are given out."""

from __future__ import annotations

from kzoo.heads.base import Head
from kzoo.ops.nms import check_suppression, multiclass_nms, pair_nms
from kzoo.options import checked
from kzoo.options.building import DETECTION


class DetectionHead(Head):
    """A head that finds boxes, and keeps the best of those that lie on one another.

    A subclass gives `suppress` its boxes and scores at the end of `decode`, and hands these arguments on.

    Args:
        num_classes: how many.
        nms_threshold: overlap above which the weaker box of a class goes; of "soft-linear" and "softer" loses
            score, and of "weighted" the boxes are joined. "soft-gaussian" and both "matrix" do without.
        score_threshold: what the class score must be above.
        max_detections: M, detections an image.
        candidates: how many (box, class) pairs, the best, take part in the suppression.
        class_agnostic: suppress across classes.
        nms_kind: one of `kzoo.ops.nms.KINDS`; overlap is the IoU, for "diou" less a share of the distance.
        nms_beta: of "diou": the power of that share (Darknet's `beta_nms`).
        nms_sigma: width of the kernel of "soft-gaussian", "matrix" and "softer"; where None that of the paper.

    Raises:
        ValueError: one of them is out of its range, or there is no such kind.

    Example:
        >>> head = YoloHead(3, anchors, strides, nms_kind="soft-gaussian", nms_sigma=0.5)
    """

    options = DETECTION
    task = "detect"

    @checked(DETECTION)
    def __init__(
        self,
        num_classes: int,
        nms_threshold: float = 0.45,
        score_threshold: float = 0.001,
        max_detections: int = 100,
        candidates: int = 512,
        class_agnostic: bool = False,
        nms_kind: str = "greedy",
        nms_beta: float = 0.6,
        nms_sigma: float | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_suppression(
            nms_kind, nms_threshold, score_threshold, max_detections, candidates, nms_beta, nms_sigma
        )
        self.num_classes = num_classes
        self.nms_threshold, self.score_threshold = nms_threshold, score_threshold
        self.max_detections, self.candidates = max_detections, candidates
        self.class_agnostic = class_agnostic
        self.nms_kind, self.nms_beta, self.nms_sigma = nms_kind, nms_beta, nms_sigma

    def suppress(self, boxes, scores, labels=None) -> dict:
        """Detections from boxes with a score for every class, or from (box, class) pairs.

        Args:
            boxes: (B, N, 4) xyxy pixels.
            scores: (B, N, num_classes); where there are labels (B, N).
            labels: (B, N) int32, the class of each box; all those pairs take part then, past `candidates`.

        Returns:
            `boxes` (B, M, 4), `scores` (B, M) best first and `labels` (B, M) int32, with 0, 0 and -1 where there
            is no detection.
        """
        limits = (self.nms_threshold, self.score_threshold, self.max_detections, self.class_agnostic)
        kind = (self.nms_kind, self.nms_beta, self.nms_sigma)
        if labels is not None:
            return pair_nms(boxes, scores, labels, *limits, *kind)
        return multiclass_nms(boxes, scores, self.candidates, *limits, *kind)
