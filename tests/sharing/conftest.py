"""No test of sharing reaches the network: the hub is a server on this machine, or a port where nobody listens."""

import socket

import cv2
import keras
import numpy as np
import pytest
from fake_hub import TOKEN, Hub, serve
from huggingface_hub import constants, file_download, hf_api

import kzoo
from kzoo.training import TrainConfig
from kzoo.training.run import RunFolder

NOBODY = "http://127.0.0.1:9"


def point_at(monkeypatch, address: str) -> None:
    """Makes an address the hub's, also for those modules of huggingface_hub that have a copy of it."""
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    for module in (constants, file_download, hf_api):
        monkeypatch.setattr(module, "ENDPOINT", address, raising=module is constants)
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=module is constants)


@pytest.fixture(autouse=True)
def no_hub(monkeypatch, tmp_path):
    """Neither a hub nor a login, and an empty cache; attempts follow each other without a pause."""
    look_up = socket.getaddrinfo

    def look_up_here(host, *arguments, **options):
        assert host in ("127.0.0.1", "localhost"), f"a test asks the network for {host}"
        return look_up(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_here)
    point_at(monkeypatch, NOBODY)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    # The server does not speak Xet's protocol; older versions have neither it nor the switch.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hub(monkeypatch, no_hub):
    """A hub on this machine."""
    hub = Hub()
    server = serve(hub)
    point_at(monkeypatch, server.address)
    yield hub
    server.shutdown()
    server.server_close()


@pytest.fixture
def login(monkeypatch):
    """Somebody is logged in."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def write_run(folder, name: str, rows: list[dict], names: list[str], **options):
    """A run folder as a training leaves it, of a model that has not learnt anything."""
    keras.utils.set_random_seed(0)
    model = kzoo.build(name, num_classes=len(names), names=names, width=0.1, image_size=(64, 64))
    run = RunFolder(folder)
    folder.mkdir(parents=True)
    model.save(run.best)
    config = TrainConfig(**{"epochs": len(rows), "image_size": 64, "width": 0.1, **options})
    run.write_args({"model": name, "data": "/home/somebody/secret/street", "val": None, **config.to_dict()})
    run.write_results(rows)
    for picture in (run.results_plot, run.confusion, run.predictions, run.train_batch):
        cv2.imwrite(str(picture), np.zeros((8, 8, 3), np.uint8))
    return folder


@pytest.fixture(scope="session")
def detector(tmp_path_factory):
    """The run folder of a detector, whose second epoch was its best."""
    figures = ((0.1, 0.25), (0.3, 0.512), (0.2, 0.4))
    rows = [
        {"epoch": i, "loss": 2.0 / i, "val_loss": 2.5, "val_map": m, "val_map50": m50}
        for i, (m, m50) in enumerate(figures, 1)
    ]
    folder = tmp_path_factory.mktemp("runs") / "detector"
    return write_run(folder, "yolov3-tiny", rows, ["car", "a: b # c", 'say "x|y"'], run=str(folder))


@pytest.fixture(scope="session")
def segmenter(tmp_path_factory):
    """The run folder of a segmenter."""
    row = {
        "epoch": 1,
        "loss": 1.0,
        "val_loss": 1.1,
        "val_mean_iou": 0.4,
        "val_dice": 0.5,
        "val_boundary_f1": 0.3,
    }
    folder = tmp_path_factory.mktemp("runs") / "segmenter"
    return write_run(folder, "unet", [row], ["ground", "cell"], loss="ce+dice", run=str(folder))
