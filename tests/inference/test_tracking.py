"""Identities that are kept on a drawn video; counts across a line and in a zone; what is written of tracks."""

import sys
import types

import numpy as np
import pytest
from moving_shapes import drawn, noisy, paths

import kzoo
from kzoo.inference.counting import LineCounter, ZoneCounter
from kzoo.inference.results import mot_lines
from kzoo.inference.tracking import Tracker
from kzoo.metrics import TrackingEvaluator
from kzoo.sources import writing_video
from kzoo.structures import Detections

pytest.importorskip("trackers")


def followed(name, seed, frames=200):
    """The figures of a tracker on boxes with noise, of which a twentieth is missing and a tenth has low scores."""
    rng, tracker, evaluator = np.random.default_rng(seed), Tracker(name, 25), TrackingEvaluator()
    for boxes, numbers in paths(frames, (480, 640), 8, seed):
        found = tracker.update(Detections(*noisy(rng, boxes, numbers)))
        evaluator.update(boxes, numbers, found.boxes[found.ids > 0], found.ids[found.ids > 0])
    return evaluator.result()


@pytest.mark.parametrize("seed", range(3))
def test_identities_are_kept_through_noise_and_what_is_missing(seed):
    figures = followed("bytetrack", seed)
    assert figures.idf1 >= 0.95 and figures.switches <= 1, figures


def test_many_unsure_boxes_change_nothing_beside_the_package_itself():
    """What `trackers` itself gives of the same boxes, of which most are of low score and of no track."""
    import supervision
    import trackers

    rng, tracker = np.random.default_rng(3), Tracker("bytetrack", 25, threshold=0.25)
    theirs = trackers.ByteTrackTracker(
        frame_rate=25, track_activation_threshold=0.25, high_conf_det_threshold=0.25
    )
    numbers, unsure = {}, 0
    for boxes, ids in list(paths(60, (480, 640), 8))[10:]:
        found, scores, labels = noisy(rng, boxes, ids, unsure=0.3)
        corners = rng.uniform(0, 440, (40, 2))
        found = np.concatenate([found, np.concatenate([corners, corners + 40], 1)])
        scores = np.concatenate([scores, np.full(40, 0.11)])
        ours = tracker.update(Detections(found, scores, [*labels, *[0] * 40]))
        # As float32, which boxes of detections are.
        given = supervision.Detections(xyxy=np.float64(np.float32(found)), confidence=np.float32(scores))
        given.class_id = np.arange(len(found))
        other = theirs.update(given)
        tracked = {
            tuple(np.float32(box)): number
            for box, number in zip(other.xyxy, other.tracker_id, strict=True)
            if number >= 0
        }
        followed = ours[ours.ids > 0]
        unsure += (followed.scores < 0.25).sum()
        assert len(followed) == len(tracked)
        for box, number in zip(followed.boxes, followed.ids.tolist(), strict=True):
            assert numbers.setdefault(number, tracked[tuple(box)]) == tracked[tuple(box)]
    assert unsure > 20 and len(numbers) >= 5


def test_sort_keeps_them_too_but_has_no_use_for_low_scores():
    sort, byte = followed("sort", 0), followed("bytetrack", 0)
    assert 0.88 <= sort.idf1 < byte.idf1 and sort.switches <= 1, sort


def still(count=1, score=0.9):
    boxes = np.array([[40.0 * i, 10, 40 * i + 30, 40] for i in range(count)])
    return Detections(boxes, [score] * count, list(range(count)))


def test_each_video_counts_from_one_and_two_do_not_disturb_each_other():
    trackers = [Tracker(), Tracker("sort")]
    for _ in range(4):
        found = [tracker.update(still(2)) for tracker in trackers]
    assert [sorted(one.ids.tolist()) for one in found] == [[1, 2], [1, 2]]
    # In the order in which they came, with what else they had.
    assert found[0].labels.tolist() == [0, 1] and found[0].boxes.tolist() == still(2).boxes.tolist()


@pytest.mark.parametrize("name", ["bytetrack", "sort"])
def test_two_classes_in_one_place_are_one_object(name):
    tracker = Tracker(name)
    one, beside = [10.0, 10, 50, 50], [100.0, 10, 140, 50]
    for frame in range(5):
        # The better class is another one every other frame.
        scores = [0.9, 0.8, 0.7] if frame % 2 else [0.9, 0.85, 0.7]
        labels = [1, 0, 1] if frame % 2 else [0, 1, 1]
        found = tracker.update(Detections(np.array([one, np.add(one, 1), beside]), scores, labels))
        assert found.labels.tolist() == [labels[0], 1]
    assert found.ids.tolist() == [1, 2]


def test_low_scores_continue_a_track_and_begin_none():
    tracker = Tracker(threshold=0.5)
    for _ in range(3):
        found = tracker.update(still())
    (number,) = found.ids
    assert tracker.update(still(score=0.2)).ids.tolist() == [number]
    assert len(Tracker(threshold=0.5).update(still(score=0.2))) == 0
    assert len(Tracker().update(Detections([], [], []))) == 0
    sort = Tracker("sort", threshold=0.5)
    assert [len(sort.update(still(score=score))) for score in (0.9, 0.9, 0.2)] == [1, 1, 0]


def street(count):
    """The boxes and numbers of frames when all objects are there."""
    return list(paths(90, (120, 160), 3))[30 : 30 + count]


