"""`kzoo data` and `kzoo anchors` as they are typed."""

import json

import pytest
import typer
from typer.testing import CliRunner

import kzoo.data
from kzoo.cli.anchors import anchors
from kzoo.cli.data import app


def run(*arguments, application=app):
    return CliRunner().invoke(application, [str(argument) for argument in arguments])


def test_check_bccd(bccd):
    result = run("check", bccd, "--no-decode")
    assert result.exit_code == 1
    assert "voc, 364 images, 4888 boxes" in result.output and "2 errors, 0 warnings" in result.output
    assert f"{bccd}/Annotations/BloodImage_00338.xml:158: error: " in result.output


def test_check_as_json(bccd):
    result = run("check", bccd, "--split", "test", "--json", "--no-decode")
    report = json.loads(result.output)
    assert result.exit_code == 0 and report["images"] == 72 and report["faults"] == []


def test_check_of_a_wrong_split_is_a_value_error(bccd):
    with pytest.raises(ValueError, match="choose one of train, val, test, trainval"):
        CliRunner().invoke(app, ["check", str(bccd), "--split", "trian"], catch_exceptions=False)


def test_info(bccd):
    found = json.loads(run("info", bccd, "--json").output)
    assert found["splits"]["val"] == {"images": 87, "boxes": 1138}
    assert found["all"] == {"images": 364, "boxes": 4888} and found["classes"] == ["Platelets", "RBC", "WBC"]
    assert "train             205 images" in run("info", bccd).output


def test_shapes_then_convert(tmp_path):
    result = run("shapes", tmp_path / "one", "--count", "4", "--image-size", "64", "--seed", "1")
    assert result.exit_code == 0 and "train" in result.output
    assert run("convert", tmp_path / "one", tmp_path / "two", "--to", "voc").exit_code == 0
    assert run("check", tmp_path / "two").exit_code == 0
    assert [len(kzoo.data.load(tmp_path / "two", split)) for split in ("train", "val", "test")] == [4, 1, 1]


def test_anchors(bccd):
    application = typer.Typer()
    application.command()(anchors)
    result = run(
        "--data", bccd, "-k", "6", "--image-size", "320", "--split", "val", "--json", application=application
    )
    found = json.loads(result.output)
    assert len(found["anchors"]) == 6 and 0.8 < found["mean_iou"] < 1 and found["image_size"] == [320, 320]
    assert "mean IoU 0." in run("--data", bccd, "--split", "val", application=application).output
