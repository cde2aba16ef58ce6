"""Darknet's files on the JAX and torch backends, each in a process of its own."""

import importlib.util
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from darknet_reference import forward
from small_networks import END, NET, NORM, conv

NETWORK = (
    NET + conv(4, NORM) + conv(8, "groups=4", NORM) + conv(8, NORM) + conv(8, "share_index=2", NORM, "dilation=2")
    + "[shortcut]\nfrom=1,-2\nweights_type=per_channel\nweights_normalization=relu\n"
    + conv(8, "dilation=2", "stride=2") + "[shortcut]\nfrom=0\n[maxpool]\nsize=3\nstride=1\npadding=1\n"
    + "[local_avgpool]\nsize=3\nstride=2\n[route]\nlayers=4\n[reorg]\nstride=2\n[reorg3d]\nstride=2\n"
    + "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" + conv(6, "groups=2").replace("leaky", "mish")
    + "[local]\nfilters=3\nsize=3\npad=1\nactivation=swish\n" + END
)  # fmt: skip
SCRIPT = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    import keras
    import numpy as np
    import kzoo
    from kzoo import darknet

    backend, folder = sys.argv[1], Path(sys.argv[2])
    assert keras.backend.backend() == backend and "tensorflow" not in sys.modules
    cfg, weights = folder / "small.cfg", folder / "small.weights"
    images, wanted = np.load(folder / "images.npy"), np.load(folder / "wanted.npy")
    model = darknet.load(cfg, weights)
    model.save(folder / "small.keras")
    for one in (model, kzoo.load(folder / "small.keras"), darknet.folded(model)):
        got = keras.ops.convert_to_numpy(one(images, training=False)["logits"])
        assert np.abs(got - wanted).max() <= 1e-4, np.abs(got - wanted).max()
    darknet.save(kzoo.load(folder / "small.keras"), folder / "again.weights")
    assert (folder / "again.weights").read_bytes() == weights.read_bytes()
    """
)


@pytest.mark.backends
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_reads_computes_and_writes(backend, files, images, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed; pip install -e '.[parity]'")
    cfg, weights = files(NETWORK)
    heads, _ = forward(cfg, weights, images.transpose(0, 3, 1, 2) / 255)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "wanted.npy", heads[0].reshape(2, 5))
    assert np.ptp(heads[0]) > 0.1
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, backend, str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": backend}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
