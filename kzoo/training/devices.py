"""What the machine offers: devices to share a batch among, and the precision it is fast in."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import keras

from kzoo.options.forms import ALL, AUTO
from kzoo.training import machines


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


def shared_devices(count: int | str = ALL) -> list[str]:
    """Names of the devices that share each batch: GPUs, or of a machine without one the CPUs that it is split into.

    Args:
        count: number of devices, or "all".

    Raises:
        ValueError: there are not so many, or the backend knows one alone.
    """
    there, backend = _devices(), keras.backend.backend()
    wanted = len(there) if count == ALL else count
    if wanted > 1 and backend not in ("tensorflow", "jax"):
        if count == ALL:
            return there[:1]
        raise ValueError(
            f"devices={count}: on {backend} a training has one; leave it out, or set KERAS_BACKEND to tensorflow or jax"
        )
    if wanted > len(there):
        has = f"{len(there)} device{'s' * (len(there) > 1)}"
        raise ValueError(f"devices={count}: this machine has {has} for {backend}; give fewer, or all")
    return there[:wanted]


def _devices() -> list[str]:
    """Names of the GPUs, or else of the CPUs, that the backend can train on."""
    there, backend = gpus(), keras.backend.backend()
    if there or backend == "torch":
        return there or ["cpu"]
    if backend == "jax":
        return keras.distribution.list_devices("cpu")
    import tensorflow as tf

    return [device.name for device in tf.config.list_logical_devices("CPU")]


def strategy(batch_size: int | str, count: int | str = ALL, accumulate: int = 1):
    """A context to build and load a model in, so that devices share its batches; with one device it does nothing.

    Where the environment variable TF_CONFIG names several machines, those of all of them share the batches.

    Args:
        batch_size: number of images in a batch, which the devices share, or "auto".
        count: number of this machine's devices, or "all".
        accumulate: number of batches whose gradients make a step.

    Raises:
        ValueError: there are not so many devices, they cannot share the batch evenly or accumulate gradients, or
            several machines would each find another batch.
    """
    if batch_size == AUTO and machines.several():
        raise ValueError(
            f"batch_size={AUTO}: several machines (TF_CONFIG) share a batch; give a number of images"
        )
    across = machines.strategy()
    devices = shared_devices(count)
    number = len(devices) if across is None else across.num_replicas_in_sync
    if batch_size != AUTO and batch_size % number:
        raise ValueError(
            f"batch_size={batch_size}: {number} devices share it; give a multiple of {number}, or fewer devices "
            "(--devices)"
        )
    check_accumulation(accumulate, number)
    if across is not None:
        return across.scope()
    if number < 2:
        return contextlib.nullcontext()
    if keras.backend.backend() == "jax":
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
        return contextlib.nullcontext()
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices).scope()


def check_accumulation(accumulate: int, number: int) -> None:
    """Refuses what Keras cannot do on TensorFlow: to gather gradients of several batches on several devices.

    Args:
        accumulate: number of batches whose gradients make a step.
        number: number of devices that share a batch.

    Raises:
        ValueError: it is asked for.
    """
    if accumulate > 1 and number > 1 and keras.backend.backend() == "tensorflow":
        raise ValueError(
            f"accumulate={accumulate}: on tensorflow gradients of {number} devices are not accumulated; leave it out, "
            "and give a larger batch, or one device (--devices 1)"
        )


def replicas(model: keras.Model) -> int:
    """Number of devices that share the batches of a model."""
    distribution = keras.distribution.distribution() if keras.backend.backend() == "jax" else None
    if distribution is not None:
        return math.prod(distribution.device_mesh.shape)
    return getattr(getattr(model, "distribute_strategy", None), "num_replicas_in_sync", 1)


def synchronize(model: keras.Model) -> None:
    """Lets batch normalisation go by the images of all devices, as it does where one has the whole batch.

    On JAX it does so by itself.

    Args:
        model: the model, built in the context of `strategy`.
    """
    together = keras.backend.backend() == "tensorflow" and replicas(model) > 1
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = together


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
