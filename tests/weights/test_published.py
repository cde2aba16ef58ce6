"""Published weights: fetched once, whole and checked, from a server on this machine that misbehaves in many ways."""

import hashlib
import http.server
import threading

import keras
import numpy as np
import pytest

import kzoo
from kzoo import darknet
from kzoo.data.formats.names import COCO
from kzoo.registry import entry
from kzoo.weights import published
from kzoo.weights.published import Published, cache_folder, fetch

FILE = "tiny.weights"
SMALL = {"width": 0.25, "image_size": (64, 64)}


class Handler(http.server.BaseHTTPRequestHandler):
    """Gives one file, as well or as badly as its server is told."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        conduct = server.conduct.pop(0) if server.conduct else "well"
        content, start, status = server.content, 0, 200
        if self.path.rsplit("/", 1)[1] != FILE or conduct == 404:
            self.send_error(404)
            return
        if conduct == "hangs up":
            return
        if conduct == "other":
            content = b"<html>Sign in to the network of this hotel.</html>"
        wanted = self.headers.get("Range")
        if wanted and conduct != "no ranges":
            start, status = int(wanted.removeprefix("bytes=").removesuffix("-")), 206
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                return
        self.send_response(status)
        rest = content[start:]
        if conduct == "in chunks, cut":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(f"{len(rest):x}\r\n".encode() + rest[: len(rest) // 2])
            return
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: len(rest) // 2] if conduct == "cut" else rest)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """A narrow yolov3-tiny as a `.weights` file."""
    keras.utils.set_random_seed(0)
    weights, _ = darknet.save(kzoo.build("yolov3-tiny", **SMALL), tmp_path_factory.mktemp("weights") / FILE)
    return weights.read_bytes()


@pytest.fixture
def server(content):
    """A server: `conduct` is what it does with one request after the other, `asked` the ranges they came with."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.conduct, server.asked = content, [], []
    server.address = f"http://127.0.0.1:{server.server_port}/files/{FILE}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "kzoo"


@pytest.fixture
def row(server, content):
    """Makes a row of the table for the server's file."""
    known = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "names": "coco"}
    return lambda **more: Published(server.address, "public domain", **{**known, **more})


def refused(row, error=ValueError):
    with pytest.raises(error) as caught:
        fetch(row)
    said = str(caught.value)
    assert said.isprintable() and len(said) < 400
    return said


def held(cache):
    return sorted(path.name for path in cache.iterdir())


def test_fetched_once_and_silently(server, row, cache, content, capfd):
    assert cache_folder() == cache
    path = fetch(row())
    assert path == cache / FILE and path.read_bytes() == content and held(cache) == [FILE]
    fetch(row())
    assert server.asked == [None]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("conduct", ["cut", "in chunks, cut"])
def test_goes_on_where_it_was_cut(conduct, server, row, cache, content):
    server.conduct = [conduct]
    said = refused(row(), OSError)
    assert said.startswith(f"{server.address}: cannot be fetched (")
    assert f"put the file of {len(content):,} bytes at {cache / FILE}" in said
    assert held(cache) == [f"{FILE}.part"]
    assert fetch(row()).read_bytes() == content and held(cache) == [FILE]
    first, again = server.asked
    assert first is None and 0 < int(again.removeprefix("bytes=").removesuffix("-")) <= len(content) // 2


def test_a_server_without_ranges_starts_anew(server, row, cache, content):
    server.conduct = ["cut", "no ranges"]
    refused(row(), OSError)
    assert fetch(row()).read_bytes() == content


def test_all_of_it_is_there_already(server, row, cache, content):
    cache.mkdir(parents=True)
    (cache / f"{FILE}.part").write_bytes(content)
    assert fetch(row()).read_bytes() == content and held(cache) == [FILE]
    assert server.asked == [f"bytes={len(content)}-"]


def test_more_than_all_of_it_is_there(server, row, cache, content):
    cache.mkdir(parents=True)
    (cache / f"{FILE}.part").write_bytes(content + b"more")
    assert fetch(row(size=None, sha256=None)).read_bytes() == content and held(cache) == [FILE]
    assert server.asked == [f"bytes={len(content) + 4}-", None]


def test_what_was_there_is_of_another_file(server, row, cache, content):
    cache.mkdir(parents=True)
    (cache / f"{FILE}.part").write_bytes(b"x" * 100)
    assert "its sha256 is" in refused(row())
    assert held(cache) == []
    assert fetch(row()).read_bytes() == content


@pytest.mark.parametrize("conduct", [404, "hangs up", "cut", "other"])
def test_another_place_has_it(conduct, server, row, cache, content):
    server.conduct = [conduct]
    assert fetch(row(also=[server.address])).read_bytes() == content
    assert len(server.asked) == 2


def test_nowhere(server, row, cache, content):
    server.conduct = [404, "hangs up"]
    said = refused(row(also=[server.address]), OSError)
    assert said.startswith(f"{server.address}: cannot be fetched (Not Found); put the file of ")
    said = refused(Published("http://127.0.0.1:1/tiny.weights", "public domain"), OSError)
    assert "refused" in said and f"put the file at {cache / FILE}" in said
    assert held(cache) == []


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"size": 1234}, "the published file has 1,234"),
        ({"sha256": "0" * 64}, "the published file's 000"),
        ({"sha256": None, "md5": "0" * 32}, "its md5 is "),
    ],
)
def test_another_file_is_refused(wrong, words, server, row, cache, content):
    said = refused(row(**wrong))
    assert said.startswith(f"{server.address}: ") and words in said and str(cache / FILE) in said
    assert held(cache) == []


