"""What Prometheus asks for: requests, their times, sizes of batches."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess

SHARED = "PROMETHEUS_MULTIPROC_DIR"  # the folder in which several processes count together
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)


class Counters:
    """Counts of one process, which those of others join where the environment names a folder for it.

    Example:
        >>> counters = Counters()
        >>> counters.done("/v1/models/{name}/detect", "street", 200, 0.02)
        >>> counters.text()
    """

    def __init__(self):
        self._registry = CollectorRegistry()
        place = {"registry": self._registry}
        self._requests = Counter(
            "kzoo_requests", "Requests by path, model and status.", ["path", "model", "status"], **place
        )
        self._seconds = Histogram(
            "kzoo_request_seconds", "Seconds a request.", ["path", "model"], buckets=_SECONDS, **place
        )
        self._batches = Histogram("kzoo_batch_images", "Images a batch.", ["model"], buckets=_IMAGES, **place)

    def done(self, path: str, model: str, status: int, seconds: float) -> None:
        """Counts a request.

        Args:
            path: the path as it is declared, such as "/v1/models/{name}/detect".
            model: the name of the model; "" where there is none.
            status: status code of the answer.
            seconds: time that it took.
        """
        self._requests.labels(path, model, str(status)).inc()
        self._seconds.labels(path, model).observe(seconds)

    def batch(self, model: str, count: int) -> None:
        """Counts a batch.

        Args:
            model: the model's name.
            count: number of images.
        """
        self._batches.labels(model).observe(count)

    def text(self) -> bytes:
        """All figures in Prometheus's text form, of all processes where there are several."""
        registry = self._registry
        if os.environ.get(SHARED):
            registry = CollectorRegistry()
            # A process that has just been killed may leave a file that is half written.
            with contextlib.suppress(FileNotFoundError):
                multiprocess.MultiProcessCollector(registry, Path(os.environ[SHARED]))
        return generate_latest(registry)
