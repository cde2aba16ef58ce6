"""Pictures by Ray's workers, and the service on Ray Serve; where Ray is not installed, what needs it is skipped."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

import cv2
import numpy as np
import pytest

import kzoo
from kzoo.inference import folder
from kzoo.inference.results import Outcome
from kzoo.serving import many

with_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed: pip install 'kzoo[ray]'"
)


@pytest.fixture
def pictures(tmp_path):
    """A folder of six pictures, one of which is none."""
    images = tmp_path / "images"
    images.mkdir()
    for number in range(5):
        image = np.random.default_rng(number).integers(0, 256, (60, 80, 3), np.uint8)
        cv2.imwrite(str(images / f"{number}.png"), image)
    (images / "broken.png").write_bytes(b"no picture")
    return images


def lines(out):
    return [json.loads(line) for line in (out / many.LINES).read_text().splitlines()]


@with_ray
@pytest.mark.slow
def test_each_picture_is_answered_once_also_where_it_goes_on(pictures, tmp_path):
    out, said = tmp_path / "out", []
    outcome = many.predict_on_ray("nuclei", str(pictures), out, workers=2, say=said.append)
    assert outcome.images == 5 and len(outcome.faults) == 1
    rows = lines(out)
    assert len(rows) == len({row["source"] for row in rows}) == 6
    here = folder.predict(
        kzoo.load("nuclei"), str(pictures), tmp_path / "here", pictures=False, say=said.append
    ).rows
    for row in json.loads(json.dumps(here)):
        del row["milliseconds"]
        assert row.items() <= next(one for one in rows if one["source"] == row["path"]).items()
    # Two lines are lost, and one is cut off in the middle.
    kept = (out / many.LINES).read_text().splitlines(keepends=True)
    (out / many.LINES).write_text("".join(kept[:3]) + kept[3][:20])
    outcome = many.predict_on_ray("nuclei", str(pictures), out, workers=2, say=said.append)
    assert outcome.images + len(outcome.faults) == 3
    assert sorted(row["source"] for row in lines(out)) == sorted(row["source"] for row in rows)
    assert "has 3 of 6 images already" in "".join(said)


def test_a_line_that_was_cut_off_is_taken_out(tmp_path):
    file = tmp_path / many.LINES
    assert many._answered(file) == set()
    file.write_text('{"source": "a"}\n{"source": "b", "fault": "x"}\n{"sour')
    assert many._answered(file) == {"a", "b"}
    assert file.read_text() == '{"source": "a"}\n{"source": "b", "fault": "x"}\n'


@pytest.mark.parametrize("text", ["no json\n", "[1]\n", "{}\n"])
def test_a_file_of_others_is_refused(tmp_path, text):
    file = tmp_path / many.LINES
    file.write_text(text)
    with pytest.raises(
        ValueError, match=r"predictions\.jsonl:1: no line of kzoo predict --ray; give another --out"
    ):
        many._answered(file)


def test_lines_and_faults_are_counted(tmp_path):
    outcome, said = Outcome(), []
    with (tmp_path / "lines").open("w") as file:
        for row in ({"source": "a", "summary": "2 dog"}, {"source": "b", "fault": "b: no picture"}):
            many._keep(row, json.dumps(row), file, outcome, said.append)
    assert outcome.images == 1 and outcome.faults == ["b: no picture"]
    assert said == ["a: 2 dog", "error: b: no picture"]
    assert (tmp_path / "lines").read_text().count("\n") == 2


def test_videos_and_cameras_are_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    for source in ("0", str(tmp_path / "a.mp4")):
        with pytest.raises(ValueError, match="Ray's workers look at images alone; leave --ray out"):
            many._stills(source)


def test_a_worker_answers_in_the_order_of_its_pictures(pictures, tmp_path):
    paths = many._stills(str(pictures))
    asked = {"model": "nuclei", "paths": paths, "out": str(tmp_path), "pictures": False, "kinds": ["masks"]}
    answers = many.Finder(asked, {"batch_size": 4})({"path": np.array(paths)})["line"]
    rows = [json.loads(one) for one in answers]
    assert [row["source"] for row in rows] == paths and sum("fault" in row for row in rows) == 1
    assert len(list((tmp_path / "masks").iterdir())) == 5


def test_what_ray_does_not_heed_is_refused(kzoo_command, pictures):
    status, _, error = kzoo_command("predict", "nuclei", str(pictures), "--ray", "2", "--json")
    assert status != 0 and "--json: has no effect with --ray" in error
    status, _, error = kzoo_command("serve", "nuclei", "--ray", "3", "--ray-most", "2")
    assert status == 2 and "--ray-most 2: fewer than --ray 3" in error
    status, _, error = kzoo_command("serve", "nuclei", "--ray", "3", "--workers", "2")
    assert status == 2 and "--workers: has no effect with --ray 3" in error


@with_ray
@pytest.mark.slow
def test_replicas_answer_and_the_service_stops(pictures, tmp_path):
    program = "from kzoo.cli.main import main; main()"
    command = [sys.executable, "-c", program, "serve", "nuclei", "--ray", "2", "--port", "18321"]
    with subprocess.Popen(command, env=dict(os.environ), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert any("http://127.0.0.1:18321" in line for line in process.stdout)
            address = "http://127.0.0.1:18321/v1/models/nuclei/detect?format=full"
            picture = (pictures / "0.png").read_bytes()
            asked = urllib.request.Request(address, picture, {"Content-Type": "image/png"})
            answers = []
            for _ in range(4):
                with urllib.request.urlopen(asked, timeout=60) as answer:
                    answers.append(json.load(answer))
            expected = json.loads(json.dumps(kzoo.load("nuclei").segment(pictures / "0.png").to_dict()))
            assert all({name: one[name] for name in expected if name in one} for one in answers)
            assert all(one == answers[0] for one in answers)
            with urllib.request.urlopen("http://127.0.0.1:18321/health/ready", timeout=60) as answer:
                assert json.load(answer)["models"] == ["nuclei"]
        finally:
            process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert process.wait(120) == 0 and time.monotonic() - began < 120
