"""What all addresses of a service share: settings, models, counters, threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from kzoo.deploy.runtime import cores
from kzoo.serving.counters import Counters
from kzoo.serving.limits import Gate
from kzoo.serving.settings import Settings
from kzoo.serving.shelf import Shelf


class Service:
    """What all addresses share.

    Attributes:
        settings: batches and limits.
        shelf: the models.
        counters: figures for Prometheus.
        gate: lets requests in.
        pool: threads in which pictures are decoded, fitted and drawn.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.counters = Counters()
        self.shelf = Shelf(settings, self.counters.batch)
        self.gate = Gate(settings)
        self.pool = ThreadPoolExecutor(max(2, cores()), "picture")

    def run(self, function, *arguments):
        """Awaits a function in one of the threads for pictures."""
        return asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)
