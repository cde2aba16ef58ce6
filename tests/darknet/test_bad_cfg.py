"""Descriptions and weights that are wrong: one line that names file and line, or file and sizes, and nothing built."""

import struct
import tracemalloc

import numpy as np
import pytest

from kzoo import darknet
from kzoo.darknet import cfg, planning

LINES = """\
[net]
width=64
height=64
channels=3

[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky

[convolutional]
filters=16
size=3
stride=2
pad=1
activation=mish

[route]
layers=-1

[convolutional]
filters=21
size=1
activation=linear

[yolo]
mask=0,1,2
anchors=10,13, 16,30, 33,23
classes=2
num=3
""".splitlines()
FLOATS = (8 * 4 + 8 * 27) + (16 + 16 * 72) + (21 + 21 * 16)


def changed(line, *to):
    """The description with a line, counted from 1, replaced."""
    return "\n".join([*LINES[: line - 1], *to, *LINES[line:]]) + "\n"


def added(*lines):
    """The description with lines behind it; their first is line 34."""
    return "\n".join([*LINES, *lines]) + "\n"


def refusal(content, folder, call=lambda path: planning.make_plan(cfg.read(path))):
    """The one line of the error that a file gives."""
    path = folder / "bad.cfg"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError) as caught:
        call(path)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 400
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


