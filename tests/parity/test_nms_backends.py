"""Suppression on the JAX and torch backends, each in a process of its own, against the plain loop."""

import textwrap

import pytest
from other_backend import BEGINNING, TESTS, run

SCRIPT = BEGINNING + textwrap.dedent(
    """
    from keras import ops
    from nms_reference import check, check_family
    from kzoo.ops.gather import stable_top_k
    from kzoo.ops.nms import greedy_nms, multiclass_candidates, pair_nms

    suppress, of_any_kind = greedy_nms, pair_nms
    if sys.argv[1] == "jax":
        import jax

        suppress = jax.jit(greedy_nms, static_argnums=(3, 4, 5))
        of_any_kind = jax.jit(pair_nms, static_argnums=(3, 4, 5, 6, 7))

    def run(boxes, scores, labels, *limits):
        tensors = [None if v is None else ops.convert_to_tensor(v) for v in (boxes, scores, labels)]
        indices, valid = suppress(*tensors, *limits)
        return ops.convert_to_numpy(indices), ops.convert_to_numpy(valid)

    def run_kind(kind, boxes, scores, labels, *limits):
        # To one shape, for which JAX compiles once: boxes that score nothing take no part.
        missing = 64 - scores.shape[1]
        padded = [np.pad(v, [(0, 0), (0, missing), (0, 0)][: v.ndim]) for v in (boxes, scores, labels)]
        tensors = [ops.convert_to_tensor(v) for v in padded]
        found = of_any_kind(*tensors, *limits, kind)
        return {key: ops.convert_to_numpy(value) for key, value in found.items()}

    assert check(run) > 20
    assert check_family(run_kind) > 100
    ties = ops.convert_to_numpy(stable_top_k(ops.convert_to_tensor(np.float32([[1, 3, 3, 2, 3, 1]])), 5)[1])
    assert ties.tolist() == [[1, 2, 4, 3, 0]]
    scores = np.random.default_rng(0).random((2, 9, 4)).astype("float32")
    best = ops.convert_to_numpy(multiclass_candidates(ops.convert_to_tensor(scores), 5)[0])
    assert np.array_equal(best, -np.sort(-scores.reshape(2, -1))[:, :5])
    print("ok")
    """
)


@pytest.mark.backends
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_equals_the_loop(backend):
    assert run(backend, "-c", SCRIPT, backend, modules=TESTS / "ops").strip() == "ok"
