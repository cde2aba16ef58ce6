"""Where the names of boxes go in a picture: at an edge of their box, where they hide the least. NumPy alone."""

from __future__ import annotations

import numpy as np

# A place is where a point of the label lies on a point of the box, both x and y as shares of width and height. Along
# an edge they go together, from end to end, so that labels stay within long edges and reach beyond short ones on
# both sides. The most usual place stands first.
_ALONG = (0.0, 1.0, 0.5, 0.25, 0.75)
_PLACES = np.array(
    [
        *(((a, 0), (a, 1)) for a in _ALONG),  # above
        *(((a, 1), (a, 0)) for a in _ALONG),  # below
        *(((1, a), (0, a)) for a in _ALONG),  # right
        *(((0, a), (1, a)) for a in _ALONG),  # left
        *(((a, 0), (a, 0)) for a in _ALONG),  # inside, at the upper edge
        *(((a, 1), (a, 1)) for a in _ALONG),  # inside, at the lower edge
    ]
)  # (P, 2, 2): point of the box and point of the label
# A hidden name is lost, while of a hidden object the rest and its frame still show.
_HIDDEN_NAME = 4.0


def place_labels(
    boxes: np.ndarray, sizes: np.ndarray, canvas: tuple[int, int], others: np.ndarray | None = None
) -> np.ndarray:
    """Places for labels, one a box, that touch their box and hide as little as they can.

    The boxes choose one after another among places outside their four edges and inside the upper and lower one: the
    place where the shares of the boxes that it hides, and four times those of the labels placed before, sum to the
    least. Of equal ones it is the first, above the upper left corner if that is free. So a label stands on free
    ground where there is some, and else on what is large rather than on what is small.

    Args:
        boxes: (N, 4) xyxy in pixels of the canvas; those that are to have the best places first.
        sizes: (N, 2) width and height of each label in pixels.
        canvas: height and width of the picture in pixels.
        others: (K, 4) xyxy boxes without a label, which are not to be hidden either; none where None.

    Returns:
        (N, 4) int xyxy, right and bottom exclusive: where each label goes, always within the canvas; what is larger
        than the canvas is cut to it.
    """
    limits = np.array(canvas[::-1])  # (2,) width, height
    seen = boxes if others is None else np.concatenate([boxes, others])
    # What lies in the picture, (N + K, 4).
    seen = np.rint(np.clip(np.nan_to_num(seen), 0, np.tile(limits, 2))).astype(np.int64)
    sizes = np.minimum(np.rint(sizes).astype(np.int64), limits)  # (N, 2)
    places = _places(seen[: len(sizes)], sizes, limits)  # (N, P, 4)
    labels = np.zeros((len(sizes), 4), np.int64)  # (N, 4)
    for i, own in enumerate(places):
        hidden = _hidden_shares(own, seen) + _HIDDEN_NAME * _hidden_shares(own, labels[:i])  # (P,)
        labels[i] = own[hidden.argmin()]
    return labels


def _places(boxes: np.ndarray, sizes: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Where labels (N, 2) might stand at their boxes (N, 4), moved into the picture (2,): (N, P, 4) xyxy."""
    on_box, on_label = _PLACES[:, 0], _PLACES[:, 1]  # (P, 2)
    extent, size = (boxes[:, 2:] - boxes[:, :2])[:, None], sizes[:, None]  # (N, 1, 2)
    low = np.rint(boxes[:, None, :2] + on_box * extent - on_label * size).astype(np.int64)  # (N, P, 2)
    low = np.clip(low, 0, limits - size)
    return np.concatenate([low, low + size], axis=-1)


def _hidden_shares(places: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The shares that each place (P, 4) hides of other rectangles (N, 4), summed over these: (P,)."""
    # In crowds few of them lie near enough to be hidden, and only these are looked at from each place.
    low, high = places[:, :2].min(0), places[:, 2:].max(0)
    near = others[((others[:, :2] < high) & (others[:, 2:] > low)).all(1)]  # (n, 4)
    low = np.maximum(places[:, None, :2], near[None, :, :2])  # (P, n, 2)
    high = np.minimum(places[:, None, 2:], near[None, :, 2:])  # (P, n, 2)
    overlaps = np.clip(high - low, 0, None).prod(-1)  # (P, n)
    areas = np.maximum((near[:, 2:] - near[:, :2]).prod(-1), 1)  # (n,), of which faulty boxes have none
    return (overlaps / areas).sum(1)
