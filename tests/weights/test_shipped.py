"""Models that come with kzoo: packed small, unpacked to the same floats everywhere, opened by their names."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import kzoo
from kzoo.registry import entry
from kzoo.weights import shipped
from kzoo.weights.packing import pack, quantized, unpack

FOLDER = Path(shipped.__file__).with_name("shipped")
MOST = 6 * 10**6


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """A cache of the test's own."""
    monkeypatch.setattr(shipped, "cache_folder", lambda: tmp_path / "cache")
    shipped.shipped_file.cache_clear()
    yield tmp_path / "cache"
    shipped.shipped_file.cache_clear()


numbers = st.floats(-1e3, 1e3, width=32)


@settings(max_examples=60)
@given(
    arrays("float32", st.sampled_from([(3, 3, 2, 4), (3, 3, 5, 1), (1, 1, 3, 2), (6, 3)]), elements=numbers)
)
def test_a_kernel_is_off_by_half_a_step_at_most(kernel):
    whole, scales = quantized(kernel)
    channels = kernel.shape[-2] if kernel.shape[-1] == 1 else kernel.shape[-1]
    assert whole.dtype == np.int8 and whole.shape == kernel.shape and scales.size == channels
    assert np.abs(whole).max(initial=0) <= 63
    assert (np.abs(whole * scales - kernel) <= scales * 0.5001 + 1e-30).all()


def test_the_same_model_makes_the_same_bytes_and_the_same_floats(tmp_path):
    model = kzoo.build("yolov3-tiny", num_classes=2, names=["a", "b"], width=0.1, image_size=64)
    first = pack(model, tmp_path / "first.kzoo")
    again = unpack(first)
    assert pack(again, tmp_path / "again.kzoo").read_bytes() == first.read_bytes()
    assert (again.names, again.image_size, again.head.anchors) == (
        model.names,
        model.image_size,
        model.head.anchors,
    )
    for one, other in zip(model.variables, again.variables, strict=True):
        one, other = np.array(one), np.array(other)
        if one.ndim > 1:
            whole, scales = quantized(one)
            one = whole * scales
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("harm", ["cut", "text", "member"])
def test_a_damaged_file_is_told_in_one_line(tmp_path, harm):
    path = pack(kzoo.build("yolov3-tiny", num_classes=1, width=0.1, image_size=64), tmp_path / "a.kzoo")
    if harm == "member":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", "{}")
    else:
        path.write_bytes(path.read_bytes()[:1000] if harm == "cut" else b"no zip")
    with pytest.raises(ValueError, match=r"a.kzoo: no packed model, or damaged; install kzoo anew") as caught:
        unpack(path)
    assert "\n" not in str(caught.value)


def test_together_they_are_small_and_each_has_a_card():
    files = {path.stem: path.stat().st_size for path in FOLDER.glob("*.kzoo")}
    assert set(files) == set(shipped.SHIPPED) and sum(files.values()) <= MOST
    cards = (FOLDER / "README.md").read_text()
    for name in files:
        card = re.search(rf"^## `{name}`.*?(?=^## |\Z)", cards, re.DOTALL | re.MULTILINE)[0]
        for what in ("Data", "Licence", "Command", "Scores", "Size", "Known failures"):
            assert f"| {what} |" in card, f"{name}: {what}"


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "cells" else pytest.mark.slow) for name in shipped.SHIPPED],
)
def test_a_name_opens_and_builds_the_model(name, cache):
    model, row = kzoo.load(name), shipped.SHIPPED[name]
    assert len(model.names) == model.head.num_classes and model.task == entry(row.architecture).task
    assert [path.suffix for path in cache.iterdir()] == [".keras"]
    built = kzoo.build(row.architecture, weights=name)
    assert (built.names, built.image_size) == (model.names, model.image_size)
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    for one, other in zip(model.predict(images).values(), built.predict(images).values(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_of_another_architecture_are_refused():
    with pytest.raises(
        ValueError, match=r"weights='cells': of yolov3-tiny, not of unet; build that, or take kzoo.load"
    ):
        kzoo.build("unet", weights="cells")


def test_what_lies_where_one_is_comes_first(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cells").mkdir()
    with pytest.raises(ValueError, match=r"cells: neither best\.keras .*; the model of kzoo's own"):
        kzoo.load("cells")


def test_without_a_cache_it_goes_into_a_folder_of_the_process(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(shipped, "cache_folder", lambda: tmp_path / "file" / "cache")
    assert kzoo.load("cells").names == ["Platelets", "RBC", "WBC"]


@pytest.mark.long
def test_a_command_takes_the_name(kzoo_command, bccd):
    picture = sorted((bccd / "JPEGImages").glob("*.jpg"))[0]
    status, said, _ = kzoo_command("predict", "cells", picture, "--out", "drawn")
    assert status == 0 and "RBC" in said and list(Path("drawn").iterdir())


@pytest.mark.long
def test_a_training_goes_on_from_the_name(untraced, tmp_path):
    options = {"epochs": 1, "image_size": 64, "workers": 0, "verbose": 0, "run": tmp_path / "run"}
    result = kzoo.train("cells", "shapes:8:64", **options)
    assert result.model.names == ["circle", "rectangle", "triangle"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, data, split, figures, options",
    [
        ("cards", "playing-cards", "val", {"map50": 0.965, "map": 0.728}, {}),
        ("cells", "bccd", "test", {"map50": 0.856, "map": 0.464}, {"skip_faulty": True}),
        ("nuclei", "nuclei", "test", {"dice": 0.928, "mean_iou": 0.870}, {"method": "window"}),
    ],
)
def test_the_scores_are_those_of_the_card(shared, name, data, split, figures, options):
    path = shared / "data" / data
    if not path.is_dir():
        pytest.skip(f"{data} is not at hand")
    metrics = kzoo.evaluate(name, path, split=split, **options)
    for figure, value in figures.items():
        assert getattr(metrics, figure) == pytest.approx(value, abs=0.003), figure
