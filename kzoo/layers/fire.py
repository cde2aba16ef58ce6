"""Fire modules: few channels, which a pointwise and a depthwise convolution side by side make many of."""

from __future__ import annotations

from keras import layers

from kzoo.layers.residual import batch_normalization, conv_bn, relu_initializer


def fire_block(x, filters: int, name: str, stride: int = 1):
    """A 1x1 convolution to half of the channels, then a 1x1 and a depthwise 3x3 one, whose results stand side by side.

    Args:
        x: (B, H, W, C) maps.
        filters: even number of output channels.
        name: prefix of the layers' names.
        stride: pixels between neighbouring windows of the two, 1 (default) or 2; at 1, and with as many channels as
            before, what went in is added.

    Returns:
        (B, ceil(H / stride), ceil(W / stride), filters).

    Source: Law et al. 2019, CornerNet-Lite, arXiv:1904.08900, section 5.2; Iandola et al. 2016, SqueezeNet,
        arXiv:1602.07360.
    """
    half = filters // 2
    narrow = conv_bn(x, half, 1, f"{name}_squeeze_{{}}", activation=False)
    settings = {"strides": stride, "use_bias": False}
    point = layers.Conv2D(
        half, 1, kernel_initializer=relu_initializer(), name=f"{name}_point_conv", **settings
    )(narrow)
    # TensorFlow's "same" pads stride 2 unlike torch.
    padded = layers.ZeroPadding2D(1, name=f"{name}_pad")(narrow) if stride > 1 else narrow
    depth = layers.DepthwiseConv2D(
        3,
        padding="valid" if stride > 1 else "same",
        depthwise_initializer=relu_initializer(),
        name=f"{name}_depth_conv",
        **settings,
    )(padded)
    wide = layers.Concatenate(name=f"{name}_beside")([point, depth])
    wide = batch_normalization("trained", f"{name}_beside_bn")(wide)
    if stride == 1 and x.shape[-1] == filters:
        wide = layers.Add(name=f"{name}_add")([wide, x])
    return layers.ReLU(name=f"{name}_relu")(wide)
