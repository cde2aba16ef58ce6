"""Keras's own `load_model` after `import kzoo` alone, in whatever order the two are imported."""

import ast
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kzoo
from kzoo.registration import CLASSES

PACKAGE = Path(kzoo.__file__).parent


def decorated():
    """(module, name) of everything that is registered with Keras."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            for decorator in getattr(node, "decorator_list", ()):
                if "register_keras_serializable" in ast.unparse(decorator):
                    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
                    yield ".".join(parts), node.name


def test_the_table_has_every_registered_class():
    assert set(decorated()) == {(module, name) for module, names in CLASSES.items() for name in names}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model with an activation of our own in its network, and that network alone."""
    from kzoo.layers.activations import loggy

    keras.utils.set_random_seed(0)
    model = kzoo.build("yolov3-tiny", num_classes=2, image_size=(64, 64), width=0.125)
    inputs = keras.Input((4,))
    network = keras.Model(inputs, keras.layers.Activation(loggy)(inputs))
    folder = tmp_path_factory.mktemp("saved")
    model.compile("sgd")
    model.save(folder / "model.keras")
    network.save(folder / "network.keras")
    return folder


CODE = """
{imports}
import numpy as np
model = keras.models.load_model({folder!r} + "/model.keras")
assert type(model) is kzoo.ZooModel, type(model)
assert model.compiled
assert model.predict_on_batch(np.zeros((1, 64, 64, 3), "uint8"))["boxes"].shape == (1, 100, 4)
network = keras.saving.load_model({folder!r} + "/network.keras")
network.save({folder!r} + "/again.keras")
keras.saving.load_model({folder!r} + "/again.keras").predict(np.ones((1, 4)), verbose=0)
assert kzoo.training.Evaluation and kzoo.deploy.open_export and kzoo.heads.YoloHead
assert kzoo.layers.regularization.DropBlock and kzoo.models.yolov3.yolov3 and kzoo.weights.loading
"""


@pytest.mark.parametrize(
    "imports",
    ["import kzoo, keras", pytest.param("import keras, kzoo", marks=pytest.mark.slow)],
)
def test_keras_loads_a_model_of_kzoo_in_a_fresh_process(saved, imports):
    code = CODE.format(imports=imports, folder=str(saved))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_every_room_is_there_after_the_import():
    for name in ("augment", "deploy", "evaluation", "heads", "layers", "models", "structures", "training"):
        assert getattr(kzoo, name).__name__ == f"kzoo.{name}" and name in dir(kzoo)
    with pytest.raises(AttributeError, match=r"'kzoo\.layers' has no attribute 'nothing'"):
        _ = kzoo.layers.nothing


@pytest.mark.long
def test_copies_and_files_of_weights_give_the_same(saved, tmp_path):
    import copy
    import pickle

    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    model = keras.models.load_model(saved / "model.keras")
    want = model.predict_on_batch(images)["scores"]
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict_on_batch(images)["scores"], want)
    clone = keras.models.clone_model(model)
    model.save_weights(tmp_path / "model.weights.h5")
    clone.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(clone.predict_on_batch(images)["scores"], want)
