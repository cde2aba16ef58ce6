"""Opening trained models, in whatever form they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kzoo.data.formats.names import class_names
from kzoo.options import Place
from kzoo.options.exports import EXPORT_SUFFIXES
from kzoo.system.files import refuse_address
from kzoo.weights.hub import MODEL_FILE
from kzoo.weights.shipped import SHIPPED, model_file

_FORMS = (
    "give a .keras file, a run folder, a .tflite or .onnx file, an .openvino or SavedModel folder, Darknet's .cfg, "
    "or hf://USER/NAME"
)


def load(
    path: str | Path,
    compile: bool = False,
    weights: str | Path | None = None,
    names: str | Path | Sequence[str] | None = None,
):
    """Opens a trained model, whatever form it is in.

    Args:
        path: a `.keras` file; a run folder, whose best model is taken; a folder that `kzoo push` wrote; an
            export: a `.tflite` or `.onnx` file, an `.openvino` or SavedModel folder, or a folder of SavedModels by
            version, of which the highest is taken; a network of Darknet's, by its `.cfg`; or a repository on Hugging
            Face's hub, as `hf://USER/NAME`, `hf://USER/NAME@REVISION` or `hf://USER/NAME/FILE.keras`, which is fetched
            once, and of which no code is run; or "cards", "cells" or "nuclei", which come with kzoo.
        compile: whether a `.keras` file's optimizer and its state are restored too.
        weights: the `.weights` file of a `.cfg`; the file of the same name beside it where None.
        names: class names in the place of the model's own, or the file they are in: see `kzoo.data.formats.names`.

    Returns:
        A `ZooModel`, or an export's runtime: both have `image_size`, `names`, `predict` and `detect`.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: it is no model, or cannot be read.
        OSError: a repository cannot be reached, or not be read with this login.

    Example:
        >>> kzoo.load("runs/detect/cells").detect("blood.jpg")
        >>> kzoo.load("hf://somebody/cells").detect("blood.jpg")
        >>> kzoo.load("cells").detect("blood.jpg")
    """
    Place(what="a model").check("model", path)  # Path("") would be the folder one is in
    path = model_file(path)
    refuse_address(path, f"download it and {_FORMS}")
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such model; {_FORMS}")
    if path.suffix == ".cfg":
        return _load_darknet(path, weights, names)
    if weights is not None:
        raise ValueError(f"{path}: has its weights inside; only a .cfg takes {weights} besides")
    return _renamed(_open(path, compile), names, path)


def _load_darknet(path: Path, weights, names):
    """The model of a `.cfg`, whose weights lie in a file of their own."""
    from kzoo import darknet

    beside = path.with_suffix(".weights")
    if weights is None and not beside.is_file():
        raise ValueError(
            f"{path}: a network without weights; give its .weights file as `weights` (--weights)"
        )
    return darknet.load(path, beside if weights is None else weights, names)


def _renamed(model, names, path: Path):
    """The model with other class names, if it has as many."""
    names = class_names(names)
    if names is None:
        return model
    known = len(model.names) or getattr(getattr(model, "head", None), "num_classes", len(names))
    if len(names) != known:
        raise ValueError(
            f"{path}: has {known} classes, not the {len(names)} that are named; give one name a class"
        )
    model.names = names
    return model


def _open(path: Path, compile: bool):
    """A model whose file has its weights inside: Keras's, or an export."""
    export = path.suffix.lower() in EXPORT_SUFFIXES
    file = _in_folder(path) if path.is_dir() and not export else path
    if file.suffix == ".keras":
        from kzoo.weights.saved import open_saved

        return open_saved(file, compile)
    if file.is_dir() or export:
        from kzoo.deploy import open_export

        return open_export(file)
    if file.suffix == ".h5":
        raise ValueError(
            f"{path}: weights without their model; give them to kzoo.build(NAME, weights={str(path)!r})"
        )
    raise ValueError(f"{path}: not a model; {_FORMS}")


def _in_folder(folder: Path) -> Path:
    """The model a folder means: its best, last or only `.keras` file, or the SavedModel it is or holds."""
    for name in ("best.keras", "last.keras", MODEL_FILE):
        if (folder / name).is_file():
            return folder / name
    versions = [one for one in folder.iterdir() if one.name.isdigit()]
    for candidate in (folder, *sorted(versions, key=lambda one: int(one.name), reverse=True)):
        if (candidate / "saved_model.pb").is_file():
            return candidate
    hidden = (
        "; the model of kzoo's own that is called so is found from other folders"
        if str(folder) in SHIPPED
        else ""
    )
    raise ValueError(
        f"{folder}: neither best.keras nor last.keras nor {MODEL_FILE} nor saved_model.pb in this folder{hidden}; "
        f"{_FORMS}"
    )
