"""From Darknet's files to Keras and back: the same bytes, the same outputs."""

import struct

import keras
import numpy as np
import pytest
from small_networks import END, NET, NORM, conv

import kzoo
from kzoo import darknet

SMALL = {
    "convolution": conv(8, NORM) + conv(4),
    "local": conv(4) + "[local]\nfilters=6\nsize=3\nstride=2\npad=1\nactivation=leaky\n",
    "connected": "[connected]\noutput=7\nactivation=leaky\n",
    "connected, normalised": conv(4) + f"[connected]\noutput=7\n{NORM}\nactivation=relu\n",
    "shortcut, a weight a layer": conv(4) * 2 + "[shortcut]\nfrom=-2\nweights_type=per_feature\n",
    "shortcut, a weight a channel": conv(4) * 3
    + "[shortcut]\nfrom=-2,0\nweights_type=per_channel\nweights_normalization=softmax\n",
    "batchnorm": conv(4) + "[batchnorm]\n" + conv(3),
    "depthwise": conv(6) + conv(6, "groups=6", NORM),
    "depthwise, two filters a channel": conv(4) + conv(8, "groups=4"),
    "groups": conv(8) + conv(6, "groups=2", NORM),
    "shared": conv(4) + conv(4, NORM) + conv(4, "share_index=-1", NORM, "dilation=2") + conv(4, "share_index=1", NORM),
    "dilated and strided": conv(4, "dilation=2", "stride=2"),
    "unused": conv(4) + conv(3, NORM) + "[batchnorm]\n[route]\nlayers=0\n" + conv(4),
}  # fmt: skip


def outputs(model, images):
    return keras.ops.convert_to_numpy(model(images, training=False)["logits"])


@pytest.mark.parametrize("name", SMALL)
def test_the_same_bytes_and_the_same_outputs(name, files, images, tmp_path):
    cfg, weights = files(NET + SMALL[name] + END)
    model = darknet.load(cfg, weights)
    again = darknet.save(model, tmp_path / "again.weights")
    assert again == (tmp_path / "again.weights", tmp_path / "again.cfg")
    assert again[0].read_bytes() == weights.read_bytes()
    assert again[1].read_bytes() == cfg.read_bytes()
    wanted = outputs(model, images)
    assert np.ptp(wanted) > 0.01
    np.testing.assert_array_equal(outputs(darknet.load(again[1], again[0]), images), wanted)

    model.save(tmp_path / "model.keras")
    kept = kzoo.load(tmp_path / "model.keras")
    np.testing.assert_array_equal(outputs(kept, images), wanted)
    assert darknet.save(kept, tmp_path / "kept.weights")[0].read_bytes() == weights.read_bytes()
    assert (tmp_path / "kept.cfg").read_bytes() == cfg.read_bytes()


@pytest.mark.long
def test_a_real_detector(darknet_data, tmp_path):
    folder = darknet_data / "yolo-fastest-1.1"
    cfg, weights = folder / "yolo-fastest-1.1.cfg", folder / "yolo-fastest-1.1.weights"
    model = kzoo.load(cfg)
    darknet.save(model, tmp_path / "a.weights")
    assert (tmp_path / "a.weights").read_bytes() == weights.read_bytes()
    assert (tmp_path / "a.cfg").read_bytes() == cfg.read_bytes()
    model.save(tmp_path / "b.keras")
    darknet.save(kzoo.load(tmp_path / "b.keras"), tmp_path / "b.weights")
    assert (tmp_path / "b.weights").read_bytes() == weights.read_bytes()


@pytest.mark.parametrize(
    "header, seen, size",
    [
        ((0, 1, 0), 2**32 - 1, 16),
        ((0, 2, 0), 2**40 + 7, 20),
        ((0, 2, 5), 0, 20),
        ((1, 0, 3), 2**33, 20),
        ((0, 1001, 2), 64, 16),  # connected layers transposed, as in Darknet's first years
        ((1001, 0, 0), 65, 16),
    ],
)
def test_headers_stay(header, seen, size, images, tmp_path):
    cfg, weights = tmp_path / "a.cfg", tmp_path / "a.weights"
    cfg.write_text(NET + "[maxpool]\nsize=4\nstride=4\npadding=0\n" + END)
    beta, kernel = np.random.default_rng(0).normal(size=(2, 5, 36)).astype("<f4")
    beta = beta[:, 0]
    start = struct.pack("<3i" + ("Q" if size == 20 else "I"), *header, seen)
    stored = kernel.T if max(header) > 1000 else kernel
    weights.write_bytes(start + beta.tobytes() + stored.tobytes())
    assert len(start) == size

    model = darknet.load(cfg, weights)
    assert model.origin["seen"] == seen and tuple(model.origin["version"]) == header
    # Darknet's order of a flattened map is channels, rows, columns.
    pooled = images.reshape(2, 3, 4, 4, 4, 3).max((2, 4)).transpose(0, 3, 1, 2).reshape(2, -1) / 255
    np.testing.assert_allclose(outputs(model, images), pooled @ kernel.T + beta, atol=1e-4)
    model.save(tmp_path / "a.keras")
    darknet.save(kzoo.load(tmp_path / "a.keras"), tmp_path / "b.weights")
    assert (tmp_path / "b.weights").read_bytes() == weights.read_bytes()


