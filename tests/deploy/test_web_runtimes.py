"""ONNX files in onnxruntime-web, the runtime of browsers, here in Node.

`NODE_PATH` names the folder that has the package: `npm install onnxruntime-web` makes `node_modules`.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import kzoo
from kzoo.deploy import open_export

SCRIPT = Path(__file__).with_name("run_in_node.js")


@pytest.fixture(scope="module")
def node():
    found = shutil.which("node")
    if found is None:
        pytest.skip("needs Node: install it, and onnxruntime-web by npm")
    asked = subprocess.run(
        [found, "-e", 'require.resolve("onnxruntime-web")'], capture_output=True, check=False
    )
    if asked.returncode:
        pytest.skip(
            f"needs onnxruntime-web in NODE_PATH={os.environ.get('NODE_PATH', '')!r}: install it by npm"
        )
    return found


def run_in_browser_s_runtime(node, path, images, folder):
    """What the file gives, by name."""
    (folder / "images.bin").write_bytes(images.tobytes())
    words = [node, SCRIPT, path, folder / "images.bin", ",".join(map(str, images.shape))]
    done = subprocess.run(words, capture_output=True, check=False, text=True)
    assert not done.returncode, done.stderr[-500:]
    results = json.loads(done.stdout)
    return {name: np.array(one["values"]).reshape(one["shape"]) for name, one in results.items()}


@pytest.mark.long
@pytest.mark.parametrize("nms", ["greedy", "none", "onnx"])
def test_a_browser_finds_the_same(nms, node, small_detector, images, tmp_path):
    path = kzoo.export(small_detector, tmp_path / "m.onnx", nms=nms)
    expected = open_export(path).run(images=images)
    found = run_in_browser_s_runtime(node, path, images, tmp_path)
    assert found.keys() == expected.keys() and expected["scores"].max() > 0.1
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-3, err_msg=name)
