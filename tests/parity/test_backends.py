"""A smaller run of the contract on the JAX and torch backends, each in a process of its own."""

import textwrap

import pytest
from other_backend import BEGINNING, run

SCRIPT = BEGINNING + textwrap.dedent(
    """
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 64, 64, 3), np.uint8)
    given = {
        "darknet53": {},
        "yolov3-tiny": {},
        "retinanet-resnet18": {"tower_norm": "group"},  # without, Adam's steps of this size shake the towers
        "ssd300": {"batch_norm": True},
    }
    for name, arguments in given.items():
        keras.utils.set_random_seed(0)
        model = kzoo.build(name, num_classes=3, image_size=(64, 64), width=0.25, depth=0.25, **arguments)
        if model.task == "classify":
            targets = {"label": np.array([0, 2], "int32")}
        else:
            targets = {"boxes": np.zeros((2, 8, 4), "float32"), "labels": np.full((2, 8), -1, "int32")}
            targets["boxes"][0, :2] = [[4, 4, 30, 40], [30, 20, 60, 60]]
            targets["labels"][0, :2] = [0, 2]
        model.compile(keras.optimizers.AdamW(3e-3))
        losses = model.fit(images, targets, epochs=25, verbose=0).history["loss"]
        assert np.isfinite(losses).all() and losses[-1] < 0.5 * losses[0], losses
        before = model.predict(images, verbose=0)
        model.save(sys.argv[2])
        after = kzoo.load(sys.argv[2]).predict(images, verbose=0)
        for key in before:
            assert np.allclose(before[key], after[key], atol=1e-4), (name, key)
        if model.task == "detect":
            encoded = model.head.encode(targets, model.head.sizes(model(images)))
            found = {k: keras.ops.convert_to_numpy(v) for k, v in model.head.decode(encoded).items()}
            kept = found["scores"][0] > 0.5
            assert sorted(found["labels"][0][kept]) == [0, 2] and not (found["scores"][1] > 0.5).any()
            assert np.allclose(sorted(found["boxes"][0][kept][:, 0]), [4, 30], atol=1e-2)
        print(name, "ok")
    """
)


@pytest.mark.backends
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_trains_predicts_saves_and_loads(backend, tmp_path):
    assert run(backend, "-c", SCRIPT, backend, tmp_path / "model.keras").count("ok") == 4
