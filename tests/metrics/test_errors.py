"""Kinds of error and what they cost: by hand, against tidecv's recorded figures, and what must hold of any image."""

import json

import cv2
import numpy as np
import pytest
from detection_scenes import detected, random_scene, truth
from error_scenes import TIDECV, messy_scene
from hypothesis import given, settings
from hypothesis import strategies as st

from kzoo.metrics import ErrorEvaluator, draw_errors, oracles, plot_errors
from kzoo.metrics.error_pictures import COLORS, RIGHT_COLOR, TRUTH_COLOR
from kzoo.metrics.errors import KINDS, LEFT_OUT, RIGHT, assign, judge, reported

A, B, FAR = [0, 0, 100, 100], [200, 0, 300, 100], [500, 500, 600, 600]
A_WELL, A_BADLY = [0, 0, 100, 90], [0, 0, 100, 40]


def evaluator_of(scene, classes=2):
    evaluator = ErrorEvaluator([f"class {label}" for label in range(classes)])
    for objects, detections in scene:
        evaluator.update(objects, detections)
    return evaluator


def analyse(scene, classes=2):
    return evaluator_of(scene, classes).result().errors


def image_of(objects, detections):
    return evaluator_of([(objects, detections)])._images[0]


def outcomes_of(scene, classes):
    images = [reported(image) for image in evaluator_of(scene, classes)._images]
    return oracles.Outcomes.of(images, [judge(image) for image in images], classes)


@pytest.mark.parametrize(
    ("objects", "detections", "counts", "map50", "costs"),
    [
        (truth([A], [0]), detected([A_BADLY], [0.9], [0]), {"localisation": 1}, 0, {"localisation": 1}),
        (truth([A], [0]), detected([A_WELL], [0.9], [1]), {"classification": 1}, 0, {"classification": 1}),
        # Neither can be corrected, so that the object is missed as well.
        (truth([A], [0]), detected([A_BADLY], [0.9], [1]), {"both": 1, "missed": 1}, 0, {"missed": 1}),
        (
            truth([A, B], [0, 0]),
            detected([A, A_WELL, B], [0.9, 0.8, 0.7], [0, 0, 0]),
            {"duplicate": 1},
            # The 50 recalls above a half have a precision of 2 / 3.
            1 - 50 / 3 / 101,
            {"duplicate": 50 / 3 / 101},
        ),
        (
            truth([A], [0]),
            detected([FAR, A], [0.9, 0.8], [0, 0]),
            {"background": 1},
            0.5,
            {"background": 0.5},
        ),
        (truth([A, B], [0, 0]), detected([A], [0.9], [0]), {"missed": 1}, 51 / 101, {"missed": 50 / 101}),
        # The object gets one of them, the other is taken away.
        (
            truth([A], [0]),
            detected([A_BADLY, A_BADLY], [0.9, 0.8], [0, 0]),
            {"localisation": 2},
            0,
            {"localisation": 1},
        ),
        # As tidecv does: the better of both kinds is to be corrected, and the other is not, not even alone.
        (
            truth([A], [0]),
            detected([A_BADLY, A_WELL], [0.9, 0.8], [0, 1]),
            {"localisation": 1, "classification": 1},
            0,
            {"localisation": 1},
        ),
        (truth(), detected([A], [0.9], [0]), {"background": 1}, np.nan, {}),
        (truth([A], [0]), detected([A], [0.9], [0]), {}, 1, {}),
    ],
)
def test_by_hand(objects, detections, counts, map50, costs):
    errors = analyse([(objects, detections)])
    assert {row.kind: row.count for row in errors.kinds if row.count} == counts
    assert {row.kind: row.count_at_score for row in errors.kinds if row.count_at_score} == counts
    assert errors.map50 == pytest.approx(map50, nan_ok=True)
    if map50 == map50:
        assert {row.kind: row.cost for row in errors.kinds if row.cost} == pytest.approx(costs)
    assert sum(counts.values()) == sum(len(image.mistakes) for image in errors.images)


