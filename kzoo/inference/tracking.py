"""Which objects of a video's frames are the same: detections become tracks.

The associations are those of Roboflow's package `trackers` (extra `track`): SORT and ByteTrack.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from kzoo.inference.decoded import BOX_TASKS
from kzoo.inference.detect import detect
from kzoo.options import checked
from kzoo.options.commands import PREDICT
from kzoo.sources import Video, chunks
from kzoo.structures import Detections

# A track begins at this score; ByteTrack goes on with it through detections that score less.
LEAST_SCORE = 0.1
# Boxes that overlap as much are of one object, whatever their classes: two classes in one place would be two tracks.
SAME_OBJECT = 0.6


class Tracker:
    """Gives the objects of a video's frames their identities, one frame after the other.

    SORT (Bewley et al. 2016, arXiv:1602.00763) predicts each track's box by a Kalman filter and matches it with a
    detection by overlap. ByteTrack (Zhang et al. 2022, arXiv:2110.06864) matches sure detections first, and tracks
    that are left with unsure ones, as those of objects that are half hidden are.

    Args:
        name: "bytetrack" or "sort".
        rate: frames a second of the video, above 0: how long a track that is lost is remembered, one second.
        threshold: score from which a detection may begin a track, 0 to 1; what scores less is for ByteTrack alone.

    Raises:
        ImportError: the extra is not installed.
        ValueError: there is no such tracker, or a figure is out of range.

    Example:
        >>> tracker = Tracker("bytetrack", rate=25)
        >>> for frame in Video("street.mp4"):
        ...     tracker.update(model.detect(frame, score_threshold=0.1)).ids
    """

    def __init__(self, name: str = "bytetrack", rate: float = 30.0, threshold: float = 0.25):
        name = PREDICT["tracker"].check("tracker", name)
        if not 0 < rate < 1000:
            raise ValueError(f"rate={rate}: give frames a second, above 0 and below 1000")
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold={threshold}: give a score from 0 to 1")
        try:
            import trackers
        except ImportError as error:
            raise ImportError("tracking needs the extra: pip install 'kzoo[track]'") from error
        settings = {"frame_rate": max(rate, 1.0), "track_activation_threshold": threshold}
        if name == "bytetrack":
            self._associated = _byte_track(trackers)(**settings, high_conf_det_threshold=threshold)
        else:
            self._associated = trackers.SORTTracker(**settings, minimum_consecutive_frames=2)
        self.name, self.threshold = name, threshold
        # The package counts the tracks of a whole process: here each video's begin at 1.
        self._numbers: dict[int, int] = {}

    def update(self, detections: Detections) -> Detections:
        """The detections of the next frame with `ids`; -1 where a detection belongs to no track (yet).

        A track has its number from its second frame on.

        Args:
            detections: what was found in the frame, in order of the scores; what scores less than 0.1 is left out.

        Returns:
            Those that belong to a track or score as much as the threshold, in the same order; of boxes that overlap by
            more than .6, whatever their classes, the one with the best score.
        """
        found = detections[detections.scores >= (LEAST_SCORE if self.name == "bytetrack" else self.threshold)]
        found = found[np.sort(_given(found).with_nms(SAME_OBJECT, class_agnostic=True).class_id)]
        tracked = self._associated.update(_given(found))
        ids = np.full(len(found), -1, np.int64)
        if len(tracked):
            for position, number in zip(tracked.class_id, tracked.tracker_id, strict=True):
                if number >= 0:
                    ids[position] = self._numbers.setdefault(int(number), len(self._numbers) + 1)
        return replace(found, ids=ids)[(ids > 0) | (found.scores >= self.threshold)]


def _given(found: Detections):
    """Detections as `trackers` takes them; the class is where each stands, as their order changes on the way."""
    import supervision

    return supervision.Detections(
        xyxy=found.boxes.astype(np.float64), confidence=found.scores, class_id=np.arange(len(found))
    )


def _byte_track(trackers) -> type:
    """The package's ByteTrack, which does not copy what it hands back untracked: of many unsure boxes that took longer
    than all else, and `Tracker` leaves them out."""

    class ByteTrack(trackers.ByteTrackTracker):
        def _similarity_step(self, detections, tracks):
            matched, lost, left = super()._similarity_step(detections, tracks)
            sure = detections.confidence >= self.high_conf_det_threshold
            return matched, lost, {position for position in left if sure[position]}

    return ByteTrack


@checked(PREDICT)
def track(
    model,
    source: str | Path | Iterable[np.ndarray],
    tracker: str = "bytetrack",
    score_threshold: float = 0.25,
    batch_size: int = 1,
    rate: float | None = None,
) -> Iterator[Detections]:
    """Finds the objects of a video, and which of them are the same, frame by frame.

    Args:
        model: a model or an exported file that finds boxes.
        source: a video file, or frames (H, W, 3) uint8 RGB.
        tracker: "bytetrack" or "sort", see `Tracker`.
        score_threshold: score from which an object may begin a track, 0 to 1.
        batch_size: number of frames that the model gets at once.
        rate: frames a second, of frames that are given as such; 30 where None. A file has its own.

    Yields:
        The `Detections` of each frame, with `ids`.

    Raises:
        ImportError: the extra `track` is not installed.
        ValueError: the model finds no boxes, or the source is no video.

    Example:
        >>> for detections in kzoo.track(kzoo.load("cards"), "table.mp4"):
        ...     print(detections.ids, detections.labels)
    """
    refuse_untracked(model)
    if isinstance(source, (str, Path)):
        source = Video(source)
        if rate is not None:
            raise ValueError(f"rate={rate}: {source.path} has a rate of its own; leave it out")
        rate = source.rate
    return _tracked(
        model, source, Tracker(tracker, 30.0 if rate is None else rate, score_threshold), batch_size
    )


def score_to_track(threshold: float) -> float:
    """The score from which detections are handed to a tracker: it goes on through some that begin no track.

    Args:
        threshold: score from which one may begin a track, 0 to 1.
    """
    return min(LEAST_SCORE, threshold)


def _tracked(model, frames, tracker: Tracker, batch_size: int) -> Iterator[Detections]:
    threshold = score_to_track(tracker.threshold)
    for batch in chunks(frames, batch_size):
        for found in detect(model, batch, score_threshold=threshold, batch_size=batch_size):
            yield tracker.update(found)


def refuse_untracked(model) -> None:
    """Refuses models that find no boxes, with a ValueError."""
    if getattr(model, "task", "detect") not in BOX_TASKS:
        raise ValueError(
            f"{model.name}: a model for the task {model.task!r} finds no objects to track; take a detector, or leave "
            "track out"
        )
