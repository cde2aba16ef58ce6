"""The multi-scale context module: exponentially growing views that at first change nothing."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

RATES = (1, 1, 2, 4, 8, 16, 1)
# Channels of the eight layers as multiples of the classes (table 1).
WIDTHS = {"basic": (1, 1, 1, 1, 1, 1, 1, 1), "large": (2, 2, 4, 8, 16, 32, 32, 1)}
NOISE = 0.01  # of the share that a channel has in its group: the paper's "much less"


@keras.saving.register_keras_serializable("kzoo")
class IdentityKernel(keras.initializers.Initializer):
    """A kernel that hands on what it gets, from groups of channels to groups of channels.

    Args:
        groups: number of groups, which the channels are multiples of. Where there is one channel a group on both sides
            the kernel is the identity; else a group's sum stays, and noise tells its channels apart.

    Source: Yu & Koltun 2016, arXiv:1511.07122, equations 4 and 5.
    """

    def __init__(self, groups: int):
        self.groups = groups

    def __call__(self, shape, dtype=None):
        height, width, inputs, outputs = shape
        # The group of each channel, (inputs,) and (outputs,).
        groups_in, groups_out = (np.arange(n) * self.groups // n for n in (inputs, outputs))
        share = self.groups / outputs
        kernel = np.zeros(shape, np.float32)
        kernel[height // 2, width // 2] = share * (groups_in[:, None] == groups_out)
        identity = ops.convert_to_tensor(kernel, dtype=dtype or "float32")
        if max(inputs, outputs) == self.groups:
            return identity
        noise = keras.initializers.RandomNormal(stddev=NOISE * share)(shape, dtype=dtype)
        return ops.where(identity == 0, noise, identity)

    def get_config(self):
        return {"groups": self.groups}


def context_module(x, size: str = "large", rates: Sequence[int] = RATES, name: str = "neck_context"):
    """Dilated 3x3 convolutions and a 1x1 one, from maps of classes to maps of classes.

    Args:
        x: (B, H, W, classes) scores of the classes.
        size: "basic", as many channels throughout as classes, or "large" (default), up to 32 times as many.
        rates: seven dilations, 1 or more, the paper's by default.
        name: prefix of the layers' names, which end in their number; "neck_context" by default.

    Returns:
        (B, H, W, classes).

    Raises:
        ValueError: the size is unknown, or the rates are not seven.

    Source: Yu & Koltun 2016, arXiv:1511.07122, section 3, table 1.
    """
    if size not in WIDTHS:
        raise ValueError(f"context={size!r}; give {' or '.join(map(repr, WIDTHS))}")
    if len(rates) != len(RATES):
        raise ValueError(f"rates={tuple(rates)}: the context module has seven, such as {RATES}")
    classes = x.shape[-1]
    for number, (multiple, rate) in enumerate(zip(WIDTHS[size], (*rates, 1), strict=True), 1):
        last = number == len(WIDTHS[size])
        x = layers.Conv2D(
            multiple * classes,
            1 if last else 3,
            padding="same",
            dilation_rate=rate,
            activation=None if last else "relu",
            kernel_initializer=IdentityKernel(classes),
            name=f"{name}_conv{number}",
        )(x)
    return x
