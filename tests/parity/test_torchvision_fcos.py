"""FCOS beside torchvision's: raw outputs and detections of its state dict, and losses of the same predictions."""

import numpy as np
import pytest
import torch_reference as reference
from keras import ops
from test_torchvision_detection import equal_detections, parameters

import kzoo
from kzoo.heads import FCOSHead

SIZES = [(128, 160), (96, 256)]
STRIDES = (8, 16, 32, 64, 128)
KINDS = {"class": "cls_logits", "box": "bbox_regression", "center": "bbox_ctrness"}


@pytest.fixture(scope="module")
def vision(shared):
    return reference.torchvision(shared)


@pytest.fixture(scope="module")
def network(vision):
    """torchvision's, with statistics of its own and scores that are spread over classes and places."""
    import torch

    torch.manual_seed(0)
    made = vision.models.detection.fcos_resnet50_fpn(weights=None, weights_backbone=None).eval()
    reference.lived_in(made.backbone)
    torch.manual_seed(1)
    for name, parameter in made.head.named_parameters():
        if parameter.ndim == 4:
            torch.nn.init.kaiming_normal_(parameter, nonlinearity="relu")
        elif name.endswith("cls_logits.bias"):
            torch.nn.init.constant_(parameter, -4.0)
        elif name.endswith("bbox_reg.bias"):
            torch.nn.init.constant_(parameter, 2.0)
        else:
            torch.nn.init.normal_(parameter, 1.0 if name.endswith("weight") else 0.0, 0.1)
    return made


def test_raw_outputs_and_detections(network, tmp_path):
    import torch

    torch.save(network.state_dict(), tmp_path / "weights.pth")
    model = kzoo.build("fcos", num_classes=91, weights=tmp_path / "weights.pth", batch_norm="trained")
    assert parameters(model) == 32_322_720 == sum(one.numel() for one in network.parameters())
    for height, width in SIZES:
        images = reference.photographs(height, width, 2)
        network.transform.min_size, network.transform.max_size = (min(height, width),), max(height, width)
        pixels = [torch.from_numpy(image.transpose(2, 0, 1).astype("float32") / 255) for image in images]
        with torch.no_grad():
            batch, _ = network.transform(pixels)
            raw = network.head(list(network.backbone(batch.tensors).values()))
            found = network(pixels)
        rows = model.head.rows(model(images))
        for ours, kind in zip(rows, KINDS.values(), strict=True):
            wanted = raw[kind].numpy()
            assert wanted.std() > 0.1
            np.testing.assert_allclose(
                np.reshape(ops.convert_to_numpy(ours), wanted.shape), wanted, atol=1e-4
            )
        decoded = model.predict(images, verbose=0)
        for i, wanted in enumerate(found):
            mine = [decoded[key][i][decoded["labels"][i] >= 0] for key in ("boxes", "scores", "labels")]
            equal_detections(mine, [wanted[key].numpy() for key in ("boxes", "scores", "labels")])


def test_losses(vision, network):
    """Of objects of all sizes, some of which lie on one another, and of an image with two."""
    import torch

    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 90, (3, 6, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(6, 100, corner.shape)], -1).astype(np.float32)
    labels = rng.integers(0, 5, (3, 6))
    labels[-1, 2:] = -1
    boxes *= (labels >= 0)[..., None]
    head = FCOSHead(5, STRIDES)
    cells = [(24, 32), (12, 16), (6, 8), (3, 4), (2, 2)]
    raw = {}
    for name, size in zip(head.levels, cells, strict=True):
        raw[f"class_{name}"] = rng.normal(-1, 1, (3, *size, 5)).astype(np.float32)
        raw[f"box_{name}"] = rng.uniform(0, 4, (3, *size, 4)).astype(np.float32)
        raw[f"center_{name}"] = rng.normal(0, 1, (3, *size, 1)).astype(np.float32)
    rows = [torch.tensor(ops.convert_to_numpy(part)) for part in head.rows(raw)]
    predicted = {"cls_logits": rows[0], "bbox_regression": rows[1], "bbox_ctrness": rows[2][..., None]}
    points, strides = (ops.convert_to_numpy(part) for part in head.places(cells))
    half = strides[:, None] / 2
    anchors = [torch.tensor(np.concatenate([points - half, points + half], -1))] * 3
    theirs_targets = [
        {"boxes": torch.tensor(b[n >= 0]), "labels": torch.tensor(n[n >= 0])}
        for b, n in zip(boxes, labels, strict=True)
    ]
    counts = [height * width for height, width in cells]
    theirs = network.compute_loss(theirs_targets, predicted, anchors, counts)
    ours = head.loss({"boxes": boxes, "labels": labels}, raw)
    for name, key in (("class", "classification"), ("box", "bbox_regression"), ("center", "bbox_ctrness")):
        assert float(theirs[key]) > 0.1
        assert float(ours[name]) == pytest.approx(float(theirs[key]), rel=1e-5)
