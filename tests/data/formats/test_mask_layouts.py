"""Images and masks are found wherever people and tools put them, and what is passed over is said."""

import pickle

import cv2
import numpy as np
import pytest
from mask_files import SIZE, numbers, write_image, write_palette
from PIL import Image

import kzoo.data
from kzoo.data.checks.check import check
from kzoo.data.formats.masks.folders import find_beside, find_pairs
from kzoo.sources.finding import IMAGE_SUFFIXES


def write_mask(path, seed: int = 0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(numbers(seed)).save(path, **options)


def write_both(root, image, mask, seed: int = 0):
    write_image(root / image, seed=seed)
    write_mask(root / mask, seed)


def assert_masks(dataset, seeds) -> None:
    assert dataset.semantic and len(dataset) == len(seeds)
    for sample, seed in zip(dataset, seeds, strict=True):
        np.testing.assert_array_equal(sample.mask, numbers(seed))


PAIRS = [
    ("images/a.jpg", "masks/a.png"),
    ("Images/a.jpg", "Masks/a.png"),
    ("IMAGES/a.JPG", "MASKS/a.PNG"),
    ("imgs/a.jpg", "masks/a.png"),
    ("images/a.jpg", "labels/a.png"),
    ("images/a.jpg", "annotations/a.png"),
    ("images/a.jpg", "GT/a.png"),
    ("images/a.jpg", "masks/a_mask.png"),
    ("images/a.jpg", "masks/a_Mask.png"),
    ("images/a.jpg", "masks/a.jpg.png"),
    ("images/a.jpg", "masks/a_L.png"),
    ("images/a.jpg", "masks/a_seg.bmp"),
    ("images/frame_1.5.png", "masks/frame_1.5.png"),
    ("images/frame_1.5.png", "masks/frame_1.5_mask.png"),
    ("images/deep/a.jpg", "masks/deep/a.png"),
    ("data/images/a.jpg", "data/masks/a.png"),
    # Side by side.
    ("a.jpg", "a.png"),
    ("001.bmp", "001.png"),
    ("001.tif", "001.png"),
    ("a.jpg", "a_mask.png"),
    ("a.png", "a_mask.png"),
    ("frame_1.5.jpg", "frame_1.5_mask.png"),
    ("a.JPG", "a.PNG"),
]


@pytest.mark.parametrize("image, mask", PAIRS)
@pytest.mark.parametrize("task", [None, "segment"])
def test_one_pair(tmp_path, image, mask, task):
    write_both(tmp_path, image, mask)
    assert_masks(kzoo.data.load(tmp_path, task=task), [0])
    assert not [fault for fault in check(tmp_path, task=task).faults if fault.kind != "class-without-example"]


@pytest.mark.parametrize(
    "images, masks",
    [
        ("images/{}", "masks/{}"),
        ("Images/{}", "Masks/{}"),
        ("{}/images", "{}/masks"),
        ("{}/Images", "{}/Labels"),
        ("{}", "{}_masks"),
        ("{}", "{}annot"),
        ("{}", "{}"),  # side by side
    ],
)
@pytest.mark.parametrize("part", ["train", "Train", "TRAIN"])
def test_parts(tmp_path, images, masks, part):
    for split, names in ((part, "ab"), ("val", "c")):
        for seed, name in enumerate(names):
            image, mask = f"{images.format(split)}/{name}.jpg", f"{masks.format(split)}/{name}.png"
            write_both(tmp_path, image, mask, seed)
    assert kzoo.data.splits(tmp_path) == [part, "val"]
    assert_masks(kzoo.data.load(tmp_path, "train"), [0, 1])
    assert_masks(kzoo.data.load(tmp_path, "val"), [0])
    assert_masks(kzoo.data.load(tmp_path), [0, 1, 0])


def test_letter_case_of_a_part_may_differ(tmp_path):
    write_both(tmp_path, "images/Train/a.jpg", "masks/train/a.png")
    assert_masks(kzoo.data.load(tmp_path, "train"), [0])


@pytest.mark.parametrize("names", ["[ground, road, car]", "{0: ground, 1: road, 2: car}", None])
@pytest.mark.parametrize("path", ["", "path: .\n", "path: /somewhere/else/set\n"])
@pytest.mark.parametrize("opened", ["data.yaml", "."])
def test_a_description_of_images_and_masks(tmp_path, names, path, opened):
    write_both(tmp_path, "pictures/one/a.jpg", "drawn/one/a.png", 0)
    write_both(tmp_path, "pictures/two/b.jpg", "drawn/two/b.png", 1)
    text = (
        path
        + "train: {images: pictures/one, masks: drawn/one}\nval:\n  images: pictures/two\n  masks: drawn/two\n"
    )
    (tmp_path / "data.yaml").write_text(text + (f"names: {names}\n" if names else ""))
    root = tmp_path / opened
    assert kzoo.data.sniff(root) == "masks" and kzoo.data.splits(root) == ["train", "val"]
    assert_masks(kzoo.data.load(root, "train"), [0])
    assert_masks(kzoo.data.load(root), [0, 1])
    expected = ["ground", "road", "car"] if names else ["background", "class 1", "class 2"]
    assert kzoo.data.load(root).classes == expected


def test_a_description_that_names_no_folder(tmp_path):
    (tmp_path / "data.yaml").write_text("train: {images: a, masks: b}\nnames: [x, y]\n")
    with pytest.raises(ValueError, match=r"data\.yaml: train: images: 'a' is no folder"):
        kzoo.data.load(tmp_path / "data.yaml")
    (tmp_path / "data.yaml").write_text("train: {images: [1], masks: b}\nnames: [x, y]\n")
    with pytest.raises(ValueError, match=r"data\.yaml: train: images: \['1'\] is no folder"):
        kzoo.data.load(tmp_path / "data.yaml")


@pytest.mark.parametrize(
    "suffix", sorted(IMAGE_SUFFIXES - {".heic", ".heif", ".jxl", ".pbm", ".pgm", ".ras", ".sr"})
)
def test_every_suffix_the_decoder_reads(tmp_path, suffix):
    # Pillow's .dib has no header, and it writes none of the others.
    alike = {".dib": ".bmp", ".pjp": ".jpg", ".pjpeg": ".jpg", ".pam": ".ppm", ".hdr": ".png", ".pic": ".png"}
    written = alike.get(suffix, suffix)
    write_image(tmp_path / "images" / f"a{written}")
    (tmp_path / "images" / f"a{written}").rename(tmp_path / "images" / f"a{suffix}")
    write_mask(tmp_path / "masks" / "a.png")
    assert_masks(kzoo.data.load(tmp_path), [0])


@pytest.mark.parametrize(
    "suffix", [".bmp", ".dib", ".gif", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp", ".jp2"]
)
def test_every_suffix_of_masks(tmp_path, suffix):
    options = {".webp": {"lossless": True}, ".dib": {"format": "BMP"}}.get(suffix, {})
    write_image(tmp_path / "images" / "a.jpg")
    write_mask(tmp_path / "masks" / f"a{suffix}", **options)
    assert_masks(kzoo.data.load(tmp_path), [0])


def test_masks_as_carvana_has_them(tmp_path):
    mask = (numbers(0, (0, 1)) == 1).astype(np.uint8)
    write_image(tmp_path / "train" / "a.jpg")
    (tmp_path / "train_masks").mkdir()
    Image.fromarray(mask > 0).save(tmp_path / "train_masks" / "a_mask.gif")
    write_image(tmp_path / "test" / "b.jpg")
    dataset = kzoo.data.load(tmp_path, "train")
    np.testing.assert_array_equal(dataset[0].mask, mask)
    found = [str(fault) for fault in check(tmp_path).warnings]
    assert any("test: warning: 1 images without a folder of masks: passed over" in text for text in found)


def test_hidden_files_are_no_images(tmp_path):
    write_both(tmp_path, "images/a.jpg", "masks/a.png")
    for name in (
        "images/._a.jpg",
        "masks/._a.png",
        "images/.ipynb_checkpoints/a.jpg",
        "masks/.ipynb_checkpoints/a.png",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\0")
    assert_masks(kzoo.data.load(tmp_path), [0])
    assert not check(tmp_path).errors


def test_linked_folders(tmp_path):
    write_both(tmp_path, "real/pictures/a.jpg", "real/drawn/a.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "images").symlink_to(tmp_path / "real" / "pictures")
    (tmp_path / "set" / "masks").symlink_to(tmp_path / "real" / "drawn")
    assert_masks(kzoo.data.load(tmp_path / "set"), [0])
    (tmp_path / "link").symlink_to(tmp_path / "set")
    assert_masks(kzoo.data.load(tmp_path / "link"), [0])
    (tmp_path / "below" / "images").mkdir(parents=True)
    (tmp_path / "below" / "masks").mkdir()
    (tmp_path / "below" / "images" / "batch").symlink_to(tmp_path / "real" / "pictures")
    (tmp_path / "below" / "masks" / "batch").symlink_to(tmp_path / "real" / "drawn")
    (tmp_path / "below" / "images" / "itself").symlink_to(tmp_path / "below" / "images")
    assert_masks(kzoo.data.load(tmp_path / "below"), [0])


def test_what_is_passed_over_is_said(tmp_path):
    write_both(tmp_path, "images/a.jpg", "masks/a.png")
    write_image(tmp_path / "images" / "a.png")  # a second image of that name
    for number in range(3):
        (tmp_path / "masks" / f"{number}.npy").write_bytes(b"numbers")
    (tmp_path / "masks" / "readme.txt").write_text("how they were drawn")
    write_mask(tmp_path / "masks" / "b.png")
    report = check(tmp_path)
    found = {(fault.kind, fault.file.name): fault.message for fault in report.faults}
    assert "and 2 others" in found["passed-over", "0.npy"] or "2 others" in found["passed-over", "0.npy"]
    assert ("passed-over", "a.jpg") in found and ("mask-without-image", "b.png") in found
    assert not any(name == "readme.txt" for _, name in found)


def test_a_part_without_its_masks_is_a_part_with_faults(tmp_path):
    write_both(tmp_path, "images/train/a.jpg", "masks/train/a.png")
    write_image(tmp_path / "images" / "val" / "b.jpg")
    write_mask(tmp_path / "masks" / "test" / "c.png")
    assert kzoo.data.splits(tmp_path) == ["train", "val", "test"]
    assert {(fault.kind, fault.file.name) for fault in check(tmp_path).errors} == {
        ("missing-mask", "b.jpg"),
        ("mask-without-image", "c.png"),
    }


def test_a_name_in_a_list_that_is_two_images(tmp_path):
    write_both(tmp_path, "images/x/a.jpg", "masks/x/a.png")
    write_both(tmp_path, "images/y/a.jpg", "masks/y/a.png")
    (tmp_path / "train.txt").write_text("a\n")
    with pytest.raises(ValueError, match=r"'a' of train may be .*x/a\.jpg and .*y/a\.jpg"):
        kzoo.data.load(tmp_path, "train")


def test_photographs_of_two_suffixes_with_boxes_are_no_masks(tmp_path):
    write_image(tmp_path / "a.jpg")
    write_image(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("0 .5 .5 .2 .2\n")
    assert find_beside(tmp_path) == {}
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    (tmp_path / "a.txt").rename(tmp_path / "labels" / "a.txt")
    assert find_pairs(tmp_path) == {}


def test_voc_masks_of_any_suffix_and_letter_case(tmp_path):
    write_image(tmp_path / "jpegimages" / "2007.1.jpg")
    write_image(tmp_path / "jpegimages" / ".hidden.jpg")
    (tmp_path / "segmentationclass").mkdir()
    mask = numbers(0, (0, 15, 255))
    write_palette(tmp_path / "segmentationclass" / "2007.1.PNG", mask)
    (tmp_path / "segmentationclass" / "._2007.1.png").write_bytes(b"")
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Segmentation" / "train.txt").write_text("2007.1\n\n")
    dataset = kzoo.data.load(tmp_path, "train")
    np.testing.assert_array_equal(dataset[0].mask, mask)
    assert len(kzoo.data.load(tmp_path)) == 1
    (tmp_path / "ImageSets" / "Segmentation" / "train.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(ValueError, match=r"train\.txt:1: byte 0xe9 is no UTF-8"):
        kzoo.data.load(tmp_path, "train")


def test_strays_in_vocs_masks_are_ignored_on_request(tmp_path):
    write_image(tmp_path / "JPEGImages" / "a.jpg")
    write_palette(tmp_path / "SegmentationClass" / "a.png", numbers(0, (0, 15, 77)))
    (tmp_path / "SegmentationClass" / "notes.doc").write_bytes(b"x")
    assert {(fault.kind, fault.severity) for fault in check(tmp_path).faults} >= {
        ("stray-value", "error"),
        ("passed-over", "warning"),
    }
    (tmp_path / "legend.txt").write_text("others = ignored\n")
    dataset = kzoo.data.load(tmp_path)
    assert len(dataset.classes) == 21
    mask = numbers(0, (0, 15, 77))
    np.testing.assert_array_equal(dataset[0].mask, np.where(mask == 77, 255, mask))


def test_labelmes_numbers_beside_its_pictures_of_masks(tmp_path):
    write_image(tmp_path / "JPEGImages" / "a.jpg")
    (tmp_path / "SegmentationClass").mkdir()
    np.save(tmp_path / "SegmentationClass" / "a.npy", numbers(0))
    write_palette(tmp_path / "SegmentationClassPNG" / "a.png", numbers(0))
    (tmp_path / "class_names.txt").write_text("_background_\nroad\ncar\n")
    assert_masks(kzoo.data.load(tmp_path), [0])


def test_a_dataset_that_was_looked_through_is_sent_without_its_paths_twice(tmp_path):
    for number in range(50):
        write_both(tmp_path, f"images/{number:03}.jpg", f"masks/{number:03}.png")
    dataset = kzoo.data.load(tmp_path)
    before = len(pickle.dumps(dataset))
    dataset.problems()
    assert len(pickle.dumps(dataset)) == before
    assert_masks(pickle.loads(pickle.dumps(dataset)), [0] * 50)


def test_masks_of_another_size_than_the_image_in_a_folder_an_image(tmp_path):
    """Boxes would lie elsewhere, whether or not masks are drawn."""
    write_image(tmp_path / "x" / "images" / "x.png", (48, 80))
    path = tmp_path / "x" / "masks" / "1.png"
    path.parent.mkdir()
    Image.fromarray(np.full(SIZE, 255, np.uint8)).save(path)
    for task in ("detect", "segment"):
        assert {fault.kind for fault in check(tmp_path, task=task).errors} >= {"mask-size"}
        with pytest.raises(ValueError, match="a mask of 40 x 24 pixels"):
            kzoo.data.load(tmp_path, masks=True, task=task)[0]


def test_roboflows_masks_have_the_names_of_its_classes(tmp_path):
    for part in ("train", "valid"):
        (tmp_path / part).mkdir()
        mask = np.zeros((6, 8), np.uint8)
        mask[2:4] = 2
        cv2.imwrite(str(tmp_path / part / "a.jpg"), np.zeros((6, 8, 3), np.uint8))
        cv2.imwrite(str(tmp_path / part / "a_mask.png"), mask)
        (tmp_path / part / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cup\n2, pot\n")
    assert kzoo.data.load(tmp_path, "train").classes == ["background", "cup", "pot"]
    (tmp_path / "valid" / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, pot\n2, cup\n")
    with pytest.raises(ValueError, match=r"valid/_classes\.csv: other names than"):
        kzoo.data.load(tmp_path, "train")
    (tmp_path / "valid" / "_classes.csv").write_text("Pixel Value, Class\n0, background\n2, cup\n")
    with pytest.raises(ValueError, match="there is no class 1"):
        kzoo.data.load(tmp_path, "train")


def test_masks_of_nothing_but_ground_stop_a_training(tmp_path):
    write_image(tmp_path / "images" / "a.png")
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), np.zeros(SIZE, np.uint8))
    assert [fault.kind for fault in check(tmp_path, task="segment").errors] == ["no-objects"]
