"""The same file in runtimes that share no code."""

import numpy as np
import pytest

from kzoo.deploy import open_export


def assert_alike_everywhere(path, images, tolerance=1e-3):
    """An ONNX file gives in OpenVINO what it gives in onnxruntime.

    Args:
        path: the file.
        images: (B, H, W, 3) uint8.
        tolerance: the largest difference of pixels; probabilities may differ by a thousandth of it.
    """
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    opened = open_export(path)
    inputs = opened.inputs(images)
    expected = opened.run(**inputs)
    # On processors that have them, it computes in shorter floats unless told.
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(inputs)
    assert {output.get_any_name() for output in compiled.outputs} == expected.keys()
    for name, values in expected.items():
        assert found[name].shape == values.shape and found[name].dtype == values.dtype
        if values.dtype == np.float32:
            np.testing.assert_allclose(found[name], values, atol=tolerance, rtol=1e-4, err_msg=name)
        else:  # classes and pixels
            assert (found[name] == values).mean() >= 0.999
