"""Requests that cannot be answered, as a damaged or a hostile client sends them."""

import base64
import gzip
import json
import struct
import zlib

from serving_models import encoded, picture

LIMIT = 200_000  # bytes of a body
PNG = encoded(picture(70, 90, seed=0))
JPEG = encoded(picture(70, 90, seed=1), ".jpg")


def png(width, height, rows):
    """A PNG file of a size that it claims, with whatever rows."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(rows, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def claiming(data, place, size):
    """A file whose header claims another size: `place` is where two numbers stand, `size` them as bytes."""
    return data[:place] + size + data[place + len(size) :]


BOMB = png(20_000, 20_000, bytes(50_000_000))
BMP = encoded(picture(20, 30), ".bmp")
FRAME = JPEG.index(b"\xff\xc0") + 5  # where a JPEG has its height and width
HUGE = (
    BOMB,
    png(2**31 - 1, 2**31 - 1, b""),
    png(4000, 4000, b"\0" * 100),  # as many as are taken, by the claim, and far more than there are
    claiming(PNG, 16, struct.pack(">II", 60_000, 60_000)),
    claiming(JPEG, FRAME, struct.pack(">HH", 65_500, 65_500)),
    claiming(BMP, 18, struct.pack("<ii", 2**30, 2**30)),
)
FORM = 'Content-Disposition: form-data; name="{}"; filename="a.png"\r\n\r\n'


def form(*files, boundary=b"x"):
    """A body of multipart/form-data."""
    parts = (b"--x\r\n" + FORM.format(name).encode() + data + b"\r\n" for name, data in files)
    return b"".join(parts) + b"--" + boundary + b"--\r\n"


def as_json(value):
    return json.dumps(value).encode(), {"Content-Type": "application/json"}


def of_picture(data, kind="image/png", **headers):
    return data, {"Content-Type": kind, **headers}


def _truncated(rng):
    data = (PNG, JPEG)[rng.randrange(2)]
    return of_picture(data[: rng.randrange(1, len(data) // 2)])


def _damaged(rng):
    return of_picture(PNG[:40] + rng.randbytes(len(PNG) - 40))


def _huge(rng):
    return of_picture(rng.choice(HUGE))


def _no_picture(rng):
    return of_picture(
        *rng.choice(
            [
                (b"this is a text", "image/jpeg"),
                (b"", "image/png"),
                (rng.randbytes(500), "application/octet-stream"),
                (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
                (b"%PDF-1.7\n" + rng.randbytes(300), "image/png"),
                (b"GIF89a" + rng.randbytes(9), "image/gif"),
                (bytes(LIMIT + 1), "image/png"),
            ]
        )
    )


def _wrong_kind(rng):
    kinds = ("text/html", "application/json", "application/x-tar", "image", "video/mp4", "a" * 500)
    return of_picture(PNG, rng.choice(kinds))


def _compressed(rng):
    bomb = gzip.compress(bytes(10_000_000))
    coding = rng.choice(["gzip", "deflate", "br", "gzip, gzip", "x" * 200])
    return of_picture(rng.choice([bomb, gzip.compress(PNG)]), **{"Content-Encoding": coding})


def _no_json(rng):
    bodies = [
        b'{"image": ' + rng.randbytes(20),
        b"[" * rng.randrange(1000, 100_000),
        b'{"image":' * 5000,
        b'{"image": NaN}',
        b"\xff\xfe{}",
        b"null",
        b"",
    ]
    return rng.choice(bodies), {"Content-Type": "application/json"}


def _wrong_json(rng):
    text = base64.b64encode(PNG).decode()
    values = [
        {"image": 5},
        {"image": None},
        {"image": [text]},
        {"picture": text},
        {"image": text, "score": 0.5},
        {"image": "http://127.0.0.1/a.png"},
        {"image": "/etc/passwd"},
        {"image": "../../a.png"},
    ]
    return as_json(rng.choice(values))


def _bad_base64(rng):
    text = base64.b64encode(PNG).decode()
    texts = [
        text[:-3],
        text[:50] + "!" + text[50:],
        "data:image/png;base64",
        "=" * 40,
        "é" * 8,
        text[: len(text) // 8 * 4],
    ]
    return as_json({"image": rng.choice(texts)})


def _bad_form(rng):
    kind = "multipart/form-data; boundary=x"
    bodies = [
        (b"--x\r\n" + rng.randbytes(200), kind),
        (form(("file", PNG), ("file", PNG)), kind),
        (form(), kind),
        (form(("file", PNG), boundary=b"y")[:200], kind),
        (b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nno file\r\n--x--\r\n', kind),
        (form(("file", b"")), kind),
        (form(("file", b"text")), kind),
        (form(("file", PNG)), "multipart/form-data"),
        (form(("file", PNG)), "multipart/form-data; boundary=z"),
    ]
    body, kind = rng.choice(bodies)
    return body, {"Content-Type": kind}


KINDS = (
    _truncated,
    _damaged,
    _huge,
    _no_picture,
    _wrong_kind,
    _compressed,
    _no_json,
    _wrong_json,
    _bad_base64,
    _bad_form,
)
QUERIES = (
    "?score=2",
    "?score=x",
    "?format=gif",
    "?scores=.5",
    "?score=.5&score=.6",
    "?method=tiles",
    "?format=%00",
)
TENSORS = (
    b'{"inputs": 5}',
    b'{"instances": [[1, 2], [3]]}',
    b'{"inputs": {"pictures": []}}',
    b'{"instances": "' + b"a" * 1000 + b'"}',
    b'{"inputs": [{"name": "images", "shape": [1, -1, 64, 3], "datatype": "UINT8", "data": []}]}',
    b'{"inputs": [{"name": "images", "shape": [99999999999], "datatype": "FP32", "data": [1e999]}]}',
    b"\0\1\2",
)


def garbage(rng, name):
    """A request that cannot be answered: its path, its body, and headers.

    Args:
        rng: a `random.Random`.
        name: the model's.
    """
    chosen = rng.randrange(len(KINDS) + 3)
    path = f"/v1/models/{name}/detect"
    if chosen < len(KINDS):
        return (path, *KINDS[chosen](rng))
    if chosen == len(KINDS):
        return (path + rng.choice(QUERIES), *of_picture(PNG))
    if chosen == len(KINDS) + 1:
        where = rng.choice([f"/v2/models/{name}/infer", f"/v1/models/{name}:predict"])
        return where, rng.choice(TENSORS), {"Content-Type": "application/json"}
    where = rng.choice(
        ["/v1/models/nobody/detect", "/v1/models/%00/detect", "/v1/models/a%2F..%2Fb/detect", "/v3"]
    )
    return (where, *of_picture(PNG))
