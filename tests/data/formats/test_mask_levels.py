"""Masks in levels that are no class numbers: the message says what to write, and what it says loses no class."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mask_files import CITY, SIZE, numbers, write_image, write_pair
from PIL import Image

import kzoo.data
from kzoo.data.checks.check import check, require_sound
from kzoo.data.formats.masks.levels import read_levels
from kzoo.data.formats.masks.values import names_of_values

LARGE = (120, 160)


def stray(mask: np.ndarray, count: int, levels, seed: int = 0) -> np.ndarray:
    """The mask with so many pixels of other levels."""
    rng = np.random.default_rng(seed)
    found = mask.copy()
    places = rng.choice(mask.size, count, replace=False)
    found.flat[places] = rng.choice(levels, count)
    return found


def follow(message: str, others: str = "nearest") -> Path:
    """Writes what a message says; the file it names."""
    file = Path(re.search(r"Write (\S+) with the lines", message)[1])
    said = message[message.index("with the lines") : message.index(", 'ignored' for the name")]
    lines = [line for line in re.findall(r"'([^']+)'", said) if not line.startswith("others")]
    if "others" in said:
        lines.append(f"others = {others}")
    file.write_text("\n".join(lines))
    return file


def refusal(root) -> str:
    with pytest.raises(ValueError) as caught:
        kzoo.data.load(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("levels", [(0, 128, 255), (0, 127, 254), (0, 85, 170, 255), (0, 60, 120, 180, 240)])
def test_levels_with_gaps_are_all_shown_and_following_the_message_loses_none(tmp_path, levels):
    masks = [numbers(seed, levels) for seed in range(3)]
    for name, mask in zip("abc", masks, strict=True):
        write_pair(tmp_path, name, mask)
    message = refusal(tmp_path)
    assert f"mask levels {', '.join(map(str, levels))}:" in message and "legend.txt" in message
    follow(message)
    dataset = kzoo.data.load(tmp_path)
    assert len(dataset.classes) == len(levels)
    for sample, mask in zip(dataset, masks, strict=True):
        np.testing.assert_array_equal(np.array(levels)[sample.mask], mask)
    report = check(tmp_path)
    assert not report.errors and not report.ignored and min(report.pixels.values()) > 0


@pytest.mark.parametrize("levels", [(0, 255), (0, 128, 255)])
@pytest.mark.parametrize("count", [1, 7, 179])
@pytest.mark.parametrize("others", ["nearest", "ignored"])
def test_a_few_stray_pixels_get_their_remedy(tmp_path, levels, count, others):
    plain = numbers(0, levels, LARGE)
    strays = [3, 90, 170, 251]
    write_pair(tmp_path, "a", stray(plain, count, strays))
    message = refusal(tmp_path)
    assert f"mask levels {', '.join(map(str, levels))} and, on {count} pixels," in message
    follow(message, others)
    sample = kzoo.data.load(tmp_path)[0]
    assert not check(tmp_path).errors
    written = stray(plain, count, strays)
    known = np.isin(written, levels)
    np.testing.assert_array_equal(np.array(levels)[sample.mask[known]], written[known])
    expected = np.array([min(levels, key=lambda level: abs(level - int(value))) for value in written[~known]])
    if others == "nearest":
        np.testing.assert_array_equal(np.array(levels)[sample.mask[~known]], expected)
    else:
        assert (sample.mask[~known] == 255).all()


def test_smooth_edges_of_all_levels_are_strays_too(tmp_path):
    plain = np.zeros((480, 640), np.uint8)
    for row in range(3):
        cv2.circle(plain, (110 + 200 * row, 100 + 130 * row), 60 + 10 * row, 255, -1)
    smooth = cv2.GaussianBlur(plain, (0, 0), 1.2)
    assert len(np.unique(smooth)) > 80
    write_pair(tmp_path, "a", smooth)
    follow(refusal(tmp_path))
    np.testing.assert_array_equal(kzoo.data.load(tmp_path)[0].mask, smooth > 127)


def test_a_rare_1_does_not_turn_all_foreground_into_ignored_pixels(tmp_path):
    write_pair(tmp_path, "a", stray(numbers(0, (0, 255), LARGE), 3, [1]))
    (tmp_path / "classes.txt").write_text("ground\ncell\n")
    message = refusal(tmp_path)
    assert "on 3 pixels, 1" in message and "'ground 0 0 0', 'cell 255 255 255'" in message
    follow(message)
    dataset = kzoo.data.load(tmp_path)
    assert dataset.classes == ["ground", "cell"]
    written = stray(numbers(0, (0, 255), LARGE), 3, [1])
    np.testing.assert_array_equal(dataset[0].mask, written == 255)


@pytest.mark.parametrize("names", ["ground\ncell\n", "cell\n", None])
@pytest.mark.parametrize("others", ["nearest", "ignored"])
def test_a_line_in_a_file_of_its_own(tmp_path, names, others):
    plain = numbers(0, (0, 255), LARGE)
    write_pair(tmp_path, "a", stray(plain, 50, [100, 200]))
    if names:
        (tmp_path / "classes.txt").write_text(names)
    (tmp_path / "legend.txt").write_text(f"others = {others}\n")
    mask = kzoo.data.load(tmp_path)[0].mask
    assert set(np.unique(mask)) == ({0, 1} if others == "nearest" else {0, 1, 255})
    assert not check(tmp_path).errors


def test_strays_among_class_numbers_can_be_ignored_but_have_no_nearest(tmp_path):
    write_pair(tmp_path, "a", stray(numbers(0, (0, 1, 2), LARGE), 20, [77]))
    (tmp_path / "classes.txt").write_text("ground\nroad\ncar\n")
    with pytest.raises(ValueError, match=r"a\.png: value 77 on 20 pixels.*'others = ignored' to legend\.txt"):
        kzoo.data.load(tmp_path)[0]
    (tmp_path / "legend.txt").write_text("others = ignored")
    assert (kzoo.data.load(tmp_path)[0].mask == 255).sum() == 20
    (tmp_path / "legend.txt").write_text("others = nearest")
    with pytest.raises(ValueError, match=r"'others = nearest', but the numbers of classes are not near"):
        kzoo.data.load(tmp_path)
    (tmp_path / "legend.txt").write_text("others = 3")
    with pytest.raises(ValueError, match=r"legend\.txt: 'others = 3'; write 'others = nearest' or"):
        kzoo.data.load(tmp_path)


def test_names_alone_do_not_hide_that_255_is_a_level(tmp_path):
    """Names are given, and no colours: what is said leads to a legend in which no class is lost."""
    write_pair(tmp_path, "a", numbers(0, (0, 128, 255), LARGE))
    (tmp_path / "classes.txt").write_text("ground\ncell\nedge\n")
    with pytest.raises(ValueError, match=r"write legend\.txt with a line .* each level \(here 0, 128, 255\)"):
        kzoo.data.load(tmp_path)[0]
    (tmp_path / "legend.txt").write_text("ground 0 0 0\ncell 128 128 128\nedge 255 255 255\n")
    mask = kzoo.data.load(tmp_path)[0].mask
    np.testing.assert_array_equal(np.array([0, 128, 255])[mask], numbers(0, (0, 128, 255), LARGE))
    found = [fault.file.name for fault in check(tmp_path).warnings if fault.kind == "passed-over"]
    assert found == ["classes.txt"]


def test_strays_among_colours(tmp_path):
    write_pair(tmp_path, "a", numbers(0, (0, 1, 2), LARGE), "colour")
    file = tmp_path / "masks" / "a.png"
    picture = np.array(Image.open(file))
    plain = picture.copy()
    picture[3, 5:9] = (125, 66, 120)
    Image.fromarray(picture).save(file)
    lines = "".join(f"class{number} {red} {green} {blue}\n" for number, (red, green, blue) in enumerate(CITY))
    (tmp_path / "legend.txt").write_text(lines)
    message = r"colour 125 66 120 is none of legend\.txt, on 4 pixels; add the line 'others = nearest'"
    with pytest.raises(ValueError, match=message):
        kzoo.data.load(tmp_path)[0]
    (tmp_path / "legend.txt").write_text(lines + "others = nearest\n")
    mask = kzoo.data.load(tmp_path)[0].mask
    assert (mask[3, 5:9] == 0).all()
    rest = np.ones(LARGE, bool)
    rest[3, 5:9] = False
    np.testing.assert_array_equal(np.array(CITY)[mask[rest]], plain[rest])
    (tmp_path / "legend.txt").write_text(lines + "others = ignored\n")
    assert (kzoo.data.load(tmp_path)[0].mask == 255).sum() == 4


def test_the_nearest_of_the_lines_alone_counts(tmp_path):
    """Pascal VOC's border colour is in every legend, and nobody has written it."""
    write_pair(tmp_path, "a", stray(numbers(0, (0, 255), LARGE), 9, [222]))
    (tmp_path / "legend.txt").write_text("a 0 0 0\nb 255 255 255\nothers = nearest")
    assert (kzoo.data.load(tmp_path)[0].mask <= 1).all()


