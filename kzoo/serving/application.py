"""The application: which address does what. FastAPI hands on, other files of this folder do the work."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

import kzoo
from kzoo.serving.detecting import add_detection
from kzoo.serving.limits import check_token
from kzoo.serving.pages import add_pages
from kzoo.serving.protocols import add_protocols
from kzoo.serving.refusal import Refusal
from kzoo.serving.service import Service

log = logging.getLogger("kzoo")


def application(service: Service) -> FastAPI:
    """The application of a service, whose models are there already.

    Args:
        service: settings and models.

    Example:
        >>> service = Service(Settings())
        >>> service.shelf.open(sources(["cells"]))
        >>> app = application(service)
    """

    @contextlib.asynccontextmanager
    async def lifespan(app):
        watching = asyncio.create_task(service.shelf.watch())
        yield
        watching.cancel()
        await service.shelf.close()
        service.pool.shutdown(wait=False)

    app = FastAPI(
        title="kzoo",
        version=kzoo.__version__,
        description="Objects in pictures.",
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        openapi_url=None,
    )
    app.add_middleware(Counted, service=service)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _not_found)
    app.add_exception_handler(Exception, _failed)
    _add_health(app, service)
    add_detection(app, service)
    add_protocols(app, service)
    add_pages(app)
    return app


class Counted:
    """Counts requests, and says in their answers how long they took.

    Args:
        app: the application behind.
        service: the service, which counts.
    """

    def __init__(self, app, service: Service):
        self.app, self.service = app, service

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began = time.perf_counter()

        async def counted(message):
            if message["type"] == "http.response.start":
                seconds = time.perf_counter() - began
                self._count(scope, message["status"], seconds)
                timing = f"total;dur={1000 * seconds:.1f}".encode()
                ours = [(b"server-timing", timing), (b"x-content-type-options", b"nosniff")]
                message["headers"] = [*message.get("headers", ()), *ours]
            await send(message)

        return await self.app(scope, receive, counted)

    def _count(self, scope, status: int, seconds: float) -> None:
        # Declared paths and known names alone: what strangers make up would fill the memory.
        path = getattr(scope.get("route"), "path", "")
        name = scope.get("path_params", {}).get("name", "")
        known = any(served.name == name for served in self.service.shelf)
        self.service.counters.done(path, name if known else "", status, seconds)


async def _refused(request: Request, refusal: Refusal) -> Response:
    return JSONResponse({"error": refusal.message}, refusal.status, refusal.headers)


async def _not_found(request: Request, error: HTTPException) -> Response:
    message = f"{error.detail}: {request.method} {request.url.path[:100]}; /openapi.json has what there is"
    refusal = Refusal(error.status_code, message, error.headers)
    return JSONResponse({"error": refusal.message}, refusal.status, refusal.headers)


async def _failed(request: Request, error: Exception) -> Response:
    log.error("%s %s: %r", request.method, request.url.path, error)
    return JSONResponse({"error": "the service failed; its log says why"}, 500)


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/health/live", tags=["health"], summary="Whether the process answers")
    async def live():
        return {"status": "live"}

    @app.get("/health/ready", tags=["health"], summary="Whether the models are there and warm")
    async def ready():
        models = [served.name for served in service.shelf]
        return JSONResponse(
            {"status": "ready" if models else "empty", "models": models}, 200 if models else 503
        )

    @app.get("/metrics", tags=["health"], summary="Figures for Prometheus")
    async def metrics(request: Request):
        check_token(request, service.settings.token)
        return Response(service.counters.text(), media_type="text/plain; version=0.0.4")

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request):
        check_token(request, service.settings.token)
        return Response(json.dumps(app.openapi()), media_type="application/json")
