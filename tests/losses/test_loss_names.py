"""Losses by name, and what holds for every one of them."""

import importlib.util
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kzoo.losses import PIXEL_LOSSES, PixelLoss, cross_entropy, dice, focal, tversky

ALL = "+".join(PIXEL_LOSSES)


def scene(classes, seed=0, size=(2, 6, 5)):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, max(classes, 2), size).astype(np.uint8)
    labels[rng.random(size) < 0.2] = 255
    return labels, rng.normal(0, 2, (*size, classes)).astype(np.float32), rng.uniform(1, 9, size).astype("f")


def values(losses):
    return {name: float(value) for name, value in losses.items()}


def losses_and_gradients(labels, logits, weights, spec=ALL, **options):
    """Each loss's value and its gradient in the logits."""
    loss = PixelLoss(spec, **options)
    logits = tf.constant(logits)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        found = loss(labels, logits, weights)
    return {name: (float(value), tape.gradient(value, logits).numpy()) for name, value in found.items()}


def test_names():
    assert PixelLoss().names == ("ce",)
    assert PixelLoss("0.5*ce + dice").names == ("ce", "dice")
    assert PixelLoss(["ce", {"dice": 2}, "3 * lovasz"]).names == ("ce", "dice", "lovasz")
    assert PixelLoss(ALL).names == (
        "ce", "focal", "dice", "dice_squared", "dice_generalized", "jaccard", "tversky", "focal_tversky", "lovasz",
        "border",
    )  # fmt: skip


def test_factors_and_options():
    labels, logits, weights = scene(3)
    found = values(PixelLoss("0.5*ce + dice")(labels, logits, weights))
    plain = {"ce": float(cross_entropy(labels, logits)), "dice": float(dice(labels, logits))}
    assert found == pytest.approx({"ce": 0.5 * plain["ce"], "dice": plain["dice"]})
    spec = {
        "ce": 2,
        "dice": {"weight": 0.5, "reduction": "image"},
        "focal_tversky": {"alpha": 0.6, "beta": 0.4},
    }
    found = values(PixelLoss(spec)(labels, logits))
    wanted = {
        "ce": 2 * plain["ce"],
        "dice": 0.5 * float(dice(labels, logits, reduction="image")),
        "focal_tversky": float(tversky(labels, logits, alpha=0.6, beta=0.4, gamma=0.75)),
    }
    assert found == pytest.approx(wanted)
    squared = float(dice(labels, logits, squared=True))
    assert values(PixelLoss("dice_squared")(labels, logits)) == pytest.approx({"dice_squared": squared})


def test_class_weights_and_smoothing_go_where_they_belong():
    labels, logits, weights = scene(3)
    plain = values(PixelLoss(ALL)(labels, logits, weights))
    found = values(PixelLoss(ALL, class_weights=[1, 2, 4], label_smoothing=0.1)(labels, logits, weights))
    assert {name for name in plain if found[name] != plain[name]} == {"ce", "border", "focal"}
    wanted = float(cross_entropy(labels, logits, class_weights=[1, 2, 4], label_smoothing=0.1))
    assert found["ce"] == pytest.approx(wanted)
    assert found["focal"] == pytest.approx(float(focal(labels, logits, alpha=[1, 2, 4])))
    # A loss's own options come first.
    own = PixelLoss({"focal": {"alpha": 1.0}, "ce": {"label_smoothing": 0.0}}, label_smoothing=0.1)
    assert values(own(labels, logits)) == pytest.approx({name: plain[name] for name in ("focal", "ce")})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ce+dise", "unknown loss 'dise'; did you mean dice?"),
        ("xyzzy", "unknown loss 'xyzzy'; known: ce, focal"),
        ("", "unknown loss ''"),
        ([], "is empty"),
        ("ce + ce", "'ce' is there twice"),
        ("0*ce", "loss 'ce': its weight is '0'; it is a number above 0"),
        ("a*ce", "its weight is 'a'"),
        ({"ce": None}, "its weight is None"),
        ({"dice": {"smoth": 1}}, "loss 'dice' takes no option 'smoth'; did you mean smooth?"),
        ({"border": {"weights": 1}}, "loss 'border' takes no option 'weights'; did you mean weight?"),
        (3, "loss 3: give a text such as 'ce[+]dice'"),
    ],
)
def test_bad_specifications(spec, message):
    with pytest.raises(ValueError, match=message.replace("?", "[?]")):
        PixelLoss(spec)