# What stands there, the line that is named, words of the message.
BAD = {
    "nothing at all": ("", 0, "[net]"),
    "comments alone": ("# nothing\n; at all\n", 0, "[net]"),
    "no [net]": ("\n".join(LINES[5:]), 1, "[net]"),
    "[net] alone": ("[net]\nwidth=64\nheight=64\nchannels=3\n", 1, "layer"),
    "[net] twice": (added("[net]", "width=32"), 34, "line 1"),
    "a line before any section": ("batch=1\n" + "\n".join(LINES), 1, "section"),
    "no head": ("\n".join(LINES[:27]), 24, "head"),
    "no width": (changed(2), 1, "width"),
    "width=0": (changed(2, "width=0"), 2, "width=0"),
    "a huge image": (changed(2, "width=1000000"), 2, "width=1000000"),
    "four channels": (changed(4, "channels=4"), 4, "channels=4"),
    "filters=0": (changed(8, "filters=0"), 8, "filters=0"),
    "filters=-8": (changed(8, "filters=-8"), 8, "filters=-8"),
    "2 GB of filters": (changed(8, "filters=2147483647"), 8, "filters=2147483647"),
    "more filters than an int": (changed(8, "filters=99999999999999999999999"), 8, "filters"),
    "filters of 300 digits": (changed(8, "filters=" + "9" * 300), 8, "filters"),
    "filters in words": (changed(8, "filters=many"), 8, "filters=many"),
    "half a filter": (changed(8, "filters=8.5"), 8, "filters=8.5"),
    "no value": (changed(8, "filters="), 8, "filters="),
    "no equals sign": (changed(8, "filters 8"), 8, "filters8"),
    "no key": (changed(8, "=8"), 8, "=8"),
    "weights of terabytes": (changed(15, "filters=200000", "size=1023"), 14, "weights"),
    "size=0": (changed(9, "size=0"), 9, "size=0"),
    "stride=0": (changed(10, "stride=0"), 10, "stride=0"),
    "stride=-2": (changed(10, "stride=-2"), 10, "stride=-2"),
    "a negative padding": (changed(11, "padding=-1"), 11, "padding=-1"),
    "a window that looks beyond": (changed(16, "size=41", "pad=0"), 14, "small"),
    "groups that do not divide": (changed(16, "size=3", "groups=3"), 17, "groups=3"),
    "an unknown activation": (changed(12, "activation=leeky"), 12, "activation=leeky"),
    "an unknown section": (changed(14, "[convolutionnal]"), 14, "[convolutional]"),
    "another unknown section": (added("[yolo_bdp]"), 34, "yolo_bdp"),
    "a section that is not built": (added("[lstm]", "output=3"), 34, "lstm"),
    "a key that is not built": (changed(9, "size=3", "xnor=1"), 10, "xnor=1"),
    "a section left open": (changed(14, "[convolutional"), 14, "[convolutional"),
    "more behind a section": (changed(14, "[convolutional] filters=3"), 14, "convolutional"),
    "a section without a name": (changed(14, "[]"), 14, "[]"),
    "anchors over several lines": (changed(31, "anchors=10,13,", "16,30,33,23"), 32, "16,30,33,23"),
    "a layer of itself": (changed(22, "layers=2"), 22, "cycle"),
    "a later layer": (changed(22, "layers=3"), 22, "cycle"),
    "a layer far behind the last": (changed(22, "layers=99"), 22, "99"),
    "a layer before the first": (changed(22, "layers=-9"), 22, "-9"),
    "no layers": (changed(22), 21, "layers"),
    "layers in words": (changed(22, "layers=-1,two"), 22, "two"),
    "a hole among layers": (changed(22, "layers=-1,,0"), 22, "layers"),
    "half a layer": (changed(22, "layers=-.5"), 22, "layers=-.5"),
    "layers of two sizes": (changed(22, "layers=-1,0"), 22, "32x32"),
    "a group that is not there": (changed(22, "layers=-1", "groups=2", "group_id=2"), 24, "group_id=2"),
    "groups of a route that do not divide": (changed(22, "layers=-1", "groups=3"), 23, "groups=3"),
    "a shortcut without from": (changed(21, "[shortcut]").replace("layers=-1", "activation=linear"), 21, "from"),
    "a shortcut to the first layer from itself": (changed(6, "[shortcut]", "from=0", "[convolutional]"), 7, "from"),
    "the head's filters": (changed(25, "filters=255"), 25, "filters=21"),
    "an anchor that is not there": (changed(30, "mask=0,1,3"), 30, "mask=0,1,3"),
    "a negative anchor": (changed(30, "mask=-1,0,1"), 30, "mask=-1,0,1"),
    "an anchor twice": (changed(30, "mask=0,1,1"), 30, "mask=0,1,1"),
    "too few anchors": (changed(31, "anchors=10,13, 16,30"), 31, "num=3"),
    "no anchors": (changed(31), 29, "anchors"),
    "anchors of nothing": (changed(31, "anchors=10,13, 0,30, 33,23"), 31, "anchors"),
    "anchors that are no numbers": (changed(31, "anchors=10,13, nan,30, 33,23"), 31, "nan"),
    "classes=0": (changed(32, "classes=0"), 32, "classes=0"),
    "num=0": (changed(33, "num=0"), 33, "num=0"),
    "num=2147483647": (changed(33, "num=2147483647"), 33, "num"),
    "an unknown loss": (added("iou_loss=siou"), 34, "iou_loss=siou"),
    "an unknown suppression": (added("nms_kind=softnms"), 34, "nms_kind=softnms"),
    "a section behind a head": (added("[upsample]", "stride=2"), 34, "[route]"),
    "a route to a head": (added("[route]", "layers=-1"), 35, "head"),
    "an image that grows without end": (changed(21, *["[upsample]", "stride=8"] * 5, "[route]"), 25, "upsample"),
    "no text": (changed(8, "filters=8\0"), 8, "UTF-8"),
    "Latin-1": (changed(8, "filters=\xe9").encode("latin-1"), 8, "UTF-8"),
    "UTF-16": ("\n".join(LINES).encode("utf-16"), 1, "UTF-8"),
    "a weights file": (struct.pack("<3iQ", 0, 2, 5, 64) + np.ones(99, np.float32).tobytes(), 1, "UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_cfg(name, tmp_path):
    content, line, words = BAD[name]
    message = refusal(content, tmp_path)
    assert message.startswith(f":{line}: " if line else ": "), message
    assert words in message, message


@pytest.mark.parametrize(
    "section, line, words",
    [
        ("[crop]\ncrop_height=15\ncrop_width=15\n[shortcut]\nfrom=0", 18, "32x32"),
        ("[sam]\nfrom=0", 15, "from"),
        ("[scale_channels]\nfrom=0", 15, "from"),
        ("[reorg]\nstride=3", 15, "stride=3"),
        ("[maxpool]\nsize=0", 15, "size=0"),
        ("[maxpool]\nsize=2\npadding=9", 16, "padding=9"),
        ("[upsample]\nstride=-2", 15, "stride=-2"),
        ("[dropout]\nprobability=1", 15, "probability=1"),
        ("[crop]\ncrop_height=99\ncrop_width=9", 15, "crop_height=99"),
        ("[local]\nfilters=99999\nsize=3\npad=1", 14, "weights"),
        ("[connected]\noutput=2147483647", 15, "output=2147483647"),
        ("[detection]\nclasses=3\ncoords=4\nnum=2", 14, "[connected]"),
        ("[region]\nclasses=3\nanchors=1,2\ncoords=5", 17, "coords=5"),
        ("[softmax]\n[route]\nlayers=0", 15, "softmax"),
        ("[cost]\n[route]\nlayers=0", 14, "cost"),
        ("[convolutional]\nshare_index=-2\nfilters=9", 15, "share_index=-2"),
        ("[convolutional]\nsize=3\ndilation=2\nfilters=9", 16, "dilation=2"),
        ("[convolutional]\nsize=3\npad=1\ndilation=16000\nfilters=9", 15, "16x16"),
        ("[maxpool]\nsize=16000\nstride=1", 15, "size=16000"),
    ],
)
def test_bad_section(section, line, words, tmp_path):
    """Behind two convolutions, of 32x32x4 and of 16x16x6."""
    head = "[net]\nwidth=64\nheight=64\n[convolutional]\nfilters=4\nsize=3\nstride=2\npad=1\n"
    message = refusal(
        head + "[convolutional]\nfilters=6\nsize=3\nstride=2\npad=1\n" + section + "\n", tmp_path
    )
    assert message.startswith(f":{line}: "), message
    assert words in message, message


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_odd_but_sound(end, tmp_path):
    """Tabs, comments, byte-order marks, spaces, blank lines, either end of lines: all of it is Darknet's."""
    text = changed(8, "\t filters\t= 8 # not 16", "filters=4", "; a comment", "#caf\xe9 [").replace("\n", end)
    path = tmp_path / "odd.cfg"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode("latin-1"))
    assert planning.make_plan(cfg.read(path)).floats == FLOATS


@pytest.mark.long
def test_a_chain_that_is_too_long(tmp_path):
    """Keras goes along it by recursion."""
    path = tmp_path / "long.cfg"
    path.write_text(changed(28, *(["[dropout]", "probability=.5"] * 990)))
    with pytest.raises(
        ValueError, match=r"long\.cfg: 99\d layers, one behind the other, are more than"
    ) as caught:
        darknet.load(path)
    assert "\n" not in str(caught.value)


def test_no_cfg(tmp_path):
    for path in (tmp_path / "none.cfg", tmp_path):
        with pytest.raises(OSError, match=rf"{path}.*cfg"):
            cfg.read(path)


def test_a_huge_cfg_is_not_read(tmp_path):
    path = tmp_path / "huge.cfg"
    with path.open("wb") as file:
        file.truncate(2**31)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"huge\.cfg: more than 1,048,576 bytes"):
            cfg.read(path)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


