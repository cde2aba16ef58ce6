"""Cameras, addresses and pipes: what is one, frames that come, and what is refused in one line."""

import os
import socket
import threading

import numpy as np
import pytest

from kzoo.sources import Stream, is_live

av = pytest.importorskip("av")


def mpeg(path, count=20, size=(64, 96), rate=10):
    """A video that can be read without seeking, whose frames get brighter one by one."""
    with av.open(str(path), "w", format="mpegts") as file:
        stream = file.add_stream("mpeg4", rate=rate)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for i in range(count):
            picture = np.full((*size, 3), 10 + 10 * i, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode(None))
    return path.read_bytes()


def fed(path, data):
    """A named pipe, and the thread that writes into it."""
    os.mkfifo(path)
    thread = threading.Thread(target=lambda: path.write_bytes(data), daemon=True)
    thread.start()
    return path


def served(serve):
    """The port where `serve` gets the first connection."""
    listening = socket.create_server(("127.0.0.1", 0))

    def accept():
        connection, _ = listening.accept()
        serve(connection)

    threading.Thread(target=accept, daemon=True).start()
    return listening, listening.getsockname()[1]


def test_what_is_live(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "7").touch()
    for source in ("0", "-", "rtsp://10.0.0.1/x", "tcp://h:1", "pipe", tmp_path / "pipe"):
        assert is_live(source), source
    for source in ("7", "a.mp4", "https://a/b.jpg", "C:/a.mp4", ["0"], np.zeros(3), "rtsp", "-1"):
        assert not is_live(source), source
    names = ("0", "-", "rtsp://me:secret@10.0.0.1:554/x?y", "pipe")
    assert [Stream.name_of(one) for one in names] == ["camera-0", "pipe", "rtsp-10.0.0.1-554-x-y", "pipe"]


def test_a_pipe_gives_every_frame_in_its_order_and_time(tmp_path):
    stream = Stream(fed(tmp_path / "pipe", mpeg(tmp_path / "a.ts")))
    assert stream.waits and stream.live and stream.rate == 10
    times, levels = zip(*((when, frame.mean()) for when, frame in stream.timed()), strict=True)
    np.testing.assert_allclose(times, np.arange(20) / 10, atol=1e-3)
    np.testing.assert_allclose(levels, 10 + 10 * np.arange(20), atol=4)


def test_an_address_gives_its_frames(tmp_path):
    data = mpeg(tmp_path / "a.ts")

    def serve(connection):
        with connection:
            connection.sendall(data)

    listening, port = served(serve)
    with listening:
        stream = Stream(f"tcp://127.0.0.1:{port}")
        assert not stream.waits and sum(1 for _ in stream.timed()) == 20


def test_what_gives_no_video_is_refused_in_a_line(tmp_path, capfd):
    for words, data in (
        ("empty", b""),
        ("text", b"no video " * 1000),
        ("early", mpeg(tmp_path / "a.ts")[:500]),
    ):
        with pytest.raises(ValueError, match=rf"{words}: the pipe ended before a frame came") as caught:
            list(Stream(fed(tmp_path / words, data)).timed())
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"^7: no camera of this number answers; connect it"):
        Stream("7")
    said = capfd.readouterr()
    assert not said.err and not said.out


def test_a_pipe_that_ends_within_a_frame_gives_those_before(tmp_path):
    data = mpeg(tmp_path / "a.ts")
    frames = list(Stream(fed(tmp_path / "pipe", data[: len(data) // 2])).timed())
    assert 0 < len(frames) < 20


@pytest.mark.parametrize("protocol", ["rtsp", "tcp"])
def test_an_address_that_does_not_answer_is_refused(protocol):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(
        ValueError, match=f"^{protocol}://127.0.0.1:{port}/x: no video comes from this address"
    ):
        Stream(f"{protocol}:/127.0.0.1:{port}/x")


def test_an_address_that_stays_silent_is_refused_in_time():
    gone = threading.Event()
    listening, port = served(lambda connection: gone.wait(20))
    try:
        with listening, pytest.raises(ValueError, match=r"no video comes from this address within 0.3 s"):
            Stream(f"rtsp://127.0.0.1:{port}/x", patience=0.3)
    finally:
        gone.set()
