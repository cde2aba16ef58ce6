"""Proposals on disk: searched once, and anew where the image, the settings or the file are others."""

import numpy as np
import pytest

from kzoo.proposals import MODES, ProposalCache, cache

pytest.importorskip("skimage", reason="pip install -e '.[proposals]'")


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)


@pytest.fixture
def searches(monkeypatch):
    """The settings of every search that is really made."""
    made, search = [], cache.selective_search

    def counted(image, **settings):
        made.append(settings)
        return search(image, **settings)

    monkeypatch.setattr(cache, "selective_search", counted)
    # The cache reads the settings' defaults from the function itself.
    counted.__signature__ = cache.inspect.signature(search)
    return made


def test_an_image_is_searched_once(image, searches, tmp_path):
    first = ProposalCache(tmp_path)(image, mode="rcnn", min_side=4)
    again = ProposalCache(tmp_path)(image.copy(), min_side=4, mode=MODES["rcnn"], seed=0)
    np.testing.assert_array_equal(first, again)
    assert again.dtype == np.float32 and len(searches) == 1
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]


def test_another_image_or_setting_is_searched_anew(image, searches, tmp_path):
    search = ProposalCache(tmp_path)
    search(image)
    for settings in ({"seed": 1}, {"min_side": 3}, {"width": 30}, {"mode": "rcnn"}):
        search(image, **settings)
    image[3, 4, 1] ^= 1
    search(image)
    search(image.reshape(20, 24, 3))
    assert len(searches) == 7 == len(list(tmp_path.iterdir()))


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other"])
def test_a_damaged_file_is_written_anew(image, searches, tmp_path, damage):
    search = ProposalCache(tmp_path)
    boxes = search(image)
    path = search.path(image)
    content = path.read_bytes()
    if damage == "other":
        np.savez_compressed(path, boxes=np.zeros((3, 5)))
    else:
        path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "text": b"boxes"}[damage])
    np.testing.assert_array_equal(search(image), boxes)
    np.testing.assert_array_equal(search(image), boxes)
    assert len(searches) == 2 and path.read_bytes() == content


def test_a_changed_byte_is_never_taken_for_boxes(image, searches, tmp_path):
    """Whichever byte: the boxes are those that were written, read or searched for again."""
    search = ProposalCache(tmp_path)
    boxes = search(image)
    path = search.path(image)
    content = bytearray(path.read_bytes())
    for place in range(0, len(content), 7):
        damaged = content.copy()
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        np.testing.assert_array_equal(search(image), boxes)


def test_without_a_folder_it_lies_in_keras_s(image, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert ProposalCache().path(image).parent == tmp_path / "kzoo" / "proposals"


def test_a_setting_that_is_none_is_refused(image, tmp_path):
    with pytest.raises(TypeError, match="sead"):
        ProposalCache(tmp_path)(image, sead=1)
    with pytest.raises(ValueError, match="unknown mode 'swift'"):
        ProposalCache(tmp_path)(image, mode="swift")
    assert not list(tmp_path.iterdir())
