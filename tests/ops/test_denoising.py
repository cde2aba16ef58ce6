"""Spoilt queries and boxes of cells beside what the authors' programs recorded, given the same random numbers."""

import json
import zlib

import numpy as np
import pytest
from keras import ops

from kzoo.heads.query_parts import Memory
from kzoo.heads.rt_detr import RTDETRHead
from kzoo.layers.transformer import inverse_sigmoid
from kzoo.ops.cell_boxes import BEYOND, cell_boxes
from kzoo.ops.denoising import changed_labels, moved_centers, moved_corners, slots, visible

QUERIES, MOST = 8, 5  # ordinary queries, and objects of the image that has most


def recorded(folder, name):
    with np.load(folder / f"{name}.npz") as arrays:
        return {key: arrays[key] for key in arrays}


def scenes(known):
    """Objects of the images, padded."""
    images = sum(key.endswith("_labels") and key.startswith("image") for key in known)
    boxes, labels = np.full((images, MOST, 4), 0.5, "float32"), np.zeros((images, MOST), "int32")
    there = np.zeros((images, MOST), bool)
    for image in range(images):
        count = len(known[f"image{image}_labels"])
        boxes[image, :count], labels[image, :count] = (
            known[f"image{image}_boxes"],
            known[f"image{image}_labels"],
        )
        there[image, :count] = True
    return boxes, labels, there


def by_object(known, there, groups, kinds, share):
    """Random numbers by image, group, kind and object, which the authors draw for all slots, or for all objects in one
    row; new labels for those alone that are to be changed.
    """
    images, objects = len(there), there.sum()
    count, found, first = kinds * groups * objects, [], None
    for name in sorted(key for key in known if key.startswith("noise")):
        values = known[name]
        if values.shape[:2] == (images, kinds * groups * MOST):
            found.append(values.reshape(images, groups, kinds, MOST, *values.shape[2:]))
            continue
        first = values if first is None else first
        if len(values) != count:
            values, drawn = np.zeros(count, values.dtype), values
            values[first < share] = drawn
        rows = values.reshape(groups, kinds, objects, *values.shape[1:])
        spread = np.zeros((images, groups, kinds, MOST, *values.shape[1:]), values.dtype)
        image, number = np.nonzero(there)
        spread[image, :, :, number] = np.moveaxis(rows, 2, 0)
        found.append(spread)
    return found


CASES = {  # pairs of slots, groups at most, groups of the record, share of labels, noise of boxes
    "denoising_dino_3": (30, 6, 6, 0.25, 0.4),
    "denoising_dino_100": (100, None, 20, 0.25, 0.4),
    "denoising_rtdetr_12": (12, None, 2, 0.25, 1.0),
    "denoising_rtdetr_100": (100, None, 20, 0.25, 1.0),
    "denoising_dn": (25, 5, 5, 0.2, 0.4),
}


@pytest.mark.parametrize("name", CASES)
def test_labels_boxes_and_who_sees_whom(golden_detr, name):
    pairs, most_groups, groups, share, noise = CASES[name]
    known = recorded(golden_detr, name)
    plain = name == "denoising_dn"
    kinds = 1 if plain else 2
    boxes, labels, there = scenes(known)
    noises = by_object(known, there, groups, kinds, share)
    own = slots(ops.convert_to_tensor(there), pairs, most_groups, bad_ones=not plain)
    group, bad, owner, counts = (
        ops.convert_to_numpy(each) for each in (own.group, own.bad, own.owner, own.counts)
    )
    content = np.asarray(known["query_content"])
    logits = np.asarray(known["query_box_logit"])
    if plain:  # (queries, images, ...) there
        content, logits = content.swapaxes(0, 1), logits.swapaxes(0, 1)
    vectors = {}
    for image in range(len(boxes)):
        # Where there are fewer objects than in the fullest image, there are more groups here than there.
        used = np.nonzero(counts[image] & (group[image] < groups))[0]
        assert len(used) == kinds * groups * there[image].sum()
        at = image, group[image, used], bad[image, used].astype(int), owner[image, used]
        place = (at[1] * kinds + at[2]) * MOST + at[3]
        true, drawn = (each[image, owner[image, used]] for each in (labels, boxes))
        true, drawn, first, second = (
            ops.convert_to_tensor(each[None])
            for each in (true, drawn, noises[0][at], noises[1][at].astype("int32"))
        )
        changed = changed_labels(true, first, second, share)
        sign = ops.convert_to_tensor((noises[2][at][None] * 2.0 - 1.0).astype("float32"))
        if plain:
            moved = moved_centers(drawn, sign, noise)
        else:
            part, spoilt = (ops.convert_to_tensor(each[None]) for each in (noises[3][at], bad[image, used]))
            moved = moved_corners(drawn, spoilt, sign, part, noise)
        given = ops.convert_to_numpy(inverse_sigmoid(moved, 1e-3 if plain or "dino" in name else 1e-5))
        np.testing.assert_allclose(given[0], logits[image, place], atol=1e-4)
        for label, vector in zip(ops.convert_to_numpy(changed)[0], content[image, place], strict=True):
            np.testing.assert_array_equal(vectors.setdefault(int(label), vector), vector)
    assert len({tuple(vector) for vector in vectors.values()}) == len(vectors)
    fullest = int(np.argmax(there.sum(axis=1)))
    seen = ops.convert_to_numpy(visible(own, QUERIES))[fullest]
    total = kinds * groups * MOST
    rows = np.r_[:total, len(seen) - QUERIES : len(seen)]
    np.testing.assert_array_equal(seen[np.ix_(rows, rows)], ~known["attention_mask"])


