"""Scenes of roads: what is said, drawn and written of them, and what is refused."""

import json

import numpy as np
import pytest

from kzoo.structures import RoadScene
from kzoo.structures.roads import lay_roads

IMAGE = np.full((6, 8, 3), 100, np.uint8)
DRIVABLE, LANES = np.zeros((6, 8), bool), np.zeros((6, 8), bool)
DRIVABLE[3:], LANES[5, :4] = True, True


def scene(**fields):
    found = {"boxes": [[1, 1, 5, 4], [4, 2, 7, 5]], "scores": [0.9, 0.3], "labels": [0, 0]}
    return RoadScene(
        **{**found, "names": ["car"], "drivable": DRIVABLE, "lanes": LANES, "image": IMAGE, **fields}
    )


def test_both_maps_are_bits_of_one_mask():
    mask = scene().mask
    assert mask.dtype == np.uint8 and mask[0, 0] == 0 and mask[4, 0] == 1 and mask[5, 0] == 3


def test_summary_and_selection():
    assert scene().summary() == "2 car, drivable 50.0 %, lanes 8.3 %"
    first = scene()[0]
    assert isinstance(first, RoadScene) and first.summary() == "1 car, drivable 50.0 %, lanes 8.3 %"
    nothing = scene(boxes=[], scores=[], labels=[], drivable=LANES & False, lanes=LANES & False)
    assert nothing.summary() == "" and "nothing" in repr(nothing)


def test_it_is_plain_data():
    from kzoo.structures.runs import compress_mask

    table = scene().to_dict()
    json.dumps(table)
    assert [row["name"] for row in table["objects"]] == ["car", "car"]
    assert table["drivable"] == compress_mask(DRIVABLE) and table["lanes"] == compress_mask(LANES)


def test_drawn_area_is_green_and_lines_are_red():
    laid = lay_roads(IMAGE, scene().mask)
    red, green, blue = laid[4, 7].astype(int)
    assert green > red and green > blue and (laid[0, 0] == 100).all()
    assert laid[5, 0, 0] > 200 and laid[5, 0, 1] < 60
    assert (IMAGE == 100).all(), "the image itself stays as it is"
    ignored = np.full((6, 8), 255, np.uint8)
    np.testing.assert_array_equal(lay_roads(IMAGE, ignored), IMAGE)
    assert scene().draw(scale=2).shape == (12, 16, 3)


@pytest.mark.parametrize("fields", [{"lanes": LANES[:5]}, {"drivable": None}, {"image": IMAGE[:4]}])
def test_maps_of_other_sizes_are_refused(fields):
    with pytest.raises(ValueError, match="give one of the image's height and width"):
        scene(**fields)


def test_there_is_nothing_to_draw_on():
    with pytest.raises(ValueError, match="carries no image"):
        scene(image=None).draw()
    with pytest.raises(ValueError, match="give the image that they are of"):
        scene(image=None).draw(np.zeros((4, 4, 3), np.uint8))
