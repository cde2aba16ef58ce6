"""Sections, keys and activations that Darknet's best-known cfgs lack, in small cfgs against the NumPy reference."""

import keras
import numpy as np
import pytest
from darknet_reference import forward, random_weights

from kzoo import darknet
from kzoo.darknet.sections import ACTIVATIONS

NET = "[net]\nwidth=24\nheight=16\nchannels=3\n"
# A connected layer sees where every number lies; an average would not.
END = "\n[connected]\noutput=5\nactivation=linear\n[softmax]\n"


def section(kind, **keys):
    """A section's text; `from_` is the key `from`."""
    return f"[{kind}]\n" + "".join(f"{key.rstrip('_')}={value}\n" for key, value in keys.items())


def conv(filters=8, size=3, activation="leaky", **keys):
    """A `[convolutional]` section's text."""
    keys = {"filters": filters, "size": size, "pad": 1, "activation": activation} | keys
    return section("convolutional", **keys)


CONVOLUTIONS = {
    "groups": conv() + conv(12, groups=4),
    "depthwise": conv() + conv(8, groups=8, batch_normalize=1),
    "depthwise, two filters a channel": conv() + conv(16, groups=8, stride=2),
    "strides": conv(stride_x=2, stride_y=1) + conv(stride_x=3) + conv(stride=2, stride_y=1),
    "padding": conv(pad=0, padding=2) + conv(pad=0) + conv(pad=1, padding=5),
    "even window": conv(size=2) + conv(size=4, stride=2) + conv(size=2, pad=0, stride=2),
    "large window": conv(size=11, stride=4, pad=0),
    "stride 3": conv(size=5, stride=3),
    "dilation": conv(dilation=2) + conv(dilation=3, stride=2) + conv(size=1, dilation=2),
    "cbn": conv(cbn=1),
    "shared": conv() + conv(batch_normalize=1) + conv(share_index=1, batch_normalize=1, dilation=2)
    + conv(share_index=-2, batch_normalize=1, activation="mish"),
    "defaults": "[convolutional]\nfilters=4\n[convolutional]\nsize=3\npad=1\nfilters=2\n",
}  # fmt: skip
POOLS = [
    (kind, keys)
    for kind in ("maxpool", "local_avgpool")
    for keys in (
        {"size": 2, "stride": 1}, {"size": 2, "stride": 2}, {"size": 3, "stride": 2}, {"size": 3, "stride": 3},
        {"size": 4, "stride": 1}, {"size": 5, "stride": 4}, {"stride": 3}, {"size": 3, "stride": 2, "padding": 0},
        {"size": 3, "stride": 2, "padding": 1}, {"size": 2, "stride_x": 2, "stride_y": 1},
        {"size": 5, "stride": 1, "padding": 2}, {"size": 1, "stride": 2},
    )
]  # fmt: skip
SHORTCUTS = {
    "fewer channels": conv(4) + conv(8) + section("shortcut", from_=-2, activation="leaky"),
    "more channels": conv(8) + conv(4) + section("shortcut", from_=0),
    "more channels, weighted": conv(8) + conv(4)
    + section("shortcut", from_=0, weights_type="per_channel", weights_normalization="relu"),
    "larger map": conv() + conv(stride=2) + section("shortcut", from_=-2),
    "larger map, fewer channels": conv(4) + conv(8, stride=2) + section("shortcut", from_=-2),
    "smaller map": conv(stride=2) + conv() + section("upsample", stride=2) + section("shortcut", from_=0),
    "several": conv() + conv() + conv() + section("shortcut", from_="0, -2", activation="mish"),
    **{
        f"weighted, {kind}, {how}": conv() + conv() + conv()
        + section("shortcut", from_="-2,0", weights_type=kind, weights_normalization=how)
        for kind in ("per_feature", "per_channel")
        for how in ("relu", "softmax")
    },
}  # fmt: skip
OTHERS = {
    "upsample": conv(stride=2) + section("upsample", stride=3),
    "upsample, scaled": conv(stride=2) + "[upsample]\nscale=.5\n",
    "route, group": conv(8) + conv(4) + section("route", layers="-1,0", groups=2, group_id=1),
    "route, mixed": conv(4) + conv(3) + conv(2) + section("route", layers="-1, 0, -2,"),
    "reorg": conv(8) + section("reorg", stride=2),
    "reorg 4": conv(16) + section("reorg", stride=4),
    "reorg3d": conv(5) + section("reorg3d", stride=2),
    "reorg3d 4": conv(3) + section("reorg3d", stride=4),
    "scale_channels": conv(8) + section("avgpool") + conv(2, 1) + conv(8, 1, "logistic")
    + section("scale_channels", from_=-4, activation="relu"),
    "scale_channels, map": conv(8) + conv(1, activation="logistic") + section("scale_channels", from_=-2, scale_wh=1),
    "sam": conv(8) + conv(8, activation="logistic") + section("sam", from_=-2),
    "dropout": conv() + section("dropout", probability=0.5) + conv() + section("shortcut", from_=-3),
    "dropblock": conv() + section("dropout", probability=0.5, dropblock=1, dropblock_size_abs=3),
    "batchnorm": conv() + section("batchnorm"),
    "batchnorm, linear": conv(activation="linear") + section("batchnorm"),
    "activation": conv(activation="linear") + section("activation", activation="mish"),
    "crop": section("crop", crop_height=13, crop_width=20) + conv(),
    "crop, as it is": section("crop", crop_height=12, crop_width=12, noadjust=1, flip=1) + conv(),
    "unused": conv(4) + conv(3, batch_normalize=1) + "[batchnorm]\n" + conv(2) + section("route", layers=0) + conv(4),
    "empty": conv() + "[empty]\n" + conv() + "[silence]\n",
    "connected": section("connected", output=7, activation="tanh") + section("connected", output=9),
    "connected, normalised": conv() + section("connected", output=7, activation="relu", batch_normalize=1),
    "connected to convolution": section("connected", output=7, activation="relu") + conv(4, 1),
    "local": conv(4) + section("local", filters=6, size=3, pad=1, activation="leaky"),
    "local, stride": conv(4) + section("local", filters=6, size=3, stride=2, pad=1),
    "local, no padding": conv(4) + section("local", filters=3, size=2, activation="relu"),
    "l2norm": conv(4) + "[l2norm]\n" + conv(3),
    "aliases": "[conv]\nsize=3\nfilters=6\n[max]\nstride=2\n[local_avg]\nsize=2\n[avg]\n[conn]\noutput=4\n",
}  # fmt: skip
ALL = {
    **{f"convolutional: {name}": text for name, text in CONVOLUTIONS.items()},
    **{f"{kind} {keys}": conv(4) + section(kind, **keys) for kind, keys in POOLS},
    **{f"shortcut: {name}": text for name, text in SHORTCUTS.items()},
    **OTHERS,
}


