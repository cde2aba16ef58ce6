"""The same numbers as torchvision's detectors, from their own state dicts: raw outputs, anchors and detections."""

import numpy as np
import pytest
import torch_reference as reference
from keras import ops

import kzoo

LIMIT = 1e-4
CLASSES = 91
RETINA_SIZES = [(96, 160), (128, 256)]  # multiples of 32, and of 128
# Torchvision rounds down in the fourth pooling, Caffe and kzoo up: sizes where that is the same.
SSD_SIZES = [(300, 300), (268, 364)]


@pytest.fixture(scope="module")
def vision(shared):
    return reference.torchvision(shared)


def saved(network, folder):
    import torch

    torch.save(network.state_dict(), folder / "weights.pth")
    return folder / "weights.pth"


def lively_head(network, images, boxes, background, seed=0):
    """Scores that are spread over anchors, classes and places, some hundred of them above the threshold.

    Args:
        images: whose scores are counted.
        boxes: size of the differences; small where anchors are large, lest boxes lie outside the image.
        background: whether it has a score, each anchor's first.
    """
    import torch

    torch.manual_seed(seed)
    for name, parameter in network.head.named_parameters():
        last = any(part in name for part in ("cls_logits", "bbox_reg", "module_list"))
        size = boxes if "regression" in name else 0.8
        if parameter.ndim == 4:
            torch.nn.init.kaiming_normal_(parameter, nonlinearity="linear" if last else "relu")
            parameter.data *= size if last else 1.0
        else:
            torch.nn.init.normal_(parameter, 1.0 if name.endswith(".1.weight") else 0.0, size / 5)
    logits = theirs_of(at_size(network.eval(), *images.shape[1:3]), images)[0]
    # A share of 0.01 among classes of which the background is nearly all, or a logistic of 0.05.
    wanted = np.log(0.01) if background else np.log(0.05 / 0.95)
    margin = logits[..., 1:] - logits[..., :1] if background else logits
    # Between two scores, lest rounding decide about one that is on the threshold.
    shift = wanted - np.sort(margin, axis=None)[-301:-299].mean()
    for name, parameter in network.head.classification_head.named_parameters():
        if name.endswith(".bias") and ("cls_logits" in name or background):
            if background:
                parameter.data[::CLASSES] -= shift
            else:
                parameter.data += shift


def at_size(network, height, width):
    """The network with images as large as they are."""
    transform = network.transform
    if transform.fixed_size is None:
        transform.min_size, transform.max_size = (min(height, width),), max(height, width)
    else:
        transform.fixed_size = (width, height)
    return network


def theirs_of(network, images):
    """Raw class and box rows, anchors and detections of torchvision."""
    import torch

    pixels = [torch.from_numpy(image.transpose(2, 0, 1).astype("float32") / 255) for image in images]
    with torch.no_grad():
        batch, _ = network.transform(pixels)
        assert tuple(batch.tensors.shape[2:]) == images.shape[1:3], "torchvision resized the images"
        features = list(network.backbone(batch.tensors).values())
        raw = network.head(features)
        anchors = network.anchor_generator(batch, features)[0]
        found = network(pixels)
    return raw["cls_logits"].numpy(), raw["bbox_regression"].numpy(), anchors.numpy(), found


def compare(model, network, images, background, anchor_limit):
    """The largest differences of the raw rows, of the anchors; and how many detections there are, all equal."""
    logits, deltas, anchors, found = theirs_of(at_size(network, *images.shape[1:3]), images)
    assert 0.5 < logits.std() < 10 and 0.03 < deltas.std() < 5, "scores or boxes are hardly spread"
    outputs = model(images)
    ours = [ops.convert_to_numpy(rows) for rows in model.head.rows(outputs)]
    raw = [np.abs(mine - yours).max() for mine, yours in zip(ours, (logits, deltas), strict=True)]
    assert max(raw) <= LIMIT
    laid = ops.convert_to_numpy(model.head.boxes_of_anchors(model.head.sizes(outputs)))
    assert laid.shape == anchors.shape and laid.dtype == anchors.dtype
    assert np.abs(laid - anchors).max() <= anchor_limit
    decoded = model.predict(images, verbose=0)
    for i, wanted in enumerate(found):
        mine = [decoded[key][i][decoded["labels"][i] >= 0] for key in ("boxes", "scores", "labels")]
        yours = [wanted[key].numpy() for key in ("boxes", "scores", "labels")]
        # Of boxes without area the overlap is not a number, which torchvision's programs take in two ways.
        assert (yours[0][:, 2:] > yours[0][:, :2]).all()
        equal_detections(mine, [yours[0], yours[1], yours[2] - background])
    return raw, [len(wanted["scores"]) for wanted in found], max(float(w["scores"].max()) for w in found)