@pytest.mark.parametrize(
    ("boxes", "kind"), [([[0, 0, 100, 50]], "right"), ([[0, 0, 100, 10]], "localisation")]
)
def test_the_thresholds_belong_to_the_better_side(boxes, kind):
    verdict = judge(image_of(truth([A], [0]), detected(boxes, [0.9], [0])))
    assert {RIGHT: "right"}.get(verdict.kinds[0], list(KINDS)[verdict.kinds[0]]) == kind


@pytest.mark.parametrize(("seed", "classes"), TIDECV)
def test_counts_and_costs_equal_tidecvs(monkeypatch, seed, classes):
    # Its recalls are k / 100, COCO's k * .01: they round another way, and an average precision moves by up to .01.
    monkeypatch.setattr(oracles, "RECALLS", np.arange(101) / 100)
    errors = analyse(messy_scene(np.random.default_rng(seed), classes), classes)
    precision, rows = TIDECV[seed, classes]
    assert 100 * errors.map50 == pytest.approx(precision, abs=1e-6)
    ours = {row.kind: (row.count, 100 * row.cost) for row in errors.kinds}
    ours["false positives"] = (None, 100 * errors.false_positives)
    ours["false negatives"] = (None, 100 * errors.false_negatives)
    assert list(ours) == list(rows)
    for kind, (count, cost) in rows.items():
        assert ours[kind] == (count, pytest.approx(cost, abs=1e-6)), kind


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.2]), st.booleans())
def test_the_average_precision_is_cocos_own(seed, share, ties):
    rng = np.random.default_rng(seed)
    scene = random_scene(rng, images=8, difficult=share, crowd=share, ties=ties)
    metrics = evaluator_of(scene, 3).result()
    assert metrics.errors.map50 == pytest.approx(metrics.map50, abs=1e-9, nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.2]))
def test_everything_wrong_is_counted_once(seed, share):
    scene = random_scene(np.random.default_rng(seed), images=6, difficult=share, crowd=share)
    evaluator = evaluator_of(scene, 3)
    right = wrong = missed = 0
    for image in evaluator._images:
        verdict, owner = judge(image), assign(image)
        ignored = np.isin(owner, np.flatnonzero(~image.counted))
        np.testing.assert_array_equal(verdict.kinds == LEFT_OUT, ignored)
        np.testing.assert_array_equal(verdict.kinds == RIGHT, (owner >= 0) & ~ignored)
        assert np.isin(verdict.kinds, [LEFT_OUT, RIGHT, *range(len(KINDS) - 1)]).all()
        right += np.count_nonzero(verdict.kinds == RIGHT)
        wrong += np.count_nonzero(verdict.kinds >= 0)
        missed += np.count_nonzero(verdict.missed)
        # Each object to be found is found, or a correction would find it, or it is missed.
        rescued = np.zeros(len(image.boxes), bool)
        rescued[verdict.objects[verdict.corrected]] = True
        np.testing.assert_array_equal(verdict.found + 1 * rescued + verdict.missed, image.counted)
        assert np.count_nonzero(verdict.corrected) == np.count_nonzero(rescued)
    metrics = evaluator.result()
    counts = [row.count for row in metrics.errors.kinds]
    assert (sum(counts[:-1]), counts[-1]) == (wrong, missed)
    assert right <= metrics.objects and len(metrics.errors.names) == 3


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_all_put_right_is_perfect_and_nothing_put_right_does_harm(seed, classes):
    outcomes = outcomes_of(messy_scene(np.random.default_rng(seed), classes, images=5), classes)
    if not outcomes.classes:
        return
    reached = outcomes.map50()
    assert outcomes.map50(range(len(KINDS))) == 1.0
    assert all(outcomes.map50([kind]) >= reached - 1e-12 for kind in range(len(KINDS)))
    assert outcomes.without_false_positives() >= reached - 1e-12
    assert outcomes.without_false_negatives() >= reached - 1e-12


