"""Weights out of ONNX files: YOLOv8 written operation by operation as its authors' runs, and others by their graphs."""

import sys

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

import kzoo
from kzoo.layers.folding import folded_network
from kzoo.weights.assigning import named_layers
from kzoo.weights.loading import load_weights
from kzoo.weights.matching import own_convolutions
from kzoo.weights.reading import state_anchors
from kzoo.weights.yolo import torch_modules

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

SMALL = {"width": 0.25, "image_size": (64, 64), "num_classes": 3}
RNG = np.random.default_rng(0)


def shuffled(model):
    """The model with other weights, whose normalisations all do something."""
    for variable in model.variables:
        low, high = (0.5, 1.5) if variable.name in ("gamma", "moving_variance") else (-0.3, 0.3)
        variable.assign(RNG.uniform(low, high, variable.shape))
    return model


def folded(model):
    """By our names, kernels in torch's order, biases and strides of the model's convolutions, folded."""
    network, found = folded_network(model.network), {}
    for layer in (*network.layers, *(layer for layer in named_layers(model, False).values())):
        if hasattr(layer, "kernel") and layer.bias is not None:
            kernel, bias = (keras.ops.convert_to_numpy(each) for each in (layer.kernel, layer.bias))
            order = (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (3, 2, 0, 1)
            name = layer.name if layer in network.layers else f"head_{layer.name}"
            found[name] = (np.ascontiguousarray(kernel.transpose(order)), bias, layer.strides[0])
    return found


class Graph:
    """An ONNX graph that is written as it is computed.

    Args:
        weights: kernel, bias and stride by name.
        named: whether tensors have names that say where they belong.
    """

    def __init__(self, weights, named):
        self.weights, self.named = weights, named
        self.nodes, self.tensors = [], []

    def constant(self, name, value):
        self.tensors.append(numpy_helper.from_array(value, name))
        return name

    def op(self, kind, *inputs, outputs=1, **attributes):
        names = [f"{kind}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def conv(self, x, module, kind="Conv"):
        kernel, bias, stride = self.weights[module]
        count = len(self.nodes)
        names = (
            [f"{module}.weight", f"{module}.bias"]
            if self.named
            else [f"onnx::Conv_{count}", f"onnx::Conv_{count}b"]
        )
        pads = [(kernel.shape[-1] - 1) // 2] * 4
        inputs = [self.constant(name, value) for name, value in zip(names, (kernel, bias), strict=True)]
        return self.op(kind, x, *inputs, strides=[stride, stride], pads=pads)

    def silu(self, x, module):
        x = self.conv(x, f"{module}.conv")
        return self.op("Mul", x, self.op("Sigmoid", x))

    def concat(self, *maps):
        return self.op("Concat", *maps, axis=1)

    def enlarged(self, x):
        return self.op("Resize", x, "", self.constant(f"scales_{len(self.nodes)}", np.float32([1, 1, 2, 2])))

    def c2f(self, x, module, shortcut):
        parts = self.op("Split", self.silu(x, f"{module}.cv1"), outputs=2, axis=1)
        i = 0
        while f"{module}.m.{i}.cv1.conv" in self.weights:
            inner = self.silu(self.silu(parts[-1], f"{module}.m.{i}.cv1"), f"{module}.m.{i}.cv2")
            parts.append(self.op("Add", parts[-1], inner) if shortcut else inner)
            i += 1
        return self.silu(self.concat(*parts), f"{module}.cv2")

    def save(self, path, **options):
        image = helper.make_tensor_value_info("images", TensorProto.FLOAT, None)
        last = helper.make_tensor_value_info(self.nodes[-1].output[0], TensorProto.FLOAT, None)
        onnx.save(
            onnx.helper.make_model(helper.make_graph(self.nodes, "main", [image], [last], self.tensors)),
            path,
            **options,
        )
        return path


def yolov8(weights, named):
    """YOLOv8 with its authors' layers, in the order in which they run."""
    g = Graph(weights, named)
    x = g.c2f(g.silu(g.silu("images", "model.0"), "model.1"), "model.2", True)
    fine = g.c2f(g.silu(x, "model.3"), "model.4", True)
    middle = g.c2f(g.silu(fine, "model.5"), "model.6", True)
    x = g.silu(g.c2f(g.silu(middle, "model.7"), "model.8", True), "model.9.cv1")
    pooled = [x]
    for _ in range(3):
        pooled.append(g.op("MaxPool", pooled[-1], kernel_shape=[5, 5], strides=[1, 1], pads=[2, 2, 2, 2]))
    coarse = g.silu(g.concat(*pooled), "model.9.cv2")
    middle = g.c2f(g.concat(g.enlarged(coarse), middle), "model.12", False)
    fine = g.c2f(g.concat(g.enlarged(middle), fine), "model.15", False)
    middle = g.c2f(g.concat(g.silu(fine, "model.16"), middle), "model.18", False)
    coarse = g.c2f(g.concat(g.silu(middle, "model.19"), coarse), "model.21", False)
    for level, x in enumerate((fine, middle, coarse)):
        both = []
        for kind in ("cv2", "cv3"):
            branch = f"model.22.{kind}.{level}"
            both.append(g.conv(g.silu(g.silu(x, f"{branch}.0"), f"{branch}.1"), f"{branch}.2"))
        x = g.concat(*both)
    counts = g.constant("model.22.dfl.conv.weight", np.arange(16, dtype="f4").reshape(1, 16, 1, 1))
    g.op("Conv", g.op("Softmax", both[0]), counts)
    return g


def by_modules(model):
    """As `folded`, by the authors' names."""
    modules = torch_modules(named_layers(model, False))
    return {modules[name][0]: value for name, value in folded(model).items()}


@pytest.fixture(scope="module")
def source():
    return shuffled(kzoo.build("yolov8n", **SMALL))


@pytest.fixture(scope="module")
def weights(source):
    return by_modules(source)


@pytest.fixture(scope="module")
def target():
    return kzoo.build("yolov8n", **SMALL)


def assert_same(mine, theirs):
    images = RNG.integers(0, 256, (1, 64, 64, 3)).astype("float32")
    ours, wanted = (each(images, training=False) for each in (mine, theirs))
    for level in mine.head.levels:
        values = keras.ops.convert_to_numpy(wanted[level])
        assert values.std() > 1e-3
        # Where sums of large numbers leave a small one, it is as exact as they are.
        rounding = 1e-5 * max(10.0, float(np.abs(values).max()))
        np.testing.assert_allclose(keras.ops.convert_to_numpy(ours[level]), values, rtol=1e-4, atol=rounding)


@pytest.mark.long
@pytest.mark.parametrize("named", [True, False])
def test_an_export_computes_what_it_was_written_of(source, target, weights, named, tmp_path, caplog):
    path = yolov8(weights, named).save(tmp_path / "yolov8n.onnx")
    assert_same(load_weights(shuffled(target), path), source)
    said = [record.getMessage() for record in caplog.records]
    assert any("AGPL-3.0" in line for line in said)
    assert any("57 of the model's do nothing but add biases" in line for line in said)
    assert not any("\n" in line for line in said)


@pytest.mark.long
def test_a_folded_state_dict_is_read_as_well(source, target, weights, tmp_path):
    tensors = {f"{module}.weight": kernel for module, (kernel, *_) in weights.items()}
    tensors |= {f"{module}.bias": bias for module, (_, bias, _) in weights.items()}
    save_file(tensors, tmp_path / "v8.safetensors")
    assert_same(load_weights(shuffled(target), tmp_path / "v8.safetensors"), source)


def refused(target, path, error=ValueError):
    with pytest.raises(error) as found:
        load_weights(target, path)
    assert "\n" not in str(found.value) and str(path) in str(found.value)
    return str(found.value)


def test_a_tensor_that_is_not_there_or_has_another_shape(target, weights, tmp_path):
    path, before = tmp_path / "v8.onnx", target.get_weights()
    kernel, bias, stride = weights["model.5.conv"]
    other = {**weights, "model.5.conv": (kernel[:8], bias[:8], stride)}
    assert "model.5.conv.weight (3, 3, 16, 8) for (3, 3, 16, 32)" in refused(
        target, yolov8(other, True).save(path)
    )
    said = refused(target, yolov8(other, False).save(path))
    assert "(8, 16, 3, 3)" in said and "(32, 16, 3, 3)" in said
    graph = yolov8(weights, True)
    graph.nodes = [node for node in graph.nodes if "model.5.conv.weight" not in node.input]
    assert "lacks model.5.conv.weight" in refused(target, graph.save(path))
    graph = yolov8(weights, False)
    graph.nodes = [node for node in graph.nodes if node.input[-1] != "onnx::Conv_0b"]
    assert "62 convolutions, the model has 63" in refused(target, graph.save(path))
    for old, new in zip(before, target.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_places_that_are_exchanged_are_seen(target, weights, tmp_path):
    """Two maps of the same shape the other way round, which shapes alone would not tell."""
    graph = yolov8(weights, False)
    row = next(node for node in graph.nodes if node.op_type == "Concat" and len(node.input) == 3)
    row.input[1], row.input[2] = row.input[2], row.input[1]
    assert "take and give otherwise" in refused(target, graph.save(tmp_path / "v8.onnx"))


def test_distances_that_are_not_whole_are_refused(target, weights, tmp_path):
    graph = yolov8(weights, True)
    graph.tensors[-1].CopyFrom(
        numpy_helper.from_array(np.full((1, 16, 1, 1), 0.5, "f4"), "model.22.dfl.conv.weight")
    )
    assert "model.22.dfl.conv.weight is not 0, 1, 2" in refused(target, graph.save(tmp_path / "v8.onnx"))


def test_damaged_files_and_files_with_numbers_elsewhere(target, weights, tmp_path):
    path = yolov8(weights, True).save(tmp_path / "v8.onnx")
    content = path.read_bytes()
    for damaged in (b"", b"not ONNX at all", content[:1000], content[: len(content) // 2]):
        path.write_bytes(damaged)
        assert "is damaged, or not to be read" in refused(target, path)
    graph = yolov8(weights, True)
    graph.tensors[0].dims[0] += 1
    assert "damaged" in refused(target, graph.save(path))
    yolov8(weights, True).save(path, save_as_external_data=True, location="elsewhere.bin", size_threshold=0)
    assert "is in another file, which is not opened" in refused(target, path)


def test_kernels_that_are_computed_are_refused(target, weights, tmp_path):
    graph = yolov8(weights, True)
    graph.nodes[0].input[1] = "unknown"
    assert "unknown, which Conv takes, is computed" in refused(target, graph.save(tmp_path / "v8.onnx"))


def test_without_the_extra_one_line_says_what_to_install(target, weights, tmp_path, monkeypatch):
    path = yolov8(weights, True).save(tmp_path / "v8.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "pip install 'kzoo[onnx]'" in refused(target, path, ImportError)


@pytest.mark.parametrize("expanded", [True, False])
def test_anchors_are_read_from_what_sizes_are_multiplied_by(weights, expanded, tmp_path):
    anchors = np.arange(18, dtype="f4").reshape(3, 3, 2) + 5
    graph = Graph(weights, True)
    x = graph.conv("images", "model.0.conv")
    for level in (2, 0, 1):
        grid = np.zeros((1, 3, 8, 8, 2), "f4") + np.arange(8)[:, None, None]  # places, which are no anchors
        sizes = anchors[level].reshape(1, 3, 1, 1, 2)
        sizes = np.broadcast_to(sizes, (1, 3, 8, 8, 2)).copy() if expanded else sizes
        x = graph.op("Add", x, graph.constant(f"grid{level}", grid.astype("f4")))
        x = graph.op("Mul", x, graph.constant(f"sizes{level}", sizes))
    path = graph.save(tmp_path / "v5.onnx")
    assert state_anchors(path, (8, 16, 32)) == anchors.tolist()
    assert state_anchors(path, (8, 16)) is None


def laid(convolutions, weights):
    """A graph without names of these convolutions, last ones first as far as that can be; sums and rows as they say."""
    graph, maps = Graph(weights, False), {}
    waiting = list(convolutions)
    while waiting:
        ready = [each for each in waiting if all(name in maps for group in each.sources for name in group)]
        each = ready[-1]
        groups = [[maps[name] for name in sorted(group)] for group in each.sources]
        row = [graph.op("Sum", *group) if len(group) > 1 else group[0] for group in groups] or ["images"]
        kind = "ConvTranspose" if each.name.endswith("_enlarge") else "Conv"
        maps[each.name] = graph.conv(graph.concat(*row) if len(row) > 1 else row[0], each.name, kind)
        waiting.remove(each)
    return graph


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolov5n", "yolov6n", "yolov7-tiny", "yolo11n", "yolox-nano", "pp-yoloe-s"])
def test_others_are_read_by_the_places_of_their_convolutions(name, tmp_path):
    """Of parallel branches, too, which are one convolution in the file."""
    source = shuffled(kzoo.build(name, **SMALL))
    weights = folded(source)
    if name == "yolox-nano":  # images in 0..255, blue first, four pixels of them
        kernel, *rest = weights["backbone_layer0_conv"]
        turned = kernel.reshape(len(kernel), 4, 3, 3, 3)[:, :, ::-1].reshape(kernel.shape) / 255
        weights["backbone_layer0_conv"] = (np.ascontiguousarray(turned), *rest)
    path = laid(own_convolutions(source), weights).save(tmp_path / f"{name}.onnx")
    assert_same(kzoo.build(name, weights=path, **SMALL), source)
