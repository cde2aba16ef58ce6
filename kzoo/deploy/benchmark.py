"""How long a model takes in each form it can be run in, measured side by side."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kzoo.augment.letterbox import fit
from kzoo.deploy.metadata import Metadata
from kzoo.deploy.runtime import Exported, cores
from kzoo.deploy.writing import write
from kzoo.inference.detect import resize_of
from kzoo.options import checked
from kzoo.options.exports import BENCHMARK, SUFFIXES

# Format and quantisation of each form.
FORMS = {
    "keras": ("keras", None),
    "saved_model": ("saved_model", None),
    "tflite": ("tflite", None),
    "tflite-float16": ("tflite", "float16"),
    "tflite-int8": ("tflite", "int8"),
    "onnx": ("onnx", None),
    "openvino": ("openvino", None),
    "openvino-float16": ("openvino", "float16"),
    "openvino-bfloat16": ("openvino", "bfloat16"),
    "openvino-int8": ("openvino", "int8"),
}
# What a format needs beyond kzoo's own requirements: extras and packages.
_EXTRAS = {
    "onnx": ("onnx", ("onnx", "tf2onnx", "onnxruntime")),
    "openvino": ("onnx,openvino", ("onnx", "tf2onnx", "openvino", "nncf")),
}
DEFAULT_FORMS = tuple(form for form, (_, numbers) in FORMS.items() if numbers in (None, "int8"))
PARTS = ("network", "decoding", "whole")
PHOTOGRAPH = (480, 640)
_WARM_UP = 2
# Threads of the runtime that just finished spin for a while before they sleep, and would slow the next one.
_PAUSE = 0.03


@dataclass
class FormResult:
    """One form's measurements.

    Attributes:
        form: one of `FORMS`.
        missing: what it needs, where the form cannot be run; nothing else is set then.
        runtime: what ran it.
        seconds: the times of all runs, by part: "network", "decoding" (with suppression), "whole" (both).
        memory: the most bytes its process held, with the whole model loaded and run.
        size: bytes on disk.
    """

    form: str
    missing: str = ""
    runtime: str = ""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    memory: int = 0
    size: int = 0


@dataclass
class Benchmark:
    """Measurements of all forms; latencies are of one image.

    Attributes:
        name: what the model is called.
        image_size: height and width in pixels.
        resize: how photographs become its input.
        threads: number of processor cores that each form may use.
        runs: number of runs of every part of every form, which take turns.
        preprocessing: the times of all runs, in seconds, that resizing a 640x480 photograph takes.
        forms: the results of the forms, in the order they were asked for.
    """

    name: str
    image_size: tuple[int, int]
    resize: str
    threads: int
    runs: int
    preprocessing: list[float]
    forms: list[FormResult]

    def to_dict(self) -> dict:
        """All figures in milliseconds and megabytes (10^6 bytes), ready for JSON."""
        return {
            "model": self.name,
            "image_size": list(self.image_size),
            "resize": self.resize,
            "threads": self.threads,
            "runs": self.runs,
            "preprocessing_ms": _summary(self.preprocessing),
            "forms": [self._row(result) for result in self.forms],
            **self._comparison(),
        }

    def _row(self, result: FormResult) -> dict:
        if result.missing:
            return {"form": result.form, "missing": result.missing}
        per_image = np.median(result.seconds["whole"]) + np.median(self.preprocessing)
        return {
            "form": result.form,
            "runtime": result.runtime,
            **{f"{part}_ms": _summary(result.seconds[part]) for part in PARTS if part in result.seconds},
            "images_per_second": round(float(1 / per_image), 2),
            "peak_memory_mb": round(result.memory / 1e6, 1),
            "size_mb": round(result.size / 1e6, 1),
        }

    def _comparison(self) -> dict:
        """The fastest exports, decoding included, as shares of onnxruntime's time for the network alone."""
        exports = [result for result in self.forms if result.seconds and result.form != "keras"]
        onnx = next((r for r in exports if r.form == "onnx" and "network" in r.seconds), None)
        if onnx is None:
            return {}
        network = np.median(onnx.seconds["network"])
        shares = {r.form: round(float(np.median(r.seconds["whole"]) / network), 3) for r in exports}
        float32 = {form: share for form, share in shares.items() if FORMS[form][1] is None}
        return {
            "to_onnxruntime_network": shares,
            "fastest": min(shares, key=shares.get),
            "fastest_float32": min(float32, key=float32.get),
        }


def _summary(seconds: Sequence[float]) -> dict:
    median, p90 = np.percentile(seconds, [50, 90]) * 1000
    return {"median": round(float(median), 3), "p90": round(float(p90), 3)}


