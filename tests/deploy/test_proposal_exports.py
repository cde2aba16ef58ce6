"""Exports of models that take proposals: two inputs, searched for where images come alone."""

import keras
import numpy as np
import pytest
from samples import small

import kzoo
from kzoo.deploy import open_export
from kzoo.deploy.metadata import Metadata

SIZE = (64, 64)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    options = {**small("fast-rcnn"), "score_threshold": 0.0}
    return kzoo.build("fast-rcnn", num_classes=3, image_size=SIZE, width=0.125, depth=0.1, **options)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    return open_export(kzoo.export(model, tmp_path_factory.mktemp("exports") / "fast.tflite"))


def pictures(count=2):
    return np.random.default_rng(1).integers(0, 256, (count, *SIZE, 3), np.uint8)


def test_the_description_says_how_proposals_are_found(model):
    meta = Metadata.of(model, SIZE, 1)
    assert meta.searching == {"count": 40, "mode": "rcnn", "width": 500, "min_side": 4.0}
    assert Metadata.from_json(meta.to_json(), "here") == meta
    other = kzoo.build("yolov3-tiny", num_classes=1, image_size=SIZE, width=0.125)
    assert Metadata.of(other, SIZE, 1).searching is None


def test_files_from_before_there_were_such_are_read(model):
    text = Metadata.of(model, SIZE, 1).to_json().replace('"searching"', '"unknown"')
    assert Metadata.from_json(text, "here").searching is None


@pytest.mark.slow
def test_images_alone_are_searched(model, exported):
    images = pictures()
    wanted, found = model.predict_on_batch(images), exported.predict_on_batch(images)
    for name in ("boxes", "scores"):
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-4)
    photo = np.random.default_rng(2).integers(0, 256, (90, 120, 3), np.uint8)
    one, other = (each.detect(photo, score_threshold=0.0) for each in (model, exported))
    assert len(one.boxes)
    np.testing.assert_allclose(other.boxes, one.boxes, atol=1e-3)


@pytest.mark.long
def test_fewer_proposals_are_filled_up_and_more_are_refused(model, exported):
    images, boxes = pictures(), np.zeros((2, 5, 4), np.float32)
    boxes[:, :3] = [[4, 4, 40, 40], [20, 8, 60, 30], [0, 0, 64, 64]]
    inputs = {"images": images, "proposals": boxes}
    wanted, found = model.predict_on_batch(inputs), exported.predict_on_batch(inputs)
    there = wanted["labels"] >= 0
    assert there.sum() == (found["labels"] >= 0).sum() > 0
    np.testing.assert_allclose(
        found["scores"][:, : there.shape[1]][there], wanted["scores"][there], atol=1e-4
    )
    with pytest.raises(ValueError, match="takes 40 proposals an image, not 41; give the best 40"):
        exported.predict_on_batch({"images": images, "proposals": np.zeros((2, 41, 4))})


def test_integers_are_refused(model, tmp_path):
    with pytest.raises(ValueError, match="quantize='int8': fast-rcnn takes proposals"):
        kzoo.export(model, tmp_path / "m.tflite", quantize="int8", data=pictures())
