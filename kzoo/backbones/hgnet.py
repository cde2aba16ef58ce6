"""HGNetV2: image -> list of feature maps, finest first; each block hands on what all of its layers made."""

from __future__ import annotations

from dataclasses import dataclass, replace

from keras import layers

from kzoo.layers.channel_scale import LearntAffine
from kzoo.layers.conv import repeats, scaled
from kzoo.layers.residual import batch_normalization, relu_initializer


@dataclass(frozen=True)
class HGNet:
    """One variant.

    Attributes:
        stem: channels of the stem's convolutions, and of the last of them.
        stages: channels of a block's layers, those of the block, and the number of blocks, of each stage.
        depth: number of layers of a block.
        affine: whether a learned factor and a learned number follow each ReLU.
    """

    stem: tuple[int, int]
    stages: tuple[tuple[int, int, int], ...]
    depth: int = 6
    affine: bool = False


_LARGE = HGNet((32, 48), ((48, 128, 1), (96, 512, 1), (192, 1024, 3), (384, 2048, 1)))
_LARGER = HGNet((32, 64), ((64, 128, 1), (128, 512, 2), (256, 1024, 5), (512, 2048, 2)))
HGNETS = {
    "hgnetv2-b0": HGNet((16, 16), ((16, 64, 1), (32, 256, 1), (64, 512, 2), (128, 1024, 1)), 3, True),
    "hgnetv2-b2": HGNet((24, 32), ((32, 96, 1), (64, 384, 1), (128, 768, 3), (256, 1536, 1)), 4, True),
    "hgnetv2-b4": replace(_LARGE, affine=True),
    "hgnetv2-b5": replace(_LARGER, affine=True),
    "hgnetv2-l": _LARGE,
    "hgnetv2-x": _LARGER,
    "hgnetv2-h": HGNet((48, 96), ((96, 192, 2), (192, 512, 3), (384, 1024, 6), (768, 2048, 3))),
}
_LIGHT_FROM = (
    3  # the stage from which on layers are a 1x1 and a depthwise 5x5 convolution rather than a 3x3 one
)


def hgnet(
    images,
    variant: str = "hgnetv2-l",
    output_stride: int = 32,
    width: float = 1.0,
    depth: float = 1.0,
    stem: bool = False,
    batch_norm: str = "trained",
) -> list:
    """HGNetV2 without its classifier.

    Args:
        images: (B, H, W, 3) float, already normalised; H and W multiples of the output stride.
        variant: one of `HGNETS`, "hgnetv2-l" by default; "hgnetv2-b0" to "-b5" are D-FINE's, with learned factors.
        output_stride: stride of the last stage: 32 (default); or 16 or 8: the last stages dilate their kernels in the
            place of their strides.
        width: factor of the channels, above 0, 1 by default.
        depth: factor of the blocks of a stage, above 0, 1 by default.
        stem: whether the list begins with the first convolution's output, at stride 2; False by default.
        batch_norm: kind of batch normalisation, "trained" (default), "frozen" or "synchronized": see
            `kzoo.layers.residual.batch_normalization`.

    Returns:
        The outputs of the four stages: strides 4, 8, 16 and 32, or less where dilated; of "hgnetv2-l" with 128, 512,
        1024 and 2048 channels at width 1.

    Source: PaddleDetection's and RT-DETR's HGNetV2: Zhao et al. 2023, arXiv:2304.08069; with learned factors D-FINE:
        Peng et al. 2024, arXiv:2410.13842.
    """
    known = HGNETS[variant]
    unit = _Unit(batch_norm, known.affine)
    first, x = _stem(images, unit, *(scaled(channels, width) for channels in known.stem))
    features = [first] if stem else []
    reached, dilation = 4, 1
    for stage, (inner, outer, count) in enumerate(known.stages, 1):
        if stage > 1:
            stride, before = 2, dilation
            if reached * stride > output_stride:
                stride, dilation = 1, dilation * 2
            reached *= stride
            name = f"backbone_stage{stage}_down"
            x = unit(x, None, 3, name, stride, before, activation=False)
        for block in range(repeats(count, depth)):
            name, channels = f"backbone_stage{stage}_{block}", (scaled(inner, width), scaled(outer, width))
            made = _block(x, unit, channels, name, known.depth, stage >= _LIGHT_FROM, dilation)
            x = layers.Add(name=f"{name}_add")([made, x]) if block else made
        features.append(x)
    return features


@dataclass(frozen=True)
class _Unit:
    """Convolution, batch normalisation, ReLU, and where asked for what is learned behind it."""

    batch_norm: str
    affine: bool

    def __call__(
        self,
        x,
        filters: int | None,
        size: int,
        name: str,
        stride: int = 1,
        dilation: int = 1,
        activation: bool = True,
        padding: str = "same",
    ):
        """(B, H, W, C) to (B, H / stride, W / stride, filters), depthwise where `filters` is None."""
        if stride > 1:
            x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
            padding = "valid"
        settings = {"padding": padding, "use_bias": False, "name": f"{name}_conv"}
        if filters is None:
            x = layers.DepthwiseConv2D(
                size, stride, dilation_rate=dilation, depthwise_initializer=relu_initializer(), **settings
            )(x)
        else:
            x = layers.Conv2D(
                filters,
                size,
                stride,
                dilation_rate=dilation,
                kernel_initializer=relu_initializer(),
                **settings,
            )(x)
        x = batch_normalization(self.batch_norm, f"{name}_bn")(x)
        if not activation:
            return x
        x = layers.ReLU(name=f"{name}_relu")(x)
        return LearntAffine(name=f"{name}_affine")(x) if self.affine else x


def _stem(images, unit: _Unit, inner: int, outer: int) -> tuple:
    """What the first convolution makes at stride 2, and what the stem makes of it at stride 4."""
    first = unit(images, inner, 3, "backbone_stem1", 2)
    # A row and a column of zeros after the last ones, which count in the maximum, too.
    after = ((0, 1), (0, 1))
    padded = layers.ZeroPadding2D(after, name="backbone_stem2a_pad")(first)
    x = unit(padded, inner // 2, 2, "backbone_stem2a", padding="valid")
    x = layers.ZeroPadding2D(after, name="backbone_stem2b_pad")(x)
    x = unit(x, inner, 2, "backbone_stem2b", padding="valid")
    pooled = layers.MaxPooling2D(2, 1, name="backbone_stem_pool")(padded)
    x = layers.Concatenate(name="backbone_stem_concat")([pooled, x])
    x = unit(x, inner, 3, "backbone_stem3", 2)
    return first, unit(x, outer, 1, "backbone_stem4")


def _block(x, unit: _Unit, channels: tuple[int, int], name: str, depth: int, light: bool, dilation: int):
    """Layers in a row, all of whose outputs two 1x1 convolutions join: (B, H, W, C) to (B, H, W, channels[1])."""
    inner, outer = channels
    made = [x]
    for i in range(depth):
        if light:
            point = unit(made[-1], inner, 1, f"{name}_layer{i}_point", activation=False)
            made.append(unit(point, None, 5, f"{name}_layer{i}_depth", dilation=dilation))
        else:
            made.append(unit(made[-1], inner, 3, f"{name}_layer{i}", dilation=dilation))
    x = layers.Concatenate(name=f"{name}_concat")(made)
    x = unit(x, outer // 2, 1, f"{name}_squeeze")
    return unit(x, outer, 1, f"{name}_excite")
