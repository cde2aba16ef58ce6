"""Raw outputs of imported cfgs equal OpenCV's importer and the NumPy reference, with the same random weights."""

import re

import cv2
import keras
import numpy as np
import pytest
from darknet_reference import forward, random_weights

from kzoo import darknet

SIDE = 64  # Pixels; two cells of the coarsest grid,
SIDES = {"yolov1": 128}  # but where it is cut down once more.
LARGE = 2e7  # Floats, from which on OpenCV's word, of the same weights, is enough.
# What OpenCV's importer does not read.
REFUSED = {"yolov1", "yolov1-tiny"}
CFGS = [
    "darknet19", "darknet53", "yolov1", "yolov1-tiny", "yolov2", "yolov2-tiny", "yolov2-tiny-voc", "yolov2-voc",
    "yolov3", "yolov3-spp", "yolov3-tiny", "yolov3-voc", "yolov4", "yolov4-csp", "yolov4-tiny",
]  # fmt: skip
# One of each version; the others take seconds each, and are read by the same code.
QUICK = ("darknet19", "yolov1-tiny", "yolov2-tiny", "yolov3", "yolov4-tiny")


def opencv_outputs(cfg, weights, x):
    """What OpenCV feeds each head with, in their order; of a classifier its logits."""
    if not hasattr(cv2.dnn, "readNetFromDarknet"):
        pytest.skip(f"OpenCV {cv2.__version__} reads no Darknet files; pip install -e '.[test]'")
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    net.setInput(x)
    names = net.getLayerNames()
    # Before every head it moves the channels last.
    permuted = [name for name in names if name.startswith("permute")]
    if permuted:
        return net.forward(permuted)
    before_softmax = names[names.index(next(name for name in names if name.startswith("softmax"))) - 1]
    return [net.forward(before_softmax)]


def raw_outputs(model, images):
    """What a kzoo model feeds its head with, in the order of the cfg's heads."""
    got = model(images, training=False)
    strides = getattr(model.head, "strides", None)
    maps = [got[f"stride{stride}"] for stride in strides] if strides else list(got.values())
    # new_coords=1: kzoo's head has the logistic inside, where Darknet's last convolution has it.
    if getattr(model.head, "size_transform", None) == "square":
        maps = [keras.ops.sigmoid(x) for x in maps]
    return [keras.ops.convert_to_numpy(x) for x in maps]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in CFGS]
)
def test_fifteen_cfgs(name, darknet_data, tmp_path):
    rng, side = np.random.default_rng(0), SIDES.get(name, SIDE)
    text = (darknet_data / "cfg" / f"{name}.cfg").read_text()
    cfg, weights = tmp_path / f"{name}.cfg", tmp_path / f"{name}.weights"
    cfg.write_text(re.sub(r"(?m)^(width|height)\s*=.*$", rf"\1={side}", text))
    floats = random_weights(cfg, weights, rng)
    images = rng.integers(0, 256, (1, side, side, 3)).astype(np.float32)
    x = images.transpose(0, 3, 1, 2) / np.float32(255)

    model = darknet.load(cfg, weights)
    assert model.network.count_params() == floats
    ours = raw_outputs(model, images)
    if name not in REFUSED:
        compare(ours, opencv_outputs(cfg, weights, x))
    if name in REFUSED or floats < LARGE:
        heads, _ = forward(cfg, weights, x)
        compare(ours, [head.transpose(0, 2, 3, 1) for head in heads])


def compare(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        b = b.reshape(a.shape) if b.size == a.size else b
        assert np.ptp(b) > 0.1  # of outputs that are all alike a comparison says little
        difference = np.abs(a - b).max()
        assert difference <= 1e-4, difference


def test_what_opencv_refuses(darknet_data, tmp_path):
    """The cfgs that are compared with the reference alone are those that OpenCV does not read."""
    for name in CFGS:
        cfg = darknet_data / "cfg" / f"{name}.cfg"
        try:
            cv2.dnn.readNetFromDarknet(str(cfg))
            assert name not in REFUSED
        except cv2.error:
            assert name in REFUSED