def test_arrays_follow_the_same_legend(tmp_path):
    plain = np.stack([numbers(seed, (0, 128, 255), LARGE) for seed in range(2)])
    np.save(tmp_path / "images.npy", np.zeros((2, *LARGE, 3), np.uint8))
    np.save(tmp_path / "masks.npy", stray(plain, 12, [60]).astype(np.int64))
    follow(refusal(tmp_path))
    dataset = kzoo.data.load(tmp_path)
    for index in range(2):
        written = stray(plain, 12, [60])[index]
        nearest = np.where(written == 60, 0, written)
        np.testing.assert_array_equal(np.array([0, 128, 255])[dataset[index].mask], nearest)
    np.save(tmp_path / "masks.npy", np.where(plain > 200, 300, plain.astype(np.int64)))
    assert {fault.kind for fault in check(tmp_path).errors} == {"stray-value"}


def test_arrays_whose_ignored_pixels_are_negative(tmp_path):
    masks = numbers(0, (0, 1, 2), LARGE)[None].astype(np.int16)
    masks[0, :2] = -1
    np.save(tmp_path / "images.npy", np.zeros((1, *LARGE, 3), np.uint8))
    np.save(tmp_path / "masks.npy", masks)
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    assert {fault.kind for fault in check(tmp_path).errors} == {"stray-value"}
    (tmp_path / "legend.txt").write_text("others = ignored\n")
    mask = kzoo.data.load(tmp_path)[0].mask
    assert (mask[:2] == 255).all() and mask[2:].max() == 2


