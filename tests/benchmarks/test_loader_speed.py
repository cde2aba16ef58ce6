"""Images a second from JPEG files to augmented, letterboxed batches: run it with `pytest -m benchmark -s`."""

import time

import cv2
import pytest

import kzoo.data
from kzoo.data.dataset import Selection
from kzoo.data.loading.loader import batches

IMAGES = 96
BATCH = 16


def rates(dataset, augment: str, workers: int, kind: str) -> tuple[float, float]:
    """Images a second of wall time, and of this process's own time on a core."""
    stream = iter(batches(dataset, 416, BATCH, augment, workers=workers, worker_kind=kind, repeat=True))
    # What lies ready when the clock starts was made before it did.
    for _ in range(1 + 3 * workers):
        next(stream)
    wall, core = time.perf_counter(), time.process_time()
    for _ in range(IMAGES // BATCH):
        next(stream)
    wall, core = time.perf_counter() - wall, time.process_time() - core
    stream.close()
    return IMAGES / wall, IMAGES / core


@pytest.mark.benchmark
def test_loader_speed(bccd):
    """640x480 JPEG to 416x416; "none" and "light" decode one file an image, "mosaic" four."""
    data = kzoo.data.load(bccd, split="train")
    records = [data.record(i) for i in range(len(data))]
    data = Selection(data, [i for i, r in enumerate(records) if (r.boxes[:, 2:] > r.boxes[:, :2]).all()])
    threads = cv2.getNumThreads()
    # "A core" is one: OpenCV must not borrow the others.
    cv2.setNumThreads(1)
    try:
        core = time.process_time()
        for i in range(100):
            data.image(i)
        print(f"\ndecoding alone: {100 / (time.process_time() - core):.0f} images/s a core")
        print(f"{'augment':<8} {'workers':<10} images/s  images/s a core")
        for augment in ("none", "light", "mosaic"):
            for workers, kind in ((0, ""), (2, "thread"), (2, "process")):
                wall, core = rates(data, augment, workers, kind or "thread")
                # The time of other processes is not seen; threads waiting for each other is.
                shown = "" if kind == "process" else f"{core:8.0f}"
                print(f"{augment:<8} {f'{workers} {kind}':<10} {wall:8.0f} {shown}")
    finally:
        cv2.setNumThreads(threads)