def test_images_without_objects_have_no_slots_that_count():
    own = slots(np.zeros((1, 3), bool), 4)
    assert not ops.convert_to_numpy(own.counts).any()
    assert ops.convert_to_numpy(visible(own, 2)).any(axis=-1).all()


def test_objects_beyond_the_slots_have_none():
    own = slots(np.ones((1, 9), bool), 4)
    assert set(ops.convert_to_numpy(own.owner)[0]) == set(range(8)) and ops.convert_to_numpy(own.groups) == 1


def test_boxes_of_cells(golden_detr):
    known = recorded(golden_detr, "sine_query_and_proposals")
    logits, counts = (ops.convert_to_numpy(each) for each in cell_boxes([(6, 5), (3, 3)]))
    np.testing.assert_allclose(logits, known["proposals"], atol=1e-5)
    known = recorded(golden_detr, "rtdetr_selection")
    logits, counts = (ops.convert_to_numpy(each) for each in cell_boxes([(4, 60), (2, 30), (1, 15)]))
    np.testing.assert_array_equal(counts[..., 0] > 0, known["valid"][..., 0])
    finite = np.isfinite(known["anchors"])
    np.testing.assert_allclose(logits[finite], known["anchors"][finite], atol=1e-5)
    assert (logits[~finite] == BEYOND).all()


def test_selection(golden_detr):
    """Cells at the edge are nobody's, and are chosen nevertheless where they score best, as in the original."""
    known = recorded(golden_detr, "rtdetr_selection")
    shapes = json.loads((golden_detr / "rtdetr_selection.json").read_text())["tensors"]
    head = RTDETRHead(6, (8, 16, 32), query_width=32, heads=8, queries=10, decoder_depth=1, feedforward=32)
    sizes = [(4, 60), (2, 30), (1, 15)]
    head.build([(None, *size, 32) for size in sizes])
    values = {}
    for name, shape in shapes:
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        norm = name == "enc_output.norm.weight"
        drawn = rng.uniform(0.5, 1.5, shape) if norm else rng.standard_normal(shape)
        scale = 1.0 if norm else 0.1 if name.endswith("bias") else shape[-1] ** -0.5
        values[name] = (drawn * scale).astype("float32")
    modules = {"enc_output.proj": head.encoder_dense, "enc_score_head": head.encoder_class}
    modules |= {f"enc_bbox_head.layers.{i}": layer for i, layer in enumerate(head.encoder_box.layers)}
    for name, layer in modules.items():
        layer.set_weights([values[f"{name}.weight"].T, values[f"{name}.bias"]])
    head.encoder_norm.set_weights([values["enc_output.norm.weight"], values["enc_output.norm.bias"]])
    cells = known["memory"]
    queries = head.start(Memory([], ops.convert_to_tensor(cells), sizes), training=True)
    np.testing.assert_allclose(ops.convert_to_numpy(queries.content), known["content"], atol=1e-5)
    wanted = 1 / (1 + np.exp(-known["query_box_logit"]))
    np.testing.assert_allclose(ops.convert_to_numpy(queries.reference), wanted, atol=1e-5)
    logits = np.take_along_axis(known["logits"], known["selected_index"][..., None], axis=1)
    np.testing.assert_allclose(ops.convert_to_numpy(queries.encoder["class"]), logits, atol=1e-5)