class Recalled:
    """A detector that knows what is where in the next frames."""

    image_size, names, task = (120, 160), ("a", "b", "c"), "detect"

    def __init__(self, count):
        self.left, self.rng = street(count), np.random.default_rng(0)

    def predict_on_batch(self, images):
        boxes, scores, labels = (
            np.zeros((len(images), 4, 4)),
            np.zeros((len(images), 4)),
            np.full((len(images), 4), -1),
        )
        for i in range(len(images)):
            found, score, label = noisy(self.rng, *self.left.pop(0), drop=0, unsure=0)
            boxes[i, : len(found)], scores[i, : len(found)], labels[i, : len(found)] = found, score, label
        return {"boxes": boxes, "scores": scores, "labels": labels}


def frames(count):
    return [drawn(boxes, numbers, (120, 160))[0] for boxes, numbers in street(count)]


def test_frames_and_files_are_tracked(tmp_path):
    from_frames = list(kzoo.track(Recalled(12), frames(12), rate=10))
    with writing_video(tmp_path / "a.mp4", 10) as writer:
        for frame in frames(12):
            writer.write(frame)
    from_file = list(kzoo.track(Recalled(12), tmp_path / "a.mp4", batch_size=3))
    assert len(from_file) == 12 and max(from_file[-1].ids) >= 1
    assert [one.ids.tolist() for one in from_file] == [one.ids.tolist() for one in from_frames]


def test_what_cannot_be_tracked_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"tracker='juggle': give"):
        Tracker("juggle")
    with pytest.raises(ValueError, match=r"rate=0: give frames a second"):
        Tracker(rate=0)
    with pytest.raises(ValueError, match=r"threshold=2: give a score"):
        Tracker(threshold=2)
    segmenter = types.SimpleNamespace(task="segment", name="unet")
    with pytest.raises(ValueError, match="task 'segment' finds no objects to track"):
        kzoo.track(segmenter, "a.mp4")
    with pytest.raises(ValueError, match=r"a.mp4 has a rate of its own"):
        (tmp_path / "a.mp4").touch()
        monkeypatch.setattr(
            "kzoo.inference.tracking.Video", lambda path: type("V", (), {"path": path, "rate": 5})
        )
        kzoo.track(Recalled(1), "a.mp4", rate=5)
    monkeypatch.setitem(sys.modules, "trackers", None)
    with pytest.raises(ImportError, match=r"pip install 'kzoo\[track\]'"):
        Tracker()


def at(x, y, number=1):
    return Detections([[x - 5, y - 5, x + 5, y + 5]], [0.9], [0], ids=[number])


def test_what_crosses_a_line_is_counted_once_in_its_direction():
    line = LineCounter((100, 0), (100, 80))
    # Down the picture is along the line: its right is where x is less.
    for x in (80, 95, 100, 100, 105, 130):
        line.update(at(x, 40))
    assert line.counts() == {"forward": 0, "backward": 1}
    for x in (130, 99, 98):
        line.update(at(x, 40))
        line.update(at(x, 100, number=2))  # beyond its end
        line.update(at(300 - x, 40, number=-1))  # of no track
    assert line.counts() == {"forward": 1, "backward": 1}
    line.update(at(150, 40, number=3))
    assert line.counts() == {"forward": 1, "backward": 1}


def test_who_is_in_a_zone_is_counted():
    zone = ZoneCounter([(0, 0), (100, 0), (100, 100), (50, 50), (0, 100)])
    for x, y, number in ((10, 10, 1), (50, 90, 2), (90, 10, 3), (10, 20, 1)):
        zone.update(at(x, y, number))
    assert zone.counts() == {"now": 1, "all": 2} and zone.ids == {1, 3}
    zone.update(Detections([], [], [], ids=[]))
    assert zone.counts() == {"now": 0, "all": 2}


def test_counts_agree_with_supervision_s():
    supervision = pytest.importorskip("supervision")
    rng = np.random.default_rng(5)
    theirs = supervision.LineZone(
        supervision.Point(20, 50), supervision.Point(80, 55), triggering_anchors=[supervision.Position.CENTER]
    )
    ours, places = LineCounter((20, 50), (80, 55)), rng.uniform(25, 75, (6, 2))
    for _ in range(200):
        places = np.clip(places + rng.normal(0, 6, places.shape), 25, 75)
        boxes = np.concatenate([places - 4, places + 4], 1)
        found = Detections(boxes, [0.9] * 6, [0] * 6, ids=range(1, 7))
        theirs.trigger(found.to_supervision())
        ours.update(found)
    assert sorted([ours.forward, ours.backward]) == sorted([theirs.in_count, theirs.out_count])
    assert ours.forward + ours.backward > 50


@pytest.mark.parametrize("points", [[(0, 0)], [(0, 0), (1, float("nan"))], [1, 2, 3, 4]])
def test_what_is_no_line_or_zone_is_refused(points):
    with pytest.raises(ValueError, match="points x, y in pixels"):
        ZoneCounter(points)
    with pytest.raises(ValueError, match="two different points"):
        LineCounter((1, 1), (1, 1))
    with pytest.raises(ValueError, match=r"no ids; take them from kzoo.track"):
        LineCounter((0, 0), (1, 1)).update(still())


def test_mot_text_is_what_motmetrics_reads(tmp_path):
    motmetrics = pytest.importorskip("motmetrics")
    found = [at(20, 30), at(22, 30, number=-1), at(24.5, 30, number=2)]
    (tmp_path / "a.txt").write_text("".join(mot_lines(one, frame) for frame, one in enumerate(found)))
    table = motmetrics.io.loadtxt(tmp_path / "a.txt", fmt="mot15-2D")
    assert table.index.tolist() == [(1, 1), (3, 2)]
    assert table[["X", "Y", "Width", "Height"]].to_numpy().tolist() == [[15, 25, 10, 10], [19.5, 25, 10, 10]]
