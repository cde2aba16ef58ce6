"""Ray, where it is installed: a cluster that is there already, or one of this machine alone for the time of a block."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


def import_ray():
    """The package.

    Raises:
        ImportError: it is not installed; the message says how to.
    """
    # Ray's own words about its versions and its usage are none of the user's.
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "1")
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            f"{error.name}: is missing; more machines than one need pip install 'kzoo[ray]'"
        ) from error
    return ray


@contextlib.contextmanager
def cluster(least_cpus: int = 1) -> Iterator[None]:
    """Connects to the cluster that RAY_ADDRESS names, or starts one of this machine's, which ends with the block.

    One that the process is connected to already stays as it is.

    Args:
        least_cpus: number of CPUs that a cluster of this machine's counts at least, as many as there are workers.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield
        return
    options = {"log_to_driver": True, "logging_level": "error"}
    if not os.environ.get("RAY_ADDRESS"):
        count = max(least_cpus, os.cpu_count() or 1)
        options |= {"num_cpus": count, "include_dashboard": False, "address": "local"}
    ray.init(**options)
    try:
        yield
    finally:
        ray.shutdown()
