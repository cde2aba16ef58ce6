"""How much memory a step of a training takes, and how much it may: of the GPU, or of the machine."""

from __future__ import annotations

import os
from pathlib import Path

import keras

from kzoo.data.loading.cache import available_memory

# Of the machine's free memory: what makes batches, caches and other programs need theirs. Of a GPU's: what its
# allocator cannot use because it lies in pieces.
_CPU_SHARE, _GPU_SHARE = 0.6, 0.9
_RAN_OUT = ("ResourceExhaustedError", "OutOfMemoryError", "XlaRuntimeError", "JaxRuntimeError")


class Gauge:
    """Reads the memory that steps take.

    Attributes:
        budget: bytes that a step may take.
        what: what the budget is, as a phrase.
    """

    budget: float
    what: str

    def reset(self) -> None:
        """Lets the peak start from what is in use now."""

    def peak(self) -> float:
        """The most bytes in use since `reset`."""
        raise NotImplementedError

    def ran_out(self, error: Exception) -> bool:
        """Whether an error says that there was not enough memory."""
        words = type(error).__name__, str(error)
        return words[0] in _RAN_OUT and any(
            text in words[0] + words[1].lower()
            for text in ("OutOfMemory", "ResourceExhausted", "memory", "oom")
        )


class ProcessGauge(Gauge):
    """Memory of this process, which Linux knows the peak of.

    Args:
        free: bytes that are free on the machine.
    """

    _status, _references = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def __init__(self, free: int):
        self.budget = self._read("VmRSS") + _CPU_SHARE * free
        self.what = f"{_CPU_SHARE:.0%} of the free memory, and what the process has"

    @classmethod
    def works(cls) -> bool:
        """Whether this system tells the peak."""
        return os.access(cls._status, os.R_OK) and os.access(cls._references, os.W_OK)

    def reset(self) -> None:
        self._references.write_text("5")  # the peak is what is in use now: proc(5)

    def peak(self) -> float:
        return self._read("VmHWM")

    def _read(self, name: str) -> float:
        lines = self._status.read_text().splitlines()
        return next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith(f"{name}:"))


class TensorFlowGauge(Gauge):
    """Memory of the GPU that has least, as TensorFlow's allocator has it."""

    def __init__(self, names: list[str]):
        from tensorflow.python.client import device_lib

        limits = [one.memory_limit for one in device_lib.list_local_devices() if one.device_type == "GPU"]
        self.names = [f"GPU:{number}" for number in range(len(names))]
        self.budget = _GPU_SHARE * min(limits)
        self.what = f"{_GPU_SHARE:.0%} of the GPU's memory"

    def reset(self) -> None:
        import tensorflow as tf

        for name in self.names:
            tf.config.experimental.reset_memory_stats(name)

    def peak(self) -> float:
        import tensorflow as tf

        return float(max(tf.config.experimental.get_memory_info(name)["peak"] for name in self.names))


class JaxGauge(Gauge):
    """Memory of the GPU that has least; JAX does not forget a peak, and batches only grow."""

    def __init__(self):
        import jax

        self.devices = jax.local_devices()
        self.budget = _GPU_SHARE * min(one.memory_stats()["bytes_limit"] for one in self.devices)
        self.what = f"{_GPU_SHARE:.0%} of the GPU's memory"

    def peak(self) -> float:
        return float(max(one.memory_stats()["peak_bytes_in_use"] for one in self.devices))


class TorchGauge(Gauge):
    """Memory of the GPU that torch trains on."""

    def __init__(self):
        import torch

        free, _ = torch.cuda.mem_get_info()
        self.budget = _GPU_SHARE * (free + torch.cuda.memory_reserved())
        self.what = f"{_GPU_SHARE:.0%} of the GPU's free memory"

    def reset(self) -> None:
        import torch

        torch.cuda.reset_peak_memory_stats()

    def peak(self) -> float:
        import torch

        return float(torch.cuda.max_memory_allocated())


def gauge(gpus: list[str]) -> Gauge | None:
    """What reads the memory that a training uses; None where nobody tells.

    Args:
        gpus: names of the GPUs that it uses; none where it runs on the CPU.
    """
    if gpus:
        backend = keras.backend.backend()
        if backend == "tensorflow":
            return TensorFlowGauge(gpus)
        return JaxGauge() if backend == "jax" else TorchGauge()
    free = available_memory()
    return ProcessGauge(free) if free is not None and ProcessGauge.works() else None
