"""State dicts of RT-DETR, D-FINE, Deformable DETR and DINO: every tensor of the published files has its place."""

import numpy as np
import pytest
from shapes_only import shapes_only

import kzoo
from kzoo.registry import entry
from kzoo.weights import deformable_detr, rt_detr
from kzoo.weights.assigning import named_layers
from kzoo.weights.state_dicts import stripped
from kzoo.weights.torch import _PARAMETERS

SIZES = ("r18", "r34", "r50m", "r50", "r101")
AUTHORS = {"r18": "r18vd", "r34": "r34vd", "r50m": "r50vd_m", "r50": "r50vd", "r101": "r101vd"}
EPOCHS = {"r18": "120e", "r50m": "7x"}
PLAIN, REFINED, TWO_STAGE = (f"deformable-detr-r50{kind}" for kind in ("", "-refined", "-two-stage"))
# Names of the lists of tensors, and the models that they are of.
FILES = {
    **{f"hf_rt_detr_{size}": f"rt-detr-{size}" for size in SIZES},
    **{f"hf_rt_detr_v2_{size}": f"rt-detr-v2-{size}" for size in SIZES},
    **{f"rtdetr_{AUTHORS[size]}_6x_coco": f"rt-detr-{size}" for size in SIZES},
    **{f"rtdetrv2_{AUTHORS[size]}_{EPOCHS.get(size, '6x')}_coco": f"rt-detr-v2-{size}" for size in SIZES},
    **{f"rtdetrv2_hgnetv2_{size}_6x_coco": f"rt-detr-v2-{size}" for size in "lx"},
    **{f"dfine_hgnetv2_{size}_coco": f"d-fine-{size}" for size in "nsmlx"},
    "hf_deformable_detr_r50": PLAIN,
    "hf_deformable_detr_r50_two_stage": TWO_STAGE,
    "orig_deformable_detr_r50": PLAIN,
    "orig_deformable_detr_r50_refine": REFINED,
    "orig_deformable_detr_r50_two_stage": TWO_STAGE,
    "orig_dab_deformable_detr_r50": "dab-deformable-detr-r50",
    "orig_dino_DINO_4scale_r50": "dino-r50",
    "orig_dino_DINO_5scale_r50": "dino-r50-5scale",
}
QUICK = ("hf_rt_detr_r18", "rtdetr_r18vd_6x_coco", "dfine_hgnetv2_n_coco", "orig_dino_DINO_4scale_r50")


def listed(path):
    """Tensors of a list, by name, that take no memory."""
    found = {}
    for line in path.read_text().splitlines():
        name, _, shape = line.partition(" ")
        sides = [int(side) for side in shape.strip("()").split(",") if side.strip()]
        found[stripped(name)] = np.broadcast_to(np.float32(0), sides)
    return found


@pytest.mark.parametrize(
    "file", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FILES]
)
def test_names_of_a_file_are_those_of_the_model(shared, file):
    path = shared / "facts" / "keys" / f"keys_{file}.txt"
    if not path.is_file():
        pytest.skip(f"{path.name} is not at hand")
    name = FILES[file]
    with shapes_only():
        layers = named_layers(kzoo.build(name, num_classes=entry(name).num_classes), False)
    tensors = listed(path)
    for kin in (deformable_detr, rt_detr):
        tensors = kin.as_ours(tensors, layers)
    modules = {**deformable_detr.torch_modules(layers), **rt_detr.torch_modules(layers)}
    resnet = [layer for layer in layers if layer not in modules]  # named by `kzoo.weights.torch_names`
    assert all(layer.startswith("backbone_") for layer in resnet)
    wanted = {
        f"{module}.{_PARAMETERS.get(variable.name, variable.name)}"
        for layer, (module,) in modules.items()
        for variable in layers[layer].weights
    }
    there = {key for key in tensors if not key.endswith("num_batches_tracked")}
    left = {key for key in there - wanted if not (resnet and key.startswith(("layer", "conv1.", "bn1.")))}
    assert (wanted - there, left) == (set(), set())


@pytest.mark.backends
def test_the_running_mean_of_the_weights_is_taken(tmp_path):
    """Of the authors' files, which have what was trained last beside it."""
    torch = pytest.importorskip("torch")
    settings = {"num_classes": 3, "image_size": (64, 64), "width": 0.25, "depth": 0.05, "queries": 20}
    source = kzoo.build("rt-detr-r18", **settings)
    layers, tensors = named_layers(source, False), {}
    for layer, (module,) in rt_detr.torch_modules(layers).items():
        for variable in layers[layer].weights:
            value = np.array(variable)
            value = np.roll(value.T, -1, axis=0) if layer == "head_labels" else value
            value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
            value = value.T if value.ndim == 2 and layer != "head_labels" else value
            tensors[f"{module}.{_PARAMETERS.get(variable.name, variable.name)}"] = torch.tensor(value)
    path = tmp_path / "rtdetr.pth"
    last = {name: torch.zeros_like(value) for name, value in tensors.items()}
    torch.save({"model": last, "ema": {"module": tensors, "updates": 7}}, path)
    model = kzoo.build("rt-detr-r18", **settings, weights=path)
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    before, after = (each.predict_on_batch(images) for each in (source, model))
    for key in before:
        np.testing.assert_allclose(after[key], before[key], atol=1e-5, err_msg=key)
