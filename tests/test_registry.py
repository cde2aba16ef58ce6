"""Names and where they lead."""

import pytest

import kzoo
from kzoo.registry import entry


@pytest.mark.parametrize("name", ["yolov3-tiny", "yolov3_tiny", "YOLOv3-Tiny"])
def test_dashes_underscores_and_case_are_the_same(name):
    assert entry(name).name == "yolov3-tiny"


def test_an_unknown_name_brings_the_nearest():
    with pytest.raises(ValueError, match=r"unknown model 'yolo3'; did you mean .*yolov3"):
        kzoo.build("yolo3")


def test_a_name_like_nothing_brings_all():
    with pytest.raises(ValueError, match=r"known names: anchor-detr-r50, cascade-rcnn, .*, yolox-x"):
        kzoo.build("qqqqqqqq")


def test_models_of_a_task():
    assert "darknet53" in kzoo.list_models("classify")
    assert set(kzoo.list_models()) > set(kzoo.list_models("detect"))
