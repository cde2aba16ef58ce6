"""YoloHead decodes what OpenCV's Darknet reader decodes from `[yolo]` and `[region]` sections."""

import cv2
import numpy as np
from keras import ops

from kzoo.heads import YoloHead

CLASSES = 4
WIDTH, HEIGHT = 128, 96
ANCHORS = [(10, 14), (23, 27), (37, 58), (81, 82), (135, 69)]


def opencv_rows(section: str, raw: np.ndarray, activation: str, tmp_path) -> np.ndarray:
    """What OpenCV makes of a (H, W, C) feature map by the section: rows of cx, cy, w, h, objectness, classes."""
    rows, columns, channels = raw.shape
    cfg, weights = tmp_path / "head.cfg", tmp_path / "head.weights"
    cfg.write_text(
        f"[net]\nwidth={columns}\nheight={rows}\nchannels={channels}\n\n[convolutional]\nfilters={channels}\n"
        f"size=1\nstride=1\npad=1\nactivation={activation}\n\n{section}\nthresh=0\nnms_threshold=0\n"
    )
    # The convolution hands its input on: no bias, the identity.
    numbers = np.concatenate([np.zeros(channels), np.eye(channels).ravel()]).astype("<f4")
    weights.write_bytes(np.array([0, 2, 0, 0, 0], "<i4").tobytes() + numbers.tobytes())
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    net.setInput(raw.transpose(2, 0, 1)[None].astype(np.float32))
    return net.forward()


def best_pairs(rows, count):
    """The best (box, class) pairs: scores, labels, boxes in pixels."""
    scores = rows[:, 5:]
    order = np.argsort(-scores.ravel(), kind="stable")[:count]
    index, labels = np.divmod(order, CLASSES)
    center, half = rows[index, :2], rows[index, 2:4] / 2
    boxes = np.concatenate([center - half, center + half], -1) * [WIDTH, HEIGHT, WIDTH, HEIGHT]
    return scores.ravel()[order], labels, boxes


def random_map(stride, anchors, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1.5, (HEIGHT // stride, WIDTH // stride, anchors * (5 + CLASSES))).astype(np.float32)


def yolo(mask, stride, **more):
    """A section whose anchors are as large as they are in an image of `stride` times the map."""
    anchors = ",".join(f"{w / stride},{h / stride}" for w, h in ANCHORS)
    lines = {"mask": mask, "anchors": anchors, "classes": CLASSES, "num": len(ANCHORS), **more}
    return "[yolo]\n" + "\n".join(f"{key}={value}" for key, value in lines.items())


def check(maps, sections, activation, tmp_path, **arguments):
    """One decoding of all maps against one of OpenCV's for each."""
    rows = [opencv_rows(s, raw, activation, tmp_path) for s, raw in zip(sections, maps, strict=True)]
    rows = np.concatenate(rows)
    limits = {"nms_threshold": 1.0, "max_detections": len(rows), "candidates": len(rows), **arguments}
    head = YoloHead(CLASSES, project=False, **limits)
    head.build([(None, *raw.shape) for raw in maps])
    found = head.decode(head([raw[None] for raw in maps]))
    scores, labels, boxes = best_pairs(rows, len(rows))
    found = {key: ops.convert_to_numpy(value)[0] for key, value in found.items()}
    kept = found["labels"] >= 0
    assert kept.sum() > len(rows) / 2
    np.testing.assert_allclose(found["scores"][kept], scores[kept], rtol=1e-4)
    np.testing.assert_array_equal(found["labels"][kept], labels[kept])
    np.testing.assert_allclose(found["boxes"][kept], boxes[kept], rtol=1e-4, atol=1e-3)


def test_yolo_with_shared_anchors_and_its_own_scale_in_each_level(tmp_path):
    maps = [random_map(32, 3, 0), random_map(16, 2, 1)]
    sections = [yolo("2,3,4", 32, scale_x_y=1.05), yolo("1,2", 16, scale_x_y=1.2)]
    anchors = [ANCHORS[2:5], ANCHORS[1:3]]
    check(maps, sections, "linear", tmp_path, anchors=anchors, strides=(32, 16), scale_xy=[1.05, 1.2])


def test_yolo_with_new_coords(tmp_path):
    maps = [random_map(16, 2, 2), random_map(16, 3, 3)]
    sections = [yolo(mask, 16, scale_x_y=2.0, new_coords=1) for mask in ("0,1", "2,3,4")]
    anchors = [ANCHORS[:2], ANCHORS[2:]]
    options = {"anchors": anchors, "strides": (16, 16), "scale_xy": 2.0, "size_transform": "square"}
    check(maps, sections, "logistic", tmp_path, **options)


def test_region_with_softmax(tmp_path):
    cells = ",".join(f"{w / 32},{h / 32}" for w, h in ANCHORS)
    section = f"[region]\nanchors={cells}\nclasses={CLASSES}\ncoords=4\nnum=5\nsoftmax=1"
    # OpenCV always suppresses here, by an IoU of 0.4.
    options = {"anchors": [ANCHORS], "strides": (32,), "class_activation": "softmax", "nms_threshold": 0.4}
    check([random_map(32, 5, 4)], [section], "linear", tmp_path, **options)
