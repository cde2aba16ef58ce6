"""What R-CNN and SPP-net are finished with: machines and regressors that are layers, and find what they were shown."""

import keras
import numpy as np
import pytest
from sklearn.linear_model import Ridge

import kzoo
from kzoo.ops.box_coder import encode_deltas
from kzoo.structures import Sample
from kzoo.training import svm

SIZE = 64
OPTIONS = {
    "num_classes": 2,
    "names": ["red", "blue"],
    "image_size": (SIZE, SIZE),
    "width": 0.125,
    "depth": 0.05,
    "proposals": (40, 40),
    "search": "fast",
    "search_side": 6,
    "region_samples": 16,
}
COLOURS = np.uint8([[220, 30, 30], [30, 30, 220]])


class Squares:
    """Red and blue squares on grey: what the colours of a map tell apart."""

    classes = ("red", "blue")

    def __len__(self):
        return 10

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        image = np.full((SIZE, SIZE, 3), 120, np.uint8)
        labels = np.array([0, 1])
        boxes = np.zeros((2, 4), np.float32)
        for i, x in enumerate((rng.integers(2, 12), rng.integers(34, 44))):
            y, side = rng.integers(4, 34), rng.integers(16, 22)
            image[y : y + side, x : x + side] = COLOURS[labels[i]]
            boxes[i] = x, y, x + side, y + side
        return Sample(image, boxes, labels, id=index)


def built(name, **options):
    keras.utils.set_random_seed(0)
    more = {"crop": 32, "context": 4} if name == "r-cnn" else {}
    return kzoo.build(name, **{**OPTIONS, **more, **options})


@pytest.fixture(scope="module")
def finished():
    return svm.finish(built("r-cnn"), Squares())


@pytest.mark.long
def test_finds_what_it_was_shown(finished):
    """Machines tell colours apart even on dense layers that were never trained."""
    assert finished.head.scores == "svm"
    metrics = kzoo.evaluate(finished, Squares())
    assert metrics.map50 > 0.9


@pytest.mark.long
def test_scores_are_the_machines_own(finished):
    sample = Squares()[0]
    inputs = finished.with_proposals(sample.image[None])
    raw = finished(inputs)
    branch = finished.head.branches[0]
    hidden, flat = finished.head.described(
        finished.features(inputs)[:-1], keras.ops.convert_to_tensor(inputs["proposals"])
    )
    margins = (
        np.asarray(hidden) @ np.asarray(branch.class_layer.kernel)[:, 1:]
        + np.asarray(branch.class_layer.bias)[1:]
    )
    scores = np.asarray(finished.head.class_scores(raw))[0]
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-margins)), atol=1e-4)
    assert flat.shape[0] == inputs["proposals"].shape[1]


@pytest.mark.long
def test_saves_and_loads(finished, tmp_path):
    finished.save(tmp_path / "r.keras")
    again = kzoo.load(tmp_path / "r.keras")
    image = Squares()[0].image[None]
    one, other = finished.predict_on_batch(image), again.predict_on_batch(image)
    np.testing.assert_array_equal(one["scores"], other["scores"])
    assert again.head.scores == "svm" and one["scores"].max() > 0.5


def test_regressors_are_ridge_regression():
    """scikit-learn's, of whitened differences and features of a mean length of 20, with a column of ones."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 15)), rng.normal(size=(60, 4)) @ rng.normal(size=(4, 4)) + 3
    pairs = svm._Pairs([x], [y])
    weights, bias = pairs.fitted(1000.0)
    scale = 20 / np.linalg.norm(x, axis=1).mean()
    values, axes = np.linalg.eigh(np.cov(y.T, bias=True))
    root = axes @ np.diag(1 / np.sqrt(values + 1e-3)) @ axes.T
    ones = np.concatenate([x * scale, np.ones((60, 1))], 1)
    ridge = Ridge(1000.0, fit_intercept=False).fit(ones, (y - y.mean(0)) @ root)
    wanted = ridge.predict(ones) @ np.linalg.inv(root) + y.mean(0)
    np.testing.assert_allclose(x @ weights + bias, wanted, atol=1e-4)


def test_regressors_move_boxes_to_their_objects():
    """Features that say how a proposal is off: nearly all of it is mended."""
    rng = np.random.default_rng(1)
    boxes = np.float32([[10, 10, 40, 50]]) + rng.uniform(-4, 4, (300, 4)).astype(np.float32)
    truth = np.float32([[10, 10, 40, 50]]) + np.zeros((300, 1), np.float32)
    wanted = np.asarray(encode_deltas(truth, boxes, (10.0, 10.0, 5.0, 5.0)))
    features = np.concatenate([wanted, np.ones((300, 1))], 1) * 5
    weights, bias = svm._Pairs([features], [wanted]).fitted(100.0)
    assert np.abs(features @ weights + bias - wanted).mean() < 0.1 * np.abs(wanted).mean()


def test_hard_negatives_join_and_easy_ones_leave():
    rng = np.random.default_rng(0)
    machine = svm._Machine(0, [np.float32([[20, 0]] * 20) + rng.normal(size=(20, 2)).astype(np.float32)])
    machine.meet(np.float32([[-20, 0]] * 50) + rng.normal(size=(50, 2)).astype(np.float32))
    first = machine.weights
    assert first is not None and machine.positives[0] @ first + machine.bias == pytest.approx(1, abs=0.6)
    easy = np.float32([[-60, 0]] * 5)
    machine.meet(easy)
    assert machine.new == 0
    machine.meet(np.float32([[8, 15]] * svm.NEW))
    assert not np.array_equal(machine.weights, first) and machine.new == 0
    assert (np.concatenate(machine.negatives) @ machine.weights + machine.bias >= svm.EASY).all()


@pytest.mark.long
def test_a_class_that_nobody_has_is_never_found(caplog):
    class Reds(Squares):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            return Sample(sample.image, sample.boxes[:1], sample.labels[:1], id=index)

    model = svm.finish(built("r-cnn"), Reds())
    assert "class 1 has nothing to tell it from others by" in caplog.text
    assert not (model.predict_on_batch(Squares()[0].image[None])["labels"] == 1).any()


@pytest.mark.long
def test_refuses_images_without_objects():
    class Empty(Squares):
        def __getitem__(self, index):
            return Sample(super().__getitem__(index).image, id=index)

    with pytest.raises(ValueError, match="no image has an object"):
        svm.finish(built("r-cnn"), Empty())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["r-cnn", "spp-net"])
def test_a_training_ends_with_it(name, tmp_path):
    result = kzoo.train(
        built(name), Squares(), Squares(), epochs=1, batch_size=2, run=tmp_path / "run", workers=0, verbose=0
    )
    assert result.model.head.scores == "svm" and result.metrics.map50 > 0.3
