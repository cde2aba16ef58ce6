"""One request in a hundred is garbage: it is refused, the others are answered right, and memory stays."""

import random
import struct
import threading
import zlib
from pathlib import Path

import httpx
import pytest
from serving_models import Fixed, encoded, picture

from kzoo.inference.detect import detect

PATH = "/v1/models/things/detect"
GOOD = [picture(70 + 10 * seed, 90, seed=seed) for seed in range(4)]
DATA = [encoded(image) for image in GOOD] + [encoded(GOOD[0], ".bmp")]
LIMIT = 200_000  # bytes of a body


def png(width, height, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(rows, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


BOMB = png(20_000, 20_000, bytes(50_000_000))


def garbage(rng):
    """A request that cannot be answered: its body, and headers."""
    data = DATA[rng.randrange(len(DATA))]
    kinds = [
        lambda: (data[: rng.randrange(1, len(data) // 2)], "image/png"),
        lambda: (bytes(LIMIT + 1), "image/png"),
        lambda: (b"this is a text", "image/jpeg"),
        lambda: (BOMB, "image/png"),
        lambda: (rng.randbytes(500), "application/octet-stream"),
        lambda: (b'{"image": ' + rng.randbytes(20), "application/json"),
        lambda: (b"[" * rng.randrange(1000, 100_000), "application/json"),
        lambda: (data, "text/html"),
        lambda: (b"--x\r\n" + rng.randbytes(200), "multipart/form-data; boundary=x"),
        lambda: (data, "application/json"),
        lambda: (b"", "image/png"),
        lambda: (data[:40] + rng.randbytes(len(data) - 40), "image/png"),
    ]
    return kinds[rng.randrange(len(kinds))]()


def resident():
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def send(address, count, share, seed, wrong):
    """Sends `count` requests, of which a share is garbage; what is answered wrongly goes to `wrong`."""
    rng = random.Random(seed)
    wanted = [
        [row["score"] for row in detect(Fixed(), image).to_dict()["objects"]] for image in (*GOOD, GOOD[0])
    ]
    with httpx.Client(timeout=60) as client:
        for _ in range(count):
            bad = rng.random() < share
            place = rng.randrange(len(DATA))
            content, kind = garbage(rng) if bad else (DATA[place], "image/png")
            try:
                answer = client.post(address + PATH, content=content, headers={"Content-Type": kind})
            except (httpx.WriteError, httpx.ReadError):
                # The service hung up within a body that is too long.
                if len(content) <= LIMIT:
                    wrong.append("hung up")
                continue
            fine = 400 <= answer.status_code < 500 and "error" in answer.json()
            if not bad:
                fine = answer.status_code == 200 and [row["prob"] for row in answer.json()] == wanted[place]
            if not fine:
                wrong.append((bad, answer.status_code, answer.text[:200], content[:40]))


def flood(address_of, count, share):
    address = address_of({"things": Fixed()}, most_bytes=LIMIT, wait=1)
    wrong = []
    send(address, count // 5, share, 0, wrong)
    before = resident()
    threads = [
        threading.Thread(target=send, args=(address, count // 5, share, seed, wrong)) for seed in range(1, 5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
    return resident() - before


def test_some_dozens(address_of):
    grown = flood(address_of, 100, 0.4)
    assert grown < 50e6


@pytest.mark.exhaustive
def test_ten_thousand(address_of):
    grown = flood(address_of, 10_000, 0.01)
    assert grown < 50e6
