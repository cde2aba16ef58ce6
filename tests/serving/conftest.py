"""The service in the test's process, with models whose answers are fixed."""

import socket
import threading
import time

import pytest
from serving_models import Classes, Fixed, Halves, Masks

pytest.importorskip("fastapi", reason="the service needs pip install 'kzoo[serve]'")


def service_of(models, **settings):
    """A service with models by name."""
    from kzoo.serving.service import Service
    from kzoo.serving.settings import Settings

    service = Service(Settings(**{"wait": 0, **settings}))
    for name, model in models.items():
        service.shelf.put(name, model)
    return service


@pytest.fixture
def client_of():
    """Takes models by name, and settings; gives a client of a service with them."""
    from fastapi.testclient import TestClient

    from kzoo.serving.application import application

    opened = []

    def client(models, **settings):
        service = service_of(models, **settings)
        client = TestClient(application(service))
        client.service = service
        opened.append(client)
        return client.__enter__()

    yield client
    for one in opened:
        one.__exit__(None, None, None)


@pytest.fixture
def client(client_of):
    """A service with one model of each task."""
    return client_of({"things": Fixed(), "masks": Masks(), "cells": Halves(), "classes": Classes()})


@pytest.fixture
def address_of():
    """Takes models by name, and settings; gives the address of a service behind a real socket, in a thread."""
    import uvicorn

    from kzoo.serving.application import application

    running = []

    def address(models, **settings):
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(application(service_of(models, **settings)), log_level="error")
        )
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        running.append((server, thread))
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield address
    for server, thread in running:
        server.should_exit = True
        thread.join()


@pytest.fixture
def running():
    """Takes arguments of `kzoo serve`; gives it running, and ends it."""
    from serving_processes import Running

    started = []

    def run(*arguments, **settings):
        started.append(Running(*arguments, **settings))
        return started[-1]

    yield run
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()
