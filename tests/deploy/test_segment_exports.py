"""Masks of exports are the model's, over every segmenter."""

import keras
import numpy as np
import pytest
from random_models import randomised
from runtimes import assert_alike_everywhere
from samples import of_archetypes

import kzoo
from kzoo.deploy import open_export
from kzoo.deploy.checking import compare

SIZE = (64, 64)
NAMES = ["background", "cell", "plate"]
FORMS = {"saved_model": "1", "tflite": "m.tflite", "onnx": "m.onnx"}


def segmenter(name, **arguments):
    keras.utils.set_random_seed(0)
    return randomised(
        kzoo.build(name, num_classes=3, image_size=SIZE, width=0.25, depth=0.05, names=NAMES, **arguments)
    )


def pictures(count=2):
    from kzoo.data.formats.shapes import Shapes

    return np.stack([Shapes(count, image_size=SIZE)[i].image for i in range(count)])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", of_archetypes(kzoo.list_models("segment")))
def test_masks_are_keras_s(name, form, tmp_path):
    model, images = segmenter(name), pictures()
    path = kzoo.export(model, tmp_path / FORMS[form])
    agreement = compare(model, path, images)
    assert agreement.total == images[..., 0].size and "pixels" in str(agreement)
    assert agreement.same >= 0.999 * agreement.total and agreement.scores < 1e-4
    if form == "onnx":
        assert_alike_everywhere(path, images)
    opened = open_export(path)
    assert opened.task == "segment" and opened.names == NAMES
    wide = np.repeat(images[0], 2, axis=1)
    for method in ("resize", "window"):
        own, other = (found.segment(wide, method=method) for found in (model, opened))
        assert own.mask.shape == wide.shape[:2]
        assert (own.mask == other.mask).mean() >= 0.999


@pytest.mark.long
@pytest.mark.parametrize("quantize, least", [("float16", 0.98), ("int8", 0.85)])
def test_quantised_masks(quantize, least, tmp_path):
    """Of a network that was not trained many pixels are near a tie; the README has the figures of a trained one."""
    model, images = segmenter("unet"), pictures(8)
    data = images if quantize == "int8" else None
    path = kzoo.export(model, tmp_path / "m.tflite", quantize=quantize, data=data)
    plain = kzoo.export(model, tmp_path / "plain.tflite")
    assert path.stat().st_size < (0.6 if quantize == "float16" else 0.4) * plain.stat().st_size
    agreement = compare(model, path, images)
    assert agreement.same >= least * agreement.total


def test_one_channel_and_fixed_batch(tmp_path):
    keras.utils.set_random_seed(0)
    model = kzoo.build("unet", image_size=SIZE, width=0.25, depth=0.6, binary=True)
    path = kzoo.export(model, tmp_path / "m.onnx", batch_size=2)
    agreement = compare(model, path, pictures(3))
    assert agreement.same >= 0.999 * agreement.total


def test_sides_that_do_not_fit(tmp_path):
    with pytest.raises(ValueError, match="multiples of 2 for unet"):
        kzoo.export(segmenter("unet"), tmp_path / "m.onnx", image_size=(63, 64))
