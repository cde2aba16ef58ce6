"""Whatever a cfg file holds, it is planned, or refused in one line, and costs next to nothing."""

import time
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kzoo.darknet import cfg, planning

DETECTOR = """\
[net]
batch=64
subdivisions=8
width=64
height=32
channels=3
momentum=0.949
decay=0.0005
saturation = 1.5
hue=.1
learning_rate=0.001
burn_in=1000
policy=steps
steps=400000,450000
scales=.1,.1
mosaic=1

[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=mish

[route]
layers=-1
groups=2
group_id=1

[convolutional]
filters=8
groups=4
size=3
dilation=2
padding=1
activation=leaky

[route]
layers = -1, 0

[maxpool]
size=5
stride=1

[shortcut]
from=-2, -2
weights_type=per_channel
weights_normalization=softmax
activation=linear

[upsample]
stride=2
scale=.5

[reorg]
stride=2

[convolutional]
size=1
filters=14
activation=linear

[yolo]
mask = 1,2
anchors = 10,14,  23,27,  37,58
classes=2
num=3
jitter=.3
scale_x_y = 1.05
iou_loss=ciou
iou_normalizer=0.07
ignore_thresh = .7
nms_kind=greedynms
beta_nms=0.6
random=1

[route]
layers=-4

[convolutional]
size=1
filters=14
activation=linear

[yolo]
mask=0,1
anchors=10,14, 23,27, 37,58
classes=2
num=3
"""
CLASSIFIER = """\
[network]
width=20
height=20

[crop]
crop_height=16
crop_width=16

[conv]
filters=6
size=3
stride_x=2
stride_y=1

[batchnorm]

[local_avgpool]
size=3
stride=2
padding=1

[local]
filters=5
size=3
pad=1
activation=relu

[avg]

[conv]
filters=5
activation=logistic

[scale_channels]
from=-3

[activation]
activation=swish

[dropout]
probability=.5

[sam]
from=-2

[reorg3d]
stride=1

[conn]
output=4
batch_normalize=1
activation=linear

[soft]
temperature=2

[cost]
type=sse
"""
GRID = """\
[net]
width=16
height=16
channels=3

[maxpool]
size=2
stride=2

[connected]
output=28
activation=linear

[detection]
classes=2
coords=4
side=2
num=1
sqrt=1
"""
REGION = """\
[net]
width=16
height=16

[convolutional]
filters=21
size=3
stride=4
pad=1
activation=linear

[region]
anchors=1,2, 3,4, 5,6
classes=2
coords=4
num=3
softmax=1
"""
BASES = (DETECTOR, CLASSIFIER, GRID, REGION)
LINES = sorted({line for text in BASES for line in text.splitlines()})
EXTREMES = [
    "0", "-1", "1", "2", "3", "-2", "7", "31", "255", "256", "1024", "16384", "65536", "262144", "2147483647",
    "2147483648", "-2147483648", "-2147483649", "4294967296", "9" * 30, "9" * 400, "1e9", "1e308", "1e309", "-1e999",
    "nan", "inf", "-inf", ".5", "0.0", "-0", "+3", "1.0", "1.5", "0x10", "1_000", "٣", "", " ", ",", "-1,-1", "0,0,0,0",
    "-1,", ",-1", "-1,,0", "-1;", "1#2", "=", "a", "linear", "softmax", "per_channel", "\0", "\x1b[31m", "é", "\u2028",
    "\x85", "%s", "{0}", "../../etc/passwd", "1" + "0" * 5000, ",".join(["0"] * 2000), ",".join(["-1"] * 2000),
]  # fmt: skip
INDEX = st.integers(0, 200)
CHANGE = st.one_of(
    st.tuples(st.just("drop"), INDEX),
    st.tuples(st.just("double"), INDEX),
    st.tuples(st.just("swap"), INDEX, INDEX),
    st.tuples(st.just("value"), INDEX, st.sampled_from(EXTREMES)),
    st.tuples(st.just("value"), INDEX, st.integers(-(2**33), 2**33).map(str)),
    st.tuples(st.just("value"), INDEX, st.text(max_size=8)),
    st.tuples(st.just("insert"), INDEX, st.sampled_from(LINES)),
    st.tuples(st.just("insert"), INDEX, st.text(max_size=20)),
    st.tuples(st.just("byte"), st.integers(0, 2000), st.integers(0, 255)),
    st.tuples(st.just("cut"), st.integers(0, 2000)),
)


