"""What is refused, with which status, and what is said."""

import asyncio
import base64
import struct
import zlib

import pytest
from serving_models import Fixed, encoded, picture

from kzoo.serving.batching import Batcher
from kzoo.serving.refusal import Refusal
from kzoo.serving.settings import Settings

DATA = encoded(picture())
PATH = "/v1/models/things/detect"
PNG = {"Content-Type": "image/png"}


def refused(answer, status, said):
    assert answer.status_code == status and said in answer.json()["error"], answer.text
    assert "\n" not in answer.json()["error"] and len(answer.json()["error"]) <= 400


def huge_png(side=60_000):
    """A picture that says it has billions of pixels, in a few bytes that are made for it: a bomb."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = zlib.compress(bytes(1000) * 4000, 9)
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_body_beyond_the_limit(client_of):
    client = client_of({"things": Fixed()}, most_bytes=1024)
    refused(client.post(PATH, content=bytes(1025), headers=PNG), 413, "1025 bytes or more, and 1024")
    parts = (bytes(600) for _ in range(3))  # whose length is not said beforehand
    refused(client.post(PATH, content=parts, headers=PNG), 413, "bytes or more, and 1024")
    refused(client.post(PATH, files={"file": bytes(2000)}), 413, "send a smaller picture")
    refused(client.post(PATH, json={"image": "A" * 2000}), 413, "send a smaller picture")
    refused(client.post("/v2/models/things/infer", content=bytes(2000)), 413, "and 1024 are taken")
    assert client.post(PATH, content=DATA, headers=PNG).status_code == 200


def test_pixels_are_counted_before_they_are_decoded(client_of, monkeypatch):
    client = client_of({"things": Fixed()}, most_pixels=90 * 120 - 1)
    monkeypatch.setattr("kzoo.serving.pictures.decode_image", lambda *_: pytest.fail("decoded"))
    refused(client.post(PATH, content=DATA, headers=PNG), 413, "120 x 90 pixels, and 10799 are taken")
    refused(client.post(PATH, content=huge_png(), headers=PNG), 413, "60000 x 60000 pixels")


def test_time(client_of):
    client = client_of({"things": Fixed(seconds=0.0)}, timeout=0.15)
    client.service.shelf["things"].runner.model.seconds = 0.5
    refused(client.post(PATH, content=DATA, headers=PNG), 408, "not done within 0.15 s")
    client.service.shelf["things"].runner.model.seconds = 0.0


def test_requests_at_a_time(client_of):
    client = client_of({"things": Fixed()}, concurrency=1)
    client.service.gate.inside = 1
    answer = client.post(PATH, content=DATA, headers=PNG)
    refused(answer, 429, "1 requests are worked on, and 1 may be")
    assert answer.headers["retry-after"] == "1"
    client.service.gate.inside = 0
    assert client.post(PATH, content=DATA, headers=PNG).status_code == 200
    assert client.service.gate.inside == 0


def test_the_queue():
    async def run():
        batcher = Batcher(Fixed(seconds=0.1).predict_on_batch, most=1, wait=0, queue=2)
        images = picture(64, 64)[None]
        first = asyncio.create_task(batcher.results(images))
        await asyncio.sleep(0.03)  # it runs, and the next two wait
        waiting = [asyncio.create_task(batcher.results(images)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="2 images wait, and 2 may") as caught:
            await batcher.results(images)
        assert caught.value.status == 429 and caught.value.headers == {"Retry-After": "1"}
        await asyncio.gather(first, *waiting)
        await batcher.close()

    asyncio.run(run())


@pytest.mark.parametrize("given", [None, "Bearer", "Bearer wrong", "Basic secret", "secret", "Bearer sécret"])
@pytest.mark.parametrize(
    "path", ["/v1/models", "/metrics", "/openapi.json", "/v2", "/v2/models/things", "/v1/models/things"]
)
def test_without_the_token(client_of, path, given):
    client = client_of({"things": Fixed()}, token="secret")
    headers = {} if given is None else {"Authorization": given.encode()}
    answer = client.get(path, headers=headers)
    refused(answer, 401, "send the header Authorization: Bearer TOKEN")
    assert answer.headers["www-authenticate"] == "Bearer" and "secret" not in answer.text


def test_with_the_token(client_of):
    client = client_of({"things": Fixed()}, token="secret")
    right = {"Authorization": "Bearer secret", **PNG}
    assert client.post(PATH, content=DATA, headers=right).status_code == 200
    for path in ("/v1/models", "/metrics", "/openapi.json", "/v2"):
        assert client.get(path, headers=right).status_code == 200
    # The page asks for it, and whoever watches has none.
    for path in ("/", "/page/page.js", "/health/live", "/health/ready"):
        assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/page/../settings.py", "/page/%2e%2e/settings.py", "/page/%2e%2e%2fsettings.py",
     "/page//etc/passwd", "/v1/models/..%2F..%2Fetc", "/v1/models/%2Fetc%2Fpasswd/metadata", "/page/"],
)  # fmt: skip
def test_no_path_reaches_a_file(client, path):
    answer = client.get(path)
    assert answer.status_code == 404 and "root:" not in answer.text and "class" not in answer.text


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:1/a.png", "file:///etc/passwd", "/etc/passwd", "ftp://x/y", "hf://user/name"],
)
def test_no_address_is_fetched(client, address, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("connected"))
    refused(client.post(PATH, json={"image": address}), 400, "addresses and paths are not followed")
    refused(client.post(PATH, json={"url": address}), 400, "unknown field 'url'")
    refused(client.post(PATH, content=address.encode(), headers=PNG), 415, "no picture of a known format")


@pytest.mark.parametrize(
    "query, said",
    [
        ({"format": "xml"}, "format=xml: give objects, full, coco, image, mask"),
        ({"format": ""}, "format=: give objects"),
        ({"score": "2"}, "score='2': give a number, 0 to 1"),
        ({"score": "nan"}, "score='nan': give a number"),
        ({"score": "a"}, "score='a': give a number"),
        ({"sccore": "0.5"}, "sccore: unknown; did you mean score?"),
        ({"format": ["full", "coco"]}, "format: given twice"),
        ({"format": "mask"}, "the model finds boxes alone"),
    ],
)
def test_formats(client, query, said):
    refused(client.post(PATH, params=query, content=DATA, headers=PNG), 400, said)


@pytest.mark.parametrize("form", ["image", "mask", "coco"])
def test_a_classifier_has_no_picture(client, form):
    answer = client.post("/v1/models/classes/detect", params={"format": form}, content=DATA, headers=PNG)
    refused(answer, 400, f"format={form}: the model is a classifier")


@pytest.mark.parametrize(
    "content, kind, status, said",
    [
        (b"", "image/png", 400, "body: empty"),
        (b"hello", "text/plain", 415, "'text/plain': send a picture as the body"),
        (b"hello", "image/png", 415, "no picture of a known format"),
        (DATA[:60], "image/png", 400, "a truncated PNG"),
        (encoded(picture(), ".jpg")[:-40], "image/jpeg", 400, "a truncated JPEG"),
        (DATA, "application/json", 400, "no JSON"),
        (b"[1]", "application/json", 400, "JSON, but no object"),
        (b'{"image": 5}', "application/json", 400, "no text in the field 'image'"),
        (b'{"image": "%%"}', "application/json", 400, "no base64"),
        (b'{"image": NaN}', "application/json", 400, "NaN is no number"),
        (b"[" * 100_000, "application/json", 400, "no JSON"),
        (b'{"image": "AAAA", "x": 1}', "application/json", 400, "unknown field 'x'"),
        (base64.b64encode(DATA), "application/json", 400, "no JSON"),
        (b"x", "multipart/form-data", 400, "no form with one file"),
        (b"--b--\r\n", "multipart/form-data; boundary=b", 400, "a form without a file"),
    ],
)  # fmt: skip
def test_bodies(client, content, kind, status, said):
    refused(client.post(PATH, content=content, headers={"Content-Type": kind}), status, said)


def test_forms(client):
    two = [("a", ("a.png", DATA)), ("b", ("b.png", DATA))]
    refused(client.post(PATH, files=two), 400, "Too many files")
    refused(client.post(PATH, files={"a": ("a.png", DATA)}, data={"name": "x"}), 400, "Too many fields")
    refused(client.post(PATH, files={"a": ("../../etc/x.png", b"text")}), 415, "no picture")


def test_other_methods_and_models(client):
    refused(client.get(PATH), 405, "Method Not Allowed")
    refused(client.post("/v1/models/nothing/detect", content=DATA), 404, "no such model; known: things")
    refused(client.get("/" + "a" * 5000), 404, "Not Found")


@pytest.mark.parametrize(
    "wrong", [{"wait": -1}, {"timeout": 0}, {"most_pixels": 0}, {"queue": 0}, {"batch_size": 1.5}]
)
def test_settings_out_of_range(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name}="):
        Settings(**wrong)
