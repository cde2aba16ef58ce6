"""How much of a model's own speed is left when videos are read, drawn and written: yolov3-tiny at 416 on 640x360."""

import os
import time

import numpy as np
import pytest
from moving_shapes import drawn, paths

import kzoo

FRAMES, SIZE, ROUNDS = 50, (360, 640), 2


@pytest.mark.benchmark
@pytest.mark.parametrize(
    ("kind", "track"), [("yolov3-tiny", False), ("yolov3-tiny", True), ("yolov8n", True)]
)
def test_video_against_the_model_alone(kind, track, tmp_path):
    pytest.importorskip("av")
    from kzoo.inference.folder import predict
    from kzoo.sources import writing_video

    model = kzoo.build(kind, num_classes=3, image_size=(416, 416))
    source = tmp_path / "shapes.mp4"
    with writing_video(source, 25) as writer:
        for boxes, numbers in paths(FRAMES, SIZE, 6):
            writer.write(drawn(boxes, numbers, SIZE)[0])
    grey = np.full((1, 416, 416, 3), 114, np.uint8)
    model.predict_on_batch(grey)
    alone, whole = [], []
    # By turns, so that other work on the machine falls on both alike.
    for turn in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(FRAMES):
            model.predict_on_batch(grey)
        alone.append(FRAMES / (time.perf_counter() - began))
        said = []
        began = time.perf_counter()
        predict(model, source, tmp_path / str(turn), score_threshold=0.5, track=track, say=said.append)
        whole.append(FRAMES / (time.perf_counter() - began))
    print(
        f"\n{kind}{' with tracks' * track}, {os.cpu_count()} cores: the model alone {max(alone):.1f} frames a second, "
        f"a video {max(whole):.1f}, ratio {max(whole) / max(alone):.2f}"
    )
