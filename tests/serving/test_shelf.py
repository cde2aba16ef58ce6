"""Models by their names, and the exchange for a new version without a gap."""

import logging
import threading
import time

import pytest
from serving_models import Fixed, encoded, picture

from kzoo.serving import shelf as shelf_module
from kzoo.serving.service import Service
from kzoo.serving.settings import Settings
from kzoo.serving.shelf import sources


def version(folder, number):
    """A version as far as it is looked at before it is opened."""
    (folder / str(number)).mkdir(parents=True)
    (folder / str(number) / "saved_model.pb").touch()


def test_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    version(tmp_path / "saved_models" / "street", 3)
    (tmp_path / "cells.v2.tflite").touch()
    (tmp_path / "runs" / "exp").mkdir(parents=True)
    given = ["saved_models/street", "other=saved_models/street/3", "cells.v2.tflite", "runs/exp/", "cards"]
    assert {one.name: one.path for one in sources(given)} == {
        "street": "saved_models/street",
        "other": "saved_models/street/3",
        "cells.v2": "cells.v2.tflite",
        "exp": "runs/exp/",
        "cards": "cards",
    }
    assert [one.name for one in sources(["saved_models/street/3"])] == ["street"]


@pytest.mark.parametrize(
    "given, said",
    [
        (["cells", "cells"], "a second model is called 'cells'; give NAME=MODEL"),
        (["nothing.keras"], "nothing.keras: no such model"),
        (["a=nothing.keras"], "nothing.keras: no such model"),
        (["größe.tflite"], "'größe' is no name for an address; give NAME=MODEL"),
    ],
)
def test_wrong_names(given, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "größe.tflite").touch()
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        sources(given)


@pytest.fixture
def versions(tmp_path, monkeypatch, client_of):
    """A folder with version 1, a client of a service of it, and what is opened."""
    opened = []

    def load(path):
        opened.append(str(path))
        if path.name == "9":
            raise ValueError("9: is damaged")
        return Fixed()

    monkeypatch.setattr(shelf_module, "load", load)
    version(tmp_path / "street", 1)
    client = client_of({}, poll=0.05, timeout=2)
    client.service.shelf.open(sources([str(tmp_path / "street")]))
    return tmp_path / "street", client, opened


def served_version(client):
    return client.get("/v1/models/street").json()["model_version_status"][0]["version"]


def wait_for(what):
    end = time.monotonic() + 5
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_new_version_is_taken_up_without_a_gap(versions):
    folder, client, _ = versions
    assert served_version(client) == "1"
    answers, over, data = [], threading.Event(), encoded(picture())

    def send():
        while not over.is_set():
            answers.append(client.post("/v1/models/street/detect", content=data))

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    version(folder, 2)
    wait_for(lambda: served_version(client) == "2")
    wait_for(lambda: answers[-1].headers["x-model-version"] == "2")
    over.set()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {200} and len(
        {answer.text for answer in answers}
    ) == 1
    assert client.get("/v1/models/street/versions/1").status_code == 404


def test_a_version_that_cannot_be_opened_is_said_once_and_the_old_one_goes_on(versions, caplog):
    folder, client, opened = versions
    with caplog.at_level(logging.WARNING, "kzoo"):
        version(folder, 9)
        wait_for(lambda: len(opened) == 2)
        time.sleep(0.2)
    assert len(opened) == 2 and caplog.messages == ["street: version 9 is not taken up: 9: is damaged"]
    assert client.post("/v1/models/street/detect", content=encoded(picture())).status_code == 200
    version(folder, 10)
    wait_for(lambda: served_version(client) == "10")


def test_a_folder_that_is_being_written_is_no_version(versions):
    folder, client, opened = versions
    (folder / "2").mkdir()
    (folder / ".3.abcdefgh").mkdir()
    (folder / "notes").mkdir()
    time.sleep(0.2)
    assert len(opened) == 1 and served_version(client) == "1"


def test_a_model_that_cannot_be_opened(tmp_path):
    (tmp_path / "bad.tflite").write_text("no model")
    with pytest.raises(ValueError, match=r"bad\.tflite"):
        Service(Settings()).shelf.open(sources([str(tmp_path / "bad.tflite")]))
