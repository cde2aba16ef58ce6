"""Other people's clients: Triton's over HTTP, and what TensorFlow Serving's send."""

import json

import numpy as np
import pytest
from serving_models import Fixed, picture

IMAGES = np.stack([picture(64, 64, seed=seed) for seed in (1, 2)])


@pytest.mark.parametrize("binary", [True, False])
def test_tritonclient(address_of, binary):
    address = address_of({"things": Fixed()})
    triton = pytest.importorskip("tritonclient.http")
    client = triton.InferenceServerClient(address.removeprefix("http://"))
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("things")
    assert client.get_server_metadata()["name"] == "kzoo"
    described = client.get_model_metadata("things")
    assert described["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, 64, 64, 3]}]
    given = triton.InferInput("images", list(IMAGES.shape), "UINT8")
    given.set_data_from_numpy(IMAGES, binary_data=binary)
    expected = Fixed().predict_on_batch(IMAGES)
    answer = client.infer("things", [given], request_id="7")
    assert answer.get_response()["id"] == "7" and answer.get_response()["model_version"] == "1"
    for name, values in expected.items():
        np.testing.assert_array_equal(answer.as_numpy(name), values)
    wanted = [triton.InferRequestedOutput("scores", binary_data=binary)]
    answer = client.infer("things", [given], model_version="1", outputs=wanted)
    np.testing.assert_array_equal(answer.as_numpy("scores"), expected["scores"])
    assert answer.as_numpy("boxes") is None
    outputs = {row["name"]: row for row in described["outputs"]}
    assert outputs["boxes"] == {"name": "boxes", "datatype": "FP32", "shape": [-1, 3, 4]}
    with pytest.raises(triton.InferenceServerException, match="unknown; there are boxes, scores, labels"):
        client.infer("things", [given], outputs=[triton.InferRequestedOutput("nothing")])
    with pytest.raises(triton.InferenceServerException, match="no such model; known: things"):
        client.infer("others", [given])


@pytest.mark.parametrize("form", ["instances", "named instances", "inputs", "named inputs"])
def test_tensorflow_serving(client, form):
    rows = IMAGES.tolist()
    bodies = {
        "instances": {"signature_name": "serving_default", "instances": rows},
        "named instances": {"instances": [{"images": row} for row in rows]},
        "inputs": {"inputs": rows},
        "named inputs": {"inputs": {"images": rows}},
    }
    answer = client.post("/v1/models/things:predict", content=json.dumps(bodies[form]))
    expected = Fixed().predict_on_batch(IMAGES)
    assert answer.status_code == 200, answer.text
    if "instances" in form:
        columns = {name: [row[name] for row in answer.json()["predictions"]] for name in expected}
    else:
        columns = answer.json()["outputs"]
    for name, values in expected.items():
        np.testing.assert_array_equal(np.asarray(columns[name], values.dtype), values)


def test_the_state_and_the_signature_of_a_model(client):
    (row,) = client.get("/v1/models/things").json()["model_version_status"]
    assert row["version"] == "1" and row["state"] == "AVAILABLE"
    assert client.get("/v1/models/things/versions/1").status_code == 200
    answer = client.get("/v1/models/things/metadata").json()
    signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert [side["size"] for side in signature["inputs"]["images"]["tensor_shape"]["dim"]] == [
        "-1",
        "64",
        "64",
        "3",
    ]
    assert signature["outputs"]["labels"]["dtype"] == "DT_INT64"


FLOATS = {"name": "images", "datatype": "FP32", "shape": [1, 64, 64, 3], "data": [255.0] * (64 * 64 * 3)}


def test_images_as_floats(client):
    answer = client.post("/v2/models/things/infer", json={"inputs": [FLOATS]}).json()
    scores = next(one for one in answer["outputs"] if one["name"] == "scores")
    assert scores["data"][1] == 1.0 and scores["shape"] == [1, 3]


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"inputs": []}, "inputs: give one, 'images'"),
        ({"inputs": [{**FLOATS, "name": "x"}]}, "'x' is unknown; give 'images'"),
        ({"inputs": [{**FLOATS, "datatype": "BYTES"}]}, "'BYTES'; give UINT8 or FP32"),
        ({"inputs": [{**FLOATS, "shape": [1, 64, 64]}]}, "give [images, height, width, 3]"),
        ({"inputs": [{**FLOATS, "shape": [1, -64, 64, 3]}]}, "give [images, height, width, 3]"),
        ({"inputs": [{**FLOATS, "shape": [10**9, 10**9, 64, 3]}]}, "give as many"),
        ({"inputs": [{**FLOATS, "shape": [1, 32, 128, 3]}]}, "give (B, 64, 64, 3)"),
        ({"inputs": [{**FLOATS, "data": [1.0]}]}, "1 values, and the shape"),
        ({"inputs": [{**FLOATS, "data": [["a"], [1]]}]}, "give nested lists"),
        ({"inputs": [{**FLOATS, "data": [[1, 2], [1]]}]}, "give whole tensors"),
        ({"inputs": [{**FLOATS, "data": "text"}]}, "give nested lists"),
        ({"inputs": [{**FLOATS, "datatype": "UINT8"}]}, "whole numbers from 0 to 255"),
        ({"inputs": [{**FLOATS, "data": [300.0] * (64 * 64 * 3)}]}, "0..255"),
        ({"inputs": [{**FLOATS, "parameters": {"binary_data_size": 5}}]}, "binary_data_size: 5"),
        ({"inputs": [FLOATS], "outputs": [{"name": "x"}]}, "'x' is unknown"),
        ({"inputs": [FLOATS], "outputs": 5}, "outputs: give a list"),
        ([], "JSON, but no object"),
    ],
)
def test_wrong_tensors_are_refused(client, wrong, said):
    answer = client.post("/v2/models/things/infer", json=wrong)
    assert answer.status_code == 400 and said in answer.json()["error"], answer.text


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({}, "either instances or inputs"),
        ({"instances": [], "inputs": []}, "either instances or inputs"),
        ({"instances": 5}, "give a list of images"),
        ({"instances": [{"b64": "aaaa"}]}, "give 'images' alone"),
        ({"inputs": {}}, "give 'images' alone"),
        ({"inputs": [[1, 2], [3]]}, "give whole tensors"),
        ({"inputs": [[[[300, 1, 2]]]]}, "0 to 255"),
        ({"inputs": [[[[1, 1, 2]]]]}, "give (B, 64, 64, 3)"),
        ({"signature_name": "train", "inputs": []}, "'train'; there is serving_default alone"),
        ({"other": 1}, "unknown field 'other'"),
    ],
)
def test_wrong_predictions_are_refused(client, wrong, said):
    answer = client.post("/v1/models/things:predict", json=wrong)
    assert answer.status_code == 400 and said in answer.json()["error"], answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/things/versions/9",
        "/v1/models/things/versions/9",
        "/v2/models/other",
        "/v1/models/other/metadata",
    ],
)
def test_what_is_not_served_is_not_found(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "known: things" in answer.text or "not served; 1 is" in answer.text


@pytest.mark.parametrize(
    "path", ["v2/models/things/infer", "v1/models/things:predict", "v1/models/things/detect"]
)
def test_what_is_compressed_is_refused(client, path):
    answer = client.post(f"/{path}", content=b"x", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415 and "send it without" in answer.json()["error"]


@pytest.mark.parametrize("length", ["x", "99", "-1"])
def test_a_wrong_length_of_the_header_is_refused(client, length):
    headers = {"Inference-Header-Content-Length": length}
    answer = client.post("/v2/models/things/infer", content=b"{}", headers=headers)
    assert answer.status_code == 400 and "number of bytes" in answer.json()["error"]