def test_what_lies_in_the_cache_is_checked(server, row, cache, content):
    cache.mkdir(parents=True)
    for spoilt in (content[:-1], content[:-1] + b"\0", b""):
        (cache / FILE).write_bytes(spoilt)
        said = refused(row())
        assert said.startswith(f"{cache / FILE}: ") and said.endswith("remove it, and it is fetched anew")
    assert server.asked == []
    (cache / FILE).write_bytes(content)
    assert fetch(row()) == cache / FILE


def test_a_cache_that_cannot_be_written(row, cache):
    cache.parent.mkdir(parents=True)
    cache.write_text("in the way")
    with pytest.raises(OSError, match="kzoo"):
        fetch(row())


@pytest.fixture
def listed(row, monkeypatch):
    """The server's file as the table's only row."""
    backbone = Published(row().address, "public domain", backbone=True)
    rows = {"yolov3-tiny": {"coco": row(), "imagenet": backbone}, "yolov3": {"coco": row()}}
    monkeypatch.setattr(published, "table", lambda: rows)


def test_a_model_with_published_weights_and_names(server, listed, cache, content, tmp_path):
    model = kzoo.build("yolov3-tiny", weights="coco", **SMALL)
    assert model.names == list(COCO) and model.names[16] == "dog"
    (cache / FILE).rename(tmp_path / FILE)
    same = kzoo.build("yolov3-tiny", weights=tmp_path / FILE, **SMALL)
    for ours, theirs in zip(model.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    model.save(tmp_path / "a.keras")
    assert kzoo.load(tmp_path / "a.keras").names == model.names


def test_published_weights_as_a_backbone(server, listed, cache, content):
    model = kzoo.build("yolov3-tiny", num_classes=3, backbone_weights="imagenet", **SMALL)
    kernel = np.asarray(model.network.get_layer("backbone_conv1").kernel)
    stored = np.frombuffer(content, "<f4", kernel.size, offset=20 + 4 * 4 * 8)
    np.testing.assert_array_equal(kernel, stored.reshape(8, 3, 3, 3).transpose(2, 3, 1, 0))


TRAINED_WITH = [[[23, 27], [37, 58], [81, 82]], [[81, 82], [135, 169], [344, 319]]]


def test_published_tiny_has_the_anchors_it_was_trained_with(server, row, cache, monkeypatch, tmp_path):
    real = published.table()["yolov3-tiny"]["coco"].anchors
    monkeypatch.setattr(published, "table", lambda: {"yolov3-tiny": {"coco": row(anchors=real)}})
    model = kzoo.build("yolov3-tiny", weights="coco", **SMALL)
    assert np.array_equal(model.head.anchors, TRAINED_WITH)
    model.save(tmp_path / "a.keras")
    assert np.array_equal(kzoo.load(tmp_path / "a.keras").head.anchors, TRAINED_WITH)
    own = np.arange(2, 14).reshape(6, 2)
    model = kzoo.build("yolov3-tiny", weights="coco", anchors=own, **SMALL)
    assert np.array_equal(np.reshape(model.head.anchors, (6, 2)), own)
    assert np.array_equal(kzoo.build("yolov3-tiny", **SMALL).head.anchors[0][0], [10, 14])


def test_own_names_stay(listed, cache):
    names = [f"thing {i}" for i in range(80)]
    assert kzoo.build("yolov3-tiny", weights="coco", names=names, **SMALL).names == names


def test_weights_for_another_network_are_not_even_fetched(server, listed, cache):
    for arguments in ({"width": 0.5}, {"width": 0.5, "num_classes": 3}):
        with pytest.raises(ValueError, match=r"weights='coco': a file of .* leave width and depth"):
            kzoo.build("yolov3-tiny", weights="coco", **{**SMALL, **arguments})
    with pytest.raises(ValueError, match=r"weights='imagenet': nothing of that name .* known: coco"):
        kzoo.build("yolov3-tiny", weights="imagenet", **SMALL)
    with pytest.raises(ValueError, match=r"backbone_weights='coco': nothing .* known: imagenet"):
        kzoo.build("yolov3-tiny", backbone_weights="coco", **SMALL)
    with pytest.raises(ValueError, match="nothing of that name was published for darknet53; there are none"):
        kzoo.build("darknet53", weights="coco", depth=0.25, **SMALL)
    assert server.asked == []


def test_a_file_goes_before_a_name(listed, cache, content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coco").write_bytes(content)
    assert not published.is_published("coco")
    with pytest.raises(ValueError, match="coco: weights of format '' are not read"):
        kzoo.build("yolov3-tiny", weights="coco", **SMALL)


ROWS = [(model, name) for model, named in published.table().items() for name in named]


@pytest.mark.parametrize("model, name", ROWS)
def test_the_table_is_sound(model, name):
    row, known = published.table()[model][name], entry(model)
    assert all(address.startswith("https://") for address in (row.address, *row.also))
    assert {address.rsplit("/", 1)[1] for address in row.also} <= {row.file}
    assert row.licence
    assert row.anchors is None or np.shape(row.anchors) in ((2, 3, 2), (1, 5, 2))
    assert row.classes is None or len(row.classes) == (20 if name == "voc" else known.num_classes)
    if row.size is not None and not row.backbone:
        parameters = {"yolov2-voc": 50_676_061, "yolov2-tiny-voc": 15_867_885}.get(
            f"{model}-{name}", known.parameters
        )
        assert row.size - 4 * parameters in (20, 16)
    if row.backbone and row.file == "darknet53.conv.74":
        classifier = entry("darknet53")
        # All of the classifier but for its last layer.
        assert row.size == 4 * (classifier.parameters - 1025 * classifier.num_classes) + 20
    for kind, length in (("sha256", 64), ("md5", 32)):
        value = getattr(row, kind)
        assert value is None or (len(value) == length and int(value, 16) >= 0 and row.checked_by)
