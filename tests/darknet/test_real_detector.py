"""yolo-fastest-1.1 finds in six photographs what Darknet itself finds in them, as a model and exported."""

import json

import numpy as np
import pytest

import kzoo

SCORE, LEAST = 0.35, 0.25  # what has to be found, and what Darknet's own detections go down to
MIN_IOU, MAX_DIFFERENCE = 0.9, 0.05


@pytest.fixture(scope="module")
def fastest(darknet_data):
    return kzoo.load(
        darknet_data / "yolo-fastest-1.1" / "yolo-fastest-1.1.cfg", names=darknet_data / "coco.names"
    )


@pytest.fixture(scope="module")
def photographs(darknet_data):
    """The six, stretched: see `objects`."""
    return objects(darknet_data, "reference.json")


def objects(darknet_data, reference):
    """The photographs, and what Darknet finds in each: label, score, box as xyxy shares of the image."""
    found = {}
    for name, listed in json.loads((darknet_data / "yolo-fastest-1.1" / reference).read_text())[
        "images"
    ].items():
        rows = []
        for one in listed:
            x, y, width, height = one["box"]
            box = np.clip([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 0, 1)
            rows.append((one["label"], one["score"], box))
        found[darknet_data / "images" / name] = rows
    return found


def iou(a, b):
    inner = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return inner / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - inner)


def alike(a, b):
    return a[0] == b[0] and abs(a[1] - b[1]) <= MAX_DIFFERENCE and iou(a[2], b[2]) >= MIN_IOU


def all_of_it(detector, photographs, **arguments):
    """How far scores and boxes are from those of Darknet, of everything that it found, faint objects too."""
    scores, overlaps = [], []
    for path, theirs in photographs.items():
        result = detector.detect(path, score_threshold=LEAST - MAX_DIFFERENCE, **arguments)
        boxes = result.boxes / np.tile(result.image.shape[1::-1], 2)
        for label, score, box in theirs:
            same = [i for i, one in enumerate(result.labels) if detector.names[one] == label]
            best = max(same, key=lambda i: iou(box, boxes[i]))
            scores.append(abs(result.scores[best] - score))
            overlaps.append(iou(box, boxes[best]))
    return len(scores), max(scores), min(overlaps)


def compared(detector, photographs, **arguments):
    """How many objects there are, how many of them are found, and how many more are."""
    wanted = found = more = 0
    for path, theirs in photographs.items():
        result = detector.detect(path, score_threshold=LEAST, **arguments)
        height, width = result.image.shape[:2]
        boxes = result.boxes / [width, height, width, height]
        ours = list(zip([detector.names[i] for i in result.labels], result.scores, boxes, strict=True))
        strong = [one for one in theirs if one[1] > SCORE]
        wanted += len(strong)
        # Each object takes one detection, so that a double finds no partner.
        free = list(ours)
        for one in sorted(strong, key=lambda one: -one[1]):
            partner = next((other for other in free if alike(one, other)), None)
            if partner is not None:
                found += 1
                free = [other for other in free if other is not partner]
        more += sum(one[1] > SCORE and not any(alike(other, one) for other in theirs) for one in free)
    return wanted, found, more


@pytest.mark.long
def test_darknets_own_detections(fastest, photographs):
    assert fastest.resize == "darknet" and fastest.names[16] == "dog"
    assert compared(fastest, photographs) == (29, 29, 0)
    count, apart, overlap = all_of_it(fastest, photographs)
    assert count == 42 and apart < 0.01 and overlap > 0.98


@pytest.mark.long
def test_darknets_own_letterbox(fastest, photographs, darknet_data):
    boxed = objects(darknet_data, "reference_letterbox.json")
    wanted, found, more = compared(fastest, boxed, resize="darknet-letterbox")
    assert (wanted, found, more) == (28, 28, 0)
    count, apart, overlap = all_of_it(fastest, boxed, resize="darknet-letterbox")
    assert count == 37 and apart < 0.01 and overlap > 0.98
    # Neither the zoo's own letterbox nor a stretched picture is seen alike.
    assert all(compared(fastest, boxed, resize=resize)[1] < wanted for resize in ("letterbox", "darknet"))


def test_letter_box_in_the_cfg_chooses_it(darknet_data, tmp_path):
    folder = darknet_data / "yolo-fastest-1.1"
    text = (folder / "yolo-fastest-1.1.cfg").read_text().replace("[net]", "[net]\nletter_box=1", 1)
    (tmp_path / "boxed.cfg").write_text(text)
    model = kzoo.darknet.load(tmp_path / "boxed.cfg", folder / "yolo-fastest-1.1.weights")
    assert model.resize == "darknet-letterbox"
    kzoo.darknet.save(model, tmp_path / "again.weights")
    assert (tmp_path / "again.cfg").read_text() == text
    model.resize = "darknet"
    kzoo.darknet.save(model, tmp_path / "stretched.weights")
    assert "letter_box=0" in (tmp_path / "stretched.cfg").read_text()


@pytest.mark.long
@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
def test_another_way_to_resize_finds_others(resize, fastest, photographs):
    """The comparison can fail: OpenCV's bilinear resize moves some boxes and scores too far, a letterbox most."""
    wanted, found, more = compared(fastest, photographs, resize=resize)
    assert found < wanted and more > 0


@pytest.mark.long
def test_plain_overlap_finds_others(fastest, photographs):
    """`nms_kind=greedynms` counts: by IoU alone an object that stands before another is lost."""
    head = type(fastest.head).from_config({**fastest.head.get_config(), "nms_kind": "greedy"})
    wanted, found, _ = compared(fastest.remade(fastest.network, head), photographs)
    assert found == wanted - 1


@pytest.mark.slow
@pytest.mark.parametrize("place", ["fastest/1", "fastest.tflite", "fastest.onnx"])
def test_the_same_from_an_export(place, fastest, photographs, tmp_path):
    detector = kzoo.load(kzoo.export(fastest, tmp_path / place))
    assert detector.resize == "darknet"
    assert compared(detector, photographs) == (29, 29, 0)


@pytest.mark.long
def test_the_same_folded_and_from_a_keras_file(fastest, photographs, tmp_path):
    kzoo.darknet.folded(fastest).save(tmp_path / "folded.keras")
    assert compared(kzoo.load(tmp_path / "folded.keras"), photographs) == (29, 29, 0)
