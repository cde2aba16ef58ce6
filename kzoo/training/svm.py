"""What R-CNN and SPP-net learn after their dense layers: a support vector machine a class, and ridge for the boxes.

Both are linear, so what is fitted takes the place of two of the head's layers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import keras
import numpy as np

from kzoo.augment.letterbox import fit
from kzoo.metrics.matching import iou
from kzoo.model import ZooModel
from kzoo.ops.box_coder import CODERS
from kzoo.proposals import ProposalCache, Proposer
from kzoo.system.progress import track

log = logging.getLogger("kzoo")

NORM = 20.0  # mean length that features are scaled to
NEGATIVE = 0.3  # IoU with every object of the class below which a proposal is none of them
COST, POSITIVE_WEIGHT, BIAS = 1e-3, 2.0, 10.0
HARD, EASY = -1.0001, -1.2  # scores above which a negative joins, and below which it leaves
NEW = 2000  # negatives that join before a machine is fitted again
NEVER = -20.0  # score of a class without an object to learn from
WHITENING = 1e-3
# How strongly boxes' regressors are held, and the IoU from which on a proposal is learned from.
RIDGE = {"crop": (1000.0, 0.6), "pyramid": (4000.0, 0.5)}
_PAIR_BYTES = 2**30  # of all classes' features that boxes are learned from
_MOST_PAIRS = 4000  # of a class


@dataclass(frozen=True)
class _Seen:
    """What is known of an image's proposals, objects' own boxes among them.

    Attributes:
        hidden: (N, U) what machines see.
        flat: (N, F) what regressors see.
        boxes: (N, 4) xyxy pixels of the input.
        overlaps: (N, M) IoU with each object.
        objects: (M, 4) their boxes.
        labels: (M,) their classes, -1 for those that nobody is to learn from.
        own: (N,) bool, whether a row is an object's own box.
    """

    hidden: np.ndarray
    flat: np.ndarray
    boxes: np.ndarray
    overlaps: np.ndarray
    objects: np.ndarray
    labels: np.ndarray
    own: np.ndarray


class _Describer(keras.Model):
    """Images and boxes in, features of the boxes out: compiled once, as all images have as many."""

    def __init__(self, model: ZooModel):
        super().__init__(name="describer", dtype=model.dtype_policy)
        self.autocast = False
        self.model = model
        self.built = True

    def call(self, inputs):
        *features, boxes = self.model.features(inputs, training=False)
        hidden, flat = self.model.head.described(features, keras.ops.cast(boxes, "float32"))
        return {"hidden": keras.ops.cast(hidden, "float32"), "flat": keras.ops.cast(flat, "float32")}


def finish(model: ZooModel, dataset, seed: int = 0, cache: ProposalCache | None = None) -> ZooModel:
    """A model whose last layers are support vector machines and box regressors, fitted to a dataset.

    Two passes: the first gathers objects and what boxes are learned from, the second goes through all proposals for
    negatives that the machines of that moment take for objects, or nearly so, and fits these anew as they gather.

    Args:
        model: a model whose head is a `kzoo.heads.svm.SVMHead`, its dense layers trained; it stays as it is.
        dataset: anything with `len`, `[i] -> Sample` and `classes`, at least one object in all.
        seed: seeds the machines' solver, 0 by default.
        cache: what keeps proposals on disk; None (default) for nothing.

    Raises:
        ImportError: scikit-learn is not installed.
        ValueError: no image has an object.

    Source: Girshick et al. 2014, arXiv:1311.2524, section 2.3 and appendices B and C; in numbers as the authors' code.
    """
    machine_type()
    head, classes = model.head, model.head.num_classes
    proposer = Proposer(**head.searching(training=True), cache=cache)
    most = max((len(dataset[i].boxes) for i in range(len(dataset))), default=0)
    describer = _Describer(model)

    def images(what: str) -> Iterator[_Seen]:
        for i in track(range(len(dataset)), what, total=len(dataset)):
            yield _seen(model, describer, proposer, dataset[i], max(1, most))

    machines = [_Machine(seed) for _ in range(classes)]
    regressors = [_Pairs() for _ in range(classes)]
    lengths = []
    for seen in images("gathering objects"):
        lengths.append(np.linalg.norm(seen.hidden, axis=1).mean())
        for label in range(classes):
            machines[label].positives.append(seen.hidden[seen.own & _is_of(seen, label)])
        _gather_pairs(regressors, seen, head)
    if not any(len(rows) for machine in machines for rows in machine.positives):
        raise ValueError(f"{model.name}: no image has an object to fit a support vector machine to")
    scale = NORM / max(float(np.mean(lengths)), 1e-9)
    for machine in machines:
        machine.positives = [np.concatenate(machine.positives) * scale]
    for seen in images("hard negatives"):
        for label, machine in enumerate(machines):
            machine.meet(seen.hidden[_is_negative(seen, label)] * scale)
    for label, machine in enumerate(machines):
        if not machine.last():
            log.warning(
                "%s: class %d has nothing to tell it from others by; it is never found", model.name, label
            )
    return _with_fitted(
        model, machines, scale, [pairs.fitted(*RIDGE[head.regions][:1]) for pairs in regressors]
    )


def machine_type():
    """scikit-learn's linear support vector machine.

    Raises:
        ImportError: it is not installed.
    """
    try:
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise ImportError(
            f"support vector machines need scikit-learn ({error}): pip install 'kzoo[proposals]'"
        ) from error
    return LinearSVC


def _seen(model, describer, proposer, sample, most: int) -> _Seen:
    """What is known of a sample's proposals; the network gets its most plus `most` boxes of every image."""
    image, placement = fit(sample.image, model.image_size, model.resize)
    objects = placement.to_input(sample.boxes)
    labels = np.where(sample.difficult | sample.crowd, -1, sample.labels)
    proposals = proposer(image)
    boxes = np.concatenate([objects, proposals])  # (N, 4)
    given = np.zeros((1, proposer.count + most, 4), np.float32)
    given[0, : len(boxes)] = boxes
    found = describer.predict_on_batch({"images": image[None], "proposals": given})
    rows = {name: np.asarray(values)[: len(boxes)] for name, values in found.items()}
    own = np.arange(len(boxes)) < len(objects)
    return _Seen(rows["hidden"], rows["flat"], boxes, iou(boxes, objects), objects, labels, own)


