"""Datasets whose images are no files, drawn shapes and arrays, go through every option that files go through."""

from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

import kzoo.data
from kzoo.cli.main import app
from kzoo.data.anchors import kmeans_anchors
from kzoo.data.checks.check import check, require_sound
from kzoo.data.loading.loader import batches
from kzoo.data.loading.sampling import repeat_factors
from kzoo.evaluation import evaluate, write_error_page

SIZE = (48, 80)


@pytest.fixture
def arrays(tmp_path):
    """Two parts of arrays, the second class on one image in six."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 2)):
        masks = np.zeros((count, *SIZE), np.uint8)
        masks[:, 5:20, 5:30] = 1
        masks[0, 30:, 40:] = 2
        np.save(tmp_path / f"{part}_images.npy", rng.integers(0, 256, (count, *SIZE, 3), dtype=np.uint8))
        np.save(tmp_path / f"{part}_masks.npy", masks)
    return tmp_path


def datasets(arrays):
    return {
        "boxes": kzoo.data.load("shapes:6:64", "train"),
        "instances": kzoo.data.load("shapes:6:64", "train", masks=True),
        "shapes": kzoo.data.load("shapes:6:64", "train", task="segment"),
        "arrays": kzoo.data.load(arrays, "train"),
    }


class Blind:
    """A detector that finds nothing, whatever the size."""

    image_size, names, head = (128, 128), ("circle", "rectangle", "triangle"), SimpleNamespace(num_classes=3)
    network, name = SimpleNamespace(inputs=[SimpleNamespace(shape=(None, None, None, 3))]), "blind"

    def predict_on_batch(self, images):
        count = len(images)
        return {
            "boxes": np.zeros((count, 4, 4), np.float32),
            "scores": np.zeros((count, 4), np.float32),
            "labels": np.full((count, 4), -1, np.int32),
        }


@pytest.mark.parametrize("view", [False, True])
def test_rectangular_evaluation_and_the_page_of_errors(tmp_path, view):
    dataset = kzoo.data.load("shapes:5:64", "val")
    dataset = kzoo.data.Selection(dataset, range(len(dataset))) if view else dataset
    metrics = evaluate(Blind(), dataset, rectangular=True, errors=True)
    assert metrics.images == len(dataset) and metrics.objects > 0
    write_error_page(metrics, dataset, tmp_path)
    assert (tmp_path / "errors" / "01.jpg").is_file()


@pytest.mark.parametrize("name", ["boxes", "instances", "shapes", "arrays"])
@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_batches_of_caches_workers_and_balance(arrays, monkeypatch, name, cache):
    monkeypatch.setenv("KERAS_HOME", str(arrays / "keras"))
    dataset = datasets(arrays)[name]
    plain = batches(dataset, 64, 2, "none", shuffle=True, balance=0.9)
    kept = batches(dataset, 64, 2, "none", shuffle=True, balance=0.9, cache=cache, workers=1)
    assert len(plain) == len(kept) >= 3
    for (images, targets), (others, theirs) in zip(plain, kept, strict=True):
        np.testing.assert_array_equal(images, others)
        assert all((targets[key] == theirs[key]).all() for key in targets)


def test_processes_make_the_same_batches(arrays):
    for dataset in (datasets(arrays)[name] for name in ("boxes", "arrays")):
        plain = list(batches(dataset, 64, 3, "none", shuffle=False))
        made = list(batches(dataset, 64, 3, "none", shuffle=False, workers=1, worker_kind="process"))
        for (images, _), (others, _) in zip(plain, made, strict=True):
            np.testing.assert_array_equal(images, others)


def test_classes_of_masks_are_balanced(arrays):
    """Of semantic masks the pixels tell which classes an image has."""
    factors = repeat_factors(kzoo.data.load(arrays, "train"), 0.5)
    assert factors[0] == pytest.approx(np.sqrt(0.5 * 6)) and (factors[1:] == 1).all()


@pytest.mark.parametrize("name", ["boxes", "instances", "shapes", "arrays"])
@pytest.mark.parametrize("decode", [True, False])
def test_checks(arrays, name, decode):
    dataset = datasets(arrays)[name]
    assert not check(dataset, decode=decode).errors
    assert len(require_sound(dataset, skip_faulty=True, decode=decode)) == len(dataset)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("augment", ["none", "mosaic"])
def test_previews(arrays, augment):
    for data in ("shapes:4:64", arrays):
        out = arrays / "sheet.png"
        result = run(
            "data", "preview", data, "--augment", augment, "--images", 2, "--image-size", 64, "--out", out
        )
        assert result.exit_code == 0 and out.is_file(), result.output
        out.unlink()


@pytest.mark.parametrize("to", ["voc", "yolo", "coco"])
def test_shapes_are_written_as_files(tmp_path, to):
    result = run("data", "convert", "shapes:4:64", tmp_path / "out", "--to", to)
    assert result.exit_code == 0, result.output
    written, drawn = kzoo.data.load(tmp_path / "out", "train"), kzoo.data.load("shapes:4:64", "train")
    assert [len(sample.boxes) for sample in written] == [len(sample.boxes) for sample in drawn]
    np.testing.assert_array_equal(written[0].image, drawn[0].image)


def test_anchors(arrays):
    assert len(kmeans_anchors(kzoo.data.load("shapes:20:64"), 3)[0]) == 3
    with pytest.raises(ValueError, match="0 different box shapes; give a dataset that has boxes"):
        kmeans_anchors(kzoo.data.load(arrays), 3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["thread", "process"])
def test_trainings(arrays, monkeypatch, untraced, kind):
    monkeypatch.setenv("KERAS_HOME", str(arrays / "keras"))
    usual = {"image_size": 64, "epochs": 1, "batch_size": 2, "cache": "disk", "balance": 0.5, "workers": 1}
    usual |= {"worker_kind": kind}
    found = kzoo.train(
        "yolov3-tiny", "shapes:4:64", width=0.25, rectangular=True, run=str(arrays / "a"), **usual
    )
    assert found.metrics.images == 1
    found = kzoo.train("unet", str(arrays), width=0.1, run=str(arrays / "b"), **usual)
    assert found.metrics.images == 2
