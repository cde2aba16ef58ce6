"""Videos through a model: nothing of a file is left out, a camera does not lag, and what is written is whole."""

import json
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from moving_shapes import drawn, paths

from kzoo.inference.folder import predict
from kzoo.inference.pipeline import ReadAhead, WriteBehind
from kzoo.sources import Video, writing_video

av = pytest.importorskip("av")


class Levels:
    """Finds a box whose left side tells how bright the frame is; takes as long as it is told to."""

    image_size, names, task, name = (64, 64), ("thing",), "detect", "levels"

    def __init__(self, seconds=0.0):
        self.seconds = seconds

    def predict_on_batch(self, images):
        time.sleep(self.seconds * len(images))
        level = images.mean((1, 2, 3)) / 8
        boxes = np.stack([level, level * 0 + 5, level + 20, level * 0 + 40], -1)[:, None]
        return {
            "boxes": boxes,
            "scores": np.full((len(images), 1), 0.9),
            "labels": np.zeros((len(images), 1), int),
        }


def level_of(row):
    return row["objects"][0]["box"][0] * 8


def video(path, count=30, size=(64, 64), rate=25, step=8, times=None, sound=None):
    """A video whose frames get brighter one by one, from the first again after a while."""
    with writing_video(path, rate, sound) as writer:
        for i in range(count):
            frame = np.full((*size, 3), i * step % 256, np.uint8)
            writer.write(frame, None if times is None else times[i])
    return path


def with_sound(path, codec="aac", seconds=2.0):
    """A video of grey frames at 10 a second, with a tone."""
    with av.open(str(path), "w") as file:
        pictures, tone = file.add_stream("mpeg4", rate=10), file.add_stream(codec, rate=16000, layout="mono")
        pictures.height = pictures.width = 64
        pictures.pix_fmt = "yuv420p"
        for _ in range(round(10 * seconds)):
            grey = np.full((64, 64, 3), 128, np.uint8)
            file.mux(pictures.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        wave = (0.5 * np.sin(np.arange(round(16000 * seconds)) * 0.17)).astype(np.float32)
        for start in range(0, len(wave), 1000):
            piece = av.AudioFrame.from_ndarray(wave[None, start : start + 1000], format="fltp", layout="mono")
            piece.sample_rate, piece.pts = 16000, start
            converted = (
                av.AudioResampler(tone.format, "mono", 16000).resample(piece) if codec != "aac" else [piece]
            )
            for one in converted:
                file.mux(tone.encode(one))
        file.mux(pictures.encode(None))
        file.mux(tone.encode(None))
    return path


def run(model, source, out, **options):
    lines = []
    outcome = predict(model, source, out, say=lines.append, **options)
    return outcome, lines


def json_lines(path: Path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_file_gives_each_frame_once_in_order_with_its_time(tmp_path):
    times = [0.0, 0.04, 0.1, 0.3, 0.36, 0.5, 1.0, 1.04]
    source = video(tmp_path / "a.mp4", len(times), times=times, step=30)
    outcome, lines = run(Levels(), source, tmp_path / "out")
    rows = json_lines(tmp_path / "out" / "a.jsonl")
    assert [row["frame"] for row in rows] == list(range(8)) and rows == outcome.rows
    np.testing.assert_allclose([row["time"] for row in rows], times, atol=1e-4)
    np.testing.assert_allclose([level_of(row) for row in rows], 30 * np.arange(8), atol=5)
    assert lines[0].startswith(f"{source}: 8 frames, 8 thing  (") and "frames a second)" in lines[0]
    written = list(Video(tmp_path / "out" / "a.mp4").timed())
    np.testing.assert_allclose([when for when, _ in written], times, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 8])
def test_a_thousand_frames_give_a_thousand_results(tmp_path, size):
    source = video(tmp_path / "a.mp4", 1000)
    outcome, _ = run(Levels(), source, tmp_path / "out", batch_size=size)
    rows = json_lines(tmp_path / "out" / "a.jsonl")
    assert outcome.images == 1000 and [row["frame"] for row in rows] == list(range(1000))
    np.testing.assert_allclose([row["time"] for row in rows], np.arange(1000) / 25, atol=1e-4)
    np.testing.assert_allclose([level_of(row) for row in rows], 8 * np.arange(1000) % 256, atol=6)
    assert Video(tmp_path / "out" / "a.mp4").frames == 1000


def test_what_is_written_is_what_browsers_play(tmp_path):
    run(Levels(), video(tmp_path / "a.mp4", size=(63, 65)), tmp_path / "out")
    path = tmp_path / "out" / "a.mp4"
    with av.open(str(path)) as file:
        (stream,) = file.streams
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (66, 64)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # plays before all of it is there


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "aac"), ("mkv", "pcm_s16le")])
def test_sound_is_kept(tmp_path, suffix, codec):
    source = with_sound(tmp_path / f"a.{suffix}", codec)
    run(Levels(), source, tmp_path / "out")
    (path,) = (tmp_path / "out").glob("*.mp4")
    levels = []
    with av.open(str(path)) as file:
        assert file.streams.audio[0].codec_context.name == "aac"
        for frame in file.decode(audio=0):
            levels.append((frame.time, float(np.abs(frame.to_ndarray()).mean())))
    assert levels[-1][0] == pytest.approx(2.0, abs=0.15)
    loud = [level for when, level in levels if 0.3 < when < 1.7]
    assert np.mean(loud) == pytest.approx(0.5 * 2 / np.pi, rel=0.1)


