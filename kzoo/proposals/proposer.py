"""What gives a network its proposals: so many an image, of one search, each image searched once."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable

import numpy as np

from kzoo.proposals.cache import ProposalCache
from kzoo.proposals.search import Search, selective_search

_REMEMBERED = 1024  # images whose boxes are kept in memory


class Proposer:
    """Selective search as a network takes it.

    The boxes of the last images are kept in memory, by what these show: a training measures itself on the same ones
    after each epoch.

    Args:
        count: number of boxes of an image at most, the best ranked, 1 or more, 2000 by default.
        mode: settings of the search, as `selective_search` takes them, "rcnn" by default.
        width: pixels that a wider image is scaled to before it is searched, 500 by default; None for its own.
        min_side: pixels that a box is wide and high at least, after scaling, 20 by default.
        cache: what keeps boxes on disk besides; None (default) for nothing.

    Example:
        >>> batches(dataset, (608, 800), 2, "light", proposals=Proposer(cache=ProposalCache()))
    """

    def __init__(
        self,
        count: int = 2000,
        mode: str | Search = "rcnn",
        width: int | None = 500,
        min_side: float = 20,
        cache: ProposalCache | None = None,
    ):
        if count < 1:
            raise ValueError(f"Proposer: count={count}; give the boxes of an image, 1 or more")
        self.count = count
        self.mode = mode
        self.width = width
        self.min_side = min_side
        self.cache = cache
        self._recent: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self):
        # Each process remembers its own.
        return Proposer, (self.count, self.mode, self.width, self.min_side, self.cache)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The proposals of an image, best ranked first: (N, 4) float32 xyxy pixels of it, N up to `count`.

        Args:
            image: (H, W, 3) uint8 RGB, or float32 in 0..255, which is rounded.
        """
        image = np.asarray(image)
        if image.dtype != np.uint8:
            image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
        key = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16)
        key.update(repr(image.shape).encode())
        with self._lock:
            boxes = self._recent.get(key.digest())
        if boxes is None:
            boxes = self._searched(image)[: self.count]
        with self._lock:
            self._recent[key.digest()] = boxes
            self._recent.move_to_end(key.digest())
            while len(self._recent) > _REMEMBERED:
                self._recent.popitem(last=False)
        return boxes

    def batch(self, images: Iterable[np.ndarray]) -> np.ndarray:
        """The proposals of each image of a batch (B, H, W, 3): (B, count, 4), zeros where there are fewer."""
        found = [self(image) for image in images]
        boxes = np.zeros((len(found), self.count, 4), np.float32)
        for row, own in zip(boxes, found, strict=True):
            row[: len(own)] = own
        return boxes

    def _searched(self, image: np.ndarray) -> np.ndarray:
        width = None if self.width is None or image.shape[1] <= self.width else self.width
        search = selective_search if self.cache is None else self.cache
        return search(image, mode=self.mode, min_side=self.min_side, width=width)