@pytest.mark.parametrize("seed", range(4))
def test_rare_classes_are_no_strays(seed):
    """Numbers without gaps are classes, however few pixels they have."""
    rng = np.random.default_rng(seed)
    counts = np.zeros(257, np.int64)
    counts[:21] = 10 ** rng.integers(1, 7, 21)
    counts[0], counts[255] = 10**7, 10**5
    names, binary = names_of_values(Path("set"), None, [counts])
    assert len(names) == 21 and not binary


def test_other_files_of_names_are_said_to_be_passed_over(tmp_path):
    write_pair(tmp_path, "a", numbers(0))
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    (tmp_path / "labels.txt").write_text("d\ne\nf\n")
    found = [fault for fault in check(tmp_path).warnings if fault.kind == "passed-over"]
    assert [fault.file.name for fault in found] == ["labels.txt"] and "classes.txt" in found[0].message


def test_a_line_of_any_length_is_read_at_once(tmp_path):
    (tmp_path / "legend.txt").write_text("a" + " " * 300_000 + "b\n")
    write_pair(tmp_path, "a", numbers(0))
    with pytest.raises(ValueError, match=r"legend\.txt: a line of 300002 letters"):
        kzoo.data.load(tmp_path)


def test_labelmes_names(tmp_path):
    write_pair(tmp_path, "a", numbers(0))
    (tmp_path / "class_names.txt").write_text("__ignore__\n_background_\nroad\ncar\n")
    assert kzoo.data.load(tmp_path).classes == ["_background_", "road", "car"]


def test_every_stray_mask_is_told_before_a_training_and_left_out_on_request(tmp_path):
    for seed, name in enumerate("abcd"):
        mask = numbers(seed, (0, 1, 2), LARGE)
        write_pair(tmp_path, name, stray(mask, 5, [88]) if name in "bd" else mask)
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    dataset = kzoo.data.load(tmp_path)
    with pytest.raises(ValueError) as caught:
        require_sound(dataset, decode=False)
    assert "b.png" in str(caught.value) and "d.png" in str(caught.value)
    assert [s.id for s in require_sound(dataset, skip_faulty=True, decode=False)] == ["a", "c"]


# Palettes of other files.


@pytest.mark.parametrize("suffix", ["bmp", "tif"])
def test_indices_of_coloured_palettes(tmp_path, suffix):
    mask = numbers(0, (0, 1, 2, 3))
    picture = Image.fromarray(mask, "P")
    picture.putpalette([10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 200, 0] + [0, 0, 0] * 252)
    path = tmp_path / f"a.{suffix}"
    picture.save(path)
    np.testing.assert_array_equal(read_levels(path), mask)
    colours = read_levels(path, colours=True)
    assert colours.shape == (*SIZE, 3) and colours[mask == 1][0].tolist() == [200, 0, 0]


@pytest.mark.parametrize("suffix", ["bmp", "tif"])
def test_palettes_of_greys_are_levels(tmp_path, suffix):
    mask = numbers(0, (0, 1))
    picture = Image.fromarray(mask, "P")
    picture.putpalette([255] * 3 + [0] * 3 + [0, 0, 0] * 254)  # white first
    picture.save(tmp_path / f"a.{suffix}")
    found = read_levels(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(found if found.ndim == 2 else found[..., 0], 255 * (1 - mask))


def test_smearing_files_are_no_masks(tmp_path):
    write_image(tmp_path / "images" / "a.png")
    for name, options, kind in (
        ("a.webp", {"quality": 80}, "lossy WebP"),
        ("a.jpg", {}, "JPEG"),
        ("a.tif", {"compression": "jpeg"}, "JPEG"),
    ):
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(numbers(0)).convert("RGB").save(tmp_path / "masks" / name, **options)
        with pytest.raises(ValueError, match=rf"a {kind}, which smears"):
            read_levels(tmp_path / "masks" / name)
    Image.fromarray(numbers(0)).convert("RGB").save(tmp_path / "b.webp", lossless=True)
    np.testing.assert_array_equal(read_levels(tmp_path / "b.webp")[..., 0], numbers(0))