class Camera:
    """Gives a frame each 10 ms, whether it is read or not; its frames tell when they were made."""

    live, waits, rate, frames, missing = True, False, 25.0, 0, 0

    def __init__(self, count=60, path="camera-0.mp4"):
        self.path, self.count, self.lags = Path(path), count, []

    def timed(self):
        began = time.monotonic()
        for i in range(self.count):
            time.sleep(max(0.0, began + 0.01 * i - time.monotonic()))
            yield time.monotonic() - began, np.full((64, 64, 3), 4 * i % 256, np.uint8)


def with_camera(monkeypatch, camera):
    monkeypatch.setattr("kzoo.inference.folder.is_live", lambda source: source == "0")
    monkeypatch.setattr("kzoo.inference.folder.Stream", lambda source: camera)


def test_a_camera_drops_frames_rather_than_lag(tmp_path, monkeypatch):
    with_camera(monkeypatch, Camera(60))
    outcome, lines = run(Levels(0.05), "0", tmp_path / "out", track=True)
    rows = json_lines(tmp_path / "out" / "camera-0.jsonl")
    assert 5 <= len(rows) == outcome.images < 30 and not outcome.rows
    assert f"{len(rows)} frames and {60 - len(rows)} left out" in lines[0]
    # The last frame is looked at, and each is one that was new when its turn came.
    assert level_of(rows[-1]) == pytest.approx(4 * 59, abs=5)
    assert Video(tmp_path / "out" / "camera-0.mp4").frames == len(rows)


def test_ctrl_c_ends_a_camera_and_keeps_what_there_is(tmp_path, monkeypatch):
    class Impatient(Levels):
        def predict_on_batch(self, images):
            self.seen = getattr(self, "seen", 0) + 1
            if self.seen == 6:
                raise KeyboardInterrupt
            return super().predict_on_batch(images)

    with_camera(monkeypatch, Camera(10**6))
    outcome, _ = run(Impatient(), "0", tmp_path / "out")
    assert outcome.images == 4 == Video(tmp_path / "out" / "camera-0.mp4").frames
    with pytest.raises(KeyboardInterrupt):
        run(Impatient(), video(tmp_path / "a.mp4"), tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())


def test_tracks_are_drawn_counted_and_written(tmp_path):
    outcome, lines = run(
        Levels(), video(tmp_path / "a.mp4", 20), tmp_path / "out", track=True, kinds=["mot"],
        line=[(20, 0), (20, 64)], zone=[(0, 0), (64, 0), (64, 64)],
    )  # fmt: skip
    assert [row["objects"][0]["id"] for row in outcome.rows] == [None, *[1] * 19]
    assert outcome.rows[-1]["line"] == {"forward": 0, "backward": 1} and outcome.rows[-1]["zone"]["all"] == 1
    assert "line forward 0 backward 1, zone now 1 all 1  (" in lines[0]
    text = (tmp_path / "out" / "mot" / "a.txt").read_text().splitlines()
    assert len(text) == 19 and text[0].startswith("2,1,")


