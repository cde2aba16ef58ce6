"""Requests that come together are run together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from kzoo.serving.refusal import busy
from kzoo.serving.running import split


@dataclass
class _Waiting:
    """Images (k, H, W, 3) of one request, and where their results go."""

    images: np.ndarray
    results: asyncio.Future


class Batcher:
    """A queue before a model, which takes from it as much as it can at once.

    While the model runs, requests gather; a model without work waits a little for a second request. Images of one
    request stay together. What nobody waits for any longer is left out.

    Args:
        run: a function from images (B, H, W, 3) to results by name, each (B, ...), called in a thread of its own.
        most: number of images that are run together, at most.
        wait: milliseconds that an image waits for others, at most; 0 for none.
        queue: number of images that wait, at most.
        told: called with the number of images of each batch; nothing by default.

    Example:
        >>> batcher = Batcher(runner.run, most=8, wait=5, queue=64)
        >>> await batcher.results(images)
    """

    def __init__(
        self,
        run: Callable[[np.ndarray], dict],
        most: int,
        wait: float,
        queue: int,
        told: Callable[[int], None] = lambda count: None,
    ):
        self._run, self._most, self._wait, self._queue = run, most, wait / 1000, queue
        self._told = told
        self._waiting: deque[_Waiting] = deque()
        self._came = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "model")
        self._task: asyncio.Task | None = None
        self._closing = False

    @property
    def length(self) -> int:
        """Number of images that wait."""
        return sum(len(one.images) for one in self._waiting)

    async def results(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The results of images (k, H, W, 3), by name, each (k, ...).

        Args:
            images: inputs of the model; more than a batch of them are run one batch after the other.

        Raises:
            Refusal: too many wait already.
        """
        if self._waiting and self.length + len(images) > self._queue:
            raise busy(f"queue: {self.length} images wait, and {self._queue} may")
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        one = _Waiting(images, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        self._came.set()
        return await one.results

    async def close(self) -> None:
        """Ends when all that waits has been run; to be called when nothing more comes."""
        self._closing = True
        self._came.set()
        if self._task is not None:
            await self._task
        self._thread.shutdown(wait=False)

    async def _work(self) -> None:
        """Runs one batch after the other."""
        while True:
            await self._came.wait()
            if self._wait and self.length < self._most and not self._closing:
                await self._wait_for_more()
            batch = self._taken()
            if batch:
                await self._run_batch(batch)
            elif self._closing:
                return
            if not self._waiting and not self._closing:
                self._came.clear()

    async def _wait_for_more(self) -> None:
        """Waits until a batch is full, but no longer than is allowed."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._wait
        while self.length < self._most and not self._closing:
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), max(0.0, end - loop.time()))
            except TimeoutError:
                self._came.set()
                return

    def _taken(self) -> list[_Waiting]:
        """The requests of the next batch, oldest first; one that is larger than a batch comes by itself."""
        batch, count = [], 0
        while self._waiting:
            one = self._waiting[0]
            same = not batch or one.images.dtype == batch[0].images.dtype
            if batch and (count + len(one.images) > self._most or not same):
                break
            self._waiting.popleft()
            # Whoever gave up, by time or by hanging up, gets no place.
            if not one.results.done():
                batch.append(one)
                count += len(one.images)
        return batch

    async def _run_batch(self, batch: list[_Waiting]) -> None:
        """Runs a batch and hands out its results, or to all of them the error."""
        counts = [len(one.images) for one in batch]
        images = np.concatenate([one.images for one in batch])  # (B, H, W, 3)
        self._told(len(images))
        try:
            results = await asyncio.get_running_loop().run_in_executor(self._thread, self._run, images)
        except Exception as error:
            for one in batch:
                if not one.results.done():
                    one.results.set_exception(error)
            return
        for one, part in zip(batch, split(results, counts), strict=True):
            if not one.results.done():
                one.results.set_result(part)
