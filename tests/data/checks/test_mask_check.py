"""What is wrong with semantic masks is said with the file, found by `kzoo data check`, and left out on request."""

import json
import pickle

import numpy as np
import pytest
from mask_files import (
    CITY,
    SIZE,
    numbers,
    squares,
    write_image,
    write_instances,
    write_pair,
    write_palette,
)
from PIL import Image
from typer.testing import CliRunner

import kzoo.data
from kzoo.cli.data import app
from kzoo.data.checks.check import check, require_sound
from kzoo.data.fault import Fault, FaultError


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def kinds(report) -> set[tuple[str, str]]:
    return {(fault.kind, fault.file.name) for fault in report.errors}


@pytest.fixture
def faulty(tmp_path):
    """Three classes, a sound image, and one of each fault."""
    masks = tmp_path / "masks"
    for name in ("good", "size", "stray", "void", "colour", "deep", "smeared", "half", "text", "alone"):
        write_pair(tmp_path, name, numbers(0))
    write_pair(tmp_path, "ground", np.zeros(SIZE, np.uint8))
    Image.fromarray(numbers(0, size=(28, 44))).save(masks / "size.png")
    Image.fromarray(numbers(0, (0, 3, 9))).save(masks / "stray.png")
    Image.fromarray(np.full(SIZE, 255, np.uint8)).save(masks / "void.png")
    write_palette(
        masks / "colour.png", numbers(0), [0, 0, 0, *(128, 0, 0), *(0, 128, 0)] + 253 * [192, 128, 64]
    )
    Image.open(masks / "colour.png").convert("RGB").save(masks / "colour.png")
    Image.fromarray(numbers(0).astype(np.uint16) * 200).save(masks / "deep.png")
    Image.fromarray(numbers(0)).save(masks / "smeared.jpg")
    (masks / "smeared.png").unlink()
    content = (masks / "half.png").read_bytes()
    (masks / "half.png").write_bytes(content[: len(content) // 2])
    (masks / "text.png").write_text("not a picture")
    (masks / "alone.png").unlink()
    write_pair(tmp_path, "orphan", numbers(0))
    (tmp_path / "images" / "orphan.png").unlink()
    (tmp_path / "classes.txt").write_text("background\nroad\ncar\n")
    return tmp_path


FOUND = {
    ("mask-size", "size.png"),
    ("stray-value", "stray.png"),
    ("all-ignored", "void.png"),
    ("coloured-mask", "colour.png"),
    ("deep-mask", "deep.png"),
    ("lossy-mask", "smeared.jpg"),
    ("unreadable-mask", "half.png"),
    ("unreadable-mask", "text.png"),
    ("missing-mask", "alone.png"),
    ("mask-without-image", "orphan.png"),
}


def test_every_fault_is_found(faulty):
    report = check(faulty)
    assert kinds(report) == FOUND and len(report.errors) == len(FOUND)
    assert [(fault.kind, fault.file.name) for fault in report.warnings] == [("empty-mask", "ground.png")]
    assert (report.images, report.masks, report.backgrounds) == (11, 2, 1)


MESSAGES = {
    "size": "a mask of 44 x 28 pixels on an image of 40 x 24; make the mask anew",
    "stray": "value 3, 9 on 640 pixels, but 3 classes: 0 to 2, and 255 for ignored pixels; correct the mask, name",
    "void": "every pixel is ignored .255.: nothing to learn; correct the mask",
    "colour": r"colours such as 128 0 0, .* palette PNG that was read as RGB .*; save the numbers",
    "deep": "16 bits a pixel, a mask has 8; save class numbers",
    "smeared": "a JPEG, which smears .*; save masks as PNG",
    "half": "a truncated PNG .*; replace or remove",
    "text": "not an image .*; replace or remove",
    "alone": "no mask of that name; .*--skip-faulty",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_loading_says_file_fault_and_remedy_in_a_line(faulty, name):
    dataset = kzoo.data.load(faulty)
    index = next(i for i in range(len(dataset)) if dataset.record(i).id == name)
    with pytest.raises(ValueError, match=rf"{name}\.\w+: {MESSAGES[name]}") as caught:
        dataset[index]
    assert "\n" not in str(caught.value)


def test_faulty_images_are_left_out_on_request(faulty):
    dataset = kzoo.data.load(faulty)
    with pytest.raises(ValueError, match="--skip-faulty"):
        require_sound(dataset)
    sound = require_sound(dataset, skip_faulty=True)
    assert sound.semantic and [sample.id for sample in sound] == ["good", "ground"]


def test_without_decoding_images_masks_are_decoded_all_the_same(faulty):
    report = check(faulty, decode=False)
    assert kinds(report) == FOUND and report.masks == 2


def test_masks_painted_from_outlines_are_painted_where_they_can_be_all_ignored(tmp_path):
    write_image(tmp_path / "a.png")
    height, width = SIZE
    shape = {"size": [height, width], "counts": [0, height * width]}
    row = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, width, height], "segmentation": shape}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": height, "width": width}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    for crowd, expected in ((1, {"all-ignored"}), (0, set())):
        (tmp_path / "a.json").write_text(json.dumps(content | {"annotations": [row | {"iscrowd": crowd}]}))
        dataset = kzoo.data.load(tmp_path / "a.json", task="segment")
        for decode in (True, False):
            assert {fault.kind for fault in check(dataset, decode=decode).errors} == expected


def test_class_frequencies(tmp_path):
    first, second = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    first[:6], second[:12], second[12:18] = 1, 1, 255
    for name, mask in (("a", first), ("b", second), ("c", np.zeros(SIZE, np.uint8))):
        write_pair(tmp_path, name, mask)
    (tmp_path / "classes.txt").write_text("background\nroad\ncar\n")
    result = run("check", tmp_path, "--json")
    report = json.loads(result.output)
    row = SIZE[1]
    ground, road, car = report["classes"]
    assert result.exit_code == 0 and report["masks"] == 3 and report["ignored_pixels"] == 6 * row
    assert road["pixels"] == 18 * row and road["images"] == 2
    assert road["pixel_share"] == pytest.approx(18 / 66) and road["image_share"] == pytest.approx(2 / 3)
    assert ground["pixels"] == 48 * row and car["pixels"] == 0
    assert {fault["kind"] for fault in report["faults"]} == {"empty-mask", "class-without-example"}
    text = run("check", tmp_path).output
    assert "masks, 3 images, 3 masks, 1 of the images empty" in text
    assert "27.27%         2   66.67%" in text and "class 'car' has no example" in text


def test_the_commands(faulty):
    result = run("check", faulty, "--split", "none")
    assert result.exit_code != 0
    result = run("check", faulty)
    assert result.exit_code == 1 and "10 errors, 1 warning" in result.output
    assert f"{faulty}/masks/size.png: error: a mask of 44 x 28" in result.output
    found = json.loads(run("info", faulty, "--json").output)
    assert found["task"] == "segment" and found["all"]["images"] == 11
    assert "masks, semantic masks" in run("info", faulty).output


def test_check_and_info_of_a_task():
    report = json.loads(run("check", "shapes:3:48", "--task", "segment", "--json").output)
    assert [row["name"] for row in report["classes"]] == ["background", "circle", "rectangle", "triangle"]
    assert sum(row["pixels"] for row in report["classes"]) == 3 * 48 * 48
    assert "masks" in report and json.loads(run("check", "shapes:3:48", "--json").output)["masks"] is None
    found = json.loads(run("info", "shapes:8:48", "--task", "segment", "--json").output)
    assert len(found["classes"]) == 4 and found["splits"]["val"]["images"] == 2


def test_the_preview_shows_semantic_masks(tmp_path):
    for arguments in (("shapes:4:64", "--task", "segment"), ("shapes:4:64",)):
        out = tmp_path / f"{len(arguments)}.png"
        size = ("--images", "2", "--image-size", "64", "--width", "256", "--augment", "none")
        result = run("preview", *arguments, "--out", out, *size)
        assert result.exit_code == 0, result.output
    masked, boxed = (np.array(Image.open(tmp_path / f"{count}.png")) for count in (3, 1))
    assert masked.shape == boxed.shape and (masked != boxed).any()


def test_a_colour_that_is_not_in_the_legend(tmp_path):
    write_pair(tmp_path, "a", numbers(0), "colour")
    names = "".join(f"class{number} {red} {green} {blue}\n" for number, (red, green, blue) in enumerate(CITY))
    (tmp_path / "legend.txt").write_text(names)
    dataset = kzoo.data.load(tmp_path)
    with pytest.raises(
        ValueError,
        match=r"a\.png: colour 1 2 3 is none of legend\.txt, on 240 pixels; add a line 'name 1 2 3'",
    ):
        dataset[0]
    assert kinds(check(tmp_path)) == {("unknown-colour", "a.png")}


def test_the_border_of_vocs_colours_is_ignored(tmp_path):
    write_pair(tmp_path, "a", numbers(0), "colour")
    colours = np.array(Image.open(tmp_path / "masks" / "a.png"))
    colours[(colours == (1, 2, 3)).all(axis=2)] = (224, 224, 192)
    Image.fromarray(colours).save(tmp_path / "masks" / "a.png")
    (tmp_path / "labelmap.txt").write_text(
        "".join(f"c{i}:{r},{g},{b}::\n" for i, (r, g, b) in enumerate(CITY))
    )
    np.testing.assert_array_equal(kzoo.data.load(tmp_path)[0].mask, numbers(0))


def test_values_with_gaps_want_names(tmp_path):
    write_pair(tmp_path, "a", numbers(0, (0, 128, 200)))
    with pytest.raises(ValueError, match=r"mask levels 0, 128, 200: .* Write .*legend\.txt"):
        kzoo.data.load(tmp_path)


def test_a_grey_level_in_binary_masks(tmp_path):
    write_pair(tmp_path, "a", numbers(0, (0, 255)))
    dataset = kzoo.data.load(tmp_path)
    Image.fromarray(numbers(0, (0, 77, 255))).save(tmp_path / "masks" / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: value 77 on 320 pixels, but 2 classes: 0 and 255"):
        dataset[0]


def test_folders_of_instances(tmp_path):
    for name in ("good", "other", "none", "gone", "short"):
        write_instances(tmp_path, name, squares())
    Image.fromarray(np.ones((5, 5), np.uint8)).save(tmp_path / "other" / "masks" / "001.png")
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(tmp_path / "none" / "masks" / "001.png")
    for path in (tmp_path / "gone" / "masks").iterdir():
        path.unlink()
    (tmp_path / "gone" / "masks").rmdir()
    write_image(tmp_path / "short" / "images" / "short.png", (24, 39))
    (tmp_path / "splits.json").write_text('{"train": ["good", "other", "none", "gone", "short", "typo"]}')
    report = check(tmp_path, "train")
    assert kinds(report) == {
        ("mask-size", "001.png"),
        ("mask-size", "000.png"),
        ("mask-size", "002.png"),
        ("missing-mask", "masks"),
        ("missing-image", "typo.png"),
    }
    assert [(fault.kind, fault.file.name) for fault in report.warnings] == [("empty-instance", "001.png")]
    sound = require_sound(kzoo.data.load(tmp_path, "train"), skip_faulty=True)
    assert [sample.id for sample in sound] == ["good", "none"]
    assert len(sound[1].boxes) == 2


@pytest.mark.parametrize(
    "images, masks, message",
    [
        ("uint8", np.zeros((2, *SIZE), np.float32), r"masks\.npy: masks of float32; save class numbers"),
        (
            "uint8",
            np.zeros((2, 8, 8), np.uint8),
            r"masks\.npy: a mask of 8 x 8 pixels on an image of 40 x 24",
        ),
        ("uint8", np.zeros((3, *SIZE), np.uint8), r"masks\.npy: 3 masks for 2 images; give"),
        ("uint8", np.zeros((2, *SIZE, 3), np.uint8), r"masks\.npy: masks of shape .*argmax"),
        ("uint8", np.zeros((2, 8), np.uint8), r"masks\.npy: masks of shape .*; save them as \(N, H, W\)"),
        ("float32", np.zeros((2, *SIZE), np.uint8), r"images\.npy: images of float32; save them as uint8"),
        ("uint8", np.full((2, *SIZE), -1), r"mask values beyond 0 to 255: number the classes from 0"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, images, masks, message):
    np.save(tmp_path / "images.npy", np.zeros((2, *SIZE, 3), images))
    np.save(tmp_path / "masks.npy", masks)
    with pytest.raises(ValueError, match=message):
        kzoo.data.load(tmp_path)


def test_arrays_that_are_damaged_or_have_stray_values(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((3, *SIZE, 3), np.uint8))
    masks = np.stack([numbers(0), numbers(0, (0, 300)).astype(np.uint16) * 7, np.full(SIZE, 255)])
    masks[1] = np.where(masks[1] > 0, 300, 0)
    np.save(tmp_path / "masks.npy", masks.astype(np.uint16))
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    report = check(tmp_path)
    assert kinds(report) == {("stray-value", "masks.npy[1]"), ("all-ignored", "masks.npy[2]")}
    assert [sample.id for sample in require_sound(kzoo.data.load(tmp_path), skip_faulty=True)] == [
        "images[0]"
    ]
    content = (tmp_path / "masks.npy").read_bytes()
    (tmp_path / "masks.npy").write_bytes(content[:200])
    with pytest.raises(ValueError, match=r"masks\.npy: cannot be read: .*; save it anew"):
        kzoo.data.load(tmp_path)


def test_coco_without_outlines_of_another_size_or_all_crowd(tmp_path):
    for name in "abc":
        write_image(tmp_path / "images" / f"{name}.png")
    row = {"category_id": 1, "bbox": [1, 1, 5, 5]}
    content = {
        "images": [{"id": number, "file_name": f"{name}.png"} for number, name in enumerate("abc")],
        "annotations": [
            {"id": 1, "image_id": 0, **row},
            {"id": 2, "image_id": 1, **row, "segmentation": {"size": [9, 9], "counts": [1, 5, 75]}},
            {
                "id": 3,
                "image_id": 2,
                **row,
                "iscrowd": 1,
                "segmentation": {"size": [24, 40], "counts": [0, 960]},
            },
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "x.json").write_text(json.dumps(content))
    faults = check(tmp_path / "x.json", task="segment").errors
    assert [(fault.kind, fault.place.rsplit(":", 1)[-1]) for fault in faults] == [
        ("no-outline", "annotations[0]"),
        ("mask-size", "annotations[1]"),
        ("all-ignored", str(tmp_path / "x.json")),
    ]
    assert not check(tmp_path / "x.json").errors


def test_nuclei_are_sound(shared):
    path = shared / "data" / "nuclei"
    if not path.exists():
        pytest.skip("nuclei is not at hand")
    report = check(path, "val")
    assert not report.faults and (report.images, report.masks) == (20, 20)
    covered = sum(int(sample.mask.sum()) for sample in kzoo.data.load(path, "val"))
    assert report.pixels["object"] == covered


def test_errors_cross_processes(tmp_path):
    error = FaultError(Fault(tmp_path / "a.png", None, "mask-size", "wrong"), "mend it")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == f"{tmp_path}/a.png: wrong; mend it" and again.fault == error.fault
