"""Label files of YOLO datasets: where they lie, and what their lines mean.

A line is a class and four numbers, a box; a class and the points of an outline; or, where the description says so by
`kpt_shape`, a class, a box and key points, of which the box is taken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from kzoo.data.fault import Fault, FaultError
from kzoo.data.formats.text import read_text, shorten
from kzoo.sources.finding import is_there

_IMAGE_FOLDERS = frozenset({"images", "jpegimages"})
_LARGEST = 2**26  # bytes of a label file
_LONGEST_POSE = 4 + 3 * 133  # numbers of a whole body's key points
_TRIANGLES = 20  # outlines of three points that are taken for none
_SLACK = 1.1  # how far key points may lie beyond their box, as a share of it


def label_candidates(image: Path) -> list[Path]:
    """Where the label file of an image may lie: `labels` for the last `images` in its path, then beside it."""
    beside = image.with_suffix(".txt")
    folders = list(beside.parts[:-1])
    for position in reversed(range(len(folders))):
        if folders[position].lower() in _IMAGE_FOLDERS:
            names = ("labels", "Labels") if folders[position].istitle() else ("labels",)
            before, after = folders[:position], folders[position + 1 :]
            return [*(Path(*before, name, *after, beside.name) for name in names), beside]
    return [beside]


def find_label(image: Path) -> Path | None:
    """The label file of an image; None where there is none."""
    return next((path for path in label_candidates(image) if is_there(path)), None)


def parse(
    path: Path, problems: list[Fault], keypoints: tuple[int, int] | None = None
) -> list[tuple[int, int, list[float]]]:
    """The lines of a label file as (line number, class, numbers); what is none goes to `problems`.

    Args:
        path: the label file.
        problems: a list that takes the faults.
        keypoints: how many points follow each box and how many numbers each has; None where none do.
    """
    try:
        text = read_text(path, _LARGEST)
    except FaultError as error:
        message = f"{error.fault.message}; {error.remedy}"
        problems.append(dataclasses.replace(error.fault, kind="unreadable-label", message=message))
        return []
    except OSError as error:
        problems.append(Fault(path, None, "unreadable-label", f"cannot be read: {error.strerror}"))
        return []
    if not text.strip():
        message = "an empty label file: the image is taken as background"
        problems.append(Fault(path, None, "empty-file", message, "warning"))
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        numbers = None if "_" in line else _numbers(words)  # Python's own numbers may have underscores
        complaint = _complaint(numbers, keypoints)
        if complaint is not None:
            problems.append(Fault(path, number, "malformed", f"{shorten(line)!r} {complaint}"))
            continue
        lines.append((number, int(numbers[0]), numbers[1:]))
    return lines


def _numbers(words: list[str]) -> list[float] | None:
    try:
        return [float(word) for word in words]
    except ValueError:
        return None


def _complaint(numbers: list[float] | None, keypoints: tuple[int, int] | None) -> str | None:
    """What is wrong with the numbers of a line; None where nothing is."""
    count = 0 if numbers is None else len(numbers) - 1
    if count < 4 or not numbers[0].is_integer():
        return "is neither 'class x y width height' nor a class and three or more points"
    if count == 4:
        return None
    if keypoints is not None:
        points, each = keypoints
        if count == 4 + points * each:
            return None
        return (
            f"has {count - 4} numbers after its box, but kpt_shape [{points}, {each}] means {points * each}"
        )
    if count == 5:
        return "has a fifth number, such as a detector's confidence or an angle: leave class and box alone"
    if count % 2 == 0:
        return None
    if (count - 4) % 3 == 0:
        return f"is no outline; of a box with key points, data.yaml says so by kpt_shape: [{(count - 4) // 3}, 3]"
    return "has an odd number of coordinates: an outline is a class and three or more points"


def to_pixels(
    values: list[float], width: int, height: int, keypoints: tuple[int, int] | None = None
) -> tuple[list[float], list[np.ndarray] | None]:
    """The numbers of a line in pixels of the image.

    Args:
        values: the numbers after the class, fractions of the image: x, y, width, height of a box, or x, y, x, y, ... of
            an outline's points.
        width: width of the image in pixels.
        height: height of the image in pixels.
        keypoints: how many points follow each box and how many numbers each has; None where none do.

    Returns:
        The box x1, y1, x2, y2, that around an outline; and the outline, a list of one (K, 2) array, or None.
    """
    if len(values) == 4 or keypoints is not None:
        x, y, w, h = values[:4]
        return [(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height], None
    points = np.array(values, np.float64).reshape(-1, 2) * (width, height)
    return [*points.min(axis=0), *points.max(axis=0)], [points]


def refuse_keypoints(labels: Iterable[Path]) -> None:
    """Looks whether lines that read as outlines are rather boxes with key points, which no line itself tells.

    They are where each has visibilities (every third number after the box 0, 1 or 2); or where all have as many
    numbers, lie within the box that their first four give, and cross themselves when drawn as outlines.

    Args:
        labels: some of a dataset's label files.

    Raises:
        FaultError: they are.
    """
    longer = [(path, *line) for path in labels for line in parse(path, []) if len(line[2]) > 4]
    lines = [
        (path, number, np.array(values)) for path, number, _, values in longer if max(map(abs, values)) < 1e6
    ]
    for path, number, values in lines:
        if _has_visibilities(values):
            raise _unsaid(path, number, (len(values) - 4) // 3, 3)
    lengths = {len(values) for _, _, values in lines}
    if len(lengths) != 1 or max(lengths) > _LONGEST_POSE:
        return
    inside = sum(_within_box(values[:4], values[4:].reshape(-1, 2)) for _, _, values in lines)
    crossing = sum(_crosses_itself(values.reshape(-1, 2)) for _, _, values in lines)
    # Three points cannot cross; but who draws triangles alone, and each with its third point in such a box?
    triangles = lengths == {6} and inside == len(lines) >= _TRIANGLES
    if triangles or (inside >= 0.9 * len(lines) and crossing >= 0.2 * len(lines)):
        path, number, values = lines[0]
        raise _unsaid(path, number, (len(values) - 4) // 2, 2)


def _unsaid(path: Path, line: int, points: int, each: int) -> FaultError:
    message = "reads as a box with key points, but nothing says so"
    remedy = (
        f"write kpt_shape: [{points}, {each}] and task: detect to data.yaml to use the boxes alone; "
        "if it is an outline after all, write kpt_shape: null"
    )
    return FaultError(Fault(path, line, "key-points", message), remedy)


def _has_visibilities(values: np.ndarray) -> bool:
    """Whether every third number after a box is 0, 1 or 2 and the points that are seen lie within the box."""
    if len(values) < 10 or (len(values) - 4) % 3 or len(values) > _LONGEST_POSE:
        return False
    points = values[4:].reshape(-1, 3)
    seen = points[:, 2] > 0
    return bool(np.isin(points[:, 2], (0, 1, 2)).all()) and _within_box(values[:4], points[seen, :2])


def _within_box(box: np.ndarray, points: np.ndarray) -> bool:
    """Whether (K, 2) points lie within a box of (x, y, width, height); those at (0, 0) are not marked."""
    marked = points[points.any(axis=1)]
    return bool((np.abs(marked - box[:2]) <= box[2:] / 2 * _SLACK).all())


def _crosses_itself(points: np.ndarray) -> bool:
    """Whether the outline through (K, 2) points crosses itself, or encloses nothing."""
    after = np.roll(points, -1, axis=0)
    if abs((points[:, 0] * after[:, 1] - points[:, 1] * after[:, 0]).sum()) < 1e-9:
        return True
    first, second = np.triu_indices(len(points), 2)  # all pairs of edges that do not follow each other
    a, b, c, d = points[first], after[first], points[second], after[second]
    # Two edges cross where the ends of each lie on different sides of the other.
    apart = _side(a, b, c) * _side(a, b, d) < 0
    return bool((apart & (_side(c, d, a) * _side(c, d, b) < 0)).any())


def _side(start: np.ndarray, end: np.ndarray, point: np.ndarray) -> np.ndarray:
    """(K,) on which side of lines from `start` to `end` points lie: the sign of the cross product."""
    along, to = end - start, point - start
    return along[:, 0] * to[:, 1] - along[:, 1] * to[:, 0]
