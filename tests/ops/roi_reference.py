"""Poolings of boxes against recorded outputs and gradients, on whichever backend Keras runs."""

import json

import keras
import numpy as np
from keras import ops

from kzoo.ops.roi import precise_roi_pool, roi_align, roi_pool


def with_gradients(function, inputs, upstream):
    """The output of `function(*inputs)`, and the gradients of its product with `upstream` to the inputs, as NumPy.

    An input that gets none has zeros.
    """
    inputs = [ops.convert_to_tensor(value) for value in inputs]
    upstream = ops.convert_to_tensor(np.float32(upstream))
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(inputs)
            output = function(*inputs)
        gradients = tape.gradient(output, inputs, upstream, unconnected_gradients="zero")
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    elif backend == "jax":
        import jax

        output, back = jax.vjp(jax.jit(function), *inputs)
        gradients = back(upstream)
    else:
        import torch

        inputs = [value.detach().clone().requires_grad_(True) for value in inputs]
        output = function(*inputs)
        gradients = torch.autograd.grad(output, inputs, upstream, allow_unused=True)
        gradients = [torch.zeros_like(x) if g is None else g for g, x in zip(gradients, inputs, strict=True)]
        output = output.detach()
    return ops.convert_to_numpy(output), *(ops.convert_to_numpy(gradient) for gradient in gradients)


def pooling(case, stride):
    """Our function of (features, boxes) for a recorded case."""
    size = case["output_size"]
    if case["op"] == "roi_pool":
        return lambda features, boxes: roi_pool(features, boxes, size, stride)
    if case["op"] == "prroi_pool":
        return lambda features, boxes: precise_roi_pool([features], boxes, size, [stride])
    sampling, aligned = case["sampling_ratio"], case["aligned"]
    return lambda features, boxes: roi_align([features], boxes, size, [stride], sampling, aligned)


def check_golden(path):
    """Compares every recorded case of a fixed shape; gives how many there were."""
    golden = json.loads(path.read_text())
    features = np.transpose(np.float32(golden["features"]), (0, 2, 3, 1))  # (2, 6, 8, 2)
    rois = np.float32(golden["rois"])  # (10, 5)
    image, place = rois[:, 0].astype(int), np.arange(len(rois))
    boxes = np.stack([rois[:, 1:]] * len(features))  # every box in both images; each is read from its own
    cases = [case for case in golden["cases"] if case.get("sampling_ratio", 1) > 0]
    for case in cases:
        expected = np.transpose(case["output"], (0, 2, 3, 1))
        upstream = np.zeros((*boxes.shape[:2], *expected.shape[1:]), "float32")
        steps = ((5 * np.arange(expected.size) % 7) - 3) / 4  # in the order of channels first
        steps = steps.reshape(np.shape(case["output"]))
        upstream[image, place] = np.transpose(steps, (0, 2, 3, 1))
        given, to_features, to_boxes = with_gradients(
            pooling(case, 1 / golden["spatial_scale"]), [features, boxes], upstream
        )
        atol = 0 if case["op"] == "roi_pool" else 1e-5
        np.testing.assert_allclose(given[image, place], expected, rtol=0, atol=atol, err_msg=case["name"])
        feature_gradient = np.transpose(case["feature_gradient"], (0, 2, 3, 1))
        np.testing.assert_allclose(to_features, feature_gradient, rtol=0, atol=1e-5, err_msg=case["name"])
        box_gradient = np.zeros_like(boxes)
        if "roi_gradient" in case:
            box_gradient[image, place] = np.float32(case["roi_gradient"])[:, -4:]
        np.testing.assert_allclose(to_boxes, box_gradient, rtol=0, atol=1e-5, err_msg=case["name"])
    return len(cases)
