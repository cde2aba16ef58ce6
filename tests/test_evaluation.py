"""Evaluation end to end, with a detector that sees coloured rectangles."""

import json
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import kzoo
from kzoo.cli.evaluate import evaluate as command
from kzoo.evaluation import Evaluator, evaluate
from kzoo.structures import Sample

COLORS = {"red": (250, 20, 20), "green": (20, 250, 20), "blue": (20, 20, 250)}
NAMES = list(COLORS)
SIZE = (96, 128)


class Rectangles:
    """Photographs of many shapes, each with a few plain rectangles on grey, far apart."""

    def __init__(self, count=10, classes=NAMES, broken=None):
        self.classes, self.count, self.broken, self.reads = list(classes), count, broken, []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.reads.append(index)
        if index == self.broken:
            raise ValueError(f"picture_{index}.jpg: cannot be decoded")
        rng = np.random.default_rng(index)
        height, width = (int(v) for v in rng.integers(100, 400, 2))
        image, boxes, labels = np.full((height, width, 3), 114, np.uint8), [], []
        margin = np.array([0, 20])
        for label, name in enumerate(self.classes):
            if rng.random() < 0.8:
                left, right = np.sort(rng.choice(width // 3 - 20, 2)) + label * width // 3 + margin
                top, bottom = np.sort(rng.choice(height - 30, 2)) + margin
                image[top:bottom, left:right] = COLORS[name]
                boxes.append([left, top, right, bottom])
                labels.append(label)
        return Sample(image, boxes, labels, id=f"picture_{index}")


class ColorDetector:
    """Finds the rectangle of each colour in the network's input; K = 4 rows, padded."""

    def __init__(self, names=NAMES, **attributes):
        self.names, self.image_size, self.shapes = names, SIZE, []
        self.__dict__.update(attributes)

    def predict_on_batch(self, images):
        self.shapes.append(images.shape)
        assert images.dtype == np.uint8
        outputs = {
            "boxes": np.zeros((len(images), 4, 4), np.float32),
            "scores": np.zeros((len(images), 4), np.float32),
            "labels": np.full((len(images), 4), -1, np.int32),
        }
        for i, image in enumerate(images.astype(int)):
            for label, name in enumerate(list(self.names) or NAMES):
                rows, columns = np.nonzero(np.abs(image - COLORS[name]).max(-1) < 100)
                if len(rows):
                    edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                    outputs["boxes"][i, label] = edges
                    outputs["scores"][i, label] = 0.5 + 0.1 * label
                    outputs["labels"][i, label] = label
        return outputs


def test_boxes_are_compared_in_the_photographs_own_pixels():
    metrics = evaluate(ColorDetector(), Rectangles())
    assert metrics.names == tuple(NAMES) and metrics.images == 10
    assert metrics.map50 == metrics.voc_ap_all == 1.0
    # Only the rounding to the input's pixels is lost.
    assert metrics.map > 0.7
    assert metrics.confusion[:3, :3].diagonal().sum() == metrics.objects == metrics.detections


def test_a_larger_input_loses_less():
    small, large = (
        evaluate(ColorDetector(), Rectangles(), image_size=size).map for size in ((64, 64), (512, 512))
    )
    assert small < large and large > 0.97


@pytest.mark.parametrize(("own", "asked", "seen"), [(None, 4, 4), (1, 4, 1), (7, 4, 7)])
def test_every_batch_is_full(own, asked, seen):
    detector = ColorDetector(batch_size=own)
    metrics = evaluate(detector, Rectangles(10), batch_size=asked)
    assert detector.shapes == [(seen, *SIZE, 3)] * -(-10 // seen)
    assert metrics.to_dict() == evaluate(ColorDetector(), Rectangles(10)).to_dict()


def test_images_are_read_once_where_they_fit():
    data = Rectangles(10)
    evaluator = Evaluator(data, SIZE)
    first = evaluator(ColorDetector())
    assert sorted(data.reads) == list(range(10))
    assert evaluator(ColorDetector()).to_dict() == first.to_dict()
    assert len(data.reads) == 10


def test_images_are_read_again_where_they_do_not_fit():
    data = Rectangles(10)
    evaluator = Evaluator(data, SIZE, cache_bytes=10 * SIZE[0] * SIZE[1] * 3 - 1)
    evaluator(ColorDetector())
    evaluator(ColorDetector())
    assert len(data.reads) == 20


def test_reading_stays_a_bounded_way_ahead():
    data = Rectangles(100)

    class Watching(ColorDetector):
        def predict_on_batch(self, images):
            ahead.append(len(data.reads) - 4 * len(self.shapes))
            return super().predict_on_batch(images)

    ahead = []
    Evaluator(data, SIZE, batch_size=4, cache_bytes=0)(Watching())
    assert max(ahead) <= 4 + 2 * 4 + 1


def test_rectangular_batches_hold_one_shape_each_and_find_the_same():
    network = SimpleNamespace(inputs=[SimpleNamespace(shape=(None, None, None, 3))])
    detector = ColorDetector(network=network, name="any size")
    found = evaluate(detector, Rectangles(12), batch_size=4, image_size=(128, 128), rectangular=True)
    square = evaluate(ColorDetector(), Rectangles(12), batch_size=4, image_size=(128, 128))
    assert found.map50 == square.map50 == 1
    assert found.map == pytest.approx(square.map, abs=0.02)
    shapes = {shape[1:3] for shape in detector.shapes}
    assert len(shapes) > 2
    assert all(max(shape) == 128 and not (shape[0] % 32 or shape[1] % 32) for shape in shapes)
    assert all(shape[0] == 4 for shape in detector.shapes)


def test_rectangular_batches_want_a_network_of_any_size():
    with pytest.raises(ValueError, match="one input size"):
        evaluate(ColorDetector(name="fixed"), Rectangles(2), rectangular=True)
    with pytest.raises(ValueError, match="leave rectangular out"):
        evaluate(ColorDetector(), Rectangles(2), resize="stretch", rectangular=True)


def test_images_are_resized_as_the_detector_wants_them_or_as_asked():
    data = Rectangles(10)
    evaluator = Evaluator(data, SIZE)
    own, stretched = (
        evaluator(ColorDetector(**arguments)).to_dict() for arguments in ({}, {"resize": "stretch"})
    )
    assert own != stretched and len(data.reads) == 20, "what is kept for one is not shown to the other"
    assert evaluate(ColorDetector(), Rectangles(10), resize="stretch").to_dict() == stretched
    assert evaluate(ColorDetector(resize="darknet"), Rectangles(10), resize="letterbox").to_dict() == own
    with pytest.raises(ValueError, match="resize='crop': give letterbox, stretch, darknet"):
        evaluate(ColorDetector(), Rectangles(1), resize="crop")


def test_limit_and_score_threshold():
    data = Rectangles(10)
    assert evaluate(ColorDetector(), data, limit=3).images == 3
    assert sorted(data.reads) == [0, 1, 2]
    assert evaluate(ColorDetector(), Rectangles(3), limit=50).images == 3
    strict = evaluate(ColorDetector(), data, score_threshold=0.65)
    assert [row.ap50 for row in strict.per_class] == [0.0, 0.0, 1.0]


def test_classes_in_another_order():
    metrics = evaluate(ColorDetector(names=["blue", "red", "green"]), Rectangles())
    assert metrics.names == tuple(NAMES)
    assert [row.ap50 for row in metrics.per_class] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("some", [["blue", "red"], ["green"], ["blue", "green", "red"]])
def test_a_dataset_may_have_some_of_the_models_classes(some):
    class Declaring(Rectangles):
        """The same photographs and objects, in a dataset that names all classes."""

        def __init__(self):
            super().__init__(10, classes=some)
            self.drawn, self.classes = Rectangles(10, classes=some), list(NAMES)

        def __getitem__(self, index):
            sample = self.drawn[index]
            sample.labels = np.array([NAMES.index(some[label]) for label in sample.labels], np.int64)
            return sample

    found = evaluate(ColorDetector(), Rectangles(10, classes=some), errors=True)
    expected = evaluate(ColorDetector(), Declaring(), errors=True)
    if len(some) < 3:
        assert found.to_dict() == expected.to_dict() and found.names == tuple(NAMES)
    assert found.map50 == expected.map50 == 1.0
    rows = {row.name: row for row in found.per_class}
    assert all(np.isnan(rows[name].ap) and not rows[name].objects for name in set(NAMES) - set(some))


@pytest.mark.parametrize("names", [["red", "green"], ["red", "green", "green"], ["red", "green", "mauve"]])
def test_other_classes_are_refused(names):
    with pytest.raises(
        ValueError, match=rf"knows {len(names)} \(red, green.*the dataset has 3 \(red, green, blue\)"
    ):
        evaluate(ColorDetector(names=names), Rectangles())


def test_a_model_without_names_takes_the_datasets():
    assert evaluate(ColorDetector(names=[], head=SimpleNamespace(num_classes=3)), Rectangles()).map50 == 1.0
    with pytest.raises(ValueError, match="the model knows 2, the dataset has 3"):
        evaluate(ColorDetector(names=[], head=SimpleNamespace(num_classes=2)), Rectangles())


def test_a_classifier_is_refused():
    with pytest.raises(ValueError, match="'classify' finds no boxes"):
        evaluate(ColorDetector(task="classify"), Rectangles())


def test_an_unreadable_image_is_named_and_no_thread_stays():
    with pytest.raises(ValueError, match=r"picture_5\.jpg: cannot be decoded"):
        evaluate(ColorDetector(), Rectangles(100, broken=5), batch_size=2)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("evaluate")]


def test_a_detector_that_fails_leaves_no_thread():
    class Failing(ColorDetector):
        def predict_on_batch(self, images):
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        evaluate(Failing(), Rectangles(100), batch_size=2)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("evaluate")]


def test_a_split_is_taken_of_a_path():
    with pytest.raises(ValueError, match="split 'test' of a dataset that is open"):
        evaluate(ColorDetector(), Rectangles(), split="test")


@pytest.mark.parametrize(
    "given", [{"overlap": 0}, {"overlap": 8}, {"flips": ["horizontal"]}, {"method": "window"}]
)
def test_what_is_for_segmenters_is_refused(given):
    with pytest.raises(ValueError, match=f"{next(iter(given))}=.* is not for a detector; leave it out"):
        evaluate(ColorDetector(), Rectangles(1), **given)


def test_what_cannot_be_looked_through_has_nothing_to_skip():
    with pytest.raises(ValueError, match="skip_faulty of Rectangles, which cannot be looked through"):
        evaluate(ColorDetector(), Rectangles(1), skip_faulty=True)


def test_no_images():
    with pytest.raises(ValueError, match="the dataset: no images"):
        evaluate(ColorDetector(), Rectangles(0))


class Blind(ColorDetector):
    """Finds nothing in photographs of cells."""

    names = ("RBC", "WBC", "Platelets")

    def __init__(self):
        super().__init__(sorted(self.names))
        self.image_size = (32, 32)

    def predict_on_batch(self, images):
        return {
            "boxes": np.zeros((len(images), 1, 4)),
            "scores": np.zeros((len(images), 1)),
            "labels": np.full((len(images), 1), -1),
        }


def test_a_dataset_by_its_path(bccd):
    detector = Blind()
    assert evaluate(detector, bccd, limit=2).images == 2
    assert evaluate(detector, str(bccd), split="test").images == 72
    with pytest.raises(ValueError, match="no split 'nope'"):
        evaluate(detector, bccd, split="nope")


def test_validation_is_the_split_and_faults_can_be_left_out(bccd):
    with_fault = evaluate(Blind(), bccd)
    without = evaluate(Blind(), bccd, skip_faulty=True)
    assert with_fault.images == without.images == 87
    assert without.objects == with_fault.objects - 1
    assert with_fault.map == 0.0


def test_the_split_that_is_taken_is_val_or_else_test(tmp_path, caplog):
    from kzoo.sources.image import save_picture

    for part in ("train", "test", "extra"):
        (tmp_path / "images" / part).mkdir(parents=True)
        save_picture(
            tmp_path / "images" / part / f"{part}.png", np.full((20, 20, 3), COLORS["red"], np.uint8)
        )
        (tmp_path / "images" / part / f"{part}.txt").write_text("0 .5 .5 1 1\n")
    yaml = "names: [red]\ntrain: images/train\nextra: images/extra\n"
    (tmp_path / "data.yaml").write_text(yaml)
    with pytest.raises(ValueError, match=r"no part 'val' or 'test'; name .* --split: train, extra"):
        evaluate(ColorDetector(names=["red"]), tmp_path)
    (tmp_path / "data.yaml").write_text(yaml + "test: images/test\n")
    metrics = evaluate(ColorDetector(names=["red"]), tmp_path)
    assert metrics.images == 1 and "no part 'val': test is evaluated on" in caplog.text
    caplog.clear()
    (tmp_path / "data.yaml").write_text(yaml + "val: images/test\ntest: images/nowhere\n")
    assert evaluate(ColorDetector(names=["red"]), tmp_path).images == 1 and not caplog.text
    (tmp_path / "data.yaml").write_text(yaml + "val: images/nowhere\ntest: images/test\n")
    with pytest.raises(ValueError, match="nowhere"):
        evaluate(ColorDetector(names=["red"]), tmp_path)


def test_images_without_any_object_are_said(caplog):
    class Bare(Rectangles):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            return Sample(sample.image, id=sample.id)

    assert evaluate(ColorDetector(), Bare(2)).objects == 0
    assert "no object to find on any image" in caplog.text


def test_a_dataset_without_splits_is_evaluated_whole(tmp_path):
    rows = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}]
    image = {"id": 1, "file_name": "a.png", "height": 10, "width": 10}
    table = {"images": [image], "annotations": rows, "categories": [{"id": 1, "name": "red"}]}
    (tmp_path / "some.json").write_text(json.dumps(table))
    from kzoo.sources.image import save_picture

    save_picture(tmp_path / "a.png", np.zeros((10, 10, 3), np.uint8))
    assert evaluate(ColorDetector(names=["red"]), tmp_path / "some.json").objects == 1


