"""`kzoo serve` in processes of its own, and a small detector for it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np

import kzoo

COMMAND = "import sys; from kzoo.cli.main import main; sys.argv[0] = 'kzoo'; main()"


def tiny_detector(size, width):
    """A yolov3-tiny that finds something on most pictures; nothing is trained."""
    import keras

    keras.utils.set_random_seed(0)
    model = kzoo.build(
        "yolov3-tiny", num_classes=3, image_size=(size, size), width=width, names=["a", "b", "c"]
    )
    for conv in model.head.convs:  # numbers as of a trained one: otherwise nothing is found
        kernel, bias = conv.get_weights()
        conv.set_weights([kernel * 3, np.random.default_rng(0).normal(0, 1, bias.shape)])
    return model


class Running:
    """`kzoo serve` with arguments, in processes of its own."""

    def __init__(self, *arguments, **settings):
        environment = {**os.environ, "PYTHONPATH": str(Path(kzoo.__file__).parents[1])}
        command = [sys.executable, "-c", COMMAND, "serve", "--port", "0", *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.address = self.process.stdout.readline().strip()
        self.settings = settings
        self.client = self.fresh()

    def fresh(self):
        return httpx.Client(base_url=self.address, timeout=60, **self.settings)

    def wait(self):
        """Until it answers."""
        end = time.monotonic() + 100
        while time.monotonic() < end and self.process.poll() is None:
            try:
                return self.client.get("/health/ready").raise_for_status()
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(self.process.communicate(timeout=5))

    def workers(self):
        """The numbers of the processes that answer."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(one) for one in children if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=60)