def plain_mean(outcomes, left_out=None):
    """Mean over the classes of the sum of the precision at each hit, by its number of objects."""
    values = []
    for label in np.flatnonzero(outcomes.objects):
        rows = [i for i in np.flatnonzero(outcomes.labels == label) if i != left_out]
        rows.sort(key=lambda i: -outcomes.scores[i])
        right = [outcomes.kinds[i] == RIGHT for i in rows]
        at_hits = [sum(right[: n + 1]) / (n + 1) for n, hit in enumerate(right) if hit]
        values.append(sum(at_hits) / outcomes.objects[label])
    return np.mean(values)


def test_what_a_mistake_costs_is_what_is_gained_without_it():
    scene = random_scene(np.random.default_rng(4), images=12, difficult=0.1)
    outcomes = outcomes_of(scene, 3)
    evaluator = ErrorEvaluator(["a", "b", "c"], score=0.0)
    for objects, detections in scene:
        evaluator.update(objects, detections)
    mistakes = [one for image in evaluator.result().errors.images for one in image.mistakes]
    wrong = {outcomes.scores[i]: i for i in np.flatnonzero(outcomes.kinds != RIGHT)}
    assert len(wrong) > 20 and {one.score for one in mistakes} == {None, *wrong}
    reached = plain_mean(outcomes)
    for one in mistakes:
        expected, unfound = 0.0, one.score is None
        if one.score is not None:
            expected = plain_mean(outcomes, left_out=wrong[one.score]) - reached
            unfound = outcomes.corrected[wrong[one.score]]
        if unfound:
            # The object would be found, by the best score of all.
            expected += 1 / outcomes.objects[one.true_label] / 3
        assert one.cost == pytest.approx(expected, abs=1e-12)


def test_difficult_objects_and_crowds_are_left_out():
    objects = truth([A, B], [0, 0], difficult=[True, False], crowd=[False, True])
    inside = [[210, 10, 240, 40], [250, 50, 280, 80]]
    verdict = judge(image_of(objects, detected([A, *inside, A_WELL], [0.9, 0.8, 0.7, 0.6], [0] * 4)))
    # A crowd absorbs any number; a difficult object one, and the second is on nothing that counts.
    assert verdict.kinds.tolist() == [LEFT_OUT] * 3 + [list(KINDS).index("background")]
    assert not verdict.missed.any() and not verdict.found.any()


def test_a_detection_takes_a_second_object_where_the_first_is_taken():
    near = [[0, 0, 100, 100], [30, 0, 130, 100]]
    owner = assign(
        image_of(truth(near, [0, 0]), detected([[5, 0, 105, 100], [10, 0, 110, 100]], [0.9, 0.8], [0, 0]))
    )
    assert owner.tolist() == [0, 1]


def test_of_equal_overlaps_the_last_counts_as_for_coco():
    # Taken by the detection between them, the right one is not there for the second, that is beside the left one.
    scene = [(truth([[0, 0, 100, 100], [20, 0, 120, 100]], [0, 0]),
              detected([[10, 0, 110, 100], [60, 0, 160, 100]], [0.9, 0.8], [0, 0]))]  # fmt: skip
    metrics = evaluator_of(scene).result()
    assert assign(image_of(*scene[0])).tolist() == [1, -1]
    assert metrics.errors.map50 == pytest.approx(metrics.map50) == pytest.approx(51 / 101)


def test_no_more_than_a_hundred_detections_of_a_class():
    boxes = [A] + [FAR] * 120
    errors = analyse([(truth([A], [0]), detected(boxes, np.linspace(0.9, 0.3, 121), [0] * 121))])
    assert errors.kinds[list(KINDS).index("background")].count == 99


def test_low_scores_are_counted_apart():
    scene = [(truth([A, B], [0, 0]), detected([A, B, FAR], [0.9, 0.2, 0.1], [0, 0, 0]))]
    rows = {row.kind: (row.count, row.count_at_score) for row in analyse(scene).kinds}
    assert rows["background"] == (1, 0) and rows["missed"] == (0, 1)


