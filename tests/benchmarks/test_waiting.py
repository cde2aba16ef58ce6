"""How long a training waits for its input: `kzoo train yolov3-tiny` on blood cells at 320 pixels, two cores.

`pytest -m benchmark -s tests/benchmarks/test_waiting.py`
"""

import time

import pytest

import kzoo.data
from kzoo.data.checks.check import require_sound

STEPS, AHEAD = 10, 3  # batches that are timed, and those before, which find what was made while graphs were


@pytest.mark.benchmark
@pytest.mark.parametrize("augment", ["light", "mosaic,affine,color"])
def test_share_of_the_time_that_a_training_waits(bccd, augment):
    from kzoo.training.assembly import build_model, compile_model
    from kzoo.training.config import TrainConfig
    from kzoo.training.inputs import training_batches

    config = TrainConfig(image_size=320, augment=augment.split(","), epochs=100)
    data = require_sound(kzoo.data.load(bccd, split="train"), skip_faulty=True, decode=False)
    batches = training_batches(data, config, (320, 320))
    model = compile_model(build_model("yolov3-tiny", data, config), config, len(batches))
    waited, stepped, stream = 0.0, 0.0, iter(batches)
    for number in range(AHEAD + STEPS):
        began = time.perf_counter()
        images, targets = next(stream)
        there = time.perf_counter()
        model.train_on_batch(images, targets)
        if number >= AHEAD:
            waited, stepped = waited + there - began, stepped + time.perf_counter() - there
    stream.close()
    print(
        f"\n{augment}, batches of {config.batch_size}: {STEPS} steps took {stepped:.1f} s, waiting for their input "
        f"{waited:.2f} s, {waited / (waited + stepped):.1%}"
    )