@checked(BENCHMARK)
def benchmark(
    model,
    forms: Sequence[str] = DEFAULT_FORMS,
    runs: int = 20,
    threads: int | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Benchmark:
    """Writes a model in every form and times them in turn, run by run, each in a process of its own.

    Whatever else the machine does then slows all forms alike, so that their ratios hold.

    Args:
        model: a `ZooModel`, or an export that was opened, which is its only form.
        forms: names out of `FORMS`; all in float32 and int8 by default.
        runs: number of runs of every part of every form, 20 by default.
        threads: number of processor cores that each form may use; all where None.
        say: a function that takes a line at the beginning of every step.

    Raises:
        ValueError: an unknown form, a number out of range, or forms of an export.
    """
    if isinstance(model, Exported) and tuple(forms) != DEFAULT_FORMS:
        raise ValueError(
            f"forms={list(forms)}: {model.path} is an export, which is its only form; leave forms out"
        )
    threads = threads or cores()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        prepared = list(_prepare(model, forms, Path(folder), say))
        workers = [
            stack.enter_context(_Worker(result, paths, model.image_size, threads))
            for result, paths in prepared
            if not result.missing
        ]
        say(f"timing {len(workers)} forms, {runs} runs each")
        resize = resize_of(model)
        preprocessing = _take_turns(workers, runs, model.image_size, resize)
    results = [result for result, _ in prepared]
    return Benchmark(model.name, tuple(model.image_size), resize, threads, runs, preprocessing, results)


def _prepare(model, forms, folder: Path, say) -> Iterator[tuple[FormResult, dict[str, Path]]]:
    """Writes the parts of every form that can be run."""
    if isinstance(model, Exported):
        form = "-".join(filter(None, (model.format, model.metadata.quantize)))
        yield FormResult(form, size=bytes_of(model.path)), {"whole": model.path}
        return
    from kzoo.deploy.inference import inference_model

    ready = inference_model(model) if set(forms) - {"keras"} else None
    for form in forms:
        format = FORMS[form][0]
        extras, modules = _EXTRAS.get(format, ("", ()))
        if any(importlib.util.find_spec(module) is None for module in modules):
            yield FormResult(form, missing=f"pip install 'kzoo[{extras}]'"), {}
            continue
        if form != "keras" and FORMS[form][1] == "int8" and ready.head.needs_proposals:
            yield FormResult(form, missing="a model without proposals, whose edges integers round"), {}
            continue
        say(f"writing {form}")
        paths = _write_keras(model, folder) if form == "keras" else _write_parts(ready, form, folder)
        yield FormResult(form, size=bytes_of(paths["whole"])), paths


def _write_keras(model, folder: Path) -> dict[str, Path]:
    model.save(folder / "model.keras")
    return {"whole": folder / "model.keras"}


def _write_parts(ready, form: str, folder: Path) -> dict[str, Path]:
    """The whole of a model and its two halves as files, by part."""
    format, quantize = FORMS[form]
    paths = {}
    for part in PARTS:
        # The head computes in float32 whatever the network does.
        kept = None if part == "decoding" else quantize
        meta = Metadata.of(ready, ready.image_size, 1, kept)
        paths[part] = folder / f"{form}-{part}{SUFFIXES[format]}"
        noise = np.random.default_rng(0).integers(0, 256, (2, 1, *ready.image_size, 3), np.uint8)
        write(paths[part], ready, format, meta, noise, part)
    return paths


def bytes_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


class _Worker:
    """The process that runs one form, as a context that ends it."""

    def __init__(self, result: FormResult, paths: dict[str, Path], image_size, threads: int):
        self.result = result
        self.request = {
            "form": result.form,
            "paths": {part: str(path) for part, path in paths.items()},
            "image_size": list(image_size),
            "threads": threads,
        }

    def __enter__(self) -> _Worker:
        self._log = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kzoo.deploy.benchmark_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        about = json.loads(self._ask(json.dumps(self.request)))
        self.result.memory, self.result.runtime = about["memory"], about["runtime"]
        self.result.seconds = {part: [] for part in about["parts"]}
        return self

    def __exit__(self, *_):
        self._process.communicate()
        self._log.close()

    def _ask(self, line: str) -> str:
        """The process's answer to a line; a ValueError with the last thing it said where it has ended."""
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            self._process.communicate()
            self._log.seek(0)
            lines = self._log.read().strip().splitlines() or ["its process ended"]
            raise ValueError(f"{self.result.form}: cannot be run: {lines[-1]}")
        return answer

    def run(self, part: str) -> float:
        """The seconds that a run of a part takes."""
        return float(self._ask(part))


def _take_turns(workers: list[_Worker], runs: int, image_size, resize: str) -> list[float]:
    """Fills in the workers' seconds; gives those of the pre-processing."""
    photograph = np.random.default_rng(0).integers(0, 256, (*PHOTOGRAPH, 3), np.uint8)
    preprocessing = []
    for turn in range(_WARM_UP + runs):
        began = time.perf_counter()
        fit(photograph, image_size, resize)
        taken = time.perf_counter() - began
        if turn >= _WARM_UP:
            preprocessing.append(taken)
        for worker in workers:
            for part, seconds in worker.result.seconds.items():
                time.sleep(_PAUSE)
                taken = worker.run(part)
                if turn >= _WARM_UP:
                    seconds.append(taken)
    return preprocessing