def test_the_most_costly_images_come_first():
    rare, common = (truth([A], [1], id="rare"), truth([A, B], [0, 0], id="common"))
    perfect = (truth([A], [0], id="perfect"), detected([A], [0.9], [0]))
    errors = analyse(
        [perfect, (common, detected([A], [0.9], [0])), (rare, detected()), (truth(id="empty"), detected())]
    )
    assert [(image.id, image.index) for image in errors.images] == [("rare", 2), ("common", 1)]
    assert [image.cost for image in errors.images] == pytest.approx([1 / 2, 1 / 6])
    assert errors.images[0].counts() == {"missed": 1}


def test_json():
    scene = messy_scene(np.random.default_rng(5), 2, images=4)
    table = json.loads(json.dumps(evaluator_of(scene).result().to_dict()))
    assert table["coco"]["map50"] == pytest.approx(table["errors"]["map50"])
    assert list(table["errors"]["kinds"]) == list(KINDS)
    mistakes = [row for image in table["errors"]["images"] for row in image["mistakes"]]
    for kind, row in table["errors"]["kinds"].items():
        assert row["count_at_score"] == sum(one["kind"] == kind for one in mistakes)
    assert {one["class"] for one in mistakes} == {"class 0", "class 1"}
    nothing = analyse([(truth(), detected([A], [0.9], [0]))]).to_dict()
    assert nothing["map50"] is None and nothing["kinds"]["background"]["map50_cost"] is None
    assert nothing["images"][0]["mistakes"][0]["true_class"] is None


def test_the_chart(tmp_path):
    metrics = evaluator_of(messy_scene(np.random.default_rng(1), 2)).result()
    picture = cv2.imread(str(plot_errors(metrics, tmp_path / "errors.png")))[..., ::-1]
    widths = [(np.abs(picture.astype(int) - COLORS[kind]).max(-1) < 8).sum(1).max() for kind in KINDS]
    # A pixel of a bar is worth the same in each row.
    costs = [row.cost for row in metrics.errors.kinds]
    np.testing.assert_allclose(np.array(widths) / max(widths), np.array(costs) / max(costs), atol=0.02)
    nothing = evaluator_of([(truth(), detected())]).result()
    assert cv2.imread(str(plot_errors(nothing, tmp_path / "nothing.png"))) is not None


def test_boxes_are_drawn_in_the_colours_of_their_errors():
    boxes = {"right": [10, 10, 60, 50], "localisation": [100, 10, 170, 50], "background": [10, 110, 60, 150]}
    objects = truth([[14, 14, 66, 54], [150, 10, 190, 50], [130, 110, 190, 150]], [0, 0, 0])
    errors = analyse([(objects, detected(list(boxes.values()), [0.9, 0.8, 0.7], [0, 0, 0]))])
    picture = draw_errors(np.full((160, 200, 3), 114, np.uint8), errors.images[0], ["cell"])
    assert picture.shape == (800, 1000, 3)
    colors = {"right": RIGHT_COLOR, **COLORS}
    for kind, (_, top, right, bottom) in boxes.items():
        middle = picture[5 * (top + bottom) // 2, 5 * right]
        assert np.abs(middle.astype(int) - colors[kind]).max() < 40, kind
    for box, paint in (([150, 10, 190, 50], TRUTH_COLOR), ([130, 110, 190, 150], COLORS["missed"])):
        edge = picture[5 * box[1] : 5 * box[3], 5 * box[2]].astype(int)
        dashes = (np.abs(edge - paint).max(-1) < 60).mean()
        assert 0.3 < dashes < 0.85


def test_labels_do_not_cover_one_another():
    painted = []
    for count in (1, 2, 3):
        errors = analyse(
            [(truth(), detected([[20, 50, 90, 90]] * count, [0.9, 0.8, 0.7][:count], [0] * count))]
        )
        picture = draw_errors(np.zeros((100, 100, 3), np.uint8), errors.images[0], ["cell"])
        painted.append((picture == COLORS["background"]).all(-1).sum())
    more = np.diff(painted)
    assert more.min() > 300
