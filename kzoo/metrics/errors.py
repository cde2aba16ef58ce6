"""What is wrong with a detection, and which objects are missed: the six kinds of error of TIDE."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kzoo.metrics.matching import EvaluatedImage, covered, iou

FOREGROUND, BACKGROUND = 0.5, 0.1  # TIDE's thresholds t_f and t_b, intersection over union
MOST_DETECTIONS = 100  # of a class on an image, as COCO counts them

# Each kind of error and what it is, in the order they are listed, drawn and numbered in `Verdict.kinds`.
KINDS = {
    "localisation": "right class, IoU .1-.5",
    "classification": "wrong class, IoU .5 on",
    "both": "wrong class, IoU .1-.5",
    "duplicate": "object found already",
    "background": "no object, IoU up to .1",
    "missed": "object none came near",
}
LOCALISATION, CLASSIFICATION, BOTH, DUPLICATE, HALLUCINATION, MISSED = range(len(KINDS))
RIGHT, LEFT_OUT = -1, -2


@dataclass(frozen=True)
class Verdict:
    """What became of an image's detections and objects.

    Attributes:
        kinds: (D,) int8 for each detection the position in `KINDS` of what is wrong with it, `RIGHT`, or `LEFT_OUT`
            where it lies on a difficult object or a crowd.
        objects: (D,) int64 the object that a detection found, repeats, misplaces or mistakes; -1 where there is none.
        corrected: (D,) bool, a misplaced or mistaken detection that would be right if that were put right. Each
            object has one at most: the one of the best score, and none if it is found.
        found: (G,) bool, objects that a detection found.
        missed: (G,) bool, objects that none found, misplaced or mistook.
    """

    kinds: np.ndarray
    objects: np.ndarray
    corrected: np.ndarray
    found: np.ndarray
    missed: np.ndarray


def judge(image: EvaluatedImage) -> Verdict:
    """Names the error of each wrong detection of an image, and the objects that are missed.

    Where several kinds fit a detection it is the first of localisation, classification, duplicate, background, both.

    Args:
        image: truth and detections, best score first.

    Source: Bolya et al. 2020, TIDE: A General Toolbox for Identifying Object Detection Errors, arXiv:2008.08115,
        section 2.2. The order is that of the authors' program, tidecv, and so is the rule of one correction an object.
    """
    objects = assign(image)  # (D,)
    counted = image.counted  # (G,)
    wrong, assigned = np.flatnonzero(objects < 0), np.flatnonzero(objects >= 0)  # positions of detections
    kinds = np.full(len(objects), RIGHT, np.int8)
    kinds[assigned[~counted[objects[assigned]]]] = LEFT_OUT
    found = np.zeros(len(counted), bool)
    found[objects[assigned]] = True
    found &= counted
    kinds[wrong], objects[wrong] = _errors(image, wrong)
    # Of the detections that could be put right the first, which has the best score, is the one for its object.
    fixable = np.flatnonzero(np.isin(kinds, (LOCALISATION, CLASSIFICATION)))
    fixable = fixable[~found[objects[fixable]]]
    claimed, first = np.unique(objects[fixable], return_index=True)
    corrected = np.zeros(len(objects), bool)
    corrected[fixable[first]] = True
    missed = counted & ~found
    missed[claimed] = False
    return Verdict(kinds, objects, corrected, found, missed)


def assign(image: EvaluatedImage) -> np.ndarray:
    """The object that COCO assigns to each detection at IoU .5.

    In order of score, each takes the free object of its class that it overlaps most, of those to be found before
    difficult ones and crowds. A crowd is never taken: it absorbs any number, by the share of the detection inside.

    Args:
        image: truth and detections, best score first.

    Returns:
        (D,) int64 positions in `image.boxes`, -1 for no object.

    Source: COCOeval.evaluateImg of pycocotools, Lin et al. 2014.
    """
    owner = np.full(len(image.scores), -1, np.int64)
    if not len(owner) or not len(image.boxes):
        return owner
    same = image.found_labels[:, None] == image.labels  # (D, G) of one class
    overlap = np.where(image.crowd, covered(image.found, image.boxes), iou(image.found, image.boxes)) * same
    counted, free = image.counted, np.ones(len(image.boxes), bool)
    for detection in np.flatnonzero((overlap >= FOREGROUND).any(1)):
        near = free & (overlap[detection] >= FOREGROUND)
        near = near & counted if (near & counted).any() else near
        if near.any():
            # COCO takes the last of equals.
            best = np.flatnonzero(near & (overlap[detection] == overlap[detection][near].max()))[-1]
            owner[detection] = best
            free[best] = image.crowd[best]
    return owner


def _errors(image: EvaluatedImage, wrong: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is wrong with these detections, and the object concerned or -1: two arrays of (W,)."""
    counted = np.flatnonzero(image.counted)
    if not len(counted) or not len(wrong):
        return np.full(len(wrong), HALLUCINATION), np.full(len(wrong), -1)
    overlap = iou(image.found[wrong], image.boxes[counted])  # (W, G) of the objects that count
    same = image.found_labels[wrong][:, None] == image.labels[counted]
    own, other = (
        overlap * same,
        overlap * ~same,
    )  # with objects of the detection's class, and of other classes
    nearest_own, nearest_other = counted[own.argmax(1)], counted[other.argmax(1)]  # (W,)
    own, other = own.max(1), other.max(1)  # (W,)
    # The first case that fits; what fits none is a wrong class at a wrong place.
    cases = [
        ((own >= BACKGROUND) & (own < FOREGROUND), LOCALISATION, nearest_own),
        (other >= FOREGROUND, CLASSIFICATION, nearest_other),
        (own >= FOREGROUND, DUPLICATE, nearest_own),
        (other <= BACKGROUND, HALLUCINATION, np.full(len(wrong), -1)),
    ]
    fits, kinds, objects = zip(*cases, strict=True)
    return np.select(fits, kinds, BOTH), np.select(fits, objects, nearest_other)


def reported(image: EvaluatedImage, score: float = 0.0) -> EvaluatedImage:
    """The image with some of its detections: of each class the best hundred, as COCO counts them.

    Args:
        image: truth and detections, best score first.
        score: the least score of the detections that stay, 0 to 1.
    """
    kept = np.zeros(len(image.scores), bool)
    for label in np.unique(image.found_labels):
        kept[np.flatnonzero(image.found_labels == label)[:MOST_DETECTIONS]] = True
    kept &= image.scores >= score
    return replace(
        image,
        found=image.found[kept],
        scores=image.scores[kept],
        found_labels=image.found_labels[kept],
        found_xywh=None if image.found_xywh is None else image.found_xywh[kept],
    )
