"""The same assignment and losses as torchvision's, from the same predictions and objects."""

import numpy as np
import pytest
import torch_reference as reference
from keras import ops

from kzoo.heads import AnchorHead
from kzoo.ops.anchors import default_boxes, retina_anchors

CLASSES, IMAGES, OBJECTS = 5, 3, 6
SIZES = [(12, 16), (6, 8), (3, 4), (2, 2), (1, 1)]
STRIDES = (8, 16, 32, 64, 128)


@pytest.fixture(scope="module")
def vision(shared):
    return reference.torchvision(shared)


def objects(seed=0):
    """Boxes of all sizes, of the last image fewer; as our targets, and as torchvision's."""
    import torch

    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 80, (IMAGES, OBJECTS, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(4, 48, corner.shape)], -1).astype(np.float32)
    labels = rng.integers(0, CLASSES, (IMAGES, OBJECTS))
    labels[-1, 2:] = -1
    theirs = [
        {"boxes": torch.tensor(b[n >= 0]), "labels": torch.tensor(n[n >= 0])}
        for b, n in zip(boxes, labels, strict=True)
    ]
    return {"boxes": boxes * (labels >= 0)[..., None], "labels": labels}, theirs


def outputs(head, seed=1):
    rng = np.random.default_rng(seed)
    return {
        f"{kind}_{name}": rng.normal(0, scale, (IMAGES, *size, len(level) * fields)).astype(np.float32)
        for name, size, level in zip(head.levels, SIZES, head.anchors, strict=True)
        for kind, fields, scale in (("class", head.fields, 2.0), ("box", 4, 0.5))
    }


def given(head, raw):
    """Our anchors and raw outputs as torch's."""
    import torch

    logits, deltas = (torch.tensor(ops.convert_to_numpy(part)) for part in head.rows(raw))
    anchors = torch.tensor(ops.convert_to_numpy(head.boxes_of_anchors(SIZES)))
    return {"cls_logits": logits, "bbox_regression": deltas}, [anchors] * IMAGES


def equal(ours, theirs):
    for name, key in (("class", "classification"), ("box", "bbox_regression")):
        assert float(theirs[key]) > 0.1
        assert float(ours[name]) == pytest.approx(float(theirs[key]), rel=1e-5)


@pytest.mark.parametrize("box_loss", ["l1", "smooth_l1", "giou"])
@pytest.mark.parametrize("rescue", ["ties", "none"])
def test_retinanet(vision, box_loss, rescue):
    from torchvision.models.detection import _utils, retinanet

    options = {"tower": 1, "tower_width": 8, "shared": True, "offset": 0.0, "fit_strides": True}
    head = AnchorHead(CLASSES, retina_anchors(), STRIDES, box_loss=box_loss, rescue=rescue, **options)
    theirs = retinanet.RetinaNetHead(8, 9, CLASSES)
    theirs.regression_head._loss_type = box_loss
    matcher = _utils.Matcher(0.5, 0.4, allow_low_quality_matches=rescue == "ties")
    targets, theirs_targets = objects()
    raw = outputs(head)
    predicted, anchors = given(head, raw)
    matched = [
        matcher(vision.ops.boxes.box_iou(t["boxes"], a)) for t, a in zip(theirs_targets, anchors, strict=True)
    ]
    equal(head.loss(targets, raw), theirs.compute_loss(theirs_targets, predicted, anchors, matched))


def test_ssd(vision):
    from torchvision.models.detection import _utils, ssd

    scales = (0.07, 0.15, 0.33, 0.51, 0.69, 0.87)
    head = AnchorHead(
        CLASSES,
        default_boxes((96, 128), scales, [[2], [2, 3], [2, 3], [2], [2]]),
        STRIDES,
        class_loss="hard_negative",
        box_loss="smooth_l1",
        negative_threshold=0.5,
        rescue="best",
        coder_weights=(10, 10, 5, 5),
        normalize_by="batch",
    )
    targets, theirs_targets = objects()
    for target in theirs_targets:
        target["labels"] += 1  # theirs count the background
    raw = outputs(head)
    predicted, anchors = given(head, raw)
    matcher = _utils.SSDMatcher(0.5)
    matched = [
        matcher(vision.ops.boxes.box_iou(t["boxes"], a)) for t, a in zip(theirs_targets, anchors, strict=True)
    ]

    class Theirs:
        box_coder = _utils.BoxCoder((10.0, 10.0, 5.0, 5.0))
        neg_to_pos_ratio = 3
        compute_loss = ssd.SSD.compute_loss

    equal(head.loss(targets, raw), Theirs().compute_loss(theirs_targets, predicted, anchors, matched))
