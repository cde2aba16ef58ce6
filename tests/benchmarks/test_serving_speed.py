"""What running requests together brings: yolov3-tiny at 416, exported, on whatever cores there are.

Beside the service stands a plain FastAPI endpoint that calls `detect` for one request after the other. Both run in
this process, in turns, with the same clients in processes of their own, so that their ratio holds on a busy machine.
"""

import asyncio
import multiprocessing
import socket
import statistics
import threading
import time

import cv2
import numpy as np
import pytest

import kzoo

CLIENTS = (1, 8, 64)
SECONDS = 8


def ask(address, clients, seconds, data, results):
    """Asks from as many connections as there are clients; puts the milliseconds of each answer into `results`."""
    import httpx

    async def one(client, taken, end):
        while time.monotonic() < end:
            began = time.perf_counter()
            answer = await client.post(address, content=data, headers={"Content-Type": "image/jpeg"})
            assert answer.status_code == 200, answer.text
            taken.append(1000 * (time.perf_counter() - began))

    async def all_of_them():
        limits = httpx.Limits(max_connections=clients)
        async with httpx.AsyncClient(timeout=600, limits=limits) as client:
            taken, end = [], time.monotonic() + seconds
            began = time.monotonic()
            await asyncio.gather(*(one(client, taken, end) for _ in range(clients)))
            return taken, time.monotonic() - began

    results.put(asyncio.run(all_of_them()))


def measured(address, clients, data, seconds=SECONDS):
    """Answers a second, median and 99th percentile of their milliseconds."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=ask, args=(address, clients, seconds, data, results))
    process.start()
    taken, passed = results.get(timeout=900)
    process.join()
    return len(taken) / passed, statistics.median(taken), float(np.percentile(taken, 99))


def started(app):
    """The address of an application that runs in a thread, and what stops it."""
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    return f"http://127.0.0.1:{listening.getsockname()[1]}", server


def plain(model):
    """What one writes first: an endpoint that decodes a picture and calls `detect`."""
    from fastapi import FastAPI, Request

    from kzoo.sources.image import decode_image

    app = FastAPI()

    async def detect(request: Request):
        return model.detect(decode_image(await request.body())).to_dict()

    app.post("/detect")(detect)
    return app


@pytest.mark.benchmark
@pytest.mark.parametrize("form", ["saved_model", "onnx"])
def test_throughput(form, tmp_path):
    pytest.importorskip("fastapi")
    from kzoo.serving.application import application
    from kzoo.serving.service import Service
    from kzoo.serving.settings import Settings

    place = {"onnx": "tiny.onnx", "saved_model": "tiny/1"}[form]
    path = kzoo.export(kzoo.build("yolov3-tiny", image_size=(416, 416)), tmp_path / place)
    model = kzoo.load(path)
    service = Service(Settings(batch_size=8, wait=5, timeout=600))
    service.shelf.put("tiny", model)
    model.predict_on_batch(np.zeros((1, 416, 416, 3), np.uint8))
    image = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (720, 1280, 3), dtype=np.uint8), (0, 0), 4
    )
    data = cv2.imencode(".jpg", image)[1].tobytes()
    ours, server = started(application(service))
    theirs, other = started(plain(model))
    heads = [
        f"{word:>9}" for word in ("clients", "service/s", "ms", "99 %", "plain/s", "ms", "99 %", "ratio")
    ]
    print(f"\n{form}\n{' '.join(heads)}")
    for clients in CLIENTS:
        own = measured(f"{ours}/v1/models/tiny/detect?format=full", clients, data)
        plainly = measured(f"{theirs}/detect", clients, data)
        cells = " ".join(
            f"{rate:>11.1f} {median:>8.1f} {last:>8.1f}" for rate, median, last in (own, plainly)
        )
        print(f"{clients:>8} {cells} {own[0] / plainly[0]:>6.2f}")
    server.should_exit = other.should_exit = True
