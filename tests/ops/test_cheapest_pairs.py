"""The assignment of objects to queries: scipy's, for many problems at once, inside graphs, and on other backends."""

import importlib.util
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from keras import ops
from scipy.optimize import linear_sum_assignment

from kzoo.ops.matching import cheapest_pairs


def found(cost, there):
    return ops.convert_to_numpy(cheapest_pairs(ops.convert_to_tensor(cost), ops.convert_to_tensor(there)))


def check(owner, cost, there):
    """Whether an assignment is one, and costs as little as scipy's, which does not know of padding."""
    for own, costs, objects in zip(owner, cost, there, strict=True):
        (numbers,) = np.nonzero(objects)
        queries = np.nonzero(own >= 0)[0]
        assert len(queries) == min(len(numbers), len(costs)) == len(set(own[queries]))
        assert set(own[queries]) <= set(numbers)
        wanted = linear_sum_assignment(costs[:, numbers])
        least = costs[:, numbers][wanted].sum()
        np.testing.assert_allclose(costs[queries, own[queries]].sum(), least, rtol=1e-6)


@pytest.mark.parametrize(("queries", "objects"), [(1, 1), (8, 3), (40, 40), (100, 7), (5, 9)])
def test_random_costs(queries, objects):
    rng = np.random.default_rng(queries)
    cost = rng.normal(size=(12, queries, objects)).astype("float32")
    there = rng.random((12, objects)) < 0.7
    there[0], there[1] = False, True
    check(found(cost, there), cost, there)


def test_the_same_pairs_as_scipy_where_costs_tie():
    rng = np.random.default_rng(0)
    cost = rng.integers(0, 3, (6, 9, 4)).astype("float32")
    cost[0] = 1.0
    owner = found(cost, np.ones((6, 4), bool))
    for own, costs in zip(owner, cost, strict=True):
        queries, objects = linear_sum_assignment(costs)
        np.testing.assert_array_equal(own[queries], objects)


def test_without_objects_nothing_is_assigned():
    assert (found(np.ones((2, 5, 3), "float32"), np.zeros((2, 3), bool)) == -1).all()


def test_of_more_objects_than_queries_the_dearest_have_none():
    cost = np.float32([[[1, 9, 2, 8], [2, 9, 1, 8]]])
    assert found(cost, np.ones((1, 4), bool)).tolist() == [[0, 2]]
    there = np.array([[False, True, True, True]])
    assert found(cost, there).tolist() == [[2, 3]] or found(cost, there).tolist() == [[3, 2]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_costs_that_are_no_numbers_end_no_training(value):
    cost = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    cost[0, 2] = value
    owner = found(cost, np.ones((2, 3), bool))
    assert ((owner >= 0).sum(axis=1) == 3).all()


def test_within_a_graph():
    import tensorflow as tf

    cost = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
    there = np.ones((3, 4), bool)
    shapes = []

    @tf.function(input_signature=[tf.TensorSpec((None, 6, 4)), tf.TensorSpec((None, 4), tf.bool)])
    def graph(cost, there):
        owner = cheapest_pairs(cost, there)
        shapes.append(owner.shape.as_list())
        return owner

    check(graph(cost, there).numpy(), cost, there)
    assert shapes[0] == [None, 6]


SCRIPT = textwrap.dedent(
    """
    import sys
    import keras
    import numpy as np
    from keras import ops
    from scipy.optimize import linear_sum_assignment
    from kzoo.heads.detr import DETRHead
    from kzoo.ops.matching import cheapest_pairs

    assert keras.backend.backend() == sys.argv[1]
    assert "tensorflow" not in sys.modules
    match = cheapest_pairs
    if sys.argv[1] == "jax":
        import jax

        match = jax.jit(cheapest_pairs)
    for queries, objects in ((9, 5), (3, 8)):
        cost = np.random.default_rng(0).normal(size=(4, queries, objects)).astype("float32")
        there = np.ones((4, objects), bool)
        owner = ops.convert_to_numpy(match(*(ops.convert_to_tensor(each) for each in (cost, there))))
        for own, costs in zip(owner, cost, strict=True):
            rows, columns = linear_sum_assignment(costs)
            assert (own[rows] == columns).all() and (own >= 0).sum() == min(queries, objects)

    maps = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(2, 2, 3, 32)).astype("float32"))
    boxes = np.float32([[[4, 4, 30, 28], [34, 30, 60, 62], [0, 0, 0, 0]], [[10, 20, 40, 50]] + [[0, 0, 0, 0]] * 2])
    truth = {"boxes": boxes, "labels": np.int32([[0, 2, -1], [1, -1, -1]])}
    for count in (6, 1):  # enough for all objects, and too few
        head = DETRHead(3, (32,), queries=count, decoder_depth=2, query_width=32, feedforward=32, dropout=0.0)
        head.build([(None, None, None, 32)])
        rng = np.random.default_rng(0)
        for weight in head.weights:  # the same on every backend
            weight.assign(rng.normal(0, 0.3, weight.shape))
        losses = head.loss(truth, head([maps], training=True))
        print(*(round(float(losses[name]), 4) for name in ("class", "box", "giou")))
    """
)


def printed(backend):
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, backend], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [float(number) for number in done.stdout.split()]


@pytest.mark.backends
def test_other_backends_assign_and_lose_alike():
    for backend in ("jax", "torch"):
        if importlib.util.find_spec(backend) is None:
            pytest.skip(f"{backend} is not installed; pip install -e '.[parity]'")
    known = printed("jax")
    assert len(known) == 6 and np.isfinite(known).all()
    np.testing.assert_allclose(known, printed("torch"), rtol=1e-3)
