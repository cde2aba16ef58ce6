"""Videos give their frames in RGB and end, and are written whole or not at all."""

import resource
import signal

import numpy as np
import pytest

from kzoo.sources import Video, is_video, writing_video


def test_video_frames_are_rgb(tmp_path):
    path = tmp_path / "red.mp4"
    with writing_video(path, 5) as writer:
        for _ in range(3):
            writer.write(np.full((64, 64, 3), (220, 30, 30), np.uint8))
    assert is_video(path) and is_video("A.MOV") and not is_video("a.jpg")
    assert np.abs(next(iter(Video(path))).mean((0, 1)) - (220, 30, 30)).max() < 12


def test_a_video_that_announces_frames_without_end_stops(tmp_path):
    with writing_video(tmp_path / "clip.mp4", 10) as writer:
        for _ in range(5):
            writer.write(np.zeros((120, 160, 3), np.uint8))
    video = Video(tmp_path / "clip.mp4")
    count, video.frames = video.frames, 10**12
    assert len(list(video)) == count and video.missing == 10**12 - count


def test_a_video_that_stops_half_written_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), writing_video(tmp_path / "half.mp4", 5) as writer:
        writer.write(np.zeros((120, 160, 3), np.uint8))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_video_that_the_disk_has_no_room_for_is_no_success(tmp_path, capfd, share):
    rng, path = np.random.default_rng(0), tmp_path / "a.mp4"

    def write():
        with writing_video(path, 25) as writer:
            for _ in range(30):
                writer.write(rng.integers(0, 256, (120, 160, 3), np.uint8))

    write()
    size = path.stat().st_size
    path.unlink()
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * size), limits[1]))
    try:
        with pytest.raises(
            OSError, match=r"a.mp4: the video could not be written whole, \d+ of 30 frames"
        ) as caught:
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())
    assert not capfd.readouterr().err
