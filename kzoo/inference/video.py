"""Videos, cameras and pipes through a model: read, looked at, drawn and written at the same time."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from kzoo.inference.counting import LineCounter, ZoneCounter
from kzoo.inference.pipeline import ReadAhead, WriteBehind
from kzoo.inference.results import Outcome, Results, Tally, mot_lines
from kzoo.inference.tracking import Tracker
from kzoo.inference.window import Window
from kzoo.sources import Stream, Video, chunks, writing_video
from kzoo.structures import Segmentation
from kzoo.structures.draw import draw_counts
from kzoo.system.files import replacing
from kzoo.system.messages import one_line
from kzoo.system.progress import track

_AHEAD = 8  # frames that wait to be looked at, and to be written


@dataclass
class Following:
    """What is done with a video besides looking at each frame.

    Attributes:
        tracker: "bytetrack" or "sort"; None where nothing is tracked.
        threshold: score from which a detection may begin a track, 0 to 1.
        line: two points x, y in pixels, between which the line lies that is counted across; None for none.
        zone: corners x, y in pixels of the zone that is counted in; None for none.
        window: where frames are shown as they come; None for nowhere.
    """

    tracker: str | None = None
    threshold: float = 0.25
    line: Sequence | None = None
    zone: Sequence | None = None
    window: Window | None = None

    def counters(self) -> dict[str, LineCounter | ZoneCounter]:
        """New counters, by their names."""
        counters = {}
        if self.line is not None:
            counters["line"] = LineCounter(*self.line)
        if self.zone is not None:
            counters["zone"] = ZoneCounter(self.zone)
        return counters


@dataclass
class _Frame:
    """A frame on its way out: its result, its row of JSON, and where and how much was counted."""

    result: object
    number: int
    row: dict
    shapes: list = field(default_factory=list)

    def drawn(self) -> np.ndarray:
        """The picture (H, W, 3) uint8 RGB, as large as the frame."""
        # A video keeps its size; with a legend, frames would differ in width.
        bare = {"legend": False} if isinstance(self.result, Segmentation) else {}
        picture = self.result.draw(scale=1, **bare)
        for points, text in self.shapes:
            draw_counts(picture, points, text)
        return picture


def predict_video(
    find: Callable[[list], list],
    video: Video | Stream,
    size: int,
    names: Sequence[str],
    folder: Results,
    say: Callable[[str], None],
    outcome: Outcome,
    following: Following,
) -> None:
    """Writes what is found on each frame; the line at the end is about all of them.

    Args:
        find: gives the results of frames (H, W, 3).
        video: a file, none of whose frames is left out, or a camera, whose frames are, rather than that it lags.
        size: number of frames that are looked at at once.
        names: class names.
        folder: where results are written.
        say: takes the line at the end.
        outcome: counts the frames, and takes the rows of a file's.
        following: what is done besides.
    """
    window, tracker = following.window, None
    if following.tracker is not None:
        tracker = Tracker(following.tracker, video.rate, following.threshold)
    counters, tally, milliseconds = following.counters(), Tally(names), 0.0
    began = perf_counter()
    with contextlib.ExitStack() as stack:
        write = stack.enter_context(_writing(folder, video))
        behind = stack.enter_context(WriteBehind(write, _AHEAD))
        room, newest = (_AHEAD, False) if video.waits else (size, True)
        ahead = stack.enter_context(ReadAhead(video.timed(), room, newest))
        with _ended_by_hand(video):
            for batch in chunks(track(ahead, video.path.name, total=video.frames or None), size):
                start = perf_counter()
                results = find([frame for _, frame in batch])
                taken = 1000 * (perf_counter() - start) / len(batch)
                milliseconds += taken * len(batch)
                for result, (when, _) in zip(results, batch, strict=True):
                    result.path = video.path
                    frame = _followed(result, tracker, counters, tally.frames)
                    frame.row |= {"time": round(when, 6), "milliseconds": round(taken, 2)}
                    if not video.live:
                        outcome.rows.append(frame.row)
                    tally.add(frame.result)
                    if window is not None:
                        window.show(frame.drawn())
                    behind.put(frame)
                if window is not None and not window.open:
                    break
        seconds = perf_counter() - began
    outcome.images += tally.frames
    counted = "".join(f", {name} {_said(counter.counts())}" for name, counter in counters.items())
    say(
        f"{one_line(video.path)}: {tally.frames} frames{_lost(video, ahead.dropped)}, {tally}{counted}  "
        f"({milliseconds / max(tally.frames, 1):.1f} ms a frame, {tally.frames / seconds:.1f} frames a second)"
    )


def _lost(video: Video | Stream, dropped: int) -> str:
    """How many frames there is no result of, and why."""
    if dropped:
        return f" and {dropped} left out, which came faster than they could be looked at"
    return f", {video.missing} of {video.frames} missing (they cannot be decoded)" if video.missing else ""


def _said(counts: dict) -> str:
    return " ".join(f"{name} {count}" for name, count in counts.items())


def _followed(result, tracker: Tracker | None, counters: dict, number: int) -> _Frame:
    """A result with identities and counts."""
    if tracker is not None:
        result = tracker.update(result)
    for counter in counters.values():
        counter.update(result)
    counts = {name: counter.counts() for name, counter in counters.items()}
    row = {**result.to_dict(), "frame": number, **counts}
    return _Frame(result, number, row, [(one.points, _said(one.counts())) for one in counters.values()])


@contextlib.contextmanager
def _ended_by_hand(video: Video | Stream):
    """Lets Ctrl-C end a camera, which has no other end: what was written so far is kept."""
    try:
        yield
    except KeyboardInterrupt:
        if not video.live:
            raise


@contextlib.contextmanager
def _writing(folder: Results, video: Video | Stream):
    """A function that writes a frame: into the video, as a line of JSON and of MOT text, and what else is asked for."""
    with contextlib.ExitStack() as stack:
        writer, lines, tracks = None, None, None
        if folder.pictures:
            sound = None if video.live else video.path
            writer = stack.enter_context(writing_video(folder.picture(video.path), video.rate, sound))
        if folder.pictures or "lines" in folder.kinds:
            lines = stack.enter_context(_text(stack, folder.lines(video.path)))
        if "mot" in folder.kinds:
            tracks = stack.enter_context(_text(stack, folder.file("mot", video.path)))

        def write(frame: _Frame) -> None:
            if writer is not None:
                writer.write(frame.drawn(), frame.row["time"])
            if lines is not None:
                lines.write(json.dumps(frame.row) + "\n")
            if tracks is not None:
                tracks.write(mot_lines(frame.result, frame.number))
            folder.write(frame.result, frame.number)

        yield write


def _text(stack: contextlib.ExitStack, target):
    """A text file that is there when it is whole."""
    return stack.enter_context(replacing(target)).open("w", encoding="utf-8", newline="\n")
