"""`kzoo serve`: models as an HTTP service with a page."""

from __future__ import annotations

from kzoo.cli.options import argument, parameter
from kzoo.options import refuse_idle
from kzoo.options.serving import SERVE


def serve(
    model: argument(SERVE["model"], many=True, metavar="MODEL..."),
    host: parameter(SERVE["host"]) = "127.0.0.1",
    port: parameter(SERVE["port"]) = 8000,
    workers: parameter(SERVE["workers"]) = 1,
    token_file: parameter(SERVE["token_file"], metavar="FILE") = None,
    certificate: parameter(SERVE["certificate"], metavar="FILE") = None,
    key: parameter(SERVE["key"], metavar="FILE") = None,
    batch_size: parameter(SERVE["batch_size"]) = 8,
    wait: parameter(SERVE["wait"]) = 5,
    score: parameter(SERVE["score_threshold"]) = 0.25,
    poll: parameter(SERVE["poll"]) = 2,
    most_bytes: parameter(SERVE["most_bytes"]) = 2**24,
    most_pixels: parameter(SERVE["most_pixels"]) = 2**24,
    timeout: parameter(SERVE["timeout"]) = 30,
    queue: parameter(SERVE["queue"]) = 128,
    concurrency: parameter(SERVE["concurrency"]) = 128,
):
    """Serve models over HTTP, with a page for pictures and the camera."""
    try:
        from kzoo.serving.process import read_token
        from kzoo.serving.process import serve as run
    except ImportError as error:
        raise ImportError(f"{error.name}: is missing; the service needs pip install 'kzoo[serve]'") from error
    from kzoo.serving.settings import Settings
    from kzoo.serving.shelf import sources

    refuse_idle({"certificate": certificate, "key": key}, SERVE, {"certificate": certificate, "key": key}.get)
    settings = Settings(
        token=None if token_file is None else read_token(token_file),
        batch_size=batch_size,
        wait=wait,
        score_threshold=score,
        poll=poll,
        most_bytes=most_bytes,
        most_pixels=most_pixels,
        timeout=timeout,
        queue=queue,
        concurrency=concurrency,
    )
    run(sources(model), settings, host, port, workers, certificate, key)