def test_batchnorm_with_a_bias(files, images, tmp_path):
    """AlexeyAB's fork writes a bias before the others, pjreddie's none; the length of the file tells."""
    cfg, weights = files(NET + "[batchnorm]\n" + END)
    plain, header = outputs(darknet.load(cfg, weights), images), 20
    content, bias = weights.read_bytes(), np.array([0.5, -1.0, 2.0], "<f4")
    longer = tmp_path / "longer.weights"
    longer.write_bytes(content[:header] + bias.tobytes() + content[header:])
    model = darknet.load(cfg, longer)
    # What the bias adds goes through the connected layer.
    kernel = np.frombuffer(content, "<f4", offset=header + 4 * (9 + 5)).reshape(5, 3, -1)
    np.testing.assert_allclose(outputs(model, images) - plain, [kernel.sum(2) @ bias] * 2, atol=1e-4)
    model.save(tmp_path / "model.keras")
    darknet.save(kzoo.load(tmp_path / "model.keras"), tmp_path / "again.weights")
    assert (tmp_path / "again.weights").read_bytes() == longer.read_bytes()


def test_a_model_without_weights_is_written_as_well(files, images, tmp_path):
    cfg, _ = files(NET + SMALL["local"] + END)
    model = darknet.load(cfg)
    darknet.save(model, tmp_path / "new.weights")
    assert (tmp_path / "new.weights").read_bytes()[:20] == struct.pack("<3iQ", 0, 2, 5, 0)
    again = darknet.load(tmp_path / "new.cfg", tmp_path / "new.weights")
    np.testing.assert_array_equal(outputs(again, images), outputs(model, images))


FOLDED = {
    "plain": (conv(8, NORM) + conv(4), 1),
    "depthwise": (conv(6, NORM) + conv(6, "groups=6", NORM), 2),
    "depthwise, two filters a channel": (conv(4) + conv(8, "groups=4", NORM), 1),
    "groups": (conv(8, NORM) + conv(6, "groups=2", NORM, "stride=2"), 2),
    "cbn": (conv(8, "cbn=1"), 1),
    "what cannot be folded": (
        conv(4) + conv(4, NORM) + conv(4, "share_index=1", NORM)
        + "[batchnorm]\n[connected]\noutput=6\nbatch_normalize=1\n", 0,
    ),
    "before a shortcut": (conv(4, NORM) * 2 + "[shortcut]\nfrom=-2\nactivation=mish\n", 2),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDED)
def test_folding_changes_nothing_that_is_seen(name, files, images, tmp_path):
    text, count = FOLDED[name]
    cfg, weights = files(NET + text + END)
    plain, folded = darknet.load(cfg, weights), darknet.load(cfg, weights, fold=True)
    norms = [
        sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.network.layers)
        for model in (plain, folded)
    ]
    assert norms[0] - norms[1] == count
    wanted = outputs(plain, images)
    np.testing.assert_allclose(outputs(folded, images), wanted, atol=1e-4)
    darknet.save(folded, tmp_path / "folded.weights")
    assert (tmp_path / "folded.cfg").read_text().count("batch_normalize=0\n") == (
        count if name != "cbn" else 0
    )
    again = darknet.load(tmp_path / "folded.cfg", tmp_path / "folded.weights")
    assert (again.origin["seen"], again.network.count_params()) == (
        plain.origin["seen"], folded.network.count_params(),
    )  # fmt: skip
    np.testing.assert_array_equal(outputs(again, images), outputs(folded, images))


