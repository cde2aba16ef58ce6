"""Images a second of mosaic, affine, colour and flip at 640 pixels: run it with `pytest -m benchmark -s`.

Where ultralytics is importable, its loader does the same to the same files in turns with ours. One thread a worker.
"""

import importlib.util
import itertools
import logging
import statistics
import time

import cv2
import pytest

import kzoo.data
from kzoo.data.checks.check import require_sound
from kzoo.data.formats.convert import write
from kzoo.data.loading.loader import batches

SIDE, BATCH = 640, 16
ROUNDS, STEPS = 5, 12  # Batches timed in turn, and in a row.
WORKERS = [(0, "thread"), (1, "thread"), (2, "thread"), (1, "process"), (2, "process")]
CACHES = (None, "memory")


@pytest.fixture
def photographs(bccd):
    logging.getLogger("kzoo").setLevel(logging.ERROR)
    return require_sound(kzoo.data.load(bccd), skip_faulty=True, decode=False)


@pytest.fixture
def one_thread():
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(threads)


def ours(data, workers: int, kind: str, cache: str | None):
    options = {"workers": workers, "worker_kind": kind, "cache": cache}
    return iter(batches(data, SIDE, BATCH, "mosaic", repeat=True, **options))


def theirs(folder):
    """What makes streams of ultralytics' batches of the dataset in a folder; None where it is not at hand."""
    if importlib.util.find_spec("ultralytics") is None:
        return None
    from ultralytics.cfg import get_cfg
    from ultralytics.data.build import build_dataloader, build_yolo_dataset
    from ultralytics.data.utils import check_det_dataset

    described = check_det_dataset(str(folder / "data.yaml"))

    def stream(workers: int, cache: str | None):
        config = get_cfg(overrides={"task": "detect", "imgsz": SIDE, "cache": "ram" if cache else False})
        data = build_yolo_dataset(config, described["train"], BATCH, described, mode="train", stride=32)
        # Blur, grey and such, for one image in a hundred: not the work that is compared.
        data.transforms.transforms = [
            t for t in data.transforms.transforms if type(t).__name__ != "Albumentations"
        ]
        loader = build_dataloader(data, BATCH, workers, shuffle=True)
        return itertools.chain.from_iterable(itertools.repeat(loader))

    return stream


def rates(streams: dict, epoch: int) -> dict[str, list[float]]:
    """Images a second of each stream, measured in turns."""
    found = {name: [] for name in streams}
    for stream in streams.values():
        for _ in range(epoch):  # what is cached is in the cache then
            next(stream)
    for _ in range(ROUNDS):
        for name, stream in streams.items():
            time.sleep(1.0)  # Until the other's workers have nothing left to do ahead.
            # What lies ready when the clock starts was made before it did.
            for _ in range(10):
                next(stream)
            start = time.perf_counter()
            for _ in range(STEPS):
                next(stream)
            found[name].append(STEPS * BATCH / (time.perf_counter() - start))
    return found


@pytest.mark.benchmark
def test_augment_speed(photographs, tmp_path, monkeypatch, one_thread):
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_VERBOSE", "False")
    write({"train": photographs, "val": photographs}, tmp_path / "yolo", "yolo")
    peer = theirs(tmp_path / "yolo")
    print(
        f"\n{'workers':<10} {'cache':<7} {'kzoo':>5} {'ultralytics':>12} {'ratio':>6} {'least':>6}   images/s"
    )
    medians = {}
    for cache, (workers, kind) in itertools.product(CACHES, WORKERS):
        streams = {"kzoo": ours(photographs, workers, kind, cache)}
        if peer:
            streams["ultralytics"] = peer(workers, cache)
        # Each process has a cache of its own and fills it with what it decodes.
        found = rates(streams, epoch=(1 + workers) * (len(photographs) // BATCH + 1))
        streams["kzoo"].close()
        own = medians[workers, kind, cache] = statistics.median(found["kzoo"])
        line = f"{f'{workers} {kind}' if workers else '0':<10} {cache or 'none':<7} {own:5.0f}"
        if peer:
            ratios = [a / b for a, b in zip(found["kzoo"], found["ultralytics"], strict=True)]
            peer_speed = statistics.median(found["ultralytics"])
            line += f" {peer_speed:12.0f} {statistics.median(ratios):6.2f} {min(ratios):6.2f}"
        print(line, flush=True)
    for cache, kind in itertools.product(CACHES, ("thread", "process")):
        ratio = medians[2, kind, cache] / medians[1, kind, cache]
        print(f"two to one, {kind:<7}, cache {cache or 'none'}: {ratio:.2f}")