def test_a_disk_without_room_is_told_of(tmp_path):
    rng, source = np.random.default_rng(0), tmp_path / "a.mp4"
    with writing_video(source, 25) as writer:
        for _ in range(20):
            writer.write(rng.integers(0, 256, (120, 160, 3), np.uint8))
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (source.stat().st_size // 2, limits[1]))
    try:
        said = rf"^{tmp_path}/out/a.mp4: the video could not be written whole, \d+ of \d+ frames; is the disk full\?"
        with pytest.raises(OSError, match=said):
            run(Levels(), source, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    # What was found is there all the same if it was written whole; of the video nothing is.
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {"a.jsonl"}


def grey(folder):
    return with_sound(folder / "grey.mp4", seconds=1.0)


def test_what_has_no_effect_is_refused(tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((64, 64, 3), np.uint8))
    clip = grey(tmp_path)
    for options, said in (
        ({"track": True}, "track=True: .*a.png is no video; give one"),
        ({"show": True}, "show=True: .*a.png is no video"),
        ({"tracker": "sort"}, "tracker='sort': has an effect with track=True alone"),
        ({"line": [(0, 0), (1, 1)]}, "line=.*: has an effect with track=True alone"),
        ({"kinds": ["mot"]}, "mot: has no effect without track"),
    ):
        with pytest.raises(ValueError, match=said):
            run(Levels(), tmp_path / "a.png", tmp_path / "out", **options)
    segmenter = Levels()
    segmenter.task = "segment"
    with pytest.raises(ValueError, match="track=True is not for a segmenter; leave it out"):
        run(segmenter, clip, tmp_path / "out", track=True)
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(ValueError, match="show=True: "):
        predict(Levels(), clip, tmp_path / "out", show=True)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"pip install 'kzoo\[video\]'"):
        run(Levels(), clip, tmp_path / "out")


def test_what_a_thread_meets_comes_out_at_the_other_side():
    def broken():
        yield 1
        raise ValueError("broken")

    taken = []
    with pytest.raises(ValueError, match="broken"), ReadAhead(broken(), 4) as ahead:
        taken.extend(ahead)
    with pytest.raises(ZeroDivisionError), WriteBehind(lambda one: 1 / one, 1) as behind:
        for one in (1, 0, 1, 1, 1):
            behind.put(one)
    before = threading.active_count()
    with ReadAhead(iter(int, 1), 2) as ahead:
        for _ in ahead:
            break
    assert threading.active_count() == before


def test_a_window_shows_frames_and_how_many_a_second(tmp_path, monkeypatch):
    shown, titles = [], []

    class Root:
        def title(self, text):
            titles.append(text)

        def protocol(self, name, function):
            self.ends = function

        def bind(self, key, function):
            self.key = function

        def update(self):
            if len(shown) == 7:
                self.key(None)

        def destroy(self):
            titles.append("gone")

    class Picture:
        def __init__(self, master):
            pass

        def configure(self, data):
            shown.append(data)

    import tkinter

    monkeypatch.setattr(tkinter, "Tk", Root)
    monkeypatch.setattr(tkinter, "PhotoImage", Picture)
    monkeypatch.setattr(
        tkinter, "Label", lambda *args, **options: type("L", (), {"pack": lambda self: None})()
    )
    outcome, _ = run(Levels(), video(tmp_path / "a.mp4"), tmp_path / "out", show=True)
    assert len(shown) == outcome.images == 7 and shown[0].startswith(b"P6 64 64 255\n")
    assert titles[-1] == "gone" and titles[-2].endswith("frames a second")
    assert Video(tmp_path / "out" / "a.mp4").frames == 7


def test_drawn_videos_have_what_their_boxes_say():
    boxes, numbers = list(paths(90, (120, 160), 3))[40]
    image, labels = drawn(boxes, numbers, (120, 160))
    x, y = ((boxes[0, :2] + boxes[0, 2:]) / 2).astype(int)
    assert (image[y, x] != image[0, 0]).any() and len(labels) == len(boxes)