def check(text, folder, height=16, width=24, of=0):
    """Whether logits equal the reference's, and the weights are written back as they were read."""
    rng = np.random.default_rng(0)
    cfg, weights = folder / "small.cfg", folder / "small.weights"
    cfg.write_text(text)
    random_weights(cfg, weights, rng)
    images = rng.integers(0, 256, (2, height, width, 3)).astype(np.float32)
    heads, _ = forward(cfg, weights, images.transpose(0, 3, 1, 2) / 255)
    model = darknet.load(cfg, weights)
    got = keras.ops.convert_to_numpy(model(images, training=False)["logits"])
    theirs = heads[of].reshape(got.shape)
    assert np.ptp(theirs) > 0.01
    difference = np.abs(got - theirs).max()
    assert difference <= 1e-5 * max(1, np.abs(theirs).max()), difference
    darknet.save(model, folder / "again.weights")
    assert (folder / "again.weights").read_bytes() == weights.read_bytes()
    return cfg, weights, images, got


@pytest.mark.parametrize("name", ALL)
def test_section(name, tmp_path):
    check(NET + ALL[name] + END, tmp_path)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation(activation, tmp_path):
    # Wide enough that every piece of a piecewise function is met.
    wide = conv(3, 1, "linear") + section("shortcut", from_="0,0,0,0,0,0")
    check(NET + wide + conv(8, 3, activation) + END, tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "convolutional: depthwise",
        "convolutional: shared",
        "batchnorm",
        "batchnorm, linear",
        "connected, normalised",
        "unused",
    ],
)
def test_folded(name, tmp_path):
    """Folding leaves outputs unchanged, and what is written is a network with those outputs."""
    cfg, weights, images, plain = check(NET + ALL[name] + END, tmp_path)
    model = darknet.load(cfg, weights, fold=True)
    written, description = darknet.save(model, tmp_path / "folded.weights")
    for folded in (model, darknet.load(description, written)):
        got = keras.ops.convert_to_numpy(folded(images, training=False)["logits"])
        np.testing.assert_allclose(got, plain, atol=1e-4 * max(1, np.abs(plain).max()))


