"""`kzoo serve` as processes: with real exports, killed, stopped, with TLS; and what it says to what is wrong."""

import base64
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from serving_models import encoded
from serving_processes import Running, tiny_detector

import kzoo

SIZE = 64
PATH = "/v1/models/tiny/detect"


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A detector as a SavedModel in a folder of versions and as TFLite, and a picture on which it finds something."""
    from kzoo.data.formats.shapes import Shapes

    model, folder = tiny_detector(SIZE, 0.1), tmp_path_factory.mktemp("served")
    kzoo.export(model, folder / "tiny" / "1")
    kzoo.export(model, folder / "tiny.tflite")
    return folder, Shapes(1, image_size=(96, 128))[0].image


@pytest.mark.slow
def test_answers_of_a_saved_model(places, running, tmp_path):
    import tensorflow as tf

    folder, image = places
    shutil.copytree(folder / "tiny", tmp_path / "tiny")
    service = running(tmp_path / "tiny", "--score", "0.01", "--poll", "0.2")
    service.wait()
    found, data = kzoo.load(folder / "tiny").detect(image, score_threshold=0.01), encoded(image)
    assert len(found) > 3
    for sent in (
        {"content": data},
        {"files": {"file": data}},
        {"json": {"image": base64.b64encode(data).decode()}},
    ):
        assert (
            service.client.post(f"{PATH}?format=full", **sent).json()["objects"] == found.to_dict()["objects"]
        )
        assert service.client.post(f"{PATH}?format=coco", **sent).json() == found.to_coco()
    # What TensorFlow itself makes of the same export.
    inputs = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    expected = tf.saved_model.load(str(folder / "tiny" / "1")).signatures["serving_default"](
        tf.constant(inputs)
    )
    answer = service.client.post("/v1/models/tiny:predict", json={"inputs": inputs.tolist()}).json()[
        "outputs"
    ]
    assert set(answer) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(np.asarray(answer[name], values.numpy().dtype), values.numpy())
    # A new version, written whole, is taken up.
    shutil.copytree(folder / "tiny" / "1", tmp_path / ".writing")
    (tmp_path / ".writing").rename(tmp_path / "tiny" / "2")
    end = time.monotonic() + 60
    while service.client.post(PATH, content=data).headers["x-model-version"] != "2":
        assert time.monotonic() < end
        time.sleep(0.1)
    assert service.stop()[1].count("version 2 takes the place of version 1") == 1


@pytest.mark.slow
def test_a_killed_worker_comes_back_and_the_others_answer(places, running):
    folder, image = places
    service = running(folder / "tiny.tflite", "--workers", "2")
    service.wait()
    end = time.monotonic() + 60
    while len(service.workers()) < 2:
        assert time.monotonic() < end
        time.sleep(0.1)
    before, data, codes = service.workers(), encoded(image), []
    os.kill(before[0], signal.SIGKILL)
    while len(set(service.workers()) - set(before)) < 1:
        # Each by a connection of its own: those of the dead one are gone.
        with service.fresh() as client:
            try:
                codes.append(client.post(PATH, content=data).status_code)
            except httpx.TransportError:
                codes.append(0)  # it was on its way to the dead one
        assert time.monotonic() < end
    assert codes.count(0) <= 1 and 200 in codes and set(codes) <= {0, 200}
    # While the other stands still, what is answered is answered by the new one.
    os.kill(before[1], signal.SIGSTOP)
    try:
        with service.fresh() as client:
            assert client.post(PATH, content=data, timeout=100).status_code == 200
    finally:
        os.kill(before[1], signal.SIGCONT)
    text = service.client.get("/metrics").text
    assert 'kzoo_requests_total{model="tiny"' in text
    service.stop()
    assert service.process.returncode == 0


@pytest.mark.slow
def test_a_stop_finishes_what_runs_and_refuses_what_comes(places, running):
    folder, image = places
    service = running(folder / "tiny.tflite", "--wait", "1500")
    service.wait()
    answers = []

    def send():
        with service.fresh() as client:
            answers.append(client.post(PATH, content=encoded(image)).status_code)

    thread = threading.Thread(target=send)
    thread.start()
    time.sleep(0.5)  # it waits for others to share its batch
    service.process.send_signal(signal.SIGTERM)
    time.sleep(0.8)
    with pytest.raises(httpx.TransportError), service.fresh() as client:
        client.get("/health/live")
    thread.join()
    service.process.communicate(timeout=60)
    assert answers == [200] and service.process.returncode == 0


@pytest.mark.slow
def test_tls_and_a_token(places, running, tmp_path):
    folder, image = places
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    (tmp_path / "token").write_text("secret\n")
    options = ("--certificate", certificate, "--key", key, "--token-file", tmp_path / "token")
    trusting = ssl.create_default_context(cafile=certificate)
    service = running(folder / "tiny.tflite", *options, verify=trusting)
    service.wait()
    assert service.address.startswith("https://127.0.0.1:")
    assert service.client.post(PATH, content=encoded(image)).status_code == 401
    right = {"Authorization": "Bearer secret"}
    assert service.client.post(PATH, content=encoded(image), headers=right).status_code == 200


@pytest.mark.slow
def test_a_model_that_cannot_be_opened_stops_all(tmp_path):
    (tmp_path / "bad.tflite").write_text("no model")
    service = Running(tmp_path / "bad.tflite", "--workers", "2")
    _, said = service.process.communicate(timeout=100)
    assert service.process.returncode == 1 and "Traceback" not in said
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert errors and "bad.tflite" in errors[0]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("nothing.keras",), "error: nothing.keras: no such model"),
        (("cards", "cards"), "error: cards: a second model is called 'cards'"),
        (("cards", "--certificate", "a.pem"), "error: certificate="),
        (("cards", "--certificate", "a.pem", "--key", "b.pem"), "error: a.pem: no such file"),
        (("cards", "--token-file", "none"), "error: none: No such file"),
        (("cards", "--token-file", "empty"), "error: empty: no token; write one line"),
        (
            ("cards", "--certificate", "empty", "--key", "empty"),
            "error: empty, empty: no certificate with its key",
        ),
        (("cards", "--host", "192.0.2.1"), "error: host=192.0.2.1, port=8000"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(kzoo_command, arguments, said):
    Path("empty").touch()
    status, _, err = kzoo_command("serve", *arguments)
    assert status == 1 and err.startswith(said) and err.count("\n") == 1, err


def test_a_port_that_is_taken(kzoo_command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, _, err = kzoo_command("serve", "cards", "--port", taken.getsockname()[1])
    assert status == 1 and "give another --host or --port" in err and err.count("\n") == 1
