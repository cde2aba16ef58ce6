"""Poolings of boxes against torchvision's own kernels on every backend, each in a process of its own.

Of its own because the other comparisons load torchvision with another stand-in for these kernels.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

OURS = Path(__file__).parents[1] / "ops"

SCRIPT = textwrap.dedent(
    """
    import sys
    from pathlib import Path

    import keras
    import numpy as np
    import torch
    import torchvision_kernels
    import torchvision
    from keras import ops
    from roi_reference import check_golden, with_gradients
    from torchvision.ops import MultiScaleRoIAlign

    from kzoo.ops.roi import precise_roi_pool, roi_align, roi_pool

    assert keras.backend.backend() == sys.argv[1]
    STRIDES, SIDE = (4, 8, 16, 32), 256
    vision = torchvision.ops

    def boxes_of_all_kinds(rng, count):
        '''Ordinary, hanging out of the image, outside, tiny, elongated, without area and inverted ones.'''
        corner = rng.uniform(0, SIDE, (2, count, 2))
        extent = np.exp(rng.uniform(-3, 6, (2, count, 2)))
        kind = rng.integers(0, 8, (2, count, 1))
        corner = np.where(kind == 0, corner - SIDE / 2, corner)
        corner = np.where(kind == 1, corner + SIDE, corner)
        extent = np.where(kind == 2, extent * [1, 0], extent)
        extent = np.where(kind == 3, -extent, extent)
        corner = np.where(kind == 4, np.round(corner / 4) * 4 + 2, corner)  # halves of cells
        extent = np.where(kind == 4, np.round(extent / 4) * 4, extent)
        return np.concatenate([corner, corner + extent], axis=-1).astype("float32")

    def theirs(function, features, boxes, upstream):
        '''Output and gradients of a function of (maps with channels first, boxes of both images).'''
        maps = [torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True) for x in features]
        output = function(maps, [torch.tensor(b) for b in boxes])
        back = torch.tensor(upstream.reshape(-1, *upstream.shape[2:]).transpose(0, 3, 1, 2))
        gradients = torch.autograd.grad(output, maps, back)
        output = output.detach().numpy().transpose(0, 2, 3, 1).reshape(upstream.shape)
        return output, *(g.numpy().transpose(0, 2, 3, 1) for g in gradients)

    def compare(name, ours, reference, features, boxes, size, atol=1e-5, exact=False):
        upstream = rng.normal(size=(*boxes.shape[:2], *size, features[0].shape[-1])).astype("float32")
        found = with_gradients(lambda *maps: ours(maps, ops.convert_to_tensor(boxes)), features, upstream)
        expected = theirs(reference, features, boxes, upstream)
        if exact:
            np.testing.assert_array_equal(found[0], expected[0], err_msg=name)
        for given, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(given, wanted, rtol=1e-5, atol=atol, err_msg=name)
        assert np.abs(expected[0]).max() > 1

    rng = np.random.default_rng(0)
    pyramid = [rng.normal(size=(2, SIDE // s, SIDE // s, 3)).astype("float32") for s in STRIDES]
    boxes = boxes_of_all_kinds(rng, 60)
    for sampling in (1, 2):
        for aligned in (False, True):
            compare(
                f"roi_align {sampling} {aligned}",
                lambda maps, b: roi_align(maps, b, (7, 5), [8], sampling, aligned),
                lambda maps, b: vision.roi_align(maps[0], b, (7, 5), 1 / 8, sampling, aligned),
                pyramid[1:2], boxes, (7, 5),
            )
    upright = np.concatenate([boxes[..., :2], np.maximum(boxes[..., 2:], boxes[..., :2])], axis=-1)
    multiscale = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)
    compare(
        "roi_align of a pyramid",
        lambda maps, b: roi_align(maps, b, 7, STRIDES),
        lambda maps, b: multiscale(dict(zip("0123", maps)), b, [(SIDE, SIDE)] * 2),
        pyramid, upright, (7, 7),
    )
    for stride, size, feature in (
        (4, (7, 7), pyramid[0]), (8, (3, 2), np.round(pyramid[1])), (16, (7, 7), np.maximum(pyramid[2], 0)),
    ):
        compare(
            f"roi_pool {stride} {size}",
            lambda maps, b: roi_pool(maps[0], b, size, stride),
            lambda maps, b: vision.roi_pool(maps[0], b, size, 1 / stride),
            [feature], boxes, size, exact=True,
        )
    # Many samples come near the integral; a rim of zeros makes a surface that falls to 0 beyond the map.
    corner = rng.uniform(-20, 60, (2, 20, 2))
    inside = np.concatenate([corner, corner + rng.uniform(8, 40, corner.shape)], axis=-1).astype("float32")
    rim = 8

    def many_samples(maps, b):
        padded = torch.nn.functional.pad(maps[0], (rim,) * 4)
        return vision.roi_align(padded, [x + rim * 8 for x in b], (3, 2), 1 / 8, 64, False)

    compare(
        "precise_roi_pool",
        lambda maps, b: precise_roi_pool(maps, b, (3, 2), [8]),
        many_samples, [pyramid[1][:, :10, :10]], inside, (3, 2), atol=2e-3,
    )
    assert check_golden(Path(sys.argv[2])) == 9
    print("ok")
    """
)


@pytest.mark.parametrize(
    "backend",
    ["tensorflow", *(pytest.param(name, marks=pytest.mark.backends) for name in ("jax", "torch"))],
)
def test_equals_torchvision_s_kernels(backend, shared):
    for name in ("torch", "torchvision", backend):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed; pip install -e '.[parity]'")
    if shutil.which("cc") is None:
        pytest.skip("no C compiler, with which torchvision's kernels are made to load")
    folders = [str(OURS), str(shared / "parity"), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, backend, str(shared / "golden" / "roi.json")],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(folders)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "ok"
