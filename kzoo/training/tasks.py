"""What a training asks of each task: figures every epoch, pictures and a report of the run."""

from __future__ import annotations

from typing import ClassVar

from kzoo.evaluation import Evaluator, MaskEvaluator
from kzoo.inference.segment import Inference
from kzoo.metrics import plot_confusion, plot_precision_recall
from kzoo.sources.image import save_picture
from kzoo.structures.cells import paste_masks
from kzoo.structures.draw import CELL, contact_sheet, draw_boxes, draw_mask, scale_into
from kzoo.structures.images import images_of
from kzoo.structures.roads import lay_roads
from kzoo.training.run import RunFolder

PICTURES = 16


class Detection:
    """Boxes, by their average precision."""

    figures: ClassVar[dict[str, str]] = {"val_map": "map", "val_map50": "map50"}

    def evaluator(self, dataset, model, batch_size: int = 16, image_size=None, rectangular: bool = False):
        """What measures models on the dataset, again and again."""
        size = image_size or model.image_size
        evaluator = Evaluator(dataset, size, batch_size=batch_size, rectangular=rectangular)
        evaluator.check(model)
        return evaluator

    def plot(self, metrics, folder: RunFolder) -> None:
        """Draws what the figures say."""
        plot_precision_recall(metrics, folder.precision_recall)
        plot_confusion(metrics, folder.confusion)

    def draw_batch(self, batch, names) -> list:
        """Training images (B, H, W, 3) with their boxes."""
        images, targets = images_of(batch[0]), batch[1]
        kept = [labels >= 0 for labels in targets["labels"]]
        rows = zip(images, targets["boxes"], targets["labels"], kept, strict=True)
        return [
            draw_boxes(image, boxes[keep], labels[keep], names=names, scale=scale_into(CELL, image))
            for image, boxes, labels, keep in rows
        ]

    def draw_predictions(self, model, images) -> list:
        """What the model finds."""
        results = model.detect(images)
        return [result.draw(scale=scale_into(CELL, result.image)) for result in results]


class InstanceSegmentation(Detection):
    """Boxes with a mask each, by the average precision of both."""

    figures: ClassVar[dict[str, str]] = {
        "val_mask_map": "mask_map",
        "val_mask_map50": "mask_map50",
        **Detection.figures,
    }

    def draw_batch(self, batch, names) -> list:
        """Training images (B, H, W, 3) with their boxes, and the masks as the cells of the targets have them."""
        images, targets = batch
        pictures = []
        for image, boxes, labels, cells in zip(
            images, targets["boxes"], targets["labels"], targets["masks"], strict=True
        ):
            keep = labels >= 0  # (M,)
            masks = paste_masks(cells[keep] / 255.0, boxes[keep], image.shape[:2], aligned=True)
            options = {"names": names, "scale": scale_into(CELL, image), "masks": masks}
            pictures.append(draw_boxes(image, boxes[keep], labels[keep], **options))
        return pictures


class Driving(Detection):
    """Boxes, by their average precision, and the drivable area and the lanes' lines, by their IoU."""

    figures: ClassVar[dict[str, str]] = {
        **Detection.figures,
        "val_drivable_iou": "drivable_iou",
        "val_lane_iou": "lane_iou",
    }

    def draw_batch(self, batch, names) -> list:
        """Training images (B, H, W, 3) with their boxes, and the masks of roads under them."""
        images, targets = batch
        laid = [lay_roads(image, mask) for image, mask in zip(images, targets["mask"], strict=True)]
        return super().draw_batch((laid, targets), names)


class SemanticSegmentation:
    """Masks, by their IoU and Dice."""

    figures: ClassVar[dict[str, str]] = {
        "val_mean_iou": "mean_iou",
        "val_dice": "dice",
        "val_boundary_f1": "boundary_f1",
    }

    def evaluator(self, dataset, model, batch_size: int = 16, image_size=None, rectangular: bool = False):
        """What measures models on the dataset, at its images' own resolution.

        Raises:
            ValueError: an option is for detectors.
        """
        if image_size or rectangular:
            raise ValueError(
                "image_size and rectangular are for evaluating detectors; masks are compared at the images' own "
                "size: leave them out"
            )
        return MaskEvaluator(dataset, Inference(batch_size=batch_size))

    def plot(self, metrics, folder: RunFolder) -> None:
        """Draws what the figures say."""
        plot_confusion(metrics, folder.confusion)

    def draw_batch(self, batch, names) -> list:
        """Training images (B, H, W, 3) with their masks."""
        images, targets = batch
        return [
            draw_mask(image, mask, names, scale=scale_into(CELL, image))
            for image, mask in zip(images, targets["mask"], strict=True)
        ]

    def draw_predictions(self, model, images) -> list:
        """What the model finds."""
        results = model.segment(images, probabilities=False)
        return [result.draw(scale=scale_into(CELL, result.image)) for result in results]


TASKS = {
    "detect": Detection(),
    "instance": InstanceSegmentation(),
    "drive": Driving(),
    "segment": SemanticSegmentation(),
}


def task_of(model) -> Detection | SemanticSegmentation:
    """The task of a model.

    Raises:
        ValueError: there is no training for it.
    """
    if model.task not in TASKS:
        raise ValueError(
            f"{model.name}: training runs are for {' and '.join(TASKS)}, not for {model.task!r}; use model.fit"
        )
    return TASKS[model.task]


def picture_batch(task, batch, names, path):
    """Draws a batch as the network sees it, with its truth, into a picture."""
    images, targets = images_of(batch[0]), batch[1]
    first = images[:PICTURES], {name: values[:PICTURES] for name, values in targets.items()}
    return save_picture(path, contact_sheet(task.draw_batch(first, names)))


def picture_predictions(task, model, dataset, path):
    """Draws what a model finds on the first images of a dataset into a picture."""
    images = [dataset[i].image for i in range(min(PICTURES, len(dataset)))]
    return save_picture(path, contact_sheet(task.draw_predictions(model, images)))
