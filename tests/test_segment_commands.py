"""Segmenters on the command line: the same verbs as detectors."""

import json

import cv2
import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import kzoo
from kzoo.cli.main import app
from kzoo.data.formats.shapes import Shapes

SIDE = 64


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    keras.utils.set_random_seed(0)
    names = ["background", "circle", "rectangle", "triangle"]
    made = kzoo.build("unet", num_classes=4, image_size=(SIDE, SIDE), width=0.25, depth=0.4, names=names)
    path = tmp_path_factory.mktemp("model") / "m.keras"
    made.save(path)
    return path


@pytest.fixture
def street(tmp_path):
    folder = tmp_path / "street"
    folder.mkdir()
    for i in range(2):
        image = Shapes(2, image_size=(48, 80))[i].image
        cv2.imwrite(str(folder / f"{i}.png"), image[..., ::-1])
    return folder


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("method", ["resize", "window"])
def test_predict_writes_pictures_masks_and_cutouts(model, street, tmp_path, method):
    out = tmp_path / "out"
    done = run("predict", model, street, "--out", out, "--masks", "--cutout", "--json", "--method", method)
    assert done.exit_code == 0, done.output
    assert "%" in done.output and "results in" in done.output
    found = kzoo.load(model).segment(street / "0.png", method=method)
    np.testing.assert_array_equal(read(out / "masks" / "0.png"), found.mask)
    cut = read(out / "cutouts" / "1.png")
    assert cut.shape == (48, 80, 4)
    assert read(out / "0.png").shape[0] >= 48
    content = json.loads((out / "predictions.json").read_text())
    assert len(content["images"]) == 2
    assert sum(row["share"] for row in content["images"][0]["classes"]) == pytest.approx(1, abs=1e-4)


def test_predict_a_video(model, tmp_path):
    clip = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*"mp4v"), 5, (80, 48))
    for i in range(3):
        writer.write(Shapes(3, image_size=(48, 80))[i].image[..., ::-1])
    writer.release()
    done = run("predict", model, clip, "--out", tmp_path / "out", "--masks")
    assert done.exit_code == 0, done.output
    assert "3 frames" in done.output and "%" in done.output
    assert sorted(path.name for path in (tmp_path / "out" / "masks").iterdir()) == [
        f"clip_{i:06}.png" for i in range(3)
    ]
    assert (tmp_path / "out" / "clip.mp4").stat().st_size > 0


def test_evaluate_prints_tables_and_json(model, tmp_path):
    data = f"shapes:16:{SIDE}"
    table = run("evaluate", model, "--data", data, "--split", "test", "--out", tmp_path / "out")
    assert table.exit_code == 0, table.output
    assert "mean IoU" in table.output and "boundary F1" in table.output and "triangle" in table.output
    assert (tmp_path / "out" / "confusion.png").exists()
    done = run("evaluate", model, "--data", data, "--split", "test", "--json", "--flips", "horizontal")
    content = json.loads(done.output)
    assert content["images"] == 4 and 0 <= content["mean_iou"] <= 1 and len(content["classes"]) == 4


@pytest.mark.long
def test_export_checks_pixels(model, tmp_path):
    done = run("export", model, "--format", "tflite", "--out", tmp_path / "m.tflite")
    assert done.exit_code == 0, done.output
    assert "100.000 % of Keras's pixels" in done.output
    after = run("predict", tmp_path / "m.tflite", tmp_path / "none.png")
    assert after.exit_code != 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--txt",), "writes no labels"),
        (("--method", "tiles"), "tiles"),
        (("--flips", "diagonal"), "diagonal"),
    ],
)
def test_wrong_options(model, street, tmp_path, arguments, message):
    done = run("predict", model, street, "--out", tmp_path / "out", *arguments)
    assert done.exit_code in (1, 2) and isinstance(done.exception, (ValueError, SystemExit))
    assert message in f"{done.exception} {done.output}" and not (tmp_path / "out").exists()


def test_options_of_detectors(model):
    done = run("evaluate", model, "--data", f"shapes:8:{SIDE}", "--rectangular")
    assert isinstance(done.exception, ValueError) and "rectangular" in str(done.exception)


def test_masks_may_have_some_of_the_models_classes_in_any_order(model, tmp_path):
    drawn = Shapes(3, (SIDE, SIDE), task="segment")
    scores = {}
    for name, classes in {"some": ["triangle", "background"], "all": drawn.classes}.items():
        root = tmp_path / name
        for folder in ("images", "masks"):
            (root / folder).mkdir(parents=True)
        (root / "classes.txt").write_text("\n".join(classes) + "\n")
        for index in range(3):
            sample = drawn[index]
            values = np.where(sample.mask == 3, classes.index("triangle"), classes.index("background"))
            cv2.imwrite(str(root / "images" / f"{index}.png"), sample.image[..., ::-1])
            cv2.imwrite(str(root / "masks" / f"{index}.png"), values.astype(np.uint8))
        done = run("evaluate", model, "--data", root, "--json")
        assert done.exit_code == 0, done.output
        scores[name] = {**json.loads(done.stdout), "data": None, "seconds": None}
    assert scores["some"] == scores["all"] and scores["all"]["split"] is None


@pytest.mark.parametrize(
    "given", [{"score_threshold": 0.5}, {"image_size": (64, 64)}, {"rectangular": True}, {"errors": True}]
)
def test_what_is_for_detectors_is_refused(model, given):
    data = Shapes(1, (SIDE, SIDE), task="segment")
    with pytest.raises(ValueError, match=f"{next(iter(given))}=.* is not for a segmenter; leave it out"):
        kzoo.evaluate(kzoo.load(model), data, **given)
