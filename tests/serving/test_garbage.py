"""One request in a hundred is garbage: it is refused, the others are answered right, and memory stays."""

import random
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from garbage import LIMIT, garbage
from serving_models import Fixed, encoded, picture
from serving_processes import tiny_detector

import kzoo
from kzoo.data.formats.shapes import Shapes
from kzoo.inference.detect import detect

CLIENTS = 4
GOOD = [picture(70 + 10 * seed, 90, seed=seed) for seed in range(4)]
DATA = [encoded(image) for image in GOOD] + [encoded(GOOD[0], ".bmp")]


class Sender:
    """Sends good requests and garbage, and keeps what is answered wrongly.

    Args:
        address: the service's.
        name: the model's.
        right: a function of a good request's number and its answer's JSON: whether it is right.
        data: the good pictures.
    """

    def __init__(self, address, name, right, data=DATA):
        self.address, self.name, self.right, self.data = address, name, right, data
        self.wrong, self.refused, self.good = [], 0, 0

    def send(self, count, share, seed):
        """Sends `count` requests one after the other, of which a share is garbage."""
        rng = random.Random(seed)
        with httpx.Client(base_url=self.address, timeout=60) as client:
            for _ in range(count):
                if rng.random() >= share:
                    self._good(client, rng.randrange(len(self.data)))
                elif rng.random() < 0.05:
                    self._hang_up()
                else:
                    self._garbage(client, *garbage(rng, self.name))

    def send_together(self, count, share, seed=0):
        """The same from several clients at once."""
        shares = [(count // CLIENTS, share, CLIENTS * seed + one) for one in range(CLIENTS)]
        threads = [threading.Thread(target=self.send, args=one) for one in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _good(self, client, place):
        answer = client.post(f"/v1/models/{self.name}/detect?format=full", content=self.data[place])
        if answer.status_code != 200 or not self.right(place, answer.json()["objects"]):
            self.wrong.append(("good", answer.status_code, answer.text[:200]))
        self.good += 1

    def _garbage(self, client, path, content, headers):
        self.refused += 1
        try:
            answer = client.post(path, content=content, headers=headers)
        except (httpx.WriteError, httpx.ReadError):
            # The service hung up within a body that is too long.
            if len(content) <= LIMIT:
                self.wrong.append(("hung up", path, content[:40]))
            return
        if not (400 <= answer.status_code < 500 and "error" in answer.json()):
            self.wrong.append((path, headers, answer.status_code, answer.text[:200], content[:60]))

    def _hang_up(self):
        """Begins a request and goes."""
        self.refused += 1
        place = urlsplit(self.address)
        with socket.create_connection((place.hostname, place.port)) as line:
            head = f"POST /v1/models/{self.name}/detect HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n"
            line.sendall(head.encode() + self.data[0][:1000])


def resident(process):
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096


def test_some_dozens(address_of):
    address = address_of({"things": Fixed()}, most_bytes=LIMIT, wait=1)
    wanted = [detect(Fixed(), image).to_dict()["objects"] for image in (*GOOD, GOOD[0])]
    sender = Sender(address, "things", lambda place, objects: objects == wanted[place])
    sender.send_together(160, 0.6)
    assert not sender.wrong, sender.wrong[:3]
    assert sender.refused > 60 and sender.good > 30


def alike(objects, wanted):
    """Whether objects are those of `detect`: figures of a batch may differ in the seventh digit."""
    if len(objects) != len(wanted):
        return False
    same = [
        np.allclose([one["score"], *one["box"]], [other["score"], *other["box"]], atol=2e-3)
        and one["name"] == other["name"]
        for one, other in zip(objects, wanted, strict=True)
    ]
    return all(same)


@pytest.mark.parametrize(
    "count, share",
    [
        pytest.param(300, 0.3, marks=pytest.mark.slow),
        pytest.param(10_000, 0.01, marks=pytest.mark.exhaustive),
    ],
)
def test_a_process_keeps_its_memory(running, tmp_path, count, share):
    kzoo.export(tiny_detector(64, 0.25), tmp_path / "tiny" / "1")
    images = [sample.image for sample in Shapes(8, image_size=(96, 128))]
    model = kzoo.load(tmp_path / "tiny" / "1")
    wanted = [detect(model, image).to_dict()["objects"] for image in images]
    assert sum(map(len, wanted)) > 20
    service = running(tmp_path / "tiny", "--most-bytes", LIMIT)
    service.wait()
    data = [encoded(image, (".png", ".bmp")[number % 2]) for number, image in enumerate(images)]
    sender = Sender(service.address, "tiny", lambda place, objects: alike(objects, wanted[place]), data)
    sender.send_together(count // 10, share)
    (worker,) = service.workers()
    before = resident(worker)
    sender.send_together(count - count // 10, share, 1)
    after = resident(worker)
    said = f"{sender.good} good ones, {sender.refused} garbage, {len(sender.wrong)} answered wrongly"
    print(f"\n{said}; memory {before / 1e6:.1f} MB after a tenth, {after / 1e6:.1f} MB at the end")
    assert not sender.wrong, sender.wrong[:3]
    assert after - before < 30e6
    _, errors = service.stop()
    assert "Traceback" not in errors and "failed" not in errors, errors[-500:]
