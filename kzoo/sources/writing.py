"""Writing videos: H.264 in MP4, which every browser plays, with the sound of the video they are made of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from kzoo.system.files import disk_error, replacing
from kzoo.system.quiet import native_output_hidden

_CLOCK = Fraction(1, 90000)  # seconds: what times are counted in, as MPEG does
_COPIED = frozenset({"aac", "mp3"})  # sound that MP4 holds and browsers play; others become AAC


class VideoWriter:
    """Takes the frames of a video that is being written; the first one decides its size.

    H.264 has no odd sides in browsers: a last column or row is doubled where a side is odd.

    Args:
        path: the file that is written, beside the target.
        target: the file that it becomes, for messages.
        rate: frames a second.
        sound: the video whose sound it gets; None for silence.
    """

    def __init__(self, path: Path, target: Path, rate: float, sound: Path | None = None):
        self._path, self._target, self._sound = path, target, sound
        self._rate = Fraction(rate).limit_denominator(1001)
        self._frames, self._last = 0, -1
        self._file = self._stream = self._track = None

    def write(self, frame: np.ndarray, time: float | None = None) -> None:
        """Adds a frame.

        Args:
            frame: (H, W, 3) uint8 RGB, as large as the first.
            time: seconds from the beginning at which it is shown; where None by the rate. One that is not later than
                the last frame's is moved behind it.

        Raises:
            OSError: the file cannot be written.
        """
        import av

        odd = frame.shape[0] % 2, frame.shape[1] % 2
        if any(odd):
            frame = cv2.copyMakeBorder(frame, 0, odd[0], 0, odd[1], cv2.BORDER_REPLICATE)
        with self._told():
            if self._file is None:
                self._open(frame)
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            at = self._frames / self._rate if time is None else Fraction(time)
            picture.pts = self._last = max(round(at / _CLOCK), self._last + 1)
            picture.time_base = _CLOCK
            self._file.mux(self._stream.encode(picture))
            self._frames += 1
            if self._track is not None:
                self._track.up_to(float(self._last * _CLOCK))

    def _open(self, frame: np.ndarray) -> None:
        import av

        self._file = av.open(str(self._path), "w", options={"movflags": "faststart"})
        self._stream = self._file.add_stream("libx264", rate=self._rate, options={"preset": "veryfast"})
        self._stream.height, self._stream.width = frame.shape[:2]
        self._stream.pix_fmt, self._stream.codec_context.time_base = "yuv420p", _CLOCK
        self._track = None if self._sound is None else _Sound.of(self._sound, self._file)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Tells in words what FFmpeg says."""
        import av

        try:
            yield
        except av.FFmpegError as error:
            if disk_error(error) is None:
                reason = (
                    f"FFmpeg cannot write this video ({error.strerror}); leave pictures out (--no-pictures)"
                )
                raise OSError(f"{self._target}: {reason}") from error
            raise OSError(self._words(self._frames)) from error

    def _words(self, held: int) -> str:
        return (
            f"{self._target}: the video could not be written whole, {held} of {self._frames} frames; is the disk full? "
            "make room, or give another folder"
        )

    def close(self, whole: bool = True) -> None:
        """Finishes the file.

        Args:
            whole: whether what is still on its way is written, too.
        """
        if self._file is None:
            return
        with self._told() if whole else contextlib.suppress(Exception):
            try:
                if whole:
                    self._file.mux(self._stream.encode(None))
                    if self._track is not None:
                        self._track.up_to(float(self._last * _CLOCK + 1 / self._rate))
            finally:
                if self._track is not None:
                    self._track.close()
                self._file.close()

    def check(self) -> None:
        """Looks whether the finished file holds every frame.

        Raises:
            OSError: it does not.
        """
        if not self._frames:
            return  # there is no file, which is told where it is missed
        capture = cv2.VideoCapture(str(self._path))
        held = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        last = capture.set(cv2.CAP_PROP_POS_FRAMES, max(0, held - 1)) and capture.read()[0]
        capture.release()
        if held < self._frames or not last:
            raise OSError(self._words(held))


class _Sound:
    """The sound of a video, on its way into another.

    Args:
        source: the opened video that has it.
        track: the stream of sound in it.
        target: the opened file that it goes to.
    """

    def __init__(self, source, track, target):
        self._source, self._file, self._copied = source, target, track.codec_context.name in _COPIED
        if self._copied:
            self._stream = target.add_stream_from_template(track)
        else:
            self._stream = target.add_stream(
                "aac",
                rate=track.codec_context.sample_rate,
                layout="mono" if track.codec_context.channels == 1 else "stereo",
            )
        first = source.streams.video[0] if source.streams.video else track
        # Times are counted from the first frame on.
        self._begin = float((first.start_time or 0) * first.time_base)
        self._packets, self._next = source.demux(track), None

    @classmethod
    def of(cls, path: Path, target) -> _Sound | None:
        """The sound of a video file; None where it has none, or none that can be read."""
        import av

        try:
            source = av.open(str(path))
        except (av.FFmpegError, OSError):
            return None
        if not source.streams.audio:
            source.close()
            return None
        return cls(source, source.streams.audio[0], target)

    def up_to(self, time: float) -> None:
        """Hands on what is heard until a time, in seconds."""
        while True:
            packet = self._next or next(self._packets, None)
            if packet is None:
                return
            begin = 0.0 if packet.pts is None else float(packet.pts * packet.time_base) - self._begin
            self._next = packet if begin > time else None
            if self._next is not None:
                return
            if packet.pts is not None and begin >= 0:
                self._hand_on(packet)

    def _hand_on(self, packet) -> None:
        import av

        shift = round(self._begin / packet.time_base)
        if self._copied:
            packet.pts, packet.dts = packet.pts - shift, (packet.dts or packet.pts) - shift
            packet.stream = self._stream
            self._file.mux(packet)
            return
        # A packet that is broken is a moment of silence.
        with contextlib.suppress(av.InvalidDataError):
            for frame in packet.decode():
                frame.pts = None if frame.pts is None else frame.pts - shift
                self._file.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Ends it; what an encoder still holds is the last moment's."""
        if not self._copied:
            with contextlib.suppress(Exception):
                self._file.mux(self._stream.encode(None))
        self._source.close()


@contextlib.contextmanager
def writing_video(target: str | Path, rate: float, sound: Path | None = None) -> Iterator[VideoWriter]:
    """Writes an MP4 file, whole or not at all.

    Args:
        target: the file to write, .mp4.
        rate: frames a second.
        sound: the video whose sound it gets; None for silence.

    Yields:
        The `VideoWriter` that takes the frames; at least one must come.

    Raises:
        ImportError: the extra `video` is not installed.
        OSError: it cannot be written.

    Example:
        >>> with writing_video("boxes.mp4", rate=25) as video:
        ...     for frame in Video("street.mp4"):
        ...         video.write(model.detect(frame).draw())
    """
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise ImportError(f"{target}: writing videos needs the extra: pip install 'kzoo[video]'") from error
    with replacing(target) as fresh:
        writer = VideoWriter(fresh, Path(target), rate, sound)
        try:
            yield writer
        except BaseException:
            writer.close(whole=False)
            raise
        writer.close()
        with native_output_hidden():
            writer.check()
