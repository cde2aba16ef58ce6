"""What the machine offers: devices to share a batch among, and the precision it is fast in."""

from __future__ import annotations

import contextlib
from pathlib import Path

import keras


def resolve_precision(precision: str) -> str:
    """The dtype policy of a precision.

    Args:
        precision: the name of a policy, or "auto": float16 on a GPU; bfloat16 on a CPU with matrix units for it (AMX),
            where a step of yolov3-tiny takes two thirds of float32's time; float32 elsewhere.
    """
    if precision != "auto":
        return precision
    if gpus():
        return "mixed_float16"
    return "mixed_bfloat16" if keras.backend.backend() == "tensorflow" and _cpu_has("amx_bf16") else "float32"


def resolve_jit(multi_scale: bool) -> bool | str:
    """What `compile` takes for `jit_compile`: XLA gains nothing on a CPU and starts late.

    Args:
        multi_scale: whether there are several input sizes; each would be compiled anew.
    """
    if keras.backend.backend() != "tensorflow":
        return "auto"
    return "auto" if gpus() and not multi_scale else False


def gpus() -> list[str]:
    """Names of the GPUs the backend can train on."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return [device.name for device in tf.config.list_logical_devices("GPU")]
    if backend == "jax":
        return [device for device in keras.distribution.list_devices() if device.startswith(("gpu", "cuda"))]
    import torch

    return [f"cuda:{number}" for number in range(torch.cuda.device_count())]


def strategy(batch_size: int):
    """A context to build and load a model in, so that all GPUs share its batches; with one device it does nothing.

    Args:
        batch_size: number of images in a batch, which the devices share.

    Raises:
        ValueError: the devices cannot share the batch evenly.
    """
    devices, backend = gpus(), keras.backend.backend()
    if len(devices) < 2 or backend not in ("tensorflow", "jax"):
        return contextlib.nullcontext()
    if batch_size % len(devices):
        raise ValueError(
            f"batch_size={batch_size}: {len(devices)} GPUs share it; give a multiple of {len(devices)}"
        )
    if backend == "jax":
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
        return contextlib.nullcontext()
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices).scope()


def strategy_of(model: keras.Model):
    """The context a model was built in; models join no other afterwards."""
    shared = getattr(model, "distribute_strategy", None)
    return contextlib.nullcontext() if shared is None else shared.scope()


def _cpu_has(flag: str) -> bool:
    """Whether Linux lists a feature of the processor; where it is no Linux, nobody knows, and it has not."""
    try:
        return f" {flag} " in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
