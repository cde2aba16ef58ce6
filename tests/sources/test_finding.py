"""Which files a folder holds, and what a path that another machine wrote means here."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from kzoo.sources.finding import (
    IMAGE_SUFFIXES,
    existing_path,
    files_in,
    folders_in,
    images_in,
    split_path,
    walk_files,
)
from kzoo.sources.image import read_image


@pytest.fixture
def tree(tmp_path):
    for name in (
        "a.jpg",
        "b.GIF",
        "c.txt",
        "._a.jpg",
        ".hidden/d.jpg",
        "below/e.png",
        "below/.ipynb_checkpoints/e.png",
        "__MACOSX/a.jpg",
        "below/@eaDir/e.png",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def _names(paths, root):
    return [path.relative_to(root).as_posix() for path in paths]


def test_images_of_any_letter_case_and_none_that_are_hidden(tree):
    assert _names(images_in(tree), tree) == ["a.jpg", "b.GIF", "below/e.png"]
    assert _names(files_in(tree), tree) == ["a.jpg", "b.GIF", "c.txt"]
    assert _names(folders_in(tree), tree) == ["below"]
    assert files_in(tree / "nowhere") == folders_in(tree / "nowhere") == walk_files(tree / "nowhere") == []


def test_links_to_folders_are_followed_and_circles_are_not(tree, tmp_path_factory):
    disk = tmp_path_factory.mktemp("disk")
    (disk / "f.jpg").write_bytes(b"")
    (tree / "linked").symlink_to(disk)
    (tree / "below" / "round").symlink_to(tree)
    assert _names(images_in(tree), tree) == ["a.jpg", "b.GIF", "below/e.png", "linked/f.jpg"]


def test_the_suffixes_that_the_decoder_reads(tmp_path):
    """Each is one that OpenCV writes, and reads again."""
    image = np.full((8, 8, 3), 90, np.uint8)
    for suffix in sorted(IMAGE_SUFFIXES):
        try:
            encoded, content = cv2.imencode(suffix, image)
        except cv2.error:
            continue
        if encoded:
            (tmp_path / f"a{suffix}").write_bytes(content.tobytes())
            assert read_image(tmp_path / f"a{suffix}").shape == (8, 8, 3), suffix
    assert len(images_in(tmp_path)) >= 12


def test_a_link_that_leads_nowhere_is_listed(tree):
    (tree / "below" / "lost.jpg").symlink_to("/nowhere/lost.jpg")
    assert _names(images_in(tree), tree) == ["a.jpg", "b.GIF", "below/e.png", "below/lost.jpg"]


@pytest.mark.parametrize(
    "written",
    [
        "below/e.png",
        "./below/e.png",
        "../below/e.png",
        "../../set/below/e.png",
        "data/below/e.png",
        "/home/else/set/below/e.png",
        "C:\\Users\\else\\set\\below\\e.png",
        "below\\e.png",
    ],
)
def test_the_longest_tail_that_exists(written, tree):
    assert existing_path(written, [tree]) == tree / "below" / "e.png"


def test_a_longer_tail_goes_before_a_nearer_folder(tree):
    (tree / "below" / "a.jpg").write_bytes(b"")
    assert existing_path("x/below/a.jpg", [tree / "below", tree]) == tree / "below" / "a.jpg"
    assert existing_path("x/a.jpg", [tree / "below", tree]) == tree / "below" / "a.jpg"


@pytest.mark.parametrize("written", ["below/nothing.png", "", "a\0b", "x" * 5000])
def test_what_is_not_there_is_none(written, tree):
    found = existing_path(written, [tree])
    assert found is None or found == tree


def test_below_some_folders_a_path_is_not_cut(tree):
    assert existing_path("below/e.png", [Path("/nowhere")], [tree]) == tree / "below" / "e.png"
    assert existing_path("x/below/e.png", [Path("/nowhere")], [tree]) is None


def test_paths_of_any_length_and_depth_are_looked_for_in_bounds(tree):
    for written in ("../" * 300_000 + "below/e.png", "x/" * 300_000 + "below/e.png"):
        assert existing_path(written, [tree]) == tree / "below" / "e.png"


def test_parts_of_a_path():
    assert split_path(r"D:\data\a.jpg") == ["data", "a.jpg"]
    assert split_path("/data/./x/../a.jpg") == ["data", "x", "..", "a.jpg"]


def test_an_absolute_path_that_exists_is_itself(tree):
    assert existing_path(str(tree / "a.jpg"), [Path("/nowhere")]) == tree / "a.jpg"
