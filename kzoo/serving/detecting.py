"""`/v1/models/NAME/detect`: a picture in, what is in it out."""

from __future__ import annotations

import time
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from kzoo.options import nearest
from kzoo.options.quantities import Number
from kzoo.serving.formats import FORMATS, PICTURES, answer
from kzoo.serving.pictures import FIELD, decode, picture_bytes
from kzoo.serving.refusal import Refusal
from kzoo.serving.service import Service
from kzoo.serving.shelf import Served

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
        "name": "score",
        "in": "query",
        "description": "score below which detections are left out",
        "schema": {"type": "number", "minimum": 0, "maximum": 1},
    },
]


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
            form, score = _query(request, service.settings.score_threshold)
            data = await picture_bytes(request, service.settings)
            return await detected(service, served, data, form, score)


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


async def detected(service: Service, served: Served, data: bytes, form: str, score: float) -> Response:
    """The answer to a picture.

    Args:
        service: settings and threads.
        served: the model.
        data: the file of the picture.
        form: one of the formats.
        score: score below which detections are left out, 0 to 1.
    """
    runner, most = served.runner, service.settings.most_pixels

    def prepared():
        inputs, placement = runner.prepare(decode(data, most))
        return inputs[None], placement  # (1, h, w, 3)

    def answered():
        result = runner.finish(results, placement, score)
        # Decoded again where it is drawn on: waiting pictures would fill the memory.
        return answer(result, form, lambda: decode(data, most))

    inputs, placement = await service.run(prepared)
    began = time.perf_counter()
    results = await served.batcher.results(inputs)
    seconds = time.perf_counter() - began
    body, kind = await service.run(answered)
    headers = {"X-Model-Milliseconds": f"{1000 * seconds:.1f}", "X-Model-Version": str(served.version)}
    return Response(body, media_type=kind, headers=headers)


def _query(request: Request, score: float) -> tuple[str, float]:
    """The format and the threshold that a request asks for."""
    given = request.query_params
    for name in given:
        if name not in ("format", "score"):
            raise Refusal(400, f"{name}: unknown; {nearest(name, ('format', 'score'))}")
        if len(given.getlist(name)) > 1:
            raise Refusal(400, f"{name}: given twice; give it once")
    form = given.get("format", "objects")
    if form not in _FORMATS:
        raise Refusal(400, f"format={form}: give {', '.join(_FORMATS)}")
    if "score" not in given:
        return form, score
    try:
        return form, _SCORE.read(given["score"])
    except ValueError as error:
        raise Refusal(400, f"score={error}") from None
