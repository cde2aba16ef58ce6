"""`kzoo serve`: models as an HTTP service with a page."""

from __future__ import annotations

import typer

from kzoo.cli.options import argument, parameter
from kzoo.options import refuse_idle
from kzoo.options.serving import SERVE


def serve(
    model: argument(SERVE["model"], many=True, metavar="MODEL..."),
    host: parameter(SERVE["host"]) = "127.0.0.1",
    port: parameter(SERVE["port"]) = 8000,
    workers: parameter(SERVE["workers"]) = 1,
    ray: parameter(SERVE["ray"]) = None,
    ray_most: parameter(SERVE["ray_most"]) = None,
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

    given = {"certificate": certificate, "key": key, "ray": ray, "ray_most": ray_most}
    refuse_idle(given, SERVE, given.get)
    if ray is not None:
        _check_ray(ray, ray_most, {"workers": workers > 1, "certificate": certificate, "port": port == 0})
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
    if ray is not None:
        from kzoo.serving.replicas import serve_on_ray

        serve_on_ray(sources(model), settings, host, port, ray, ray_most)
        return
    run(sources(model), settings, host, port, workers, certificate, key)


def _check_ray(ray: int, ray_most: int | None, idle: dict) -> None:
    """Refuses what Ray Serve does not heed.

    Args:
        ray: number of replicas.
        ray_most: the most replicas, or None.
        idle: names of options, and whether they were given.
    """
    if ray_most is not None and ray_most < ray:
        raise typer.BadParameter(f"--ray-most {ray_most}: fewer than --ray {ray}; give so many or more")
    for name, given in idle.items():
        if given:
            raise typer.BadParameter(
                f"--{name}: has no effect with --ray {ray}, whose proxy listens; leave one out"
            )
