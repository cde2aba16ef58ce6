"""Heads with queries: what they refuse, what counts how much, what is given out. Their figures: tests/parity."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

import kzoo
from kzoo.heads import (
    AnchorDETRHead,
    ConditionalDETRHead,
    DABDETRHead,
    DETRHead,
    DNDETRHead,
    SMCADETRHead,
)
from kzoo.heads.query_loss import QueryLoss
from kzoo.heads.query_parts import truth_of
from kzoo.model import ZooModel

SMALL = {"query_width": 32, "heads": 4, "feedforward": 32, "decoder_depth": 2, "queries": 6, "dropout": 0.0}
KINDS = {
    "detr": (DETRHead, {}),
    "conditional": (ConditionalDETRHead, {}),
    "dab": (DABDETRHead, {}),
    "dn": (DNDETRHead, {"denoising": 8}),
    "smca": (SMCADETRHead, {"spread": "axes"}),
    "anchor": (AnchorDETRHead, {"patterns": 2, "encoder_depth": 1}),
}


def make(kind="detr", **options):
    head_type, own = KINDS[kind]
    keras.utils.set_random_seed(0)
    head = head_type(3, (32,), **{**SMALL, **own, **options})
    head.build([(None, None, None, 32)])
    return head


def maps(seed=0):
    return [ops.convert_to_tensor(np.random.default_rng(seed).normal(size=(2, 2, 3, 32)).astype("float32"))]


def targets(padding=4):
    boxes, labels = np.zeros((2, padding, 4), np.float32), np.full((2, padding), -1, np.int32)
    boxes[0, :2], labels[0, :2] = [[4, 4, 30, 28], [34, 30, 60, 62]], [0, 2]
    boxes[1, 0], labels[1, 0] = [10, 20, 80, 50], 1
    return {"boxes": boxes, "labels": labels}


def losses(head, truth, training=True, **arguments):
    told = head.loss(truth, head(maps(), training=training), **arguments)
    return {name: float(value) for name, value in told.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_terms_and_results_have_their_names_and_shapes(kind):
    head = make(kind)
    assert set(losses(head, targets())) == set(head.loss_names)
    outputs = head(maps())
    count = 12 if kind == "anchor" else 6
    assert outputs["class"].shape == (2, count, 4 if kind == "detr" else 3)
    assert outputs["box"].shape == (2, count, 4)
    found = head.decode(outputs)
    assert found["boxes"].shape == (2, head.max_detections, 4)
    assert (np.diff(ops.convert_to_numpy(found["scores"])) <= 0).all()


def test_dropout_acts_in_training_alone():
    head = make(dropout=0.5)
    once, again = (losses(head, targets(), training=False) for _ in range(2))
    assert once == again
    assert losses(head, targets()) != losses(head, targets())


def test_validation_has_the_loss_of_training_where_nothing_is_drawn():
    head = make()
    assert losses(head, targets(), training=False) == pytest.approx(losses(head, targets()), rel=1e-6)


def test_padding_changes_nothing():
    head = make()
    truth = targets()
    more = targets(padding=9)
    assert losses(head, more) == pytest.approx(losses(head, truth), rel=1e-6)
    garbage = {name: values.copy() for name, values in truth.items()}
    garbage["boxes"][1, 2] = [np.nan, 5, 3, np.inf]
    assert losses(head, garbage) == pytest.approx(losses(head, truth), rel=1e-6)


@pytest.mark.long
def test_weights_of_images_and_of_objects():
    head = make("conditional")
    known = losses(head, targets())
    assert losses(head, targets(), sample_weight=np.float32([1, 1])) == pytest.approx(known, rel=1e-6)
    tripled = losses(head, targets(), sample_weight=np.float32([3, 3]))
    assert tripled == pytest.approx({name: 3 * value for name, value in known.items()}, rel=1e-5)
    alone = losses(head, targets(), sample_weight=np.float32([0, 1]))
    assert all(0 < alone[name] < known[name] for name in known)
    weights = np.ones((2, 4), np.float32)
    assert losses(head, {**targets(), "weights": weights}) == pytest.approx(known, rel=1e-6)
    weights[0] = 0  # objects that do not count are divided by no longer, either
    truth = targets()
    truth["boxes"], truth["labels"] = truth["boxes"][1:], truth["labels"][1:]
    one = head.loss(truth, head([maps()[0][1:]], training=True))
    weighted = losses(head, {**targets(), "weights": weights})
    assert weighted["box"] == pytest.approx(float(one["box"]), rel=1e-4)
    assert weighted["giou"] == pytest.approx(float(one["giou"]), rel=1e-4)


@pytest.mark.long
def test_factors_of_terms_and_of_earlier_layers():
    known = losses(make(), targets())
    for name in ("class", "box", "giou"):
        default = {"class": 1.0, "box": 5.0, "giou": 2.0}[name]
        twice = losses(make(**{f"{name}_weight": 2 * default}), targets())
        assert twice[name] == pytest.approx(2 * known[name], rel=1e-5)
    last = losses(make(auxiliary=0), targets())
    assert all(0 < last[name] < known[name] for name in known)


def test_costs_decide_who_finds_what():
    truth = truth_of({"boxes": np.float32([[[0, 0, 32, 32]]]), "labels": np.int32([[1]])}, (64, 64))
    logits = np.float32([[[[0, 0, 0], [0, 4, 0]]]])  # the second query knows the class
    boxes = np.float32([[[[0.25, 0.25, 0.5, 0.5], [0.7, 0.7, 0.5, 0.5]]]])  # the first the box
    usual = {"class": 1.0, "box": 5.0, "giou": 2.0}
    for costs, winner in (({"class": 1.0, "box": 0.0, "giou": 0.0}, 1), (usual, 0)):
        match = QueryLoss("focal", 0.1, 2.0, 0.25, usual, costs).match(truth, logits, boxes)
        assert ops.convert_to_numpy(match.positive)[0, 0].tolist() == [winner == 0, winner == 1]


def test_more_objects_than_queries_leave_out_those_that_cost_most():
    """The loss of five objects and two queries is that of the two objects whose pairs cost least, all others away."""
    head = make("conditional", queries=2, decoder_depth=1)
    corners = np.float32(
        [[4, 4, 30, 28], [34, 30, 60, 62], [10, 20, 80, 50], [50, 2, 94, 60], [2, 40, 20, 62]]
    )
    outputs = {name: x[:1] for name, x in head(maps(), training=True).items()}

    def losses_of(rows):
        truth = {"boxes": corners[None, rows], "labels": np.int32([[row % 3 for row in rows]])}
        return {name: float(value) for name, value in head.loss(truth, outputs).items()}

    everything = list(range(len(corners)))
    truth = truth_of({"boxes": corners[None], "labels": np.int32([[0, 1, 2, 0, 1]])}, (64, 96))
    memory = head.memory(head.features(outputs))
    logits, boxes = head.run(head.start(memory, True), memory, None, True, 1, every=True)
    (cost,) = ops.convert_to_numpy(head.set_loss.cost(truth, ops.stack(logits), ops.stack(boxes)))[0]
    pairs = min(itertools.permutations(everything, 2), key=lambda rows: cost[[0, 1], rows].sum())
    # Sums are divided by the number of objects, whether a query has them or not.
    wanted = {name: value * 2 / 5 for name, value in losses_of(sorted(pairs)).items()}
    assert losses_of(everything) == pytest.approx(wanted, rel=1e-4)


def test_fewer_layers_in_inference_are_the_first_ones():
    whole, short = make(), make(decoder_layers=1)
    short.set_weights(whole.get_weights())
    queries, memory = whole.start(whole.memory(maps()), False), whole.memory(maps())
    logits, boxes = whole.run(queries, memory, None, False, 2, every=True)
    outputs = short(maps())
    np.testing.assert_allclose(outputs["class"], logits[0], atol=1e-6)
    np.testing.assert_allclose(outputs["box"], boxes[0], atol=1e-6)
    assert np.abs(ops.convert_to_numpy(logits[1] - logits[0])).max() > 1e-3


def test_a_layer_that_refines_begins_where_the_one_before_ended():
    head = make("dab")
    for layer in head.box_layers[0].layers:
        layer.set_weights([np.random.default_rng(0).normal(0, 0.3, w.shape) for w in layer.get_weights()])
    memory = head.memory(maps())
    seen, step = [], head.step

    def watched(index, queries, *rest):
        seen.append(ops.convert_to_numpy(queries.reference))
        return step(index, queries, *rest)

    head.step = watched
    head.run(head.start(memory, False), memory, None, False, 2, every=True)
    assert np.abs(seen[1] - seen[0]).max() > 0.05


def test_suppression_is_there_for_those_who_ask():
    logits = np.full((1, 6, 4), -9, np.float32)
    logits[0, :2, 1] = [5, 4]  # two queries find the same object
    box = np.tile(np.float32([0.5, 0.5, 0.4, 0.4]), (1, 6, 1))
    outputs = {"features_stride32": maps()[0][:1], "class": logits, "box": box}
    for options, count in (({}, 2), ({"nms_threshold": 0.5}, 1)):
        scores = ops.convert_to_numpy(make(**options).decode(outputs)["scores"])
        assert (scores > 0.5).sum() == count


def test_boxes_are_cut_to_the_image():
    box = np.tile(np.float32([0.95, 0.05, 0.4, 0.4]), (1, 6, 1))
    logits = np.tile(np.float32([-5, 5, -5, -5]), (1, 6, 1))
    found = make().decode({"features_stride32": maps()[0][:1], "class": logits, "box": box})
    np.testing.assert_allclose(found["boxes"][0, 0], [72, 0, 96, 16], atol=1e-3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"decoder_layers": 3}, "there are decoder_depth=2"),
        ({"query_width": 36, "heads": 8}, "give a multiple of 4 and of heads=8"),
        ({"class_loss": "hinge"}, "class_loss='hinge' is unknown"),
        ({"queries": 0}, "queries=0: give a whole number"),
        ({"query": 3}, "did you mean queries"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(options, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(")) as error:
        make(**options)
    assert "\n" not in str(error.value)


def test_options_without_effect_are_refused():
    with pytest.raises(
        ValueError, match=r"no_object_weight=0\.2: has an effect with class_loss=softmax alone"
    ):
        kzoo.build("conditional-detr-r50", width=0.125, depth=0.05, image_size=64, no_object_weight=0.2)


def test_a_compiler_that_does_not_take_the_loss_is_refused():
    head = make()
    network = keras.Model(x := keras.Input((64, 96, 3)), [keras.layers.Conv2D(32, 32, 32)(x)], name="network")
    model = ZooModel(network, head, (64, 96), name="small")
    with pytest.raises(ValueError, match="jit_compile=True: small assigns objects to queries outside"):
        model.compile("sgd", jit_compile=True)
    model.compile("sgd")
    assert not model.jit_compile


def test_maps_of_other_channels_are_refused():
    with pytest.raises(ValueError, match="give the stride of each map"):
        DETRHead(3, (32,), **SMALL).build([(None, None, None, 64)])


def test_spoilt_queries_are_seen_by_none_but_their_own():
    head = make("dn")
    truth = truth_of(targets(), (64, 96))
    noised = head.noised(truth)
    visible = ops.convert_to_numpy(noised.visible)
    counted = ops.convert_to_numpy(noised.counted) > 0
    assert not visible[:, 8:, :8].any()  # ordinary queries see no spoilt one
    assert visible[:, :, 8:].all()
    assert counted[0].sum() == 8 and counted[1].sum() == 5  # four groups of two objects, and five of one
    boxes = ops.convert_to_numpy(noised.reference)[counted]
    assert boxes.min() >= 0 and boxes.max() <= 1