def test_temperature(tmp_path):
    cfg, weights = tmp_path / "warm.cfg", tmp_path / "warm.weights"
    cfg.write_text(NET + conv() + END + "temperature=2.5\n[cost]\ntype=sse\n")
    rng = np.random.default_rng(0)
    random_weights(cfg, weights, rng)
    images = rng.integers(0, 256, (1, 16, 24, 3)).astype(np.float32)
    _, last = forward(cfg, weights, images.transpose(0, 3, 1, 2) / 255)
    scores = darknet.load(cfg, weights).predict(images, verbose=0)["scores"]
    np.testing.assert_allclose(np.sort(scores.reshape(-1)), np.sort(last.reshape(-1)), atol=1e-5)


def test_classes_that_do_not_exclude_each_other(tmp_path):
    text = NET + conv() + END.replace("[softmax]", "[logistic]") + "[cost]\ntype=sse\n"
    cfg, weights, images, _ = check(text, tmp_path)
    _, last = forward(cfg, weights, images.transpose(0, 3, 1, 2) / 255)
    model = darknet.load(cfg, weights)
    found = model.predict(images, verbose=0)
    np.testing.assert_allclose(found["scores"], last.reshape(found["scores"].shape), atol=1e-5)
    np.testing.assert_array_equal(found["label"], found["scores"].argmax(-1))
    # Each class by itself: the sum of binary cross-entropies, a mean over images.
    true = np.array([[1, 0, 1, 0, 0], [0, 0, 0, 0, 1]], np.float32)
    p = last.reshape(2, 5)
    loss = -(true * np.log(p) + (1 - true) * np.log(1 - p)).sum(-1).mean()
    got = model.head.loss({"label": true}, model(images, training=False))["class"]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(got), loss, rtol=1e-4)


def test_a_logistic_within_a_network(tmp_path):
    check(NET + conv(4) + "[logistic]\n" + conv(3) + END, tmp_path, of=-1)


def test_one_channel(tmp_path):
    """Grey of what is red, green and blue, by the weights of television; weights for one channel."""
    cfg, weights = tmp_path / "grey.cfg", tmp_path / "grey.weights"
    cfg.write_text(NET.replace("channels=3", "channels=1") + conv() + conv(4, stride=2) + END)
    rng = np.random.default_rng(0)
    random_weights(cfg, weights, rng)
    images = rng.integers(0, 256, (2, 16, 24, 3)).astype(np.float32)
    grey = (images @ np.array([0.299, 0.587, 0.114]))[:, None] / 255
    heads, _ = forward(cfg, weights, grey)
    model = darknet.load(cfg, weights)
    got = keras.ops.convert_to_numpy(model(images, training=False)["logits"])
    np.testing.assert_allclose(got, heads[0].reshape(got.shape), atol=1e-5)
    assert darknet.save(model, tmp_path / "again.weights")[1].read_text() == cfg.read_text()
    assert (tmp_path / "again.weights").read_bytes() == weights.read_bytes()


def test_old_spelling_and_first_of_two(tmp_path):
    """Odd ways to write that the forks' own cfgs have."""
    odd = (
        "[network]\n width = 24#px\nheight=16\n\tchannels=3 ; RGB\nheight=99\nseen = 0\n"
        "[ convolutional ]\nfilters=8#filters=255#filters=(classes+5)*3\nsize = 3\npad=1\nactivation=leaky\n"
        "[convolutional]\nfilters=4\nactivation=relu\n[route]\nlayers = -1, 0 ###P6\n"
    )
    plain = (
        NET + conv() + section("convolutional", filters=4, activation="relu") + section("route", layers="1,0")
    )
    texts = {"odd": odd + END, "crlf": (odd + END).replace("\n", "\r\n"), "plain": plain + END}
    outputs = []
    weights = tmp_path / "same.weights"
    images = np.random.default_rng(0).integers(0, 256, (1, 16, 24, 3)).astype(np.float32)
    for name, text in texts.items():
        cfg = tmp_path / f"{name}.cfg"
        cfg.write_bytes(text.encode())
        if name == "odd":
            random_weights(cfg, weights, np.random.default_rng(1))
        outputs.append(np.asarray(darknet.load(cfg, weights)(images, training=False)["logits"]))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], outputs[2])
