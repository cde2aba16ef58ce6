"""How good predictions are. NumPy only; boxes are compared in the original image's pixels."""

from kzoo.metrics.coco import coco_figures
from kzoo.metrics.confusion import confusion_matrix
from kzoo.metrics.curves import Curve
from kzoo.metrics.detection import ClassMetrics, DetectionEvaluator, DetectionMetrics
from kzoo.metrics.matching import EvaluatedImage, match
from kzoo.metrics.plots import plot_confusion, plot_precision_recall
from kzoo.metrics.voc import average_precision_11point, average_precision_all

__all__ = [
    "ClassMetrics",
    "Curve",
    "DetectionEvaluator",
    "DetectionMetrics",
    "EvaluatedImage",
    "average_precision_11point",
    "average_precision_all",
    "coco_figures",
    "confusion_matrix",
    "match",
    "plot_confusion",
    "plot_precision_recall",
]
