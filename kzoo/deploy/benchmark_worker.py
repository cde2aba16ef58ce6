"""One form of a model in a process of its own, timed on demand: `python -m kzoo.deploy.benchmark_worker`.

It reads a request as a line of JSON, answers with what it loaded, and then answers each further line, the name of
a part, with the seconds that part took.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np


def main() -> None:
    # Libraries print what they like to stdout, so the answers get a channel of their own.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    request = json.loads(sys.stdin.readline())
    images = np.random.default_rng(0).integers(0, 256, (1, *request["image_size"], 3), np.uint8)
    load = _keras_parts if request["form"] == "keras" else _export_parts
    parts, about = load(request, images)
    print(json.dumps({**about, "parts": list(parts)}), file=answers)
    for line in sys.stdin:
        run = parts[line.strip()]
        began = time.perf_counter()
        run()
        print(time.perf_counter() - began, file=answers)


def peak_memory() -> int:
    """The most bytes this process ever held."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux's getrusage counts the parent too, from before the program was loaded
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _keras_parts(request: dict, images: np.ndarray) -> tuple[dict[str, Callable], dict]:
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(request["threads"])
    model = keras.saving.load_model(request["paths"]["whole"], compile=False)
    inputs = model.with_proposals(images)  # what is searched for once, before the clock runs
    model.predict_on_batch(inputs)
    memory = peak_memory()

    class Decoding(keras.Model):
        def call(self, outputs):
            return model.head.decode(outputs)

    # What ZooModel's own methods decode, Keras's leave raw.
    raw = keras.Model.predict_on_batch(model, inputs)
    decoding = Decoding()
    decoding.predict_on_batch(raw)
    parts = {
        "whole": lambda: model.predict_on_batch(inputs),
        "network": lambda: keras.Model.predict_on_batch(model, inputs),
        "decoding": lambda: decoding.predict_on_batch(raw),
    }
    about = {"memory": memory, "runtime": f"keras {keras.__version__} on {keras.backend.backend()}"}
    return parts, about


def _export_parts(request: dict, images: np.ndarray) -> tuple[dict[str, Callable], dict]:
    from kzoo.deploy.opening import open_export

    threads, paths = request["threads"], request["paths"]
    whole = open_export(paths["whole"], threads)
    inputs = whole.inputs(images)  # proposals are searched for once, before the clock runs
    whole.predict_on_batch(inputs if len(inputs) > 1 else images)
    parts = {"whole": lambda: whole.predict_on_batch(inputs if len(inputs) > 1 else images)}
    about = {"memory": peak_memory(), "runtime": whole.runtime}
    if "network" in paths:
        network, decoding = (open_export(paths[part], threads) for part in ("network", "decoding"))
        raw = network.run(**inputs)
        decoding.run(**raw)
        parts["network"] = lambda: network.run(**inputs)
        parts["decoding"] = lambda: decoding.run(**raw)
    return parts, about


if __name__ == "__main__":
    main()
