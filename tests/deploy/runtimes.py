"""The same file in runtimes that share no code."""

import numpy as np
import pytest

from kzoo.deploy import open_export
from kzoo.deploy.checking import agreement_on
from kzoo.deploy.openvino import read
from kzoo.inference.roads import ROAD_MAPS


def assert_alike_everywhere(path, images, tolerance=1e-3, tied=False):
    """An ONNX file gives in OpenVINO what it gives in onnxruntime.

    Args:
        path: the file.
        images: (B, H, W, 3) uint8.
        tolerance: the largest difference of numbers, of boxes' pixels beside 1e-4 of the image's side.
        tied: whether scores are equal to the last digit: then it is read as for a folder of OpenVINO's, whose own
            reader would take any of them first.
    """
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    opened = open_export(path)
    inputs = opened.inputs(images)
    expected = opened.run(**inputs)
    # On processors that have them, it computes in shorter floats unless told.
    model = read(path) if tied else core.read_model(path)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(inputs)
    assert {output.get_any_name() for output in compiled.outputs} == expected.keys()
    found = {name: found[name] for name in expected}
    for name, values in expected.items():
        assert found[name].shape == values.shape and found[name].dtype == values.dtype
    if "boxes" in expected:  # those that score the same to the last digits may change places
        for i in range(len(images)):
            agreement = agreement_on(*({k: v[i] for k, v in one.items()} for one in (expected, found)), 0.001)
            assert agreement.same == agreement.total >= 1 and agreement.scores < 1e-4
            assert agreement.boxes < tolerance + 1e-4 * max(images.shape[1:3])
            assert (agreement.masks or 0.0) < tolerance
        expected = {name: expected[name] for name in ROAD_MAPS if name in expected}
    for name, values in expected.items():
        if values.dtype == np.float32:
            np.testing.assert_allclose(found[name], values, atol=tolerance, rtol=1e-4, err_msg=name)
        else:  # classes and pixels
            assert (found[name] == values).mean() >= 0.999
