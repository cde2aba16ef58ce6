"""Formats that are not read are called by their names."""

import cv2
import numpy as np
import pytest

import kzoo.data


@pytest.mark.parametrize(
    ("name", "content", "called"),
    [
        ("a.json", '{"shapes": [], "imagePath": "a.jpg"}', "labelme"),
        ("train/_annotations.createml.json",
         '[{"image": "a.jpg", "annotations": [{"label": "cup", "coordinates": {"x": 1}}]}]', "CreateML"),
        ("via.json", '{"a.jpg9": {"regions": [{"shape_attributes": {"name": "rect"}}]}}', "VIA"),
        ("via.csv", "filename,file_size,region_shape_attributes,region_attributes\n", "VIA"),
        ("one/ann/a.jpg.json", '{"size": {"height": 6, "width": 8}, "objects": []}', "Supervisely"),
        ("annotations/default.json", '{"categories": {"label": {}}, "items": []}', "Datumaro"),
        ("annotations.xml", '<annotations><image id="0" name="a.jpg"></image></annotations>', "CVAT's XML"),
        ("labels/a.txt", "Car 0.00 0 -1.58 2 1 6 4 1 1 1 1 1 1 1\n", "KITTI"),
        ("labelTxt/a.txt", "2 1 6 1 6 4 2 4 cup 0\n", "DOTA"),
        ("labels.csv", "cup,2,1,4,3,a.jpg,8,6\n", "makesense"),
        ("boxes.csv", "filename,x,y,width,height,class\na.jpg,2,1,4,3,cup\n", "begins with 'filename,x,y"),
        ("boxes.csv", "a.jpg,2,1,6,,cup\na.jpg,2,1,6,4,cup\n", "begins with 'a.jpg,2,1,6,,cup'"),
        ("train.csv", "image_id,width,height,bbox,source\n", "a box in one column"),
        ("train.tfrecord", "x", "TFRecord"),
    ],
)  # fmt: skip
def test_formats_of_tools_are_named(tmp_path, name, content, called):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=called) as error:
        kzoo.data.load(tmp_path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_folders_of_classes_are_no_boxes(tmp_path):
    for name in ("cup", "kettle"):
        (tmp_path / "train" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "train" / name / "a.jpg"), np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r"\(cup, kettle\), which say what is on them and not where"):
        kzoo.data.load(tmp_path)