def test_an_untrained_model_of_the_zoo():
    model = kzoo.build("yolov3-tiny", num_classes=3, image_size=(64, 64), width=0.1)
    metrics = kzoo.evaluate(model, Rectangles(5), batch_size=2)
    assert metrics.images == 5 and 0 <= metrics.map50 < 0.5


@pytest.fixture
def run(monkeypatch):
    """Runs the command with the detector and the dataset of this file."""
    data = Rectangles(6)
    data.split = "test"
    monkeypatch.setitem(
        sys.modules,
        "kzoo.weights.opening",
        SimpleNamespace(load=lambda path, weights, names: ColorDetector()),
    )
    monkeypatch.setattr("kzoo.evaluation.open_split", lambda path, *rest: data)
    app = typer.Typer()
    app.command()(command)
    return lambda *arguments: CliRunner().invoke(app, ["best.keras", "--data", "street", *arguments])


def test_command_prints_tables(run):
    result = run("--split", "test")
    assert result.exit_code == 0, result.output
    assert "best.keras on street, split test: 6 images" in result.output
    for text in ("IoU .50:.95", "VOC 2007, 11 points", "100 detections", "red", "green", "blue", "1.000"):
        assert text in result.output


def test_command_prints_json_alone(run):
    result = run("--json", "--limit", "4")
    table = json.loads(result.stdout)
    assert table["model"] == "best.keras" and table["split"] == "test" and table["images"] == 4
    assert table["coco"]["map50"] == 1.0 and [row["name"] for row in table["classes"]] == NAMES


def test_command_writes_a_folder(run, tmp_path):
    assert run("--out", str(tmp_path / "figures")).exit_code == 0
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert names == ["confusion.png", "metrics.json", "precision_recall.png"]
    assert "curves" in json.loads((tmp_path / "figures" / "metrics.json").read_text())


def test_command_takes_a_way_to_resize(run):
    one, other = (json.loads(run("--json", *words).stdout)["coco"] for words in ((), ("--resize", "stretch")))
    assert one["map50"] == other["map50"] == 1.0 and one["map"] != other["map"]


def test_command_takes_a_size(run):
    better = json.loads(run("--json", "--image-size", "512").stdout)["coco"]["map"]
    assert better > json.loads(run("--json").stdout)["coco"]["map"]