def changed(text, changes):
    """A description with lines dropped, doubled, swapped, given other values, and bytes flipped."""
    lines, late = text.splitlines(), []
    for kind, at, *more in changes:
        if kind in ("byte", "cut"):
            late.append((kind, at, *more))
            continue
        at %= max(len(lines), 1)
        if kind == "drop":
            del lines[at : at + 1]
        elif kind == "double":
            lines[at:at] = lines[at : at + 1]
        elif kind == "swap" and lines:
            other = more[0] % len(lines)
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == "value" and lines:
            lines[at] = f"{lines[at].partition('=')[0]}={more[0]}"
        elif kind == "insert":
            lines.insert(at, more[0])
    content = bytearray("\n".join(lines).encode("utf-8", "replace"))
    for kind, at, *more in late:
        if kind == "cut":
            del content[at:]
        elif content:
            content[at % len(content)] = more[0]
    return bytes(content)


CONTENT = st.builds(changed, st.sampled_from(BASES), st.lists(CHANGE, min_size=1, max_size=6))


def planned(content):
    """The plan of a description, or None where it was refused as it should be."""
    try:
        return planning.make_plan(cfg.parse(content, "some.cfg"))
    except ValueError as error:
        message = str(error)
        assert message.startswith("some.cfg:") and message.isprintable() and len(message) < 400, message[:400]
        return None


@pytest.mark.parametrize("text", BASES)
def test_bases_are_sound(text):
    assert planned(text.encode()) is not None


@settings(max_examples=400, deadline=None)
@given(CONTENT)
@example(b"[net]\nwidth=\x1b[31m")  # a terminal's escape
@example("[net]\nwidth=1\u20282\n".encode())  # some take it for the end of a line
@example("[n\x85t]".encode())
@example("[net]\nwidth=\u0663\nheight=1_6\n[cost]".encode())  # digits to Python
@example(changed(DETECTOR, [("drop", 27), ("drop", 26)]))
@example(changed(DETECTOR, [("cut", 10)]))
@example(changed(DETECTOR, [("value", 44, ",".join(["-1"] * 2000))]))
@example(changed(CLASSIFIER, [("value", 51, "1e308")]))
@example(changed(CLASSIFIER, [("value", 22, "16384")]))
def test_planned_or_refused(content):
    tracemalloc.start()
    try:
        start = time.perf_counter()
        plan = planned(content)
        assert time.perf_counter() - start < 2
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()
    if plan is not None:
        assert plan.floats <= planning.MAX_FLOATS
        assert all(min(layer.shape) > 0 for layer in plan.layers)
        assert all(index < layer.index for layer in plan.layers for index in layer.inputs)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
@example(b"\xff\xfe[\0n\0e\0t\0]\0")
@example(b"[net]\nwidth=1\r\r\nheight=\x0b1\n[cost]")
def test_any_bytes(content):
    planned(content)


@settings(max_examples=100, deadline=None)
@given(CONTENT)
def test_reading_again_what_was_read(content):
    """The text that a description keeps, of which it is written back, is the same description."""
    try:
        first = cfg.parse(content, "some.cfg")
    except ValueError:
        return
    assert cfg.parse(first.text.encode("utf-8", "surrogateescape"), "some.cfg") == first


START = "[net]\nwidth=64\nheight=64\n"


@pytest.mark.parametrize(
    "text",
    [
        "a" * 10**6 + "=1",
        "[" + "a" * 10**6 + "]",
        "[convolutional]\nactivation=" + "a" * 10**6,
        "[convolutional]\nfilters=" + "9" * 10**6,
        "[upsample]\nscale=" + "9" * 10**6,
        "[yolo]\nclasses=80\nnum=1\nanchors=" + "1," * 10**6,
        "[route]\nlayers=" + "-1," * 10**6,
        "[convolutional]\n[shortcut]\nfrom=" + "0," * 10**6,
        "[empty]\n" * 10**5,
        "[convolutional]\n" + "[route]\nlayers=-1\n" * 10**5,
        "a\n" * 10**6,
        "".join(f"width{i}=1\n" for i in range(10**5)),
        "#" * 10**6,
    ],
    ids=lambda text: text[:20],
)
def test_long_descriptions(text):
    tracemalloc.start()
    try:
        start = time.perf_counter()
        assert planned((START + text).encode()) is None
        assert time.perf_counter() - start < 2
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()
