"""The description that a TFLite file carries, as a zip archive behind the model.

That is how TensorFlow Lite's own metadata keeps its associated files: interpreters do not look beyond the model,
`zipfile` does not look before the archive.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from kzoo.deploy.metadata import FILE_NAME, Metadata


def attach(path: Path, meta: Metadata) -> None:
    """Appends the description and the class names to a TFLite file."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(FILE_NAME, meta.to_json())
        archive.writestr("labels.txt", "".join(f"{name}\n" for name in meta.names))


def read_metadata(path: Path) -> Metadata:
    """What `attach` appended.

    Raises:
        ValueError: the file has no such description.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return Metadata.from_json(archive.read(FILE_NAME), path)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(
            f"{path}: holds no description by kzoo; write it with `kzoo export MODEL --format tflite`"
        ) from error
