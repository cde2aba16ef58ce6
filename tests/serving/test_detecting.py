"""Pictures in, whichever way they are sent; objects out, in whichever form."""

import base64
import json

import cv2
import numpy as np
import pytest
from drawn_objects import SeesObjects, drawn, ellipse, stroke
from serving_models import Fixed, Masks, encoded, picture

from kzoo.inference.detect import detect

IMAGE = picture(90, 120, seed=0)
DATA = encoded(IMAGE)


def sent(client, way, name="things", data=DATA, **query):
    """The answer to a picture that is sent one way."""
    ways = {
        "body": {"content": data, "headers": {"Content-Type": "image/png"}},
        "untold": {"content": data, "headers": {"Content-Type": "application/octet-stream"}},
        "multipart": {"files": {"file": ("photo.png", data, "image/png")}},
        "json": {"json": {"image": base64.b64encode(data).decode()}},
        "data": {"json": {"image": f"data:image/png;base64,{base64.b64encode(data).decode()}"}},
    }
    return client.post(f"/v1/models/{name}/detect", params=query, **ways[way])


def boxes_of(detections):
    """What the service should say, written out from what Python has."""
    return [
        {
            "box": {"x": row["box"][0], "y": row["box"][1], "w": round(row["box"][2] - row["box"][0], 3),
                    "h": round(row["box"][3] - row["box"][1], 3)},
            "name": row["name"],
            "prob": row["score"],
        }
        for row in detections.to_dict()["objects"]
    ]  # fmt: skip


@pytest.mark.parametrize("way", ["body", "untold", "multipart", "json", "data"])
def test_the_answer_is_what_python_says_whichever_way_a_picture_is_sent(client, way):
    answer = sent(client, way)
    assert answer.status_code == 200, answer.text
    assert answer.json() == boxes_of(detect(Fixed(), IMAGE)) and len(answer.json()) == 2
    full = sent(client, way, format="full").json()
    assert full == {"objects": detect(Fixed(), IMAGE).to_dict()["objects"]}
    assert sent(client, way, format="coco").json() == detect(Fixed(), IMAGE).to_coco()


def test_a_box_is_top_left_and_size_in_the_photographs_pixels(client):
    # 64 pixels of input for 120 of width: letterboxed by 1.875, above and below 8 pixels of grey.
    first = sent(client, "body").json()[0]
    assert first["name"] == "cup" and first["prob"] == 0.9
    assert first["box"] == {"x": 30.0, "y": 30.0, "w": 60.0, "h": 30.0}


def test_the_threshold_is_the_requests_or_the_services(client, client_of):
    assert len(sent(client, "body", score=0.8).json()) == 1
    strict = client_of({"things": Fixed()}, score_threshold=0.8)
    assert len(sent(strict, "body").json()) == 1 and len(sent(strict, "body", score=0.1).json()) == 2


def test_objects_with_masks(client):
    found = detect(Masks(), IMAGE)
    full = sent(client, "body", "masks", format="full").json()
    assert full["objects"] == found.to_dict()["objects"] and "counts" in full["objects"][0]["mask"]
    assert sent(client, "body", "masks", format="coco").json() == found.to_coco()
    answer = sent(client, "body", "masks", format="mask")
    assert answer.headers["content-type"] == "image/png"
    mask = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, found.numbered_mask())


def test_a_drawn_picture(client):
    answer = sent(client, "multipart", format="image")
    drawn = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    expected = detect(Fixed(), IMAGE).draw()
    assert answer.headers["content-type"] == "image/jpeg" and drawn.shape == expected.shape
    assert np.abs(drawn.astype(int) - expected).mean() < 12  # of JPEG


def test_a_segmenter(client):
    mask = cv2.imdecode(
        np.frombuffer(sent(client, "body", "cells", format="mask").content, np.uint8), cv2.IMREAD_UNCHANGED
    )
    assert mask.shape == IMAGE.shape[:2] and set(np.unique(mask)) == {0, 1}
    (row,) = sent(client, "body", "cells").json()
    assert row["name"] == "cell" and row["area"] == int((mask == 1).sum())
    assert row["box"] == {"x": 60, "y": 0, "w": 60, "h": 90}
    full = sent(client, "body", "cells", format="full").json()
    assert full["classes"][1]["name"] == "cell" and full["regions"][0]["area"] == row["area"]
    assert sent(client, "body", "cells", format="image").status_code == 200


