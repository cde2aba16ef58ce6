"""Sources in, results out, with a detector that finds bright rectangles; and the opening of models."""

import json
import re
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import kzoo
from kzoo.cli import predict as command
from kzoo.inference.folder import predict
from kzoo.sources import Video, expand
from kzoo.weights.opening import load

BOX = (30, 20, 70, 60)


class Bright:
    """Detects one object: what is brighter than 200 in the input."""

    image_size = (96, 128)
    names = ("cell", "bright thing")

    def __init__(self, batch_size: int | None = None):
        self.batches = []
        if batch_size:
            self.batch_size = batch_size

    def predict_on_batch(self, images):
        self.batches.append(len(images))
        boxes, scores = np.zeros((len(images), 2, 4), np.float32), np.zeros((len(images), 2), np.float32)
        labels = np.full((len(images), 2), -1)
        for i, image in enumerate(images):
            rows, columns = np.nonzero(image[..., 0] > 200)
            if len(rows):
                boxes[i, 0] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
                scores[i], labels[i] = (0.9, 0.1), (1, 0)
        return {"boxes": boxes, "scores": scores, "labels": labels}


def picture(bright: bool = True) -> np.ndarray:
    image = np.full((120, 160, 3), 40, np.uint8)
    if bright:
        image[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 250
    return image


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "street"
    place.mkdir()
    for name, bright in (("a.jpg", True), ("b.png", True), ("c.bmp", False)):
        cv2.imwrite(str(place / name), picture(bright))
    (place / "notes.txt").write_text("not an image")
    return place


def run(detector, source, out, **options):
    lines = []
    outcome = predict(detector, source, out, say=lines.append, **options)
    return outcome, lines


def test_pictures_json_and_labels(folder, tmp_path):
    out = tmp_path / "out"
    outcome, lines = run(Bright(), folder, out, json=True, kinds=["labels"])
    assert outcome.images == 3 and not outcome.faults
    assert [re.sub(r"[\d.]+ ms", "T ms", line) for line in lines] == [
        f"{folder / 'a.jpg'}: 1 bright thing  (T ms)",
        f"{folder / 'b.png'}: 1 bright thing  (T ms)",
        f"{folder / 'c.bmp'}: nothing  (T ms)",
    ]
    drawn = cv2.imread(str(out / "b.png"))
    # Four times as large as the photograph, for names hide what is on small ones.
    assert drawn.shape == (480, 640, 3) and (drawn[2::4, 2::4] != picture()).any()
    np.testing.assert_array_equal(cv2.imread(str(out / "c.bmp"))[::4, ::4], picture(False))

    content = json.loads((out / "predictions.json").read_text())
    assert content["names"] == list(Bright.names) and content["score_threshold"] == 0.25
    (found,) = content["images"][1]["objects"]
    assert found["name"] == "bright thing" and found["label"] == 1 and found["score"] == pytest.approx(0.9)
    np.testing.assert_allclose(found["box"], BOX, atol=1.3)
    assert content["images"][2]["objects"] == [] and content["images"][0]["milliseconds"] > 0

    label, x, y, width, height, score = map(float, (out / "labels" / "b.txt").read_text().split())
    assert label == 1 and score == pytest.approx(0.9)
    box = (x - width / 2) * 160, (y - height / 2) * 120, (x + width / 2) * 160, (y + height / 2) * 120
    np.testing.assert_allclose(box, BOX, atol=1.3)
    assert (out / "labels" / "c.txt").read_text() == ""


def test_score_and_what_is_not_asked_for(folder, tmp_path):
    outcome, _ = run(Bright(), folder / "a.jpg", tmp_path / "out", score_threshold=0.05, pictures=False)
    assert [o["name"] for o in outcome.rows[0]["objects"]] == ["bright thing", "cell"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("fixed, asked, expected", [(None, 1, [1] * 4), (None, 2, [2] * 3), (4, 1, [4, 4])])
def test_batches(folder, tmp_path, fixed, asked, expected):
    detector = Bright(fixed)
    outcome, _ = run(detector, folder, tmp_path / "out", batch_size=asked)
    # The first one warms up; the last one is filled up.
    assert detector.batches == expected and outcome.images == 3


def test_faulty_files_are_told_and_the_others_done(folder, tmp_path, capsys):
    (folder / "aa.jpg").write_text("no JPEG at all")
    (folder / "ab.jpg").write_bytes((folder / "a.jpg").read_bytes()[:300])
    (folder / "bad.mp4").write_text("no video")
    outcome, lines = run(Bright(), folder, tmp_path / "out", batch_size=2)
    errors = capsys.readouterr().err.splitlines()
    assert outcome.images == 3 and len(lines) == 3 and len(outcome.faults) == len(errors) == 3
    for error, name in zip(errors, ("aa.jpg", "ab.jpg", "bad.mp4"), strict=True):
        assert error.startswith(f"error: {folder / name}: ")


def test_results_of_several_folders_do_not_collide(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    cv2.imwrite(str(other / "a.jpg"), picture())
    cv2.imwrite(str(other / "a.tif"), picture())
    run(Bright(), [folder, other], tmp_path / "out", kinds=["labels"])
    written = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert written == {
        "street/a.jpg", "street/b.png", "street/c.bmp", "other/a.jpg", "other/a.tif.png",
        "labels/street/a.txt", "labels/street/b.txt", "labels/street/c.txt",
        "labels/other/a.jpg.txt", "labels/other/a.tif.txt",
    }  # fmt: skip


def test_a_photograph_is_never_replaced(folder):
    before = (folder / "a.jpg").read_bytes()
    with pytest.raises(ValueError, match="give another folder"):
        run(Bright(), folder, folder)
    assert (folder / "a.jpg").read_bytes() == before
    run(Bright(), folder, folder, pictures=False, kinds=["labels"])
    assert (folder / "labels" / "a.txt").exists()


def test_images_of_odd_sizes_and_kinds(tmp_path):
    place = tmp_path / "odd"
    place.mkdir()
    cv2.imwrite(str(place / "1x1.png"), np.full((1, 1, 3), 255, np.uint8))
    cv2.imwrite(str(place / "grey.png"), picture()[..., 0])
    cv2.imwrite(str(place / "rgba.png"), np.dstack([picture(), np.full((120, 160), 255, np.uint8)]))
    cv2.imwrite(str(place / "deep.png"), picture().astype(np.uint16) * 257)
    cv2.imwrite(
        str(place / "large.jpg"), cv2.resize(picture(), (8000, 6000), interpolation=cv2.INTER_NEAREST)
    )
    outcome, _ = run(Bright(), place, tmp_path / "out")
    boxes = {row["path"].split("/")[-1]: row["objects"][0]["box"] for row in outcome.rows}
    for name in ("grey.png", "rgba.png", "deep.png"):
        np.testing.assert_allclose(boxes[name], BOX, atol=1.3)
    np.testing.assert_allclose(boxes["large.jpg"], np.multiply(BOX, 50), atol=65)
    np.testing.assert_allclose(boxes["1x1.png"], [0, 0, 1, 1])


def test_an_unwritable_folder(folder, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError):
        run(Bright(), folder, tmp_path / "file" / "out")


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (160, 120))
    for i in range(5):
        writer.write(picture(i != 2))
    writer.release()
    return path


def test_video(clip, tmp_path):
    out = tmp_path / "out"
    outcome, lines = run(Bright(), clip, out, batch_size=2, json=True, kinds=["labels"])
    assert outcome.images == 5
    assert (
        re.fullmatch(
            rf"{clip}: 5 frames, 4 bright thing  \([\d.]+ ms a frame, [\d.]+ frames a second\)", lines[0]
        )
        and len(lines) == 1
    )
    rows = json.loads((out / "predictions.json").read_text())["images"]
    assert [row["frame"] for row in rows] == [0, 1, 2, 3, 4]
    assert [len(row["objects"]) for row in rows] == [1, 1, 0, 1, 1]
    np.testing.assert_allclose(rows[4]["objects"][0]["box"], BOX, atol=2)
    assert sorted(p.name for p in (out / "labels").iterdir()) == [f"clip_{i:06}.txt" for i in range(5)]
    written = Video(out / "clip.avi.mp4")
    assert (written.frames, written.rate) == (5, 10)
    frames = list(written)
    assert len(frames) == 5 and frames[0].shape == (120, 160, 3)
    assert np.abs(frames[2].astype(int) - 40).mean() < 8 < np.abs(frames[0].astype(int) - picture()).mean()


def test_a_video_goes_on_after_a_broken_frame_and_says_how_many_are_missing(clip, tmp_path):
    def damage(path, start, stop):
        content = bytearray(clip.read_bytes())
        frames = [at.start() for at in re.finditer(b"00dc", bytes(content))]
        begin = frames[start] + 8
        content[begin : frames[stop] if stop else len(content)] = bytes(
            (frames[stop] if stop else len(content)) - begin
        )
        path.write_bytes(content)
        return path

    whole = Video(clip)
    count = len(list(whole))
    assert whole.missing == 0 and whole.frames == count > 3
    middle = Video(damage(tmp_path / "middle.avi", 1, 2))
    assert len(list(middle)) == count - 1 and middle.missing == 1
    outcome, lines = run(Bright(), middle.path, tmp_path / "out")
    assert not outcome.faults and f"1 of {count} missing" in lines[0]


@pytest.mark.parametrize(
    "address", ["https://example.com/a.jpg?x=[1]", "rtsp://10.0.0.1:554/x", "s3://b/*.png"]
)
def test_addresses_are_refused_as_they_were_written(address, tmp_path):
    from kzoo.data import load as load_data
    from kzoo.inference.detect import read_source
    from kzoo.system.files import write_atomically
    from kzoo.weights.loading import load_weights

    for given in (address, Path(address)):
        for reader in (expand, load, load_data, read_source, lambda path: load_weights(None, path)):
            with pytest.raises(ValueError, match=re.escape(f"{address}: an address")):
                reader(given)
        with pytest.raises(ValueError, match=re.escape(f"{address}: an address")):
            write_atomically(given, "x")


def test_video_without_pictures_writes_nothing(clip, tmp_path):
    outcome, _ = run(Bright(), clip, tmp_path / "out", pictures=False)
    assert outcome.images == 5 and not (tmp_path / "out").exists()


@pytest.fixture
def bright(monkeypatch):
    monkeypatch.setattr("kzoo.weights.opening.load", lambda path, weights, names: Bright())


def invoke(*arguments):
    import typer

    app = typer.Typer()
    app.command()(command.predict)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_command(bright, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = invoke("model.keras", folder, "--json", "--txt", "--batch-size", 2)
    assert done.exit_code == 0, done.output
    assert len(done.output.splitlines()) == 4 and "results in runs/predict/street" in done.output
    out = tmp_path / "runs" / "predict" / "street"
    assert {p.name for p in out.iterdir()} == {"a.jpg", "b.png", "c.bmp", "predictions.json", "labels"}
    assert (
        invoke("model.keras", folder / "a.jpg", "--score", 0.95, "--no-pictures").output.count("nothing") == 1
    )
    assert invoke("model.keras", folder, "--score", 2).exit_code == 2


def test_command_fails_at_the_end_over_a_faulty_image(bright, folder, tmp_path):
    (folder / "broken.jpg").write_text("text")
    done = invoke("model.keras", folder, "--out", tmp_path / "out")
    assert done.exit_code == 1 and (tmp_path / "out" / "c.bmp").exists()
    assert "error: " in done.output and "Traceback" not in done.output


@pytest.mark.parametrize(
    "name, hint",
    [
        ("missing.keras", "no such model"),
        ("model.pt", "not a model"),
        ("x.weights.h5", "kzoo.build"),
        ("folder", "neither best.keras nor last.keras"),
        ("text.keras", "Keras cannot read"),
        ("half.keras", "Keras cannot read"),
    ],
)
def test_what_is_no_model(tmp_path, name, hint):
    for file in ("model.pt", "x.weights.h5", "text.keras"):
        (tmp_path / file).write_text("text")
    (tmp_path / "folder").mkdir()
    with zipfile.ZipFile(tmp_path / "half.keras", "w") as archive:
        archive.writestr("config.json", "{")
    with pytest.raises((ValueError, FileNotFoundError), match=hint) as caught:
        load(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "files, asked, opened",
    [
        (["m.tflite"], "m.tflite", "m.tflite"),
        (["m.onnx"], "m.onnx", "m.onnx"),
        (["m/saved_model.pb"], "m", "m"),
        (["m/2/saved_model.pb", "m/10/saved_model.pb", "m/11/other"], "m", "m/10"),
    ],
)
def test_exports_are_opened_by_deploy(tmp_path, monkeypatch, files, asked, opened):
    import types

    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    deploy = types.SimpleNamespace(open_export=lambda path: ("export", path))
    monkeypatch.setitem(__import__("sys").modules, "kzoo.deploy", deploy)
    assert load(tmp_path / asked) == ("export", tmp_path / opened)


def test_a_real_model_from_file_and_run_folder(folder, tmp_path):
    model = kzoo.build("yolov3-tiny", num_classes=2, image_size=(96, 96), width=0.125)
    model.names = ["cell", "thing"]
    (tmp_path / "run").mkdir()
    model.save(tmp_path / "run" / "last.keras")
    images = np.stack([picture()[:96, :96]] * 2)
    expected = model.predict_on_batch(images)
    for path in (tmp_path / "run", tmp_path / "run" / "last.keras"):
        again = kzoo.load(path)
        assert again.names == ["cell", "thing"] and again.image_size == (96, 96)
        for key, value in again.predict_on_batch(images).items():
            np.testing.assert_allclose(value, expected[key], rtol=1e-5, atol=1e-5)
    outcome, _ = run(again, folder, tmp_path / "out", score_threshold=0.0, batch_size=2)
    assert outcome.images == 3 and not outcome.faults


def test_a_model_that_is_not_kzoo_s(tmp_path):
    import keras

    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    plain.save(tmp_path / "plain.keras")
    with pytest.raises(ValueError, match="not a model of kzoo"):
        load(tmp_path / "plain.keras")
