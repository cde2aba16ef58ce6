"""Assignments and losses of heads without anchors, beside those that the authors' programs gave on seven scenes."""

import json

import keras
import numpy as np
import pytest

from kzoo.heads.points import PointHead

SCENES = ("none", "one", "tiny", "overlap", "equal", "many", "batch")
SIDE, CLASSES, STRIDES = 96, 4, (8, 16, 32)
V8 = {"normalize_by": "quality"}
YOLOX = {
    "bins": 0,
    "box_code": "offsets",
    "objectness": True,
    "assigner": "sim-ota",
    "box_loss": "iou_squared",
    "normalize_by": "objects",
    "box_weight": 5.0,
    "class_weight": 1.0,
    "raw_weight": 1.0,
}
PP_YOLOE = {"bins": 17, "class_loss": "varifocal", "box_loss": "giou"}
PP_YOLOE |= {"box_weight": 2.5, "class_weight": 1.0, "distribution_weight": 0.5}
ALIGNED = {"assign_best": 13, "assign_overlap": "iou", "score_power": 1.0, "anywhere": True}
# Ours, and what the files call each term, with the factor that theirs is without.
TERMS = {
    "losses_yolov8": {"box": ("box", 1), "class": ("cls", 1), "distribution": ("dfl", 1)},
    "losses_yolox": {"box": ("iou", 1), "class": ("cls", 1), "objectness": ("obj", 1), "raw": ("l1", 1)},
    "losses_ppyoloe": {"box": ("iou", 2.5), "class": ("cls", 1), "distribution": ("dfl", 0.5)},
}


