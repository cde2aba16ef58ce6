"""The region head's loss and gradients against Darknet's, walked through box by box; and its tree of classes."""

import keras
import numpy as np
import pytest
from keras import ops

from kzoo.heads.region import RegionHead
from kzoo.heads.word_tree import WordTree, check_parents

SIDE, CELLS = 96, 3
ANCHORS = [[1.2, 0.7], [0.4, 0.9]]  # in cells
# Two at the top, three below the first, two below the second, two below node 3.
PARENTS = [-1, -1, 0, 0, 0, 1, 1, 3, 3]
SCALES = {"object_scale": 5.0, "noobject_scale": 0.7, "class_scale": 1.3, "coord_scale": 1.5}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    x = np.exp(x - x.max())
    return x / x.sum()


def groups_of(parents):
    """Runs of nodes with one parent."""
    groups = []
    for node, parent in enumerate(parents):
        if not groups or parents[groups[-1][0]] != parent:
            groups.append([])
        groups[-1].append(node)
    return groups


def overlap(a, b):
    """IoU of x, y, w, h about their centres."""
    sides = [
        min(a[i] + a[i + 2] / 2, b[i] + b[i + 2] / 2) - max(a[i] - a[i + 2] / 2, b[i] - b[i + 2] / 2)
        for i in (0, 1)
    ]
    inner = max(sides[0], 0) * max(sides[1], 0)
    return inner / (a[2] * a[3] + b[2] * b[3] - inner)


def darknets_deltas(raw, truths, classes, head):
    """What Darknet hands back from `[region]`, the negative gradient: one image's (cells, cells, anchors, 5 + C)."""
    out, delta = raw.copy(), np.zeros_like(raw)
    out[..., [0, 1, 4]] = sigmoid(raw[..., [0, 1, 4]])
    tree = head.get("tree")
    groups = groups_of(tree) if tree else [list(range(classes))]
    for place in np.ndindex(raw.shape[:3]):
        for group in groups:
            out[place][np.array(group) + 5] = (
                softmax(raw[place][np.array(group) + 5])
                if head["softmax"]
                else sigmoid(raw[place][np.array(group) + 5])
            )

    def box_of(j, i, n):
        w, h = np.exp(raw[j, i, n, 2:4]) * ANCHORS[n]
        return (i + out[j, i, n, 0]) / CELLS, (j + out[j, i, n, 1]) / CELLS, w / CELLS, h / CELLS

    def pull(j, i, n, truth, scale):
        to = np.array([truth[0] * CELLS - i, truth[1] * CELLS - j])
        delta[j, i, n, :2] = scale * (to - out[j, i, n, :2]) * out[j, i, n, :2] * (1 - out[j, i, n, :2])
        delta[j, i, n, 2:4] = scale * (np.log(np.array(truth[2:4]) * CELLS / ANCHORS[n]) - raw[j, i, n, 2:4])

    for j, i, n in np.ndindex(raw.shape[:3]):
        o = out[j, i, n, 4]
        best = max((overlap(box_of(j, i, n), t) for t in truths), default=0)
        if best <= head["thresh"]:
            delta[j, i, n, 4] = head["noobject_scale"] * (0 - o) * o * (1 - o)
        if head["seen"] < 12800:
            w, h = np.array(ANCHORS[n]) / CELLS
            pull(j, i, n, ((i + 0.5) / CELLS, (j + 0.5) / CELLS, w, h), 0.01)
    for truth in truths:
        i, j = int(truth[0] * CELLS), int(truth[1] * CELLS)
        shapes = [
            ANCHORS[n] if head["bias_match"] else np.array(box_of(j, i, n)[2:]) * CELLS
            for n in range(len(ANCHORS))
        ]
        alike = [overlap((0, 0, *np.array(s) / CELLS), (0, 0, *truth[2:4])) for s in shapes]
        n = int(np.argmax(alike))
        reached = overlap(box_of(j, i, n), truth)
        pull(j, i, n, truth, head["coord_scale"] * (2 - truth[2] * truth[3]))
        o = out[j, i, n, 4]
        to = reached if head["rescore"] else 1.0
        delta[j, i, n, 4] = head["object_scale"] * (to - o) * o * (1 - o)
        delta[j, i, n, 5:] = 0
        label = int(truth[4])
        while label >= 0:
            group = np.array(next(group for group in groups if label in group)) + 5
            true = (group == label + 5).astype(float)
            delta[j, i, n, group] = head["class_scale"] * (true - out[j, i, n, group])
            if not head["softmax"]:
                delta[j, i, n, group] *= out[j, i, n, group] * (1 - out[j, i, n, group])
            label = tree[label] if tree else -1
    return delta


