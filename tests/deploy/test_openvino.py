"""Folders of OpenVINO's own form: what they find, in which numbers, and what is refused."""

import io
import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto, helper

import kzoo
from kzoo.deploy import open_export
from kzoo.deploy.checking import compare
from kzoo.deploy.openvino import read
from kzoo.serving.shelf import sources

openvino = pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def folder(small_detector, tmp_path_factory):
    return kzoo.export(small_detector, tmp_path_factory.mktemp("openvino") / "cells.openvino")


def test_it_finds_what_keras_finds(small_detector, folder, images):
    agreement = compare(small_detector, folder, images)
    assert agreement.same == agreement.total > 100
    assert agreement.scores < 1e-5 and agreement.boxes < 1e-3
    assert {path.name for path in folder.iterdir()} == {"kzoo.json", "labels.txt", "model.bin", "model.xml"}


def test_it_is_opened_as_any_other(small_detector, folder, images):
    opened = kzoo.load(folder)
    assert (opened.format, opened.names, opened.batch_size) == ("openvino", small_detector.names, None)
    whole, one = opened.predict_on_batch(images), opened.predict_on_batch(images[1:2])
    assert all(np.allclose(whole[key][1:2], one[key], atol=1e-4) for key in whole)
    found, expected = (model.detect(images[0], score_threshold=0.3) for model in (opened, small_detector))
    assert len(found) == len(expected) > 0
    (source,) = sources([str(folder)])
    assert source.name == "cells" and source.open(None).format == "openvino"


def test_of_equal_values_the_first_are_taken():
    """As ONNX has it of TopK; OpenVINO's reader by itself takes any of them."""
    values = np.random.default_rng(0).integers(0, 6, (2, 1600)).astype(np.float32)
    taken = helper.make_node("TopK", ["x", "k"], ["values", "places"])
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 1600])]
    outputs = [helper.make_tensor_value_info("places", TensorProto.INT64, [2, 400])]
    count = helper.make_tensor("k", TensorProto.INT64, [1], [400])
    graph = helper.make_graph([taken], "ties", inputs, outputs, [count])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    read_back = read(io.BytesIO(model.SerializeToString()))
    found = openvino.Core().compile_model(read_back, "CPU")([values])
    np.testing.assert_array_equal(found["places"], np.argsort(-values, axis=1, kind="stable")[:, :400])


@pytest.mark.long
def test_opening_it_loads_neither_keras_nor_tensorflow(folder):
    code = (
        f"import sys, kzoo; kzoo.load({str(folder)!r}); "
        "sys.exit(bool({'keras', 'tensorflow', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("numbers", "scores", "share"), [("float16", 1e-3, 0.55), ("bfloat16", 1e-2, 1.01), ("int8", 1e-2, 0.35)]
)
def test_other_numbers_find_about_the_same(numbers, scores, share, small_detector, folder, images, tmp_path):
    data = images if numbers == "int8" else None
    path = kzoo.export(small_detector, tmp_path / "m.openvino", quantize=numbers, data=data, batch_size=2)
    assert open_export(path).batch_size == 2
    agreement = compare(small_detector, path, images, score_threshold=0.2)
    assert agreement.found >= 0.95 * agreement.total > 50 and 0 < agreement.scores < scores
    weights, whole = ((one / "model.bin").stat().st_size for one in (path, folder))
    assert weights < share * whole
    kinds = kinds_of_convolutions(open_export(path))
    if numbers == "int8":  # boxes that are rounded to 255 levels across a picture miss by pixels
        assert 2 <= kinds.count("f32") <= 3 and kinds.count("u8") + kinds.count("i8") >= 10
    elif numbers == "bfloat16":
        assert "bf16" in kinds


def kinds_of_convolutions(opened):
    """What each convolution takes, as OpenVINO runs it."""
    nodes = opened._compiled.get_runtime_model().get_ops()
    abouts = [{name: value.astype(str) for name, value in node.get_rt_info().items()} for node in nodes]
    return [about["runtimePrecision"] for about in abouts if about["layerType"] == "Convolution"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"path": "m.tflite", "quantize": "bfloat16"}, ["bfloat16", "'tflite'", "'openvino' takes"]),
        ({"path": "m.onnx", "quantize": "int8"}, ["int8", "'onnx'", "'tflite' takes float16, int8"]),
        ({"path": "m.openvino", "quantize": "int8"}, ["calibrate", "--data"]),
        ({"path": "m.onnx", "format": "openvino"}, ["m.onnx", ".openvino"]),
        ({"path": "m.openvino", "format": "saved_model"}, ["m.openvino", "leave out the suffix"]),
        ({"path": "m.openvino", "opset": 17}, ["opset=17", "'openvino'"]),
    ],
)
def test_what_does_not_go_together_is_told_in_a_line(arguments, words, small_detector, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as caught:
        kzoo.export(small_detector, **arguments)
    assert "\n" not in str(caught.value) and all(word in str(caught.value) for word in words)
    assert not list(tmp_path.iterdir())


def test_what_lies_there_is_left_alone(small_detector, tmp_path):
    (tmp_path / "thesis.openvino").mkdir()
    (tmp_path / "thesis.openvino" / "only_copy.tex").write_text("...")
    (tmp_path / "file.openvino").write_text("...")
    for name in ("thesis.openvino", "file.openvino"):
        with pytest.raises(ValueError, match=rf"{name}: is there, and no export to OpenVINO"):
            kzoo.export(small_detector, tmp_path / name)
    assert (tmp_path / "thesis.openvino" / "only_copy.tex").exists()


def test_what_is_none_is_one_line(folder, tmp_path):
    (tmp_path / "file.openvino").write_text("no model")
    (tmp_path / "empty.openvino").mkdir()
    (tmp_path / "torn.openvino").mkdir()
    for name in ("kzoo.json", "model.bin"):
        (tmp_path / "torn.openvino" / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "torn.openvino" / "model.xml").write_bytes((folder / "model.xml").read_bytes()[:20_000])
    for name in ("file.openvino", "empty.openvino", "torn.openvino"):
        with pytest.raises(ValueError, match=name) as caught:
            open_export(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing, numbers", [("openvino", None), ("nncf", "int8")])
def test_a_missing_package_is_named(missing, numbers, small_detector, images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    data = images if numbers == "int8" else None
    with pytest.raises(ImportError, match=r"pip install 'kzoo\[(onnx,)?openvino\]'"):
        kzoo.export(small_detector, tmp_path / "m.openvino", quantize=numbers, data=data)
    assert not list(tmp_path.iterdir())