@pytest.mark.long
def test_folding_a_real_detector(darknet_data):
    model = kzoo.load(darknet_data / "yolo-fastest-1.1" / "yolo-fastest-1.1.cfg")
    folded = darknet.folded(model)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in folded.network.layers)
    images = np.random.default_rng(0).integers(0, 256, (1, 96, 64, 3)).astype(np.float32)
    ours, theirs = model(images, training=False), folded(images, training=False)
    for level in ours:
        np.testing.assert_allclose(theirs[level], ours[level], atol=1e-4)


PARTIAL = NET + conv(4, NORM) + conv(6) + "[maxpool]\n" + conv(5) + END
FLOATS = [16 + 108, 6 + 216, 0, 5 + 270]  # of the layers before [connected]


def test_partial_files(files, images, tmp_path):
    cfg, weights = files(PARTIAL)
    whole = darknet.load(cfg, weights)
    written = darknet.save(whole, tmp_path / "small-1.1.conv.3", stop_at=3)
    assert [path.name for path in written] == ["small-1.1.conv.3", "small-1.1.cfg"]
    content = weights.read_bytes()[: 20 + 4 * sum(FLOATS[:3])]
    assert written[0].read_bytes() == content

    def hidden(model):
        first = [layer for layer in model.network.layers if layer.name.startswith(("layer0_", "layer1_"))]
        return [weight for layer in first for weight in layer.get_weights()]

    other = tmp_path / "backbone.bin"
    other.write_bytes(content)
    keras.utils.set_random_seed(0)
    read = {
        "by its name": darknet.load(cfg, written[0]),
        "by the argument": darknet.load(cfg, other, stop_at=3),
        "one layer less": darknet.load(cfg, other, stop_at=2),
        "a longer file": darknet.load(cfg, weights, stop_at=3),
    }
    for model in read.values():
        assert len(hidden(model)) == 7
        for ours, theirs in zip(hidden(model), hidden(whole), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        # What the file does not hold is random, as in a new model.
        assert np.abs(outputs(model, images) - outputs(whole, images)).max() > 0.01
    first = darknet.load(cfg, weights, stop_at=1).network
    np.testing.assert_array_equal(
        first.get_layer("layer0_conv").kernel, whole.network.get_layer("layer0_conv").kernel
    )
    assert not np.array_equal(
        first.get_layer("layer1_conv").kernel, whole.network.get_layer("layer1_conv").kernel
    )


@pytest.mark.parametrize(
    "name, floats, stop_at, words",
    [
        ("a.conv.3", sum(FLOATS[:3]) - 1, None, ("cut off", "layer 1 [convolutional] on line 11")),
        ("a.conv.3", FLOATS[0], None, ("ends before layer 1", "give stop_at=1")),
        ("a.conv.3", sum(FLOATS[:3]) + 1, None, ("4 bytes are left over", "3 layers")),
        ("a.weights", sum(FLOATS[:3]), None, ("ends before layer 3", "give stop_at=3")),
        ("a.weights", FLOATS[0], 2, ("ends before layer 1", "2 layers")),
        ("a.weights", sum(FLOATS[:3]), 99, ("stop_at=99", "layers 0 to 5")),
        ("a.conv.0", sum(FLOATS[:3]), None, ("stop_at=0", "layers 0 to 5")),
    ],
)
def test_partial_files_that_end_elsewhere(name, floats, stop_at, words, files, tmp_path):
    cfg, weights = files(PARTIAL)
    path = tmp_path / "other" / name
    path.parent.mkdir()
    path.write_bytes(weights.read_bytes()[: 20 + 4 * floats])
    with pytest.raises(ValueError) as caught:
        darknet.load(cfg, path, stop_at=stop_at)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("stop_at", [0, -1, 7])
def test_a_stop_that_is_no_layer_writes_nothing(stop_at, files, tmp_path):
    cfg, weights = files(PARTIAL)
    model = darknet.load(cfg, weights)
    with pytest.raises(ValueError, match=rf"stop_at={stop_at}: small has layers 0 to 5"):
        darknet.save(model, tmp_path / "part.weights", stop_at=stop_at)
    assert not (tmp_path / "part.weights").exists()


def test_names_go_out_and_come_back(tmp_path):
    model = kzoo.build("yolov3-tiny", num_classes=2, width=0.25, names=["red cell", "Zelle"])
    weights, cfg = darknet.save(model, tmp_path / "cells.weights")
    assert (tmp_path / "cells.names").read_text() == "red cell\nZelle\n"
    assert darknet.load(cfg, weights).names == ["red cell", "Zelle"]