def test_a_classifier(client):
    rows = sent(client, "body", "classes").json()
    assert rows == [{"name": "bee", "prob": 0.7}, {"name": "ant", "prob": 0.2}, {"name": "cat", "prob": 0.1}]
    assert sent(client, "body", "classes", format="full").json()["classes"][0]["label"] == 1


def test_what_models_there_are(client):
    models = {row["name"]: row for row in client.get("/v1/models").json()["models"]}
    assert models["things"] == {
        "name": "things", "version": "1", "task": "detect", "image_size": [64, 64], "names": ["cup", "dog"],
    }  # fmt: skip
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").json()["models"] == ["things", "masks", "cells", "classes"]


def test_health_says_where_no_model_is_there(client_of):
    assert client_of({}).get("/health/ready").status_code == 503


def test_figures_for_prometheus(client):
    sent(client, "body")
    client.get("/nothing/of/the/kind")
    text = client.get("/metrics").text
    line = 'kzoo_requests_total{model="things",path="/v1/models/{name}/detect",status="200"} 1.0'
    assert line in text and 'kzoo_batch_images_count{model="things"} 1.0' in text
    assert "of/the/kind" not in text


def test_openapi_names_every_address(client):
    schema = client.get("/openapi.json").json()
    assert {"/v1/models", "/v1/models/{name}/detect", "/v2/models/{name}/infer", "/metrics"} <= set(
        schema["paths"]
    )
    detection = schema["paths"]["/v1/models/{name}/detect"]["post"]
    assert set(detection["requestBody"]["content"]) == {"image/*", "multipart/form-data", "application/json"}
    assert {one["name"] for one in detection["parameters"]} == {"name", "format", "method", "score"}
    json.dumps(schema)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_tiles_find_what_one_look_at_a_large_photograph_misses(client_of, batch_size):
    size = (200, 260)
    objects = {
        3: stroke(size, (5, 12), (250, 55)),
        7: ellipse(size, (200, 150), (4, 3)),
        9: ellipse(size, (60, 120), (6, 9)),
    }
    image, _ = drawn(size, objects)
    client = client_of({"objects": SeesObjects()}, batch_size=batch_size)
    data = encoded(image)
    found = detect(SeesObjects(), image, method="window")
    assert len(found) == 3 and len(detect(SeesObjects(), image)) < 3
    full = sent(client, "body", "objects", data, method="window", format="full").json()["objects"]
    assert full == found.to_dict()["objects"] and all("mask" in row for row in full)
    assert sent(client, "json", "objects", data, method="window").json() == boxes_of(found)
    assert sent(client, "body", "objects", data, method="window", format="coco").json() == found.to_coco()
    mask = cv2.imdecode(
        np.frombuffer(
            sent(client, "body", "objects", data, method="window", format="mask").content, np.uint8
        ),
        cv2.IMREAD_UNCHANGED,
    )
    np.testing.assert_array_equal(mask, found.numbered_mask())
    drawn_one = sent(client, "body", "objects", data, method="window", format="image")
    assert drawn_one.status_code == 200 and drawn_one.headers["content-type"] == "image/jpeg"
    assert sent(client, "body", "objects", data, method="window", score=0.9).json() == []
    assert sent(client, "body", "objects", data).json() == boxes_of(detect(SeesObjects(), image))


def test_tiles_of_models_whose_results_are_not_joined_are_refused(client):
    for name in ("cells", "classes"):
        answer = sent(client, "body", name, method="window")
        assert answer.status_code == 400 and "method=window" in answer.json()["error"]
        assert "not joined" in answer.json()["error"] and "\n" not in answer.json()["error"]
    assert sent(client, "body", method="tiles").json()["error"] == "method=tiles: give resize, window"