class Scene:
    """A scene of a golden file: raw outputs, finest level first, and objects as targets have them."""

    def __init__(self, folder, file: str, scene: str):
        arrays = np.load(folder / f"{file}.npz")
        self.arrays = {
            key.partition("/")[2]: arrays[key] for key in arrays.files if key.partition("/")[0] == scene
        }
        self.numbers = json.loads((folder / f"{file}.json").read_text())["scenes"][scene]
        self.coarse_first = file == "losses_ppyoloe"
        raw = [self.arrays[f"raw_{i}"].transpose(0, 2, 3, 1) for i in range(len(STRIDES))]
        raw = raw[::-1] if self.coarse_first else raw
        self.outputs = {f"stride{stride}": values for stride, values in zip(STRIDES, raw, strict=True)}
        objects, images = self.arrays["objects"], len(raw[0])
        most = max(1, *(int((objects[:, 0] == image).sum()) for image in range(images)), 1)
        self.boxes = np.zeros((images, most, 4), np.float32)
        self.labels = np.full((images, most), -1, np.int32)
        for image in range(images):
            own = objects[objects[:, 0] == image]
            self.boxes[image, : len(own)], self.labels[image, : len(own)] = own[:, 2:], own[:, 1]

    @property
    def targets(self):
        return {"boxes": self.boxes, "labels": self.labels}

    def fine_first(self, values):
        """Values (B, N, ...) of all cells of a file, finest level first."""
        if not self.coarse_first:
            return values
        counts = [(SIDE // stride) ** 2 for stride in STRIDES]
        parts = np.split(values, np.cumsum(counts[::-1])[:-1], axis=1)
        return np.concatenate(parts[::-1], axis=1)


def head(**options):
    return PointHead(CLASSES, STRIDES, **options)


def assigned(scene: Scene, kind: PointHead):
    """What the head makes of a scene: owners, -1 for background, and qualities, as arrays (B, N)."""
    taken = {}

    class Spy(type(kind)):
        def _class_terms(self, objectness, classes, assignment, labels, unknown):
            taken["assignment"] = assignment
            return super()._class_terms(objectness, classes, assignment, labels, unknown)

    spy = Spy.from_config(kind.get_config())
    spy.loss(scene.targets, scene.outputs)
    assignment = taken["assignment"]
    owner = np.where(np.asarray(assignment.positive), np.asarray(assignment.owner), -1)
    return owner, np.asarray(assignment.quality)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize(("file", "options"), [("losses_yolov8", V8), ("losses_yolox", YOLOX)])
def test_assignment_equals_the_authors(golden_yolo, file, options, scene):
    scene = Scene(golden_yolo, file, scene)
    owner, quality = assigned(scene, head(**options))
    np.testing.assert_array_equal(owner, scene.arrays["gt_index"])
    known = scene.arrays["target_scores"].max(-1) if file == "losses_yolov8" else scene.arrays["matched_iou"]
    np.testing.assert_allclose(quality, known, atol=1e-5)


@pytest.mark.parametrize("scene", SCENES)
def test_the_newer_task_aligned_assignment_finds_small_objects(golden_yolo, scene):
    """Sides below 16 pixels count as 16: qualities equal, and so all that losses depend on."""
    newer = np.load(golden_yolo / "losses_yolov8_8.4.190.npz")
    scene_of = Scene(golden_yolo, "losses_yolov8", scene)
    _, quality = assigned(scene_of, head(least_side=16.0, **V8))
    np.testing.assert_allclose(quality, newer[f"{scene}/target_scores"].max(-1), atol=1e-5)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("kind", ["tal", "atss"])
def test_assignment_equals_pp_yoloe(golden_yolo, kind, scene):
    scene = Scene(golden_yolo, "losses_ppyoloe", scene)
    options = {**PP_YOLOE, **(ALIGNED if kind == "tal" else {"assigner": "atss"})}
    owner, quality = assigned(scene, head(**options))
    known = {
        name: scene.fine_first(scene.arrays[f"{kind}_assigned_{name}"])
        for name in ("labels", "boxes", "scores")
    }
    found = owner >= 0
    np.testing.assert_array_equal(found, known["labels"] < CLASSES)
    rows, cells = np.nonzero(found)
    np.testing.assert_array_equal(scene.labels[rows, owner[rows, cells]], known["labels"][rows, cells])
    np.testing.assert_allclose(scene.boxes[rows, owner[rows, cells]], known["boxes"][rows, cells], atol=1e-4)
    np.testing.assert_allclose(quality, known["scores"].max(-1), atol=1e-5)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize(
    ("file", "options", "part"),
    [
        ("losses_yolov8", V8, None),
        ("losses_yolox", YOLOX, None),
        ("losses_ppyoloe", {**PP_YOLOE, **ALIGNED}, "tal"),
        ("losses_ppyoloe", {**PP_YOLOE, "assigner": "atss"}, "atss"),
    ],
    ids=["yolov8", "yolox", "pp-yoloe", "pp-yoloe-atss"],
)
def test_losses_and_their_gradients_equal_the_authors(golden_yolo, file, options, part, scene):
    scene = Scene(golden_yolo, file, scene)
    numbers = scene.numbers if part is None else scene.numbers[part]
    kind = head(**options)
    images = len(scene.labels)
    terms = {name: float(value) for name, value in kind.loss(scene.targets, scene.outputs).items()}
    for ours, (theirs, factor) in TERMS[file].items():
        assert terms[ours] == pytest.approx(numbers[theirs] * factor, rel=1e-4, abs=1e-6), ours
    scale = images if file == "losses_yolov8" else 1  # their total is of all images
    assert sum(terms.values()) * scale == pytest.approx(numbers["total"], rel=1e-4, abs=1e-6)

    norms = numbers["gradient_norms_of_total"]
    norms = norms[::-1] if scene.coarse_first else norms
    for norm, gradient in zip(norms, gradients(kind, scene), strict=True):
        assert np.linalg.norm(gradient) * scale == pytest.approx(norm, rel=1e-3, abs=1e-6)


def gradients(kind: PointHead, scene: Scene) -> list:
    """Of the sum of all terms with respect to each level's raw outputs."""
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        pytest.skip("gradients are taken on TensorFlow")
    outputs = {name: tf.Variable(values) for name, values in scene.outputs.items()}
    with tf.GradientTape() as tape:
        total = sum(kind.loss(scene.targets, outputs).values())
    return [np.asarray(one) for one in tape.gradient(total, list(outputs.values()))]
