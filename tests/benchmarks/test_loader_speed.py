"""Images a second from JPEG files to augmented, letterboxed batches.

pytest tests/benchmarks/test_loader_speed.py -s
"""

import time

import cv2
import numpy as np
import pytest

import kzoo.data
from kzoo.data.dataset import Selection
from kzoo.data.loader import batches

IMAGES = 192
BATCH = 16


def rate(dataset, augment: str, workers: int, kind: str) -> float:
    """Images a second once the workers run, without what lay ready when the clock started."""
    stream = iter(batches(dataset, 416, BATCH, augment, workers=workers, worker_kind=kind, repeat=True))
    for _ in range(2 + 3 * workers):
        next(stream)
    began = time.perf_counter()
    for _ in range(IMAGES // BATCH):
        next(stream)
    taken = time.perf_counter() - began
    stream.close()
    return IMAGES / taken


@pytest.mark.benchmark
def test_loader_speed(bccd):
    """640x480 JPEG to 416x416; `none` and `light` decode one file an image, `mosaic` four."""
    data = kzoo.data.load(bccd, split="train")
    records = [data.record(i) for i in range(len(data))]
    data = Selection(data, [i for i, r in enumerate(records) if (r.boxes[:, 2:] > r.boxes[:, :2]).all()])
    threads = cv2.getNumThreads()
    # One core: OpenCV must not borrow the others.
    cv2.setNumThreads(1)
    began = time.perf_counter()
    decoded = [data[i].image for i in range(100)]
    print(f"\ndecoding alone, one core: {100 / (time.perf_counter() - began):.0f} images/s")
    assert np.shape(decoded) == (100, 480, 640, 3)
    print(f"{'augment':<8} {'workers':<10} images/s")
    try:
        for augment in ("none", "light", "mosaic"):
            for workers, kind in ((0, "thread"), (1, "thread"), (2, "thread"), (2, "process")):
                name = f"{workers} {kind}" if workers else "none"
                print(f"{augment:<8} {name:<10} {rate(data, augment, workers, kind):.0f}")
    finally:
        cv2.setNumThreads(threads)