def _is_of(seen: _Seen, label: int) -> np.ndarray:
    """Which rows (N,) are the own boxes of objects of a class."""
    of = np.zeros(len(seen.boxes), bool)
    of[: len(seen.labels)] = seen.labels == label
    return of


def _is_negative(seen: _Seen, label: int) -> np.ndarray:
    """Which rows (N,) are proposals far from every object of a class, and from those that nobody is to learn from."""
    near = seen.overlaps[:, (seen.labels == label) | (seen.labels < 0)].max(1, initial=0.0)
    return ~seen.own & (near < NEGATIVE)


@dataclass
class _Machine:
    """A class's support vector machine and what it is fitted to: rows (N, U), scaled."""

    seed: int
    positives: list = field(default_factory=list)
    negatives: list = field(default_factory=list)
    new: int = 0
    weights: np.ndarray | None = None
    bias: float = NEVER

    def meet(self, rows: np.ndarray) -> None:
        """Takes in those of an image's negatives that are hard, and is fitted anew once there are enough."""
        if not len(self.positives[0]) or not len(rows):
            return
        if self.weights is not None:
            rows = rows[rows @ self.weights + self.bias > HARD]
        self.negatives.append(rows)
        self.new += len(rows)
        if self.weights is None or self.new >= NEW:
            self._fit()

    def last(self) -> bool:
        """Is fitted to what joined since; whether there is a machine at all."""
        if self.weights is not None and self.new:
            self._fit()
        return self.weights is not None

    def _fit(self) -> None:
        negatives, self.new = np.concatenate(self.negatives), 0
        if not len(negatives):
            return
        machine = machine_type()(
            loss="hinge",
            C=COST,
            class_weight={1: POSITIVE_WEIGHT, 0: 1.0},
            intercept_scaling=BIAS,
            max_iter=20_000,
            random_state=self.seed,
        )
        rows = np.concatenate([self.positives[0], negatives])
        machine.fit(rows, np.arange(len(rows)) < len(self.positives[0]))
        self.weights, self.bias = machine.coef_[0].astype(np.float32), float(machine.intercept_[0])
        self.negatives = [negatives[negatives @ self.weights + self.bias >= EASY]]