@pytest.fixture
def files(tmp_path):
    """A sound cfg, and weights for it."""
    path = tmp_path / "sound.cfg"
    path.write_text("\n".join(LINES))
    weights = tmp_path / "sound.weights"
    values = np.random.default_rng(0).uniform(0.1, 0.2, FLOATS).astype(np.float32)
    weights.write_bytes(struct.pack("<3iQ", 0, 2, 5, 64) + values.tobytes())
    return path, weights


BAD_WEIGHTS = {
    "of 0 bytes": (lambda content: b"", "empty"),
    "of half a header": (lambda content: content[:11], "11 bytes"),
    "of a header alone": (lambda content: content[:20], f"{FLOATS:,}"),
    "cut off within a layer": (lambda content: content[:-400], f"{FLOATS:,}"),
    "cut off within a number": (lambda content: content[:-3], f"{FLOATS:,}"),
    "cut off before a layer": (lambda content: content[: 20 + 4 * 248], "layer 1"),
    "too long": (lambda content: content + bytes(8), "8 bytes"),
    "too long by a byte": (lambda content: content + b"\n", "1 bytes"),
    "of another cfg": (lambda content: content + content[20:], f"{2 * FLOATS:,}"),
    "with a shorter header": (lambda content: content[:12] + content[16:], f"{FLOATS:,}"),
    "a web page": (lambda content: b"<!DOCTYPE html><html><body>Not found</body></html>\n", f"{FLOATS:,}"),
}


@pytest.mark.parametrize("name", BAD_WEIGHTS)
def test_bad_weights(name, files, monkeypatch):
    path, weights = files
    spoil, words = BAD_WEIGHTS[name]
    weights.write_bytes(spoil(weights.read_bytes()))
    monkeypatch.setattr("keras.Model.__init__", not_yet)
    with pytest.raises(ValueError) as caught:
        darknet.load(path, weights)
    message = str(caught.value)
    assert message.isprintable() and message.startswith(f"{weights}: ") and words in message, message


def not_yet(*_, **__):
    raise AssertionError("a model is built before the files were checked")


def test_no_weights(files, monkeypatch):
    path, weights = files
    monkeypatch.setattr("keras.Model.__init__", not_yet)
    with pytest.raises(OSError, match=r"none\.weights"):
        darknet.load(path, weights.with_name("none.weights"))
    with pytest.raises(OSError, match=weights.parent.name):
        darknet.load(path, weights.parent)


@pytest.mark.parametrize("count, words", [(1, "names: 1,"), (3, "names: 3,")])
def test_names_of_another_data_set(count, words, files):
    with pytest.raises(ValueError, match=words):
        darknet.load(files[0], names=["a", "b", "c"][:count])


def test_nothing_is_allocated_before_it_is_checked(tmp_path):
    """A network of almost four gigabytes, and a weights file that is none."""
    path = tmp_path / "large.cfg"
    path.write_text(changed(15, "filters=100000").replace("filters=8\n", "filters=1000\n"))
    weights = tmp_path / "large.weights"
    weights.write_bytes(struct.pack("<3iQ", 0, 2, 5, 64) + bytes(4000))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"902,231,021"):
            darknet.load(path, weights)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
