"""A detector whose outputs are not trivial, and its exports, made once for all tests of exports."""

import keras
import numpy as np
import pytest
from random_models import NAMES, SIZE, randomised

import kzoo
from kzoo.models.yolov3 import yolov3


@pytest.fixture(scope="session")
def detector():
    keras.utils.set_random_seed(0)
    return randomised(yolov3(3, SIZE, width=0.25, depth=0.25, names=NAMES, name="tester"))


@pytest.fixture(scope="session")
def small_detector():
    """One of few layers, for tests that export it anew."""
    keras.utils.set_random_seed(0)
    return randomised(kzoo.build("yolov3-tiny", num_classes=3, image_size=SIZE, width=0.25, names=NAMES))


@pytest.fixture(scope="session")
def images():
    """Pictures of shapes, (3, 64, 64, 3) uint8."""
    from kzoo.data.formats.shapes import Shapes

    return np.stack([Shapes(3, image_size=SIZE)[i].image for i in range(3)])


@pytest.fixture(scope="session")
def exported(detector, images, tmp_path_factory):
    """Form -> path, written when first asked for."""
    folder, written = tmp_path_factory.mktemp("exports"), {}
    places = {
        "saved_model": ("tester/1", {}),
        "tflite": ("tester.tflite", {}),
        "tflite-float16": ("half.tflite", {"quantize": "float16"}),
        "tflite-int8": ("int8.tflite", {"quantize": "int8", "data": images}),
        "onnx": ("tester.onnx", {}),
    }

    def path(form):
        if form not in written:
            name, arguments = places[form]
            written[form] = kzoo.export(detector, folder / name, **arguments)
        return written[form]

    return path
