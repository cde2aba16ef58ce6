"""`batch_size="auto"`: the largest batch that fits, by a memory that is made up, and by this machine's."""

import numpy as np
import pytest
from tiny_detector import flat, tiny_detector

import kzoo
from kzoo.data.formats.shapes import Shapes
from kzoo.training import gauge, room
from kzoo.training.config import TrainConfig
from kzoo.training.room import largest_batch


class Memory:
    """A machine of which every image takes as much."""

    def __init__(self, budget, fixed=100.0, each=10.0, breaks=np.inf):
        self.budget, self.fixed, self.each, self.breaks, self.asked = budget, fixed, each, breaks, []

    def __call__(self, images):
        self.asked.append(images)
        used = self.fixed + self.each * images
        return np.inf if used > self.breaks else used


@pytest.mark.parametrize("budget", [110, 125, 260, 999, 1000, 5432])
@pytest.mark.parametrize("multiple", [1, 4])
def test_the_largest_that_fits_is_found(budget, multiple):
    memory = Memory(budget + 10 * (multiple - 1))
    choice = largest_batch(memory, memory.budget, 10**6, multiple)
    assert choice.images == int((memory.budget - 100) // 10) // multiple * multiple
    assert choice.used == 100 + 10 * choice.images <= memory.budget
    assert max(memory.asked) <= max(choice.images, 2 * multiple) and len(memory.asked) < 16


def test_memory_that_runs_out_before_its_budget_ends_the_search():
    memory = Memory(10_000, breaks=765)
    assert 33 <= largest_batch(memory, memory.budget, 10**6).images <= 66


def test_growth_that_is_not_linear_is_followed():
    squares = {images: 100 + images**2 for images in range(1, 200)}
    asked = []

    def measure(images):
        asked.append(images)
        return squares[images]

    choice = largest_batch(measure, 1000, 150)
    assert choice.images == 30 and max(asked) <= 62


def test_there_are_no_more_images_than_the_dataset_has():
    choice = largest_batch(Memory(10**9), 10**9, 205, 2)
    assert choice.images == choice.most == 204


def test_what_does_not_fit_at_all_is_refused():
    with pytest.raises(ValueError, match=r"batch_size='auto': a step of 1 image .* smaller image_size"):
        largest_batch(Memory(50), 50, 10)


class Made(gauge.Gauge):
    """A gauge whose memory every image takes 1 MiB of."""

    budget, what = 5.5 * 2**20, "a memory that is made up"

    def peak(self):
        return 2**20 * self.images


@pytest.mark.long
def test_a_model_is_left_as_it_was_and_the_line_says_why(drawn, monkeypatch, untraced):
    made, detector = Made(), tiny_detector(dropping=True)
    monkeypatch.setattr(room, "gauge", lambda gpus: made)
    fit = detector.fit
    sizes = []

    def counted(inputs, targets, **options):
        made.images = len(inputs)
        sizes.append((len(inputs), len(targets["boxes"]), options["batch_size"]))
        return fit(inputs, targets, **options)

    monkeypatch.setattr(detector, "fit", counted)
    before = flat(detector.variables)
    config, line = room.with_fitting_batch(detector, TrainConfig(batch_size="auto"), drawn[0])
    assert config.batch_size == 5 and {len(set(size)) for size in sizes} == {1}
    assert (
        line == "batch size 5: a step takes 0.00 GiB of the 0.01 GiB that it may (a memory that is made up)"
    )
    np.testing.assert_array_equal(flat(detector.variables)[: len(before)], before)


def test_who_does_not_tell_of_memory_is_asked_for_a_number(drawn, detector, monkeypatch):
    monkeypatch.setattr(room, "gauge", lambda gpus: None)
    with pytest.raises(ValueError, match=r"batch_size='auto': the system does not tell .* give a number"):
        room.with_fitting_batch(detector, TrainConfig(batch_size="auto"), drawn[0])


@pytest.mark.parametrize("value", ["large", 0, 65537, True])
def test_other_words_are_no_batch_size(value):
    with pytest.raises(ValueError, match=r"batch_size=.* give a whole number of images, 1 to 65536, or auto"):
        TrainConfig(batch_size=value)


@pytest.mark.slow
def test_a_training_takes_what_this_machine_has_room_for(drawn, options, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gauge, "_CPU_SHARE", 0.02)
    result = kzoo.train(
        "yolov3-tiny", *drawn, **{**options, "batch_size": "auto", "epochs": 1, "verbose": 2}, width=0.1
    )
    line = next(one for one in capsys.readouterr().out.splitlines() if one.startswith("batch size"))
    images = int(line.split()[2].rstrip(":"))
    assert 1 <= images <= 24 and f"batch_size: {images}\n" in (result.folder / "args.yaml").read_text()


@pytest.mark.slow
def test_the_batch_stays_within_its_share(monkeypatch):
    monkeypatch.setattr(gauge, "_CPU_SHARE", 0.015)
    dataset = Shapes(200, (64, 64))
    model = kzoo.build("yolov3-tiny", num_classes=len(dataset.classes), image_size=416, width=0.25)
    config, line = room.with_fitting_batch(model, TrainConfig(batch_size="auto", image_size=416), dataset)
    assert 4 < config.batch_size < 200, line
    memory, single = gauge.gauge([]), room._single(model, config, dataset)
    within = room._peak(model, single, config.batch_size, memory)
    assert within < 1.1 * memory.budget
    assert room._peak(model, single, 2 * config.batch_size, memory) > 1.1 * within