def scene(seed, classes, objects):
    """A raw map and objects as x, y, w, h shares of the image and a class."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(0, 1, (CELLS, CELLS, len(ANCHORS), 5 + classes))
    # In different cells, so that no object takes another's prediction.
    cells = rng.permutation(CELLS * CELLS)[:objects]
    truths = []
    for c in cells:
        x, y = (c % CELLS + rng.uniform(0.1, 0.9)) / CELLS, (c // CELLS + rng.uniform(0.1, 0.9)) / CELLS
        truths.append((x, y, *rng.uniform(0.1, 0.4, 2), rng.integers(classes)))
    return raw, truths


def head_of(classes, **arguments):
    head = RegionHead(
        classes,
        [[[w * SIDE / CELLS, h * SIDE / CELLS] for w, h in ANCHORS]],
        [SIDE // CELLS],
        project=False,
        **arguments,
    )
    fields = len(ANCHORS) * head.fields
    head.build([(None, CELLS, CELLS, fields)])
    return head


def gradients(head, raw, truths):
    """The negative gradient of the sum of the terms, for a batch of images."""
    import tensorflow as tf

    targets = {
        "boxes": np.zeros((len(raw), 6, 4), np.float32),
        "labels": np.full((len(raw), 6), -1, np.int32),
    }
    for b, listed in enumerate(truths):
        for m, (x, y, w, h, label) in enumerate(listed):
            targets["boxes"][b, m] = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2]) * SIDE
            targets["labels"][b, m] = label
    values = tf.Variable(np.stack(raw).reshape(len(raw), CELLS, CELLS, -1).astype(np.float32))
    with tf.GradientTape() as tape:
        total = sum(head.loss(targets, {"stride32": values}).values())
    found = -tape.gradient(total, values).numpy() * len(raw)
    return found.reshape(np.stack(raw).shape)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="gradients by TensorFlow's tape")
@pytest.mark.parametrize("seen", [0, 12800])
@pytest.mark.parametrize("rescore, bias_match", [(True, True), (False, False)])
@pytest.mark.parametrize("kind", ["softmax", "logistic", "tree"])
def test_gradients_are_darknets(kind, rescore, bias_match, seen):
    classes = len(PARENTS) if kind == "tree" else 4
    scenes = [scene(seed, classes, count) for seed, count in ((0, 4), (1, 1), (2, 0), (3, 3))]
    raw, truths = zip(*scenes, strict=True)
    words = {**SCALES, "rescore": rescore, "bias_match": bias_match, "thresh": 0.3, "seen": seen}
    words |= {"softmax": kind != "logistic", "tree": PARENTS if kind == "tree" else None}
    theirs = np.stack([darknets_deltas(one, listed, classes, words) for one, listed in scenes])
    head = head_of(
        classes, **SCALES, rescore=rescore, bias_match=bias_match, ignore_threshold=0.3,
        class_activation="sigmoid" if kind == "logistic" else "softmax", tree=words["tree"],
    )  # fmt: skip
    head.seen.assign(seen)
    np.testing.assert_allclose(gradients(head, raw, truths), theirs, atol=2e-5)


def test_images_are_counted_in_training_alone():
    head = head_of(4)
    features = [np.zeros((5, CELLS, CELLS, len(ANCHORS) * 9), np.float32)]
    head(features, training=False)
    assert float(head.seen) == 0
    head(features, training=True)
    assert float(head.seen) == 5


def test_a_tree_by_hand():
    tree, rng = WordTree(PARENTS), np.random.default_rng(0)
    logits = rng.normal(0, 2, (50, len(PARENTS))).astype(np.float32)
    own = np.exp(ops.convert_to_numpy(tree.log_probabilities(logits)))
    chosen = ops.convert_to_numpy(tree.choose(own, 0.5))
    for row, probabilities, node in zip(logits, own, chosen, strict=True):
        given = np.zeros(len(PARENTS))
        for group in groups_of(PARENTS):
            given[group] = softmax(row[group])
        absolute = given.copy()
        for i, parent in enumerate(PARENTS):
            if parent >= 0:
                absolute[i] *= absolute[parent]
        np.testing.assert_allclose(probabilities, absolute, rtol=1e-4)
        assert node == walked(absolute, 0.5)
    assert len(set(chosen)) > 4, "the walk ends at the top, in the middle and at leaves"


def walked(absolute, threshold):
    """Darknet's `hierarchy_top_prediction`, step by step."""
    groups, product, group = groups_of(PARENTS), 1.0, 0
    while True:
        best = max(groups[group], key=lambda node: absolute[node])
        if product * absolute[best] <= threshold:
            return best if group == 0 else PARENTS[groups[group][0]]
        product *= absolute[best]
        below = [at for at, members in enumerate(groups) if PARENTS[members[0]] == best]
        if not below:
            return best
        group = below[-1]


