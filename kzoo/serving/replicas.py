"""`kzoo serve --ray`: the same application as a deployment of Ray Serve, by as many replicas as there is work for."""

from __future__ import annotations

import dataclasses
import signal
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from kzoo.serving.settings import Settings
from kzoo.serving.shelf import Source, sources
from kzoo.system.ray import cluster, import_ray

NAME = "kzoo"
_GRACE = 5  # seconds beyond a request's own that a stop waits for


class Replica:
    """One replica: it opens the models, and has the application of `kzoo.serving.application`.

    Args:
        models: names and places of the models, the same on every machine.
        settings: batches and limits, by name.
    """

    def __init__(self, models: Sequence[tuple[str, str]], settings: Mapping[str, Any]):
        from kzoo.serving.service import Service

        self.service = Service(Settings(**settings))
        self.service.shelf.open([Source(*one) for one in models])

    def __serve_build_asgi_app__(self):
        from kzoo.serving.application import application

        return application(self.service)


def deployment(models: Sequence[Source], settings: Settings, replicas: int = 1, most: int | None = None):
    """The application as Ray Serve runs it.

    Args:
        models: names and places of the models.
        settings: batches and limits.
        replicas: number of replicas, 1 by default; with `most` the fewest.
        most: the most replicas, between which and `replicas` Ray Serve goes by the requests that wait; None for a
            fixed number.
    """
    import_ray()
    from ray import serve

    number = {"num_replicas": replicas}
    if most is not None:
        wanted = max(1, settings.batch_size)  # requests at a time that keep a replica busy
        number = {
            "autoscaling_config": {
                "min_replicas": replicas,
                "max_replicas": most,
                "target_ongoing_requests": wanted,
            }
        }
    options = {
        "name": NAME,
        "max_ongoing_requests": settings.concurrency,
        "graceful_shutdown_timeout_s": settings.timeout + _GRACE,
        "ray_actor_options": {"num_cpus": 1},
        **number,
    }
    places = [(one.name, str(one.path)) for one in models]
    return (
        serve.deployment(serve.ingress()(Replica))
        .options(**options)
        .bind(places, dataclasses.asdict(settings))
    )


def deployed(arguments: Mapping[str, Any]):
    """The application as a configuration of Ray Serve names it: `import_path: kzoo.serving.replicas:deployed`.

    Args:
        arguments: "models", a list as on the command line of `kzoo serve`; "replicas" and "most", see `deployment`;
            and the fields of `kzoo.serving.settings.Settings`.
    """
    settings = dict(arguments)
    models, replicas, most = settings.pop("models"), settings.pop("replicas", 1), settings.pop("most", None)
    return deployment(sources(models), Settings(**settings), replicas, most)


def serve_on_ray(
    models: Sequence[Source],
    settings: Settings,
    host: str = "127.0.0.1",
    port: int = 8000,
    replicas: int = 1,
    most: int | None = None,
) -> None:
    """Serves models by Ray Serve until it is told to stop, by SIGTERM or SIGINT.

    A replica that dies is replaced, while the others answer. Where the application is there already, it is replaced a
    replica at a time.

    Args:
        models: names and places of the models.
        settings: batches and limits.
        host: address to listen on; this machine alone by default.
        port: port to listen on, 8000 by default.
        replicas: number of replicas, each with the models in its memory.
        most: the most replicas, see `deployment`.

    Raises:
        ImportError: Ray is not installed.
        ValueError: the replicas do not start.
    """
    import_ray()
    from ray import serve

    stopped = threading.Event()
    with cluster(replicas if most is None else most):
        for number in (signal.SIGTERM, signal.SIGINT):  # after Ray has begun, which sets handlers of its own
            signal.signal(number, lambda *_: stopped.set())
        serve.start(http_options={"host": host, "port": port})
        try:
            try:
                serve.run(deployment(models, settings, replicas, most), name=NAME, route_prefix="/")
            except RuntimeError as error:
                raise ValueError(
                    f"{models[0].path}: the replicas do not start: {_first_line(error)}"
                ) from error
            place = f"[{host}]" if ":" in host else host
            print(f"http://{place}:{port}", flush=True)
            stopped.wait()
        finally:
            serve.shutdown()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
