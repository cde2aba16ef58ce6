"""How good predictions are. NumPy only; boxes and masks are compared in the original image's pixels.

Example:
    >>> evaluator = DetectionEvaluator(dataset.classes)
    >>> for index in range(len(dataset)):
    ...     evaluator.update(dataset.record(index), model.detect(dataset.image(index)))
    >>> print(evaluator.result())
    mAP 0.371, mAP50 0.612, VOC AP 0.608 on 72 images with 967 objects
"""

from kzoo.metrics.boundary import boundary_f1
from kzoo.metrics.coco import coco_figures
from kzoo.metrics.confusion import confusion_matrix
from kzoo.metrics.curves import Curve
from kzoo.metrics.detection import ClassMetrics, DetectionEvaluator, DetectionMetrics
from kzoo.metrics.error_analysis import AnalysedMetrics, ErrorAnalysis, ErrorEvaluator
from kzoo.metrics.error_pictures import draw_errors
from kzoo.metrics.masks import MaskClassMetrics, MaskMetrics
from kzoo.metrics.matching import EvaluatedImage, match
from kzoo.metrics.plots import plot_confusion, plot_errors, plot_precision_recall
from kzoo.metrics.segmentation import SegmentationClassMetrics, SegmentationEvaluator, SegmentationMetrics
from kzoo.metrics.tracking import TrackingEvaluator, TrackingMetrics
from kzoo.metrics.voc import average_precision_11point, average_precision_all

__all__ = [
    "AnalysedMetrics",
    "ClassMetrics",
    "Curve",
    "DetectionEvaluator",
    "DetectionMetrics",
    "ErrorAnalysis",
    "ErrorEvaluator",
    "EvaluatedImage",
    "MaskClassMetrics",
    "MaskMetrics",
    "SegmentationClassMetrics",
    "SegmentationEvaluator",
    "SegmentationMetrics",
    "TrackingEvaluator",
    "TrackingMetrics",
    "average_precision_11point",
    "average_precision_all",
    "boundary_f1",
    "coco_figures",
    "confusion_matrix",
    "draw_errors",
    "match",
    "plot_confusion",
    "plot_errors",
    "plot_precision_recall",
]
