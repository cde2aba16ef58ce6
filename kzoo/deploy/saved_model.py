"""SavedModel folders as TensorFlow Serving reads them."""

from __future__ import annotations

from pathlib import Path

from kzoo.deploy.metadata import Metadata

# The folder that TensorFlow leaves to others; loaders and servers carry it along unread.
_FOLDER = "assets.extra"


def describe(path: Path, meta: Metadata) -> None:
    """Puts the description and the class names into a SavedModel folder."""
    (path / _FOLDER).mkdir(exist_ok=True)
    meta.store(path / _FOLDER)


def read_metadata(path: Path) -> Metadata:
    """What `describe` put there.

    Raises:
        ValueError: the folder has no such description.
    """
    return Metadata.stored(path / _FOLDER, path, "saved_model")


def next_version(folder: Path) -> Path:
    """The folder of the version after the last one: 1, 2, 3, ..."""
    versions = [int(entry.name) for entry in folder.glob("*") if entry.name.isdigit()]
    return folder / str(max(versions, default=0) + 1)


def is_saved_model(path: Path) -> bool:
    """Whether a folder is a SavedModel."""
    return (path / "saved_model.pb").is_file()
