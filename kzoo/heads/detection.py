"""What every head that finds boxes shares: which of its boxes are given out."""

from __future__ import annotations

from kzoo.heads.base import Head
from kzoo.ops.nms import KINDS, check_suppression, multiclass_nms, multiclass_pairs, pair_nms
from kzoo.options import checked
from kzoo.options.building import DETECTION


class DetectionHead(Head):
    """A head that finds boxes, and keeps the best of those that lie on one another.

    A subclass gives `suppress` its boxes and scores at the end of `decode`, and hands these arguments on.

    Attributes:
        nms_kinds: the kinds of suppression that it can do.
        nms_last: whether nothing hangs on what the suppression leaves, so that whoever reads the boxes can do it.
        left_open: what `suppress` gives in the place of detections, to whoever does it: "candidates", all boxes with
            the scores of all classes; or "pairs", the best pairs of a box and a class. "" (default) for detections.
            Exports set it.

    Args:
        num_classes: number of classes, 1 or more.
        nms_threshold: overlap, 0 to 1, 0.45 by default, above which the weaker box of a class goes; or, of
            "soft-linear" and "softer", loses score; or, of "weighted", is joined with the better one. "soft-gaussian"
            and both "matrix" do without.
        score_threshold: score that a detection must be above, 0 to 1, 0.001 by default.
        max_detections: number of detections an image, 1 or more, 100 by default; where there are fewer the rest is
            padding.
        candidates: number of (box, class) pairs, the best ones, that take part in the suppression, 1 or more, 512 by
            default.
        class_agnostic: whether boxes of different classes suppress each other; False by default.
        nms_kind: kind of suppression, one of `kzoo.ops.nms.KINDS`, "greedy" by default; overlap is the IoU, for
            "diou" less a power of the centres' distance.
        nms_beta: power of that distance, 0 or more, 0.6 by default (Darknet's `beta_nms`). With "diou" alone.
        nms_sigma: width of the kernel of "soft-gaussian", "matrix" and "softer", above 0; where None that of the paper.
        **kwargs: arguments of every Keras layer: `name`, `dtype` and `trainable`.

    Raises:
        ValueError: one of them is out of its range, or there is no such kind.

    Example:
        >>> head = YoloHead(3, anchors, strides, nms_kind="soft-gaussian", nms_sigma=0.5)
    """

    options = DETECTION
    task = "detect"
    nms_kinds: tuple[str, ...] = KINDS
    nms_last: bool = True
    left_open: str = ""

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
        limits = (nms_threshold, score_threshold, max_detections, candidates)
        check_suppression(nms_kind, *limits, nms_beta, nms_sigma, self.nms_kinds)
        self.num_classes = num_classes
        self.nms_threshold = nms_threshold
        self.score_threshold = score_threshold
        self.max_detections = max_detections
        self.candidates = candidates
        self.class_agnostic = class_agnostic
        self.nms_kind = nms_kind
        self.nms_beta = nms_beta
        self.nms_sigma = nms_sigma

    def suppress(self, boxes, scores, labels=None, variance=None) -> dict:
        """Detections from boxes with a score for every class, or from (box, class) pairs.

        Args:
            boxes: (B, N, 4) xyxy pixels.
            scores: (B, N, num_classes); where there are labels (B, N).
            labels: (B, N) int32, the class of each box; all those pairs take part then, past `candidates`.
            variance: (B, N, 4) variances of the coordinates of such pairs, by which "softer" weighs votes; 1 for all
                where None (default).

        Returns:
            `boxes` (B, M, 4), `scores` (B, M) best first and `labels` (B, M) int32, with 0, 0 and -1 where there
            is no detection. Where it is `left_open`, what was given, by name, or the pairs.
        """
        if self.left_open:
            return self._left_open(boxes, scores, labels, variance)
        settings = {
            "iou_threshold": self.nms_threshold,
            "score_threshold": self.score_threshold,
            "max_detections": self.max_detections,
            "class_agnostic": self.class_agnostic,
            "kind": self.nms_kind,
            "beta": self.nms_beta,
            "sigma": self.nms_sigma,
        }
        if labels is not None:
            return pair_nms(boxes, scores, labels, variance=variance, **settings)
        return multiclass_nms(boxes, scores, self.candidates, **settings)

    def _left_open(self, boxes, scores, labels, variance) -> dict:
        """What whoever suppresses in the place of `suppress` needs, by name."""
        if self.left_open == "pairs":
            variance = None  # by which nobody votes
            if labels is None:
                boxes, scores, labels = multiclass_pairs(boxes, scores, self.candidates)
        given = {"boxes": boxes, "scores": scores, "labels": labels, "variance": variance}
        return {name: values for name, values in given.items() if values is not None}