def equal_detections(ours, theirs):
    """One to one: the same class, IoU above .999, scores within 1e-4."""
    assert len(ours[1]) == len(theirs[1]) > 20, "not as many detections, or hardly any"
    boxes = [np.asarray(side[0], np.float64) for side in (ours, theirs)]
    low = np.maximum(boxes[0][:, None, :2], boxes[1][None, :, :2])
    high = np.minimum(boxes[0][:, None, 2:], boxes[1][None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = [np.prod(side[:, 2:] - side[:, :2], axis=-1) for side in boxes]
    overlap = common / (areas[0][:, None] + areas[1][None] - common)
    same = (overlap > 0.999) & (ours[2][:, None] == theirs[2][None])
    same &= np.abs(ours[1][:, None] - theirs[1][None]) < 1e-4
    assert (same.sum(axis=0) == 1).all() and (same.sum(axis=1) == 1).all()


def parameters(model):
    """Weights that a gradient moves: what torch counts as parameters."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize(
    "name, published, arguments, count",
    [
        ("retinanet", "retinanet_resnet50_fpn", {"batch_norm": "trained"}, 34_068_119),
        ("retinanet-v2", "retinanet_resnet50_fpn_v2", {}, 38_198_935),
    ],
)
def test_retinanet(name, published, arguments, count, vision, tmp_path):
    import torch

    build = getattr(vision.models.detection, published)
    torch.manual_seed(0)
    network = build(weights=None, weights_backbone=None)
    reference.lived_in(network.backbone)
    lively_head(network, reference.photographs(*RETINA_SIZES[0]), boxes=0.06, background=False)
    model = kzoo.build(name, num_classes=91, weights=saved(network, tmp_path), **arguments)
    assert parameters(model) == count == sum(p.numel() for p in network.parameters())
    for height, width in RETINA_SIZES:
        raw, found, best = compare(model, network, reference.photographs(height, width, 2), 0, anchor_limit=0)
        print(
            f"{name} {height}x{width}: class {raw[0]:.1e}, box {raw[1]:.1e}, detections {found} up to {best:.2f}"
        )


def test_published_statistics_mean_the_same(vision, tmp_path):
    """The first file's batch normalisation adds nothing to its variances, some of which are as small as ours adds."""
    import torch

    detection, frozen = vision.models.detection, vision.ops.misc.FrozenBatchNorm2d
    blocks = vision.ops.feature_pyramid_network.LastLevelP6P7(256, 256)
    body = vision.models.resnet18(weights=None)
    reference.lived_in(body)
    for name, buffer in body.named_buffers():
        if name.endswith("running_var"):
            small = torch.arange(len(buffer)) % 4 == 0
            scale = dict(body.named_parameters())[name.replace("running_var", "weight")]
            scale.data[small] *= (1e-5 / buffer[small]).sqrt()
            body.get_parameter(name.replace("running_var", "bias")).data[small] = 0
            body.get_buffer(name.replace("running_var", "running_mean"))[small] = 0
            buffer[small] = 1e-5
    still = vision.models.resnet18(weights=None, norm_layer=frozen)
    still.load_state_dict(body.state_dict())
    backbone = detection.backbone_utils._resnet_fpn_extractor(still, 5, [2, 3, 4], blocks)
    network = detection.retinanet.RetinaNet(backbone, 3).eval()
    detection._utils.overwrite_eps(network, 0.0)
    arguments = {"num_classes": 3, "backbone": "resnet18", "image_size": (64, 64)}
    for name, equal in (("retinanet_resnet50_fpn_coco-eeacb38b.pth", True), ("other.pth", False)):
        torch.save(network.state_dict(), tmp_path / name)
        model = kzoo.build("retinanet", weights=tmp_path / name, **arguments)
        images = reference.photographs(64, 96)
        with torch.no_grad():
            theirs = backbone(reference.as_torch(images))["0"].numpy().transpose(0, 2, 3, 1)
        differ = np.abs(ops.convert_to_numpy(model.network(images)[0]) - theirs).max()
        assert (differ <= LIMIT) == equal


def halves(height, width, levels):
    """Sizes as a residual network has them: each half the one before, rounded up."""
    found = [(height, width)]
    while len(found) < levels:
        found.append(tuple(-(-side // 2) for side in found[-1]))
    return found


@pytest.mark.parametrize("extra, levels", [("p5", 3), ("c5", 3), ("pool", 4), (None, 3)])
def test_pyramids(extra, levels, vision):
    import keras
    import torch

    from kzoo.layers.fpn import fpn

    torch.manual_seed(0)
    published = vision.ops.feature_pyramid_network
    channels, first = (8, 16, 24, 32)[:levels], 6 - levels
    blocks = {
        "p5": lambda: published.LastLevelP6P7(12, 12),
        "c5": lambda: published.LastLevelP6P7(channels[-1], 12),
        "pool": published.LastLevelMaxPool,
    }
    theirs = vision.ops.FeaturePyramidNetwork(channels, 12, blocks[extra]() if extra else None)
    inputs = [keras.Input((None, None, c)) for c in channels]
    ours = keras.Model(inputs, fpn(inputs, 12, first, extra))
    convs = {f"lateral{first + i}": theirs.inner_blocks[i][0] for i in range(levels)}
    convs |= {f"smooth{first + i}": theirs.layer_blocks[i][0] for i in range(levels)}
    if extra in ("p5", "c5"):
        convs |= {"p6": theirs.extra_blocks.p6, "p7": theirs.extra_blocks.p7}
    for name, conv in convs.items():
        torch.nn.init.normal_(conv.bias)
        weights = (conv.weight.detach().numpy().transpose(2, 3, 1, 0), conv.bias.detach().numpy())
        ours.get_layer(f"neck_{name}").set_weights(weights)
    for size in ((16, 24), (13, 10), (7, 9), (1, 3)):
        x = [torch.randn(2, c, *side) for c, side in zip(channels, halves(*size, levels), strict=True)]
        with torch.no_grad():
            wanted = theirs({str(i): m for i, m in enumerate(x)})
        found = ours([m.numpy().transpose(0, 2, 3, 1) for m in x])
        assert len(found) == len(wanted) == {"pool": 5, None: 3}.get(extra, 5)
        for mine, yours in zip(found, wanted.values(), strict=True):
            np.testing.assert_allclose(mine, yours.numpy().transpose(0, 2, 3, 1), atol=1e-5)


def test_frozen_retinanet_counts_as_torchvision_does(tmp_path):
    model = kzoo.build("retinanet", num_classes=91, batch_norm="frozen")
    assert parameters(model) == 34_014_999


def test_ssd300(vision, tmp_path):
    import torch

    torch.manual_seed(0)
    network = vision.models.detection.ssd300_vgg16(weights=None, weights_backbone=None)
    for name, parameter in network.backbone.named_parameters():
        if parameter.ndim == 4:
            torch.nn.init.kaiming_normal_(parameter)
        else:
            torch.nn.init.normal_(parameter, 20.0 if name == "scale_weight" else 0.0, 0.1)
    network.backbone.features[0].weight.data /= 70  # grey levels come in
    lively_head(network, reference.photographs(*SSD_SIZES[0]), boxes=0.5, background=True)
    path = saved(network, tmp_path)
    for size in SSD_SIZES:
        model = kzoo.build("ssd300", num_classes=90, image_size=size, weights=path)
        network.anchor_generator.steps = list(model.head.strides)  # its own are those of 300 pixels
        assert model.count_params() == sum(p.numel() for p in network.parameters())
        raw, found, best = compare(model, network, reference.photographs(*size), 1, anchor_limit=1e-4)
        print(
            f"ssd300 {size[0]}x{size[1]}: class {raw[0]:.1e}, box {raw[1]:.1e}, detections {found} up to {best:.2f}"
        )
