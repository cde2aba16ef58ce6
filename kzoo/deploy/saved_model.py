"""SavedModel folders as TensorFlow Serving reads them."""

from __future__ import annotations

from pathlib import Path

from kzoo.deploy.metadata import FILE_NAME, Metadata

# The folder that TensorFlow leaves to others; loaders and servers carry it along unread.
_FOLDER = "assets.extra"


def describe(path: Path, meta: Metadata) -> None:
    """Puts the description and the class names into a SavedModel folder."""
    extra = path / _FOLDER
    extra.mkdir(exist_ok=True)
    (extra / FILE_NAME).write_text(meta.to_json(), encoding="utf-8")
    (extra / "labels.txt").write_text("".join(f"{name}\n" for name in meta.names), encoding="utf-8")


def read_metadata(path: Path) -> Metadata:
    """What `describe` put there.

    Raises:
        ValueError: the folder has no such description.
    """
    file = path / _FOLDER / FILE_NAME
    if not file.is_file():
        raise ValueError(
            f"{path}: holds no description by kzoo ({_FOLDER}/{FILE_NAME}); "
            "write it with `kzoo export MODEL --format saved_model`"
        )
    return Metadata.from_json(file.read_bytes(), file)


def next_version(folder: Path) -> Path:
    """The folder of the version after the last one: 1, 2, 3, ..."""
    versions = [int(entry.name) for entry in folder.glob("*") if entry.name.isdigit()]
    return folder / str(max(versions, default=0) + 1)


def is_saved_model(path: Path) -> bool:
    """Whether a folder is a SavedModel."""
    return (path / "saved_model.pb").is_file()
