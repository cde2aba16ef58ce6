"""Commands on a real detector of Darknet's, given as its `.cfg`."""

import json
import shutil

import pytest
from typer.testing import CliRunner

import kzoo
from kzoo.cli.main import app


@pytest.fixture
def fastest(darknet_data):
    """The words that name yolo-fastest-1.1 to a command."""
    stem = darknet_data / "yolo-fastest-1.1" / "yolo-fastest-1.1"
    return [f"{stem}.cfg", "--weights", f"{stem}.weights", "--names", str(darknet_data / "coco.names")]


@pytest.fixture
def found_by_darknet(darknet_data, tmp_path):
    """What Darknet itself finds on six photographs, as the truth of a dataset."""
    reference = json.loads((darknet_data / "yolo-fastest-1.1" / "reference.json").read_text())
    names = (darknet_data / "coco.names").read_text().split("\n")
    folder = tmp_path / "set"
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for name, objects in reference["images"].items():
        shutil.copy(darknet_data / "images" / name, folder / "images" / name)
        lines = [
            " ".join(map(str, (names.index(found["label"]), *found["box"])))
            for found in objects
            if found["score"] > 0.35
        ]
        (folder / "labels" / name.replace(".jpg", ".txt")).write_text("\n".join(lines))
    paths = [str(path) for path in sorted((folder / "images").iterdir())]
    (folder / "valid.txt").write_text("\n".join(paths))
    shutil.copy(darknet_data / "coco.names", folder / "coco.names")
    (folder / "six.data").write_text(
        f"classes=80\nvalid={folder / 'valid.txt'}\nnames={folder / 'coco.names'}\n"
    )
    return folder / "six.data"


def run(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.mark.slow
def test_predict_shows_what_darknet_shows(fastest, darknet_data, tmp_path):
    reference = json.loads((darknet_data / "yolo-fastest-1.1" / "reference.json").read_text())
    wanted = sorted(found["label"] for found in reference["images"]["dog.jpg"] if found["score"] > 0.35)
    shown = []
    for words in ((), ("--resize", "letterbox")):
        run(
            *("predict", *fastest, darknet_data / "images" / "dog.jpg", "--out", tmp_path, "--json"),
            *("--no-pictures", "--score", 0.35, *words),
        )
        (image,) = json.loads((tmp_path / "predictions.json").read_text())["images"]
        shown.append(image["objects"])
    own, boxed = (sorted(found["name"] for found in image) for image in shown)
    assert own == wanted and boxed != wanted


@pytest.mark.slow
def test_evaluate_finds_all_that_darknet_finds_with_its_own_resize(fastest, found_by_darknet):
    own, boxed = (
        json.loads(run("evaluate", *fastest, "--data", found_by_darknet, "--json", *words).stdout)
        for words in ((), ("--resize", "letterbox"))
    )
    assert own["images"] == 6 and own["objects"] == 29
    assert own["coco"]["map50"] > 0.99 and own["coco"]["map75"] > 0.99
    assert boxed["coco"]["map75"] < 0.9


@pytest.mark.slow
def test_export_carries_the_way_to_resize(fastest, tmp_path):
    done = run("export", *fastest, "--out", tmp_path / "own.tflite")
    assert done.exit_code == 0 and "check: " in done.stdout
    opened = kzoo.load(tmp_path / "own.tflite")
    assert opened.resize == "darknet" and opened.names[16] == "dog"


def test_an_unknown_way_is_told(fastest, darknet_data):
    done = run("predict", *fastest, darknet_data / "images" / "dog.jpg", "--resize", "crop")
    assert done.exit_code == 2 and "give letterbox, stretch, darknet" in " ".join(done.output.split())
