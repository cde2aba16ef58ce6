"""Detectors whose anchors are made by a rule are trained with those; a size that no anchor has is said."""

import pytest

import kzoo.data
from kzoo.training.assembly import build_model
from kzoo.training.config import TrainConfig


def built(data, **options):
    config = TrainConfig(image_size=64, width=0.125, depth=0.05, precision="float32", **options)
    return build_model("retinanet-resnet18", data, config)


def test_anchors_follow_the_rule_or_what_is_given():
    data = kzoo.data.load("shapes:20:64")
    assert len(built(data).head.anchors[0]) == 9
    given = [8, 8, 16, 16, 32, 32, 64, 64, 128, 128]
    assert built(data, anchors=given).head.anchors == [[[side, side]] for side in given[::2]]


@pytest.mark.parametrize("side, said", [(300, True), (14, False)])
def test_warns_where_most_boxes_have_no_anchors_size(side, said, caplog):
    built(kzoo.data.load("shapes:20:64"), anchors=[side, side] * 5)
    found = [record.getMessage() for record in caplog.records if "IoU of 0.5" in record.getMessage()]
    assert len(found) == said and all("100 % of the boxes" in line for line in found)
