"""Lines with key points, and others that have as many numbers: their meaning is read from the description."""

import numpy as np
import pytest

import kzoo.data
from kzoo.data.formats.yolo.reading import YOLO
from kzoo.structures.draw import encode_png

PNG = encode_png(np.zeros((64, 96, 3), np.uint8))
TWO = "0 .5 .5 .2 .2 .45 .45 .55 .55\n"
THREE = "0 .5 .5 .2 .2 .45 .45 1 .55 .55 0\n"


def dataset(root, labels, more=""):
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
    labels = [labels] if isinstance(labels, str) else labels
    for number, text in enumerate(labels):
        (root / f"images/{number}.png").write_bytes(PNG)
        (root / f"labels/{number}.txt").write_text(text)
    (root / "data.yaml").write_text(f"train: images\nnames: [kettle]\n{more}")
    return root


@pytest.mark.parametrize("shape, line", [("[2, 2]", TWO), ("[2, 3]", THREE)])
def test_boxes_with_key_points_are_refused_or_taken_alone(tmp_path, shape, line):
    root = dataset(tmp_path, line, f"kpt_shape: {shape}\nflip_idx: [1, 0]\n")
    with pytest.raises(ValueError, match=r"data\.yaml: kpt_shape: .*task: detect"):
        YOLO(root)
    with (root / "data.yaml").open("a") as file:
        file.write("task: detect\n")
    data = YOLO(root, masks=True)
    assert np.allclose(data.record(0).boxes, [[38.4, 25.6, 57.6, 38.4]]) and data.record(0).polygons is None
    (fault,) = data.problems()
    assert (fault.kind, fault.severity) == ("key-points", "warning") and "left aside" in fault.message


def test_lines_that_do_not_fit_the_shape(tmp_path):
    text = f"{TWO}0 .5 .5 .2 .2\n0 .5 .5 .2 .2 .1\n0 .1 .1 .5 .1 .5 .6\n"
    record = YOLO(dataset(tmp_path, text, "kpt_shape: [2, 2]\ntask: detect\n")).record(0)
    assert record.lines == [1, 2] and [fault.line for fault in record.problems] == [3, 4]
    assert "kpt_shape [2, 2] means 4" in record.problems[0].message


@pytest.mark.parametrize(
    "line, shape", [(TWO, r"\[2, 2\]"), ("0 .5 .5 .2 .2" + " .45 .45 2 .55 .55 0" * 2, r"\[4, 3\]")]
)
def test_key_points_that_nothing_tells_of_are_noticed(tmp_path, line, shape):
    root = dataset(tmp_path / "bare", [line] * 3)
    with pytest.raises(ValueError, match=rf"labels/0\.txt:1: .*key points.*kpt_shape: {shape}"):
        kzoo.data.load(root)
    said = YOLO(dataset(tmp_path / "said", [line] * 3, "kpt_shape: null\n"))
    assert len(said) == 3 and said.record(0).polygons is not None


def test_skeletons_at_random_are_noticed(tmp_path):
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(20):
        x, y, w, h = (*rng.uniform(0.3, 0.7, 2), *rng.uniform(0.2, 0.5, 2))
        points = (rng.uniform(-0.5, 0.5, (5, 2)) * (w, h) + (x, y)).ravel()
        lines.append(" ".join(map(str, [0, x, y, w, h, *points])) + "\n")
    with pytest.raises(ValueError, match=r"kpt_shape: \[5, 2\]"):
        YOLO(dataset(tmp_path, lines))


def test_single_key_points_are_noticed_where_there_are_many(tmp_path):
    lines = [f"0 .{x} .5 .2 .2 .{x} .5\n0 .4 .{x} .3 .2 .41 .{x}\n" for x in range(30, 60)]
    with pytest.raises(ValueError, match=r"kpt_shape: \[1, 2\]"):
        YOLO(dataset(tmp_path / "many", lines))
    triangles = ["0 .5 .4 .4 .6 .6 .6\n"] * 3
    assert YOLO(dataset(tmp_path / "few", triangles)).record(0).polygons is not None


def test_outlines_are_not_taken_for_key_points(tmp_path):
    """Rectangles turned by any angle, small ones near the middle, and outlines of many points."""
    rng = np.random.default_rng(0)
    lines = []
    for count in (4, 4, 4, 4, 4, 4, 4, 4, 4, 4):
        angles = rng.uniform(0, 2 * np.pi) + np.linspace(0, 2 * np.pi, count, endpoint=False)
        points = 0.5 + 0.05 * np.stack([np.cos(angles), np.sin(angles)], 1)
        lines.append(" ".join(map(str, [0, *points.ravel()])) + "\n")
    assert YOLO(dataset(tmp_path / "four", lines)).record(0).polygons is not None
    many = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    circle = " ".join(map(str, (0.5 + 0.3 * np.stack([np.cos(many), np.sin(many)], 1)).ravel()))
    assert YOLO(dataset(tmp_path / "circle", [f"0 {circle}\n"] * 12)).record(0).polygons is not None


def test_four_corners_are_an_outline(tmp_path):
    record = YOLO(dataset(tmp_path, "0 .25 .25 .5 .125 .625 .5 .375 .625\n")).record(0)
    assert record.boxes.tolist() == [[24, 8, 60, 40]] and record.polygons[0][0].shape == (4, 2)


@pytest.mark.parametrize(
    "line, words",
    [
        ("0 .5 .5 .2 .2 .97", "a detector's confidence or an angle"),
        ("0 .5 .5 .2 .2 .4 .4 2", "kpt_shape: [1, 3]"),
        ("0 .1 .1 .5 .1 .5 .6 .1 .6 .9", "an odd number of coordinates"),
        ("0 .5 .5 .2", "neither 'class x y width height'"),
        ("0 .5 .5 .2 .2_5", "neither 'class x y width height'"),
        ("0,.5,.5,.2,.2", "neither 'class x y width height'"),
    ],
)
def test_lines_of_other_meanings_say_which(tmp_path, line, words):
    (problem,) = YOLO(dataset(tmp_path, line)).record(0).problems
    assert (problem.kind, problem.line) == ("malformed", 1) and words in problem.message
