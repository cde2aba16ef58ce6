"""`/v1/models/NAME/detect`: a picture in, what is in it out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import Response

from kzoo.inference.looks import Looks, Steps
from kzoo.options import nearest
from kzoo.options.commands import METHODS
from kzoo.options.quantities import Number
from kzoo.serving.formats import FORMATS, PICTURES, answer
from kzoo.serving.pictures import FIELD, decode, picture_bytes
from kzoo.serving.refusal import Refusal
from kzoo.serving.service import Service
from kzoo.serving.shelf import Served

_TILES = Looks("window")
_SCORE = Number(least=0, most=1)
_FORMATS = (*FORMATS, *PICTURES)
_BINARY = {"type": "string", "format": "binary"}
_BODY = {
    "required": True,
    "content": {
        "image/*": {"schema": _BINARY},
        "multipart/form-data": {"schema": {"type": "object", "properties": {"file": _BINARY}}},
        "application/json": {
            "schema": {"type": "object", "properties": {FIELD: {"type": "string", "format": "byte"}}}
        },
    },
}
_QUERY = [
    {
        "name": "format",
        "in": "query",
        "description": "objects: a list; full: all there is; coco: COCO's rows; image: drawn, JPEG; mask: PNG",
        "schema": {"type": "string", "enum": list(_FORMATS), "default": "objects"},
    },
    {
        "name": "method",
        "in": "query",
        "description": "resize: the picture as a whole; window: in tiles at its own resolution, for small objects",
        "schema": {"type": "string", "enum": list(METHODS), "default": METHODS[0]},
    },
    {
        "name": "score",
        "in": "query",
        "description": "score below which detections are left out",
        "schema": {"type": "number", "minimum": 0, "maximum": 1},
    },
]
_ASKED = tuple(one["name"] for one in _QUERY)


def add_detection(app: FastAPI, service: Service) -> None:
    """Adds the list of models, and detection.

    Args:
        app: the application.
        service: settings and models.
    """

    @app.get("/v1/models", tags=["models"], summary="The models, their tasks and classes")
    async def models(request: Request):
        async with service.gate.passed(request):
            return {"models": [described(served) for served in service.shelf]}

    @app.post(
        "/v1/models/{name}/detect",
        tags=["models"],
        summary="What is in a picture",
        openapi_extra={"requestBody": _BODY, "parameters": _QUERY},
    )
    async def detect(request: Request, name: str):
        async with service.gate.passed(request):
            served = service.shelf[name]
            asked = _query(request, service.settings.score_threshold)
            _refuse_tiles(served, asked)
            data = await picture_bytes(request, service.settings)
            return await detected(service, served, data, asked)


def described(served: Served) -> dict[str, Any]:
    """What `GET /v1/models` says of a model."""
    runner = served.runner
    return {
        "name": served.name,
        "version": str(served.version),
        "task": runner.task,
        "image_size": list(runner.size),
        "names": runner.names,
    }


@dataclass(frozen=True)
class Asked:
    """What a request asks for beside the picture.

    Attributes:
        form: one of the formats.
        score: score below which detections are left out, 0 to 1.
        method: how the picture is looked at, "resize" or "window".
    """

    form: str
    score: float
    method: str


async def detected(service: Service, served: Served, data: bytes, asked: Asked) -> Response:
    """The answer to a picture.

    Args:
        service: settings and threads.
        served: the model.
        data: the file of the picture.
        asked: what is to be answered.
    """
    most = service.settings.most_pixels
    find = _in_tiles if asked.method == "window" else _as_a_whole
    finish, seconds = await find(service, served, data, asked.score)

    def answered():
        # Decoded again where it is drawn on: waiting pictures would fill the memory.
        return answer(finish(), asked.form, lambda: decode(data, most))

    body, kind = await service.run(answered)
    headers = {"X-Model-Milliseconds": f"{1000 * seconds:.1f}", "X-Model-Version": str(served.version)}
    return Response(body, media_type=kind, headers=headers)


async def _as_a_whole(service: Service, served: Served, data: bytes, score: float) -> tuple[Callable, float]:
    """A function that gives what is in a picture, and the seconds that the model took, waiting included."""
    runner = served.runner

    def prepared():
        inputs, placement = runner.prepare(decode(data, service.settings.most_pixels))
        return inputs[None], placement  # (1, h, w, 3)

    inputs, placement = await service.run(prepared)
    began = time.perf_counter()
    results = await served.batcher.results(inputs)
    return partial(runner.finish, results, placement, score), time.perf_counter() - began


async def _in_tiles(service: Service, served: Served, data: bytes, score: float) -> tuple[Callable, float]:
    """As `_as_a_whole`, in tiles at the picture's own resolution, a batch of them after the other."""

    def begun():
        image = decode(data, service.settings.most_pixels)
        return served.runner.steps(image, _TILES, score)

    steps, results, seconds = await service.run(begun), None, 0.0
    while True:
        inputs, found = await service.run(_step, steps, results)
        if inputs is None:
            return partial(served.runner.detections, found), seconds
        began = time.perf_counter()
        results = await served.batcher.results(inputs)
        seconds += time.perf_counter() - began


def _step(steps: Steps, results: dict | None) -> tuple[np.ndarray | None, Any]:
    """The next inputs, or at the end None and what was found: a generator's end does not come through a thread."""
    try:
        return steps.send(results), None
    except StopIteration as end:
        return None, end.value


def _refuse_tiles(served: Served, asked: Asked) -> None:
    """Refuses models whose results of tiles are not joined."""
    if asked.method == "window":
        try:
            _TILES.check(served.runner.model)
        except ValueError as error:
            raise Refusal(400, f"method=window: {error}") from None


def _query(request: Request, score: float) -> Asked:
    """The format, the threshold and the method that a request asks for."""
    given = request.query_params
    for name in given:
        if name not in _ASKED:
            raise Refusal(400, f"{name}: unknown; {nearest(name, _ASKED)}")
        if len(given.getlist(name)) > 1:
            raise Refusal(400, f"{name}: given twice; give it once")
    words = {"format": _FORMATS, "method": METHODS}
    form, method = (given.get(name, choices[0]) for name, choices in words.items())
    for name, value in (("format", form), ("method", method)):
        if value not in words[name]:
            raise Refusal(400, f"{name}={value}: give {', '.join(words[name])}")
    if "score" not in given:
        return Asked(form, score, method)
    try:
        return Asked(form, _SCORE.read(given["score"]), method)
    except ValueError as error:
        raise Refusal(400, f"score={error}") from None
