"""Whatever a weights file holds, it is the network's, or refused in one line, and nothing of it is read ahead."""

import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kzoo.darknet import cfg, planning, weights

NETWORK = """\
[net]
width=8
height=8
[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
[shortcut]
from=0
weights_type=per_feature
[batchnorm]
[connected]
output=3
batch_normalize=1
[softmax]
"""
PLAN = planning.make_plan(cfg.parse(NETWORK, "some.cfg"))
BODY = np.random.default_rng(0).standard_normal(PLAN.floats).astype("<f4").tobytes()
INT = st.one_of(st.sampled_from([0, 1, 2, 5, 999, 1000, 1001, -1, -(2**31), 2**31 - 1]), st.integers(-5, 30))
HEADER = st.tuples(INT, INT, INT, st.integers(0, 2**64 - 1), st.booleans())
CHANGE = st.one_of(
    st.tuples(st.just("cut"), st.integers(1, len(BODY) + 30)),
    st.tuples(st.just("cut"), st.integers(1, 8)),
    st.tuples(st.just("add"), st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("add"), st.integers(1, 50).map(lambda n: bytes(4 * n))),
    st.tuples(st.just("byte"), st.integers(0, len(BODY) + 20), st.integers(0, 255)),
    st.tuples(st.just("drop"), st.integers(0, len(BODY) + 20), st.integers(1, 12)),
)


def content_of(header, changes):
    """A file's bytes: header, body, and what is changed in both."""
    *version, seen, wide = header
    start = struct.pack("<3iQ" if wide else "<3iI", *version, seen if wide else seen % 2**32)
    content = bytearray(start + BODY)
    for kind, what, *more in changes:
        if kind == "cut":
            del content[-what:]
        elif kind == "add":
            content += what
        elif kind == "drop":
            del content[what : what + more[0]]
        elif content:
            content[what % len(content)] = more[0]
    return bytes(content)


CONTENT = st.builds(content_of, HEADER, st.lists(CHANGE, max_size=2))
SOUND = content_of((0, 2, 5, 64, True), [])


def opened(path, content, stop_at=None):
    """The file's layers and arrays, or None where it was refused as it should be."""
    path.write_bytes(content)
    try:
        file = weights.open_weights(path, PLAN, stop_at)
    except ValueError as error:
        said = str(error)
        assert said.startswith(f"{path}: ") and said.isprintable() and len(said) < 600, said
        return None
    return file, list(file.tensors())


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(CONTENT, st.sampled_from([None, 1, 2, 3, 4, 5]))
@example(SOUND, None)
@example(SOUND[:12] + SOUND[16:], None)
@example(b"", None)
@example(SOUND[:20], 1)
@example(SOUND[:-1], 1)
@example(struct.pack("<3iI", 0, 0, 0, 0) + BODY[:-1], 1)
@example(struct.pack("<3iI", 0, 1001, 0, 0) + BODY, None)  # transposed
def test_the_network_or_refused(tmp_path, content, stop_at):
    found = opened(tmp_path / "some.weights", content, stop_at)
    if found is None:
        return
    file, tensors = found
    floats = sum(array.size for _, arrays in tensors for array in arrays.values())
    assert all(array.dtype == np.float32 for _, arrays in tensors for array in arrays.values())
    assert len(file.header.content) + 4 * floats <= len(content)
    if stop_at is None:  # written back it is the same file
        assert len(file.header.content) + 4 * floats == len(content)
        again = tmp_path / "again.weights"
        weights.write_weights(again, file.header, tensors, file.normalization_bias)
        assert again.read_bytes() == content


@pytest.mark.parametrize("stop_at", [0, -1, 6, 2**40])
def test_a_stop_that_is_not_there(tmp_path, stop_at):
    assert opened(tmp_path / "some.weights", SOUND, stop_at) is None


@pytest.mark.parametrize("name", ["some.conv.0", "some.conv.99", "some.conv.", "some.conv.-1", "some.conv.٣"])
def test_odd_names_of_partial_files(tmp_path, name):
    opened(tmp_path / name, SOUND)
    opened(tmp_path / name, SOUND[:-4])


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "huge.weights"
    with path.open("wb") as file:
        file.write(SOUND)
        file.truncate(2**36)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="left over"):
            weights.open_weights(path, PLAN)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
