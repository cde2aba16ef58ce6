"""A source means files: those of a folder or a pattern that are images or videos."""

import cv2
import numpy as np
import pytest

from kzoo.sources import expand


def picture() -> np.ndarray:
    return np.full((120, 160, 3), 40, np.uint8)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "street"
    place.mkdir()
    for name in ("a.jpg", "b.png", "c.bmp"):
        cv2.imwrite(str(place / name), picture())
    (place / "notes.txt").write_text("not an image")
    return place


def test_expand(folder, tmp_path):
    everything = [folder / name for name in ("a.jpg", "b.png", "c.bmp")]
    assert expand(folder) == expand(str(folder)) == everything
    assert expand(folder / "a.jpg") == everything[:1]
    assert expand(folder / "*.p*") == everything[1:2]
    assert expand(f"{tmp_path}/**/*") == everything
    assert expand([folder / "b.png", folder]) == [everything[1], everything[0], everything[2]]


def test_hidden_files_are_passed_over_unless_named(folder):
    (folder / "._a.jpg").write_bytes(b"resource fork")
    (folder / ".ipynb_checkpoints").mkdir()
    cv2.imwrite(str(folder / ".ipynb_checkpoints" / "a.jpg"), picture())
    everything = [folder / name for name in ("a.jpg", "b.png", "c.bmp")]
    for source in (folder, folder / "*", folder / "**" / "*", f"{folder.parent}/*/*"):
        assert expand(source) == everything
    assert expand(folder / "._a.jpg") == expand(folder / "._*") == [folder / "._a.jpg"]
    assert expand(folder / ".ipynb_checkpoints" / "*") == [folder / ".ipynb_checkpoints" / "a.jpg"]


def test_patterns_go_through_links_to_folders_and_end(folder, tmp_path):
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "linked").symlink_to(folder)
    (folder / "round").symlink_to(folder)
    (folder / "also").symlink_to(folder)
    found = [tmp_path / "all" / "linked" / name for name in ("a.jpg", "b.png", "c.bmp")]
    for pattern in ("all/**/*", "all/**", "all/*/*", "**/linked/*.*"):
        assert expand(tmp_path / pattern) == found
    assert expand(tmp_path / "all" / "**" / "[ab].*") == found[:2]


def test_every_suffix_that_is_decoded_and_what_is_passed_over(folder, caplog):
    for name in ("d.AVIF", "e.gif", "f.jpe", "g.psd", "h.psd"):
        (folder / name).write_bytes(b"")
    with caplog.at_level("WARNING", "kzoo"):
        assert [path.name for path in expand(folder)] == [
            "a.jpg",
            "b.png",
            "c.bmp",
            "d.AVIF",
            "e.gif",
            "f.jpe",
        ]
    assert (
        f"{folder}: files that are neither images nor videos are passed over: .psd 2, .txt 1" in caplog.text
    )


def test_a_file_whose_name_looks_like_a_pattern(tmp_path):
    odd = tmp_path / "a[1].jpg"
    cv2.imwrite(str(odd), picture())
    assert expand(odd) == [odd]


@pytest.mark.parametrize(
    "source, hint",
    [
        ("none.jpg", "no such image, folder or video"),
        ("*.tiff", "matches this pattern"),
        ("empty", "no images"),
    ],
)
def test_nothing_to_look_at(tmp_path, source, hint):
    (tmp_path / "empty").mkdir()
    with pytest.raises((FileNotFoundError, ValueError), match=hint) as caught:
        expand(tmp_path / source)
    assert str(tmp_path / source) in str(caught.value)


@pytest.mark.parametrize("source", ["0", "1"])
def test_cameras_are_refused_by_their_number(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"^{source}: a camera, which is looked at alone"):
        expand(source)
    cv2.imwrite(str(tmp_path / "a.png"), picture())
    (tmp_path / "a.png").rename(tmp_path / source)
    assert [path.name for path in expand(source)] == [source]


def test_drives_are_no_addresses():
    for path in ("C:/pictures/a.jpg", "C:\\pictures\\a.jpg", "a:b.jpg"):
        with pytest.raises(FileNotFoundError):
            expand(path)
