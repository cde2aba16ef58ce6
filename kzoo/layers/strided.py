"""1x1 convolutions that see every other pixel only."""

from __future__ import annotations

from keras import layers

# oneDNN, which TensorFlow computes with on processors, writes a block of so many channels for maps of fewer, beyond
# the end of its memory, as it computes the gradient of such a convolution's kernel: crashes, and wrong gradients
# (https://github.com/uxlfoundation/oneDNN/issues/6035).
BLOCK = 16


def seen_pixels(x, size: int, strides: tuple[int, int], name: str):
    """The pixels that a convolution looks at, and the strides that remain, where it is better not left to skip them.

    Those of a 1x1 convolution with a stride, of maps of fewer than 16 channels; all pixels and the strides otherwise.

    Args:
        x: (B, H, W, C) maps.
        size: side of the kernel in pixels.
        strides: pixels between neighbouring windows, along y and along x.
        name: name of the layer that picks pixels.

    Returns:
        (B, ceil(H / strides[0]), ceil(W / strides[1]), C) maps and strides of 1, or what was given.
    """
    if size > 1 or max(strides) == 1 or x.shape[-1] >= BLOCK:
        return x, strides
    return layers.MaxPooling2D(1, strides, name=name)(x), (1, 1)
