"""Exports in the runtimes of browsers, onnxruntime-web and LiteRT.js, here in Node.

`NODE_PATH` names the folder that has the packages: `npm install onnxruntime-web @litertjs/core` makes `node_modules`.
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

pytestmark = pytest.mark.long
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def node():
    found = shutil.which("node")
    return found or pytest.skip("needs Node, and by npm onnxruntime-web and @litertjs/core")


def run_in_node(node, script, package, path, images, folder):
    """What a script prints of an export, run on images."""
    asked = subprocess.run([node, "-e", f"require.resolve({package!r})"], capture_output=True, check=False)
    if asked.returncode:
        pytest.skip(f"needs {package} in NODE_PATH={os.environ.get('NODE_PATH', '')!r}: install it by npm")
    (folder / "images.bin").write_bytes(images.tobytes())
    words = [node, HERE / script, path, folder / "images.bin", ",".join(map(str, images.shape))]
    done = subprocess.run(words, capture_output=True, check=False, text=True)
    assert not done.returncode, done.stderr[-500:]
    return json.loads(done.stdout)


def assert_same(found, expected):
    assert found.keys() == expected.keys() and expected["scores"].max() > 0.1
    for name, values in expected.items():
        given = np.reshape(found[name], values.shape)
        np.testing.assert_allclose(given, values, rtol=1e-4, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("nms", ["greedy", "none", "onnx"])
def test_onnxruntime_web_finds_the_same(nms, node, small_detector, images, tmp_path):
    path = kzoo.export(small_detector, tmp_path / "m.onnx", nms=nms)
    expected = open_export(path).run(images=images)
    results = run_in_node(node, "onnx_in_node.js", "onnxruntime-web", path, images, tmp_path)
    assert {name: tuple(one["shape"]) for name, one in results.items()} == {
        k: v.shape for k, v in expected.items()
    }
    assert_same({name: one["values"] for name, one in results.items()}, expected)


def test_litert_js_finds_the_same(node, small_detector, images, tmp_path):
    path = kzoo.export(small_detector, tmp_path / "m.tflite")
    opened = open_export(path)
    for image, found in zip(
        images, run_in_node(node, "litert_in_node.mjs", "@litertjs/core", path, images, tmp_path), strict=True
    ):
        assert_same(found, opened.run(images=image[None]))
