"""Devices and machines that share batches: the weights are those of one that has the whole batch."""

import io
import json
import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from kzoo.training import devices, machines
from kzoo.training.config import TrainConfig

PROGRAM = Path(__file__).parent / "sharing_devices.py"
NAME = "yolov3-tiny"


def started(count: int, run: Path, **environment) -> subprocess.Popen:
    command = [sys.executable, str(PROGRAM), str(count), NAME, str(run)]
    # oneDNN computes two images by other kernels than four: on some processors, with one thread, what they round
    # differently grows to a thousandth of the weights in twenty steps.
    return subprocess.Popen(command, env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", **environment})


def weights(run: Path) -> dict[str, np.ndarray]:
    """All that the checkpoint keeps: weights, statistics, what the optimizer knows."""
    with zipfile.ZipFile(run / "last.keras") as archive, io.BytesIO(archive.read("model.weights.h5")) as file:
        found = {}
        h5py.File(file).visititems(
            lambda name, one: found.update({name: np.asarray(one)}) if hasattr(one, "shape") else None
        )
    return found


def assert_same_weights(run: Path, other: Path) -> None:
    theirs = weights(other)
    assert weights(run).keys() == theirs.keys() and theirs
    for name, value in weights(run).items():
        np.testing.assert_allclose(value, theirs[name], rtol=0, atol=1e-4, err_msg=name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """The run of one device."""
    run = tmp_path_factory.mktemp("alone") / "run"
    assert started(1, run).wait(600) == 0
    return run


@pytest.mark.slow
def test_two_devices_train_as_one(alone, tmp_path):
    assert started(2, tmp_path / "run").wait(600) == 0
    assert_same_weights(tmp_path / "run", alone)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.mark.slow
def test_two_machines_train_as_one(alone, tmp_path):
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    tasks = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in (0, 1)]
    processes = [started(1, tmp_path / "run", TF_CONFIG=json.dumps(task)) for task in tasks]
    assert [one.wait(900) for one in processes] == [0, 0]
    assert_same_weights(tmp_path / "run", alone)
    assert (tmp_path / "run" / "results.csv").read_text().count("\n") == 5


@pytest.mark.backends
def test_two_devices_of_jax_train_as_one(tmp_path):
    pytest.importorskip("jax")
    for count in (1, 2):
        environment = {"KERAS_BACKEND": "jax", "XLA_FLAGS": f"--xla_force_host_platform_device_count={count}"}
        assert started(count, tmp_path / str(count), **environment).wait(900) == 0
    assert_same_weights(tmp_path / "1", tmp_path / "2")


HEADS = """
import sys
from sharing_devices import virtual_cpus
virtual_cpus(2)
import keras, numpy as np, tensorflow as tf
import kzoo
from kzoo.training import devices

rng = np.random.default_rng(0)
images = rng.integers(0, 256, (4, 64, 64, 3), np.uint8)
boxes = np.float32([[[4, 4, 30, 40], [20, 8, 60, 50], [2, 30, 22, 60]]]).repeat(4, 0)
# One device has all objects but one: by itself it would divide by other numbers.
labels = np.int32([[0, 1, 2], [2, 1, 0], [1, -1, -1], [-1, -1, -1]])
mask = rng.integers(0, 3, (4, 64, 64)).astype("uint8")
mask[2:, 8:] = 255
for name in sys.argv[1:]:
    def made():
        keras.utils.set_random_seed(0)
        model = kzoo.build(name, num_classes=3, image_size=64, width=0.25, depth=0.34)
        devices.synchronize(model)
        model.compile(kzoo.training.SGD(0.1, momentum=0.0, global_clipnorm=0.5))
        model.optimizer.build(model.trainable_variables)
        return model
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        shared = made()
    alone = made()
    targets = {"mask": mask} if alone.task == "segment" else {"boxes": boxes, "labels": labels}
    weight = np.float32([1, 2, 0.5, 1])
    options = {"batch_size": 4, "verbose": 0, "sample_weight": weight, "shuffle": False}
    losses = [one.fit(images, targets, **options).history for one in (alone, shared)]
    for figure in losses[0]:
        np.testing.assert_allclose(losses[1][figure], losses[0][figure], rtol=1e-4, err_msg=f"{name} {figure}")
    for one, other in zip(shared.weights, alone.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4, err_msg=f"{name} {one.path}")
    print(name, "as one")
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolov8n", "retinanet", "centernet-resnet18", "unet"])
def test_a_step_of_each_kind_of_head_is_that_of_the_whole_batch(name):
    path = os.pathsep.join([str(PROGRAM.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", HEADS, name]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"{name} as one" in done.stdout


def test_more_devices_than_there_are_are_refused():
    with pytest.raises(
        ValueError, match=r"devices=3: this machine has 1 device for tensorflow; give fewer, or all"
    ):
        devices.strategy(6, 3)
    assert devices.shared_devices("all") == devices.shared_devices(1)


def test_gradients_of_several_devices_are_not_accumulated():
    """Keras asks all devices for their gradients where TensorFlow lets none ask."""
    with pytest.raises(ValueError, match=r"accumulate=2: .* 2 devices .*--devices 1"):
        devices.check_accumulation(2, 2)
    devices.check_accumulation(2, 1)
    devices.check_accumulation(1, 2)


@pytest.mark.parametrize("value", ["two", 0, 1.5])
def test_other_words_are_no_devices(value):
    with pytest.raises(ValueError, match=r"devices=.*give a whole number of devices, 1 or more, or all"):
        TrainConfig(devices=value)


@pytest.mark.parametrize("text", ["{", "[]", '{"cluster": {}}'])
def test_a_cluster_that_cannot_be_read_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=r"TF_CONFIG=.*give JSON with cluster and task"):
        machines.several()


def test_machines_do_not_each_find_a_batch_of_their_own(monkeypatch):
    cluster = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    with pytest.raises(ValueError, match="batch_size=auto: several machines"):
        devices.strategy("auto")


def test_the_chief_or_the_first_worker_writes(monkeypatch):
    def first(kind, index, **cluster):
        task = {"type": kind, "index": index}
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
        return machines.is_first()

    assert first("worker", 0, worker=["a:1", "b:1"]) and not first("worker", 1, worker=["a:1", "b:1"])
    assert first("chief", 0, chief=["a:1"], worker=["b:1"]) and not first(
        "worker", 0, chief=["a:1"], worker=["b:1"]
    )
    assert first("worker", 0, worker=["a:1"])
    monkeypatch.delenv("TF_CONFIG")
    assert machines.is_first() and not machines.several() and machines.told({"a": 1}) == {"a": 1}


def test_normalisation_is_of_one_device_where_there_is_one(detector):
    norms = [one for one in detector._flatten_layers() if isinstance(one, keras.layers.BatchNormalization)]
    for one in norms:
        one.synchronized = True
    devices.synchronize(detector)
    assert norms and not any(one.synchronized for one in norms)
