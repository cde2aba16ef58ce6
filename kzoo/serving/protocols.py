"""The addresses of other people's clients: the Open Inference Protocol's, and TensorFlow Serving's."""

from __future__ import annotations

import json

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import Response

from kzoo.serving import open_inference, tensorflow_serving
from kzoo.serving.limits import body
from kzoo.serving.refusal import Refusal
from kzoo.serving.service import Service
from kzoo.serving.shelf import Served

_JSON = "application/json"


def add_protocols(app: FastAPI, service: Service) -> None:
    """Adds the addresses of both.

    Args:
        app: the application.
        service: settings and models.
    """
    _add_open_inference(app, service)
    _add_tensorflow_serving(app, service)


async def results_of(served: Served, images: np.ndarray) -> dict[str, np.ndarray]:
    """The results of images (B, h, w, 3), by name; a `Refusal` where they are none."""
    try:
        served.runner.check(images)
    except ValueError as error:
        raise Refusal(400, str(error)) from None
    return await served.batcher.results(images)


def _add_open_inference(app: FastAPI, service: Service) -> None:
    tags = {"tags": ["Open Inference Protocol"]}

    @app.get("/v2", summary="What the server is", **tags)
    async def server(request: Request):
        async with service.gate.passed(request):
            return open_inference.server()

    @app.get("/v2/health/live", summary="Whether it is alive", **tags)
    @app.get("/v2/health/ready", summary="Whether its models are there", **tags)
    async def health():
        return {"live": True, "ready": True}

    @app.get("/v2/models/{name}", summary="What a model takes and gives", **tags)
    @app.get("/v2/models/{name}/versions/{version}", summary="As above, of a version", **tags)
    async def metadata(request: Request, name: str, version: str | None = None):
        async with service.gate.passed(request):
            return open_inference.metadata(service.shelf.version(name, version))

    @app.get("/v2/models/{name}/ready", summary="Whether a model is there", **tags)
    @app.get("/v2/models/{name}/versions/{version}/ready", summary="As above, of a version", **tags)
    async def ready(request: Request, name: str, version: str | None = None):
        async with service.gate.passed(request):
            return {"name": service.shelf.version(name, version).name, "ready": True}

    @app.post("/v2/models/{name}/infer", summary="Results of input tensors", **tags)
    @app.post("/v2/models/{name}/versions/{version}/infer", summary="As above, of a version", **tags)
    async def infer(request: Request, name: str, version: str | None = None):
        async with service.gate.passed(request):
            served = service.shelf.version(name, version)
            data = await body(request, service.settings.most_bytes)
            length = request.headers.get(open_inference.HEADER_LENGTH)
            asked, images = await service.run(open_inference.read_request, data, length)
            results = await results_of(served, images)
            content, headers = await service.run(open_inference.response, served, asked, results)
            return Response(content, headers=headers)


def _add_tensorflow_serving(app: FastAPI, service: Service) -> None:
    tags = {"tags": ["TensorFlow Serving"]}

    @app.get("/v1/models/{name}", summary="The state of a model", **tags)
    @app.get("/v1/models/{name}/versions/{version}", summary="As above, of a version", **tags)
    async def status(request: Request, name: str, version: str | None = None):
        async with service.gate.passed(request):
            return tensorflow_serving.status(service.shelf.version(name, version))

    @app.get("/v1/models/{name}/metadata", summary="The signature of a model", **tags)
    @app.get("/v1/models/{name}/versions/{version}/metadata", summary="As above, of a version", **tags)
    async def metadata(request: Request, name: str, version: str | None = None):
        async with service.gate.passed(request):
            return tensorflow_serving.metadata(service.shelf.version(name, version))

    @app.post("/v1/models/{name}:predict", summary="Results of input tensors", **tags)
    @app.post("/v1/models/{name}/versions/{version}:predict", summary="As above, of a version", **tags)
    async def predict(request: Request, name: str, version: str | None = None):
        async with service.gate.passed(request):
            served = service.shelf.version(name, version)
            data = await body(request, service.settings.most_bytes)
            images, by_rows = await service.run(tensorflow_serving.read_request, data)
            results = await results_of(served, images)

            def written() -> str:
                return json.dumps(tensorflow_serving.response(results, by_rows))

            return Response(await service.run(written), media_type=_JSON)
