"""Dense layers in halves: the nearest matrix of a rank, less to compute, and the same model at full rank."""

import keras
import numpy as np
import pytest
from scipy import linalg

import kzoo
from kzoo.model import flops
from kzoo.model.compression import truncated

OPTIONS = {"num_classes": 3, "image_size": (64, 64), "width": 0.125, "depth": 0.05, "proposals": (30, 20)}


def fast(**options):
    keras.utils.set_random_seed(0)
    return kzoo.build("fast-rcnn", region_samples=16, search_side=4, **OPTIONS, **options)


@pytest.fixture(scope="module")
def model():
    return fast()


@pytest.mark.parametrize("shape", [(90, 40), (40, 90)])
@pytest.mark.parametrize("rank", [1, 7, 40])
def test_the_nearest_matrix_of_a_rank(shape, rank):
    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    down, up = truncated(matrix, rank)
    assert down.shape == (shape[0], rank) and up.shape == (rank, shape[1]) and down.dtype == np.float32
    u, s, v = linalg.svd(matrix, full_matrices=False)
    np.testing.assert_allclose(down @ up, (u[:, :rank] * s[:rank]) @ v[:rank], atol=1e-4)


def test_full_rank_changes_nothing_and_less_a_little(model):
    whole = kzoo.compress(model, shares=1.0)
    assert whole.change < 1e-5
    images = np.random.default_rng(2).integers(0, 256, (1, 64, 64, 3), np.uint8)
    less = kzoo.compress(model, shares=0.05, images=images)
    inputs = model.with_proposals(images)
    scores = [np.asarray(keras.ops.softmax(one(inputs)["class"]))[..., 1:] for one in (model, less.model)]
    assert less.change == pytest.approx(np.abs(scores[0] - scores[1]).max(), rel=1e-4) and less.change > 1e-4


def test_what_is_saved_is_what_two_thin_layers_save(model):
    smaller = kzoo.compress(model, ranks=[32, 0])
    features, units = model.head.branches[0].tower[1].kernel.shape
    saved = features * units - 32 * (features + units)
    assert smaller.parameters == (model.count_params(), model.count_params() - saved)
    assert (
        smaller.operations[0] - smaller.operations[1] == 2 * 20 * saved == flops(model) - flops(smaller.model)
    )
    assert "ranks 32, 0" in str(smaller)


@pytest.mark.long
def test_saves_loads_and_cannot_be_compressed_again(model, tmp_path):
    smaller = kzoo.compress(model).model
    smaller.save(tmp_path / "smaller.keras")
    again = kzoo.load(tmp_path / "smaller.keras")
    image = np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3), np.uint8)
    before, after = smaller.predict_on_batch(image), again.predict_on_batch(image)
    np.testing.assert_array_equal(before["scores"], after["scores"])
    with pytest.raises(ValueError, match="compressed already"):
        kzoo.compress(again)


def test_other_layers_keep_their_weights(model):
    smaller = kzoo.compress(model, ranks=[0, 8]).model
    for mine, theirs in zip(
        model.head.branches[0].last_layers(), smaller.head.branches[0].last_layers(), strict=True
    ):
        np.testing.assert_array_equal(np.asarray(mine.kernel), np.asarray(theirs.kernel))


@pytest.mark.slow
def test_a_cascade_is_compressed_in_all_stages():
    options = {"num_classes": 2, "image_size": (64, 64), "width": 0.125, "depth": 0.05}
    model = kzoo.build("cascade-rcnn", anchors_kept=(50, 30), proposals=(30, 20), **options)
    assert kzoo.compress(model, shares=1.0).change < 1e-5


def test_refuses_what_has_no_dense_layers_and_other_ranks(model):
    with pytest.raises(ValueError, match="no dense layers to compress"):
        kzoo.compress(kzoo.build("yolov3-tiny", num_classes=1, image_size=(64, 64), width=0.125))
    for wrong in ([8], [8, 10**6], [-1, 8]):
        with pytest.raises(ValueError, match="give one for each of 2 dense layers"):
            kzoo.compress(model, ranks=wrong)
    for wrong in (0, 1.5, []):
        with pytest.raises(ValueError, match="shares of a layer's rank"):
            kzoo.compress(model, shares=wrong)


@pytest.mark.long
def test_on_the_command_line(model, kzoo_command, tmp_path):
    model.save(tmp_path / "fast.keras")
    status, said, error = kzoo_command("compress", "fast.keras", "small.keras", "--ranks", "32,0")
    assert status == 0 and "ranks 32, 0;" in said and "small.keras" in said, error
    smaller = kzoo.load(tmp_path / "small.keras")
    assert smaller.count_params() == kzoo.compress(model, ranks=[32, 0]).parameters[1]
    for words, wrong in (
        (("fast.keras", "small.h5"), "small.h5: end its name in .keras"),
        (("fast.keras", "b.keras", "--ranks", "8,8", "--shares", "0.5"), "--ranks and --shares say the same"),
        (("fast.keras", "b.keras", "--ranks", "8"), "give one for each of 2 dense layers"),
        (("small.keras", "b.keras"), "compressed already"),
    ):
        status, said, error = kzoo_command("compress", *words)
        assert status and wrong in error and not (tmp_path / "b.keras").exists()