def test_border_needs_its_map():
    labels, logits, _ = scene(3)
    with pytest.raises(ValueError, match="'border' needs"):
        PixelLoss("ce+border")(labels, logits)


@pytest.mark.parametrize("classes", [1, 2, 4])
def test_all_pixels_ignored(classes):
    labels, logits, weights = scene(classes)
    for value, gradient in losses_and_gradients(np.full_like(labels, 255), logits, weights).values():
        assert value == 0 and not gradient.any()


@pytest.mark.parametrize("classes", [1, 2, 4])
@pytest.mark.parametrize("only", [0, 1])
@pytest.mark.parametrize("scale", [1.0, 1e4, 1e9])
def test_one_class_only_and_huge_logits(classes, only, scale):
    labels, logits, weights = scene(classes)
    for name, (value, gradient) in losses_and_gradients(
        np.full_like(labels, only), scale * logits, weights
    ).items():
        assert np.isfinite(value) and value >= 0, name
        assert np.isfinite(gradient).all(), name


@pytest.mark.long
@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 3, 5]),
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)),
    st.floats(0, 100),
)
def test_finite_everywhere(seed, classes, size, scale):
    labels, logits, weights = scene(classes, seed, size)
    options = {"class_weights": np.linspace(0.5, 2, max(classes, 2)).tolist(), "label_smoothing": 0.1}
    for name, (value, gradient) in losses_and_gradients(labels, scale * logits, weights, **options).items():
        assert np.isfinite(value) and value >= 0, name
        assert np.isfinite(gradient).all(), name


@pytest.mark.parametrize("classes", [1, 3])
def test_each_falls_along_its_gradient(classes):
    labels, logits, weights = scene(classes)
    for name, (value, gradient) in losses_and_gradients(labels, logits, weights).items():
        assert np.abs(gradient).max() > 1e-4, name
        assert not gradient[labels == 255].any(), name
        step = 1e-2 * gradient / np.abs(gradient).max()
        assert float(PixelLoss(name)(labels, logits - step, weights)[name]) < value, name


def test_right_predictions_cost_nothing():
    labels, _, weights = scene(4)
    sure = 100 * np.eye(4, dtype=np.float32)[np.minimum(labels, 3)]
    assert values(PixelLoss(ALL)(labels, sure, weights)) == pytest.approx(
        dict.fromkeys(PIXEL_LOSSES, 0), abs=1e-4
    )


@pytest.mark.long
def test_in_a_compiled_graph_of_unknown_batch_size():
    labels, logits, weights = scene(3)
    loss = PixelLoss({name: {"hardest": 0.5} if name == "ce" else 1 for name in PIXEL_LOSSES})
    shapes = [
        tf.TensorSpec((None, 6, 5), "uint8"),
        tf.TensorSpec((None, 6, 5, 3)),
        tf.TensorSpec((None, 6, 5)),
    ]
    compiled = tf.function(loss, input_signature=shapes)
    assert values(compiled(labels, logits, weights)) == pytest.approx(values(loss(labels, logits, weights)))


SCRIPT = textwrap.dedent(
    """
    import sys
    import keras
    import numpy as np
    from kzoo.losses import PixelLoss

    assert keras.backend.backend() == sys.argv[1]
    there = np.load(sys.argv[2])
    for classes in (1, 3):
        loss = PixelLoss(str(there["spec"]), class_weights=[1.0, 2.0, 4.0][: max(classes, 2)])
        found = loss(there[f"labels{classes}"], there["logits"][..., :classes], there["weights"])
        found = np.array([float(value) for value in found.values()])
        np.testing.assert_allclose(found, there[f"wanted{classes}"], rtol=1e-4)
    print("ok")
    """
)


@pytest.mark.backends
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_same_on_other_backends(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed; pip install -e '.[parity]'")
    _, logits, weights = scene(3)
    arrays = {"spec": ALL, "logits": logits, "weights": weights}
    for classes in (1, 3):
        labels, _, _ = scene(classes)
        loss = PixelLoss(ALL, class_weights=[1.0, 2.0, 4.0][: max(classes, 2)])
        found = values(loss(labels, logits[..., :classes], weights))
        arrays |= {f"labels{classes}": labels, f"wanted{classes}": np.array(list(found.values()))}
    np.savez(tmp_path / "there.npz", **arrays)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, backend, str(tmp_path / "there.npz")],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "ok"
