"""How much memory there is, and what would not fit into it, told before it is asked for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_BYTES_A_PIXEL = 15  # three channels: uint8 as it is read, float32 as the network takes it


def machine_memory() -> int | None:
    """Bytes that this process may have at most: the machine's, or its container's; None where nobody tells."""
    known = []
    with contextlib.suppress(AttributeError, ValueError, OSError):
        known.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in map(Path, _LIMITS):
        try:
            known.append(int(path.read_text()))
        except (ValueError, OSError):  # there is none, or it says "max"
            continue
    return min(known, default=None)


def check_batch(batch_size: int, image_size: Sequence[int], more: int = 0, name: str = "batch_size") -> None:
    """Refuses a batch that cannot fit into memory, before anything of it is made.

    Args:
        batch_size: number of images in the batch.
        image_size: height and width in pixels.
        more: bytes for each image that are needed besides the images themselves, 0 by default.
        name: what the option is called in the message, "batch_size" by default.

    Raises:
        ValueError: it cannot fit; the message says what it would need at least, and how many images could fit.
    """
    height, width = image_size
    each, memory = _BYTES_A_PIXEL * height * width + more, machine_memory()
    if memory is None or batch_size * each <= memory:
        return
    fits = memory // each
    remedy = f"give {fits} or less" if fits else "give a smaller image_size"
    needed = _gigabytes(batch_size * each)
    raise ValueError(
        f"{name}={batch_size}: {batch_size} images of {width}x{height} pixels would need {needed} "
        f"at least, and this machine has {_gigabytes(memory)}; {remedy}"
    )


def _gigabytes(count: float) -> str:
    return f"{count / 2**30:,.0f} GiB" if count >= 10 * 2**30 else f"{count / 2**30:.1f} GiB"
