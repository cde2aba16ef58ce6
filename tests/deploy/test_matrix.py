"""The table of what each form makes of each model."""

import pytest
from random_models import SIZE, randomised

import kzoo
from kzoo.cli.matrix import smallest
from kzoo.deploy import matrix
from kzoo.deploy.checking import Agreement
from kzoo.deploy.matrix import Cell, cells, put

PLACE = "# Page\n\n<!-- `kzoo matrix` -->\n\n<!-- end of the table -->\n\nMore.\n"


def test_a_cell_says_what_differs_and_what_it_costs():
    good = Cell(Agreement(100, 100, 99, 2e-6, 3e-4), 0.0123, 1_230_000)
    assert str(good) == "3e-04 px, 2e-06<br>12.3 ms, 1.23 MB"
    few = Cell(Agreement(200, 199, 180, 0.01, 2.0), 0.001, 500_000)
    assert str(few).startswith("99.5 %, 2e+00 px, 1e-02<br>")
    pixels = Cell(Agreement(4096, 4096, 4096, 1e-6, unit="pixels"), 0.001, 500_000)
    assert str(pixels).startswith("1e-06<br>")
    assert str(Cell(fault="takes a|b")) == "takes a\\|b"


def test_rows_take_the_place_of_their_like_and_others_stay(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(PLACE)
    put(page, {"b": {"onnx": "1 px"}})
    put(page, {"a": {"tflite": "x\\|y"}, "b": {"tflite": "2 px"}})
    put(page, {"b": {"onnx": "3 px"}})
    lines = page.read_text().splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| `")]
    assert [row[0] for row in rows] == ["| `a`", "| `b`"]
    column = matrix.EXPORTS.index("onnx") + 1
    assert rows[1][column] == "3 px" and "2 px" in rows[1] and "x\\|y" in rows[0]
    assert lines[0] == "# Page" and lines[-1] == "More."
    (tmp_path / "other.md").write_text("# Other\n")
    with pytest.raises(
        ValueError, match=r"other\.md: has no place for the table; put <!-- `kzoo matrix` -->"
    ):
        put(tmp_path / "other.md", {"b": {}})


def test_one_of_each_family_is_taken():
    from kzoo.cli.tables import module_of
    from kzoo.registry import entry, list_models

    names = smallest()
    assert len(names) == len({module_of(entry(name)) for name in list_models()})
    assert {"yolov3-tiny", "unet", "retinanet-resnet18"} <= set(names)


def test_a_failure_is_said_in_its_cell(small_detector, monkeypatch):
    def fails(*arguments):
        raise ValueError("yolov3-tiny: TFLite cannot express it:\nTF Select ops: BitwiseAnd" + "." * 200)

    monkeypatch.setattr(matrix, "export", fails)
    ((form, cell),) = cells(small_detector, ("tflite",))
    assert form == "tflite" and cell.agreement is None
    assert str(cell).startswith("yolov3-tiny: TFLite cannot express it:\\nTF Select") and len(str(cell)) < 100


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolov8n", "unet"])
def test_a_row_is_what_its_forms_are(name):
    model = kzoo.build(name, num_classes=3, image_size=SIZE, width=0.125)
    forms = ("tflite", "onnx", "openvino", "openvino-float16")
    made = dict(cells(randomised(model), forms))
    assert list(made) == list(forms)
    for form in forms:
        cell = made[form]
        assert not cell.fault and cell.seconds > 0 and cell.agreement.total > 0
        short = "16" in form
        assert cell.agreement.scores < (1e-2 if short else 1e-4)
        assert cell.agreement.found >= (0.99 if short else 1.0) * cell.agreement.total
    assert made["openvino-float16"].size < 0.9 * made["openvino"].size