def test_what_is_found_in_a_tree():
    raw, _ = scene(5, len(PARENTS), 0)
    outputs = {"stride32": raw.reshape(1, CELLS, CELLS, -1).astype(np.float32)}
    limits = {"nms_threshold": 1.0, "candidates": 200, "max_detections": 200, "score_threshold": 0.0}
    found = head_of(len(PARENTS), tree=PARENTS, **limits).decode(outputs)
    scores = np.sort(sigmoid(raw[..., 4].ravel()))[::-1]
    count = len(scores)
    np.testing.assert_allclose(ops.convert_to_numpy(found["scores"])[0, :count], scores, rtol=1e-4)
    order = np.argsort(-sigmoid(raw[..., 4].ravel()), kind="stable")
    own = np.exp(
        ops.convert_to_numpy(
            WordTree(PARENTS).log_probabilities(raw[..., 5:].reshape(-1, len(PARENTS)).astype(np.float32))
        )
    )
    labels = [walked(own[i], 0.5) for i in order]
    np.testing.assert_array_equal(ops.convert_to_numpy(found["labels"])[0, :count], labels)
    # Classes that are some of the nodes: objectness times the node's own probability.
    mapped = head_of(3, tree=PARENTS, class_map=[7, 1, 4], **limits).decode(outputs)
    pairs = (sigmoid(raw[..., 4].reshape(-1, 1)) * own[:, [7, 1, 4]]).ravel()
    got = ops.convert_to_numpy(mapped["scores"])[0]
    np.testing.assert_allclose(got[: len(pairs)], np.sort(pairs)[::-1], rtol=1e-3, atol=1e-6)
    assert set(ops.convert_to_numpy(mapped["labels"])[0]) <= {-1, 0, 1, 2}


def test_labels_go_through_the_map():
    raw, truths = scene(6, len(PARENTS), 3)
    nodes = [7, 1, 4]
    mapped = [(*truth[:4], i) for i, truth in enumerate(truths)]
    direct = [(*truth[:4], nodes[i]) for i, truth in enumerate(truths)]
    with_map = head_of(3, tree=PARENTS, class_map=nodes)
    plain = head_of(len(PARENTS), tree=PARENTS)
    np.testing.assert_allclose(
        gradients(with_map, [raw], [mapped]), gradients(plain, [raw], [direct]), atol=1e-6
    )


@pytest.mark.parametrize("parents", [[], [0], [-1, 1], [-1, -2]])
def test_what_is_no_tree(parents):
    with pytest.raises(ValueError, match="tree: "):
        check_parents(parents)


def test_a_map_that_does_not_fit():
    with pytest.raises(ValueError, match="class_map"):
        head_of(2, tree=PARENTS, class_map=[1, 9])
    with pytest.raises(ValueError, match="9 nodes"):
        head_of(4, tree=PARENTS)


def test_kept_in_a_file(tmp_path):
    head = head_of(3, tree=PARENTS, class_map=[7, 1, 4])
    again = RegionHead.from_config(head.get_config())
    assert again.tree.parents == PARENTS and again.class_map == [7, 1, 4] and again.num_classes == 3
