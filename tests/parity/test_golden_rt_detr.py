"""RT-DETR, DINO, DAB-Deformable-DETR and D-FINE beside numbers of the authors' own programs, layer by layer.

Networks' weights follow from tensors' names and shapes by the rule that `golden/detr_keypoints_README.md` states.
"""

import json
import zlib

import numpy as np
import pytest
from keras import ops

import kzoo

SIDE = 128


def drawn(name, shape):
    """A tensor's values, by its name and shape."""
    rng, last = np.random.default_rng(zlib.crc32(name.encode())), name.rpartition(".")[2]
    if last == "running_var" or (len(shape) == 1 and last in ("weight", "scale")):
        return rng.uniform(0.5, 1.5, shape)
    values = rng.standard_normal(shape)
    return values * (0.1 if len(shape) == 1 else np.sqrt(1 / np.prod(shape[1:])))


def state_file(folder, name, path):
    """The weights of a record as a file; what the record has twice is there once."""
    from safetensors.numpy import save_file

    record = json.loads((folder / f"{name}.json").read_text())
    tensors = {key: drawn(key, shape).astype("float32") for key, shape in record["tensors"]}
    save_file(tensors, path)
    with np.load(folder / f"{name}.npz") as arrays:
        return {key: arrays[key] for key in arrays}


MODELS = {
    "rtdetrv2_hgnetv2_l": ("rt-detr-v2-l", 80, 60),
    "dab_deformable_detr_r50": ("dab-deformable-detr-r50", 91, 60),
    "dino_r50_4scale": ("dino-r50", 91, 100),
    "dfine_hgnetv2_n": ("d-fine-n", 80, 60),
}


@pytest.mark.slow
@pytest.mark.parametrize("record", MODELS)
def test_layers_of_the_decoder(golden_detr, record, tmp_path):
    name, classes, queries = MODELS[record]
    path = tmp_path / "model.safetensors"
    known = state_file(golden_detr, record, path)
    model = kzoo.build(name, num_classes=classes, queries=queries, image_size=SIDE, weights=path)
    images = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    head = model.head
    memory = head.memory(model.features(images.astype("float32"), training=False))
    start = head.start(memory, training=True)
    told = head.run(start, memory, None, False, head.decoder_depth, every=True)
    logits, boxes = (np.stack([ops.convert_to_numpy(each) for each in row]) for row in told)
    assert known["logits"].std() > 0.1
    np.testing.assert_allclose(logits, known["logits"], atol=1e-4 * np.abs(known["logits"]).max())
    np.testing.assert_allclose(boxes, known["boxes"], atol=1e-4)
    if "interm_logits" in known:
        np.testing.assert_allclose(start.encoder["class"], known["interm_logits"], atol=1e-4)
        np.testing.assert_allclose(start.encoder["box"], known["interm_boxes"], atol=1e-4)