@dataclass
class _Pairs:
    """What a class's box regressors are fitted to: features (N, F), and differences (N, 4) of the objects' boxes."""

    features: list = field(default_factory=list)
    differences: list = field(default_factory=list)

    def fitted(self, ridge: float) -> tuple[np.ndarray, np.ndarray] | None:
        """Weights (F, 4) and bias (4,); None where there is nothing to learn from."""
        if not self.features:
            return None
        x, y = (
            np.concatenate(self.features).astype(np.float64),
            np.concatenate(self.differences).astype(np.float64),
        )
        scale = NORM / max(np.linalg.norm(x, axis=1).mean(), 1e-9)
        x = np.concatenate([x * scale, np.ones((len(x), 1))], axis=1)  # (N, F + 1)
        mean = y.mean(0)
        values, axes = np.linalg.eigh(np.cov(y - mean, rowvar=False, bias=True).reshape(4, 4))
        roots = np.sqrt(np.maximum(values, 0) + WHITENING)
        whitened = (y - mean) @ (axes / roots) @ axes.T
        solved = x.T @ np.linalg.solve(x @ x.T + ridge * np.eye(len(x)), whitened)  # (F + 1, 4)
        solved = solved @ (axes * roots) @ axes.T
        return (solved[:-1] * scale).astype(np.float32), (solved[-1] + mean).astype(np.float32)


def _gather_pairs(regressors: list[_Pairs], seen: _Seen, head) -> None:
    """Adds those of an image's rows that lie near enough to their best object to what its class's box is told from."""
    if not len(seen.labels):
        return
    best = seen.overlaps.argmax(1)  # (N,)
    near = seen.overlaps[np.arange(len(best)), best] > RIDGE[head.regions][1]
    most = min(_MOST_PAIRS, _PAIR_BYTES // (4 * seen.flat.shape[1] * len(regressors)))
    encode: Callable = CODERS[head.coder][0]
    for label, pairs in enumerate(regressors):
        room = most - sum(map(len, pairs.features))
        rows = np.flatnonzero(near & (seen.labels[best] == label))[: max(0, room)]
        if len(rows):
            wanted = encode(seen.objects[best[rows]], seen.boxes[rows], head.coder_weights[0])
            pairs.features.append(seen.flat[rows])
            pairs.differences.append(keras.ops.convert_to_numpy(wanted))


def _with_fitted(model: ZooModel, machines: list[_Machine], scale: float, regressors: list) -> ZooModel:
    """The model with these in its last layers."""
    head = model.head.altered(scores="svm")
    fitted = model.remade(model.network, head)
    head.set_weights(model.head.get_weights())
    branch, count = head.branches[0], len(machines) + 1
    kernel = np.zeros(
        branch.class_layer.kernel.shape, np.float32
    )  # (U, K + 1), of which the background has none
    bias = np.zeros(count, np.float32)
    boxes = np.zeros((branch.box_layer.kernel.shape[0], 4, count), np.float32)
    shifts = np.zeros((4, count), np.float32)
    for place, (machine, regressor) in enumerate(zip(machines, regressors, strict=True), 1):
        bias[place] = machine.bias
        if machine.weights is not None:
            kernel[:, place] = machine.weights * scale
        if regressor is not None:
            boxes[..., place], shifts[:, place] = regressor
    branch.class_layer.set_weights([kernel, bias])
    branch.box_layer.set_weights([boxes.reshape(len(boxes), -1), shifts.reshape(-1)])
    return fitted
