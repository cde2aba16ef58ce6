"""`kzoo.push`: a trained model with its names and its card into a folder, or to Hugging Face's hub."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path

from kzoo import __version__
from kzoo.data.formats.text import read_text
from kzoo.model import ZooModel
from kzoo.options import checked, refuse_idle
from kzoo.options.sharing import PUSH
from kzoo.sharing.card import Subject, write_card
from kzoo.sharing.training import Training
from kzoo.system.files import refuse_address, replacing
from kzoo.training.run import RunFolder
from kzoo.weights.hub import LOG_IN, MODEL_FILE, Address, interface, is_address, speaking_to_hub
from kzoo.weights.saved import open_saved

CARD, ABOUT = "README.md", "kzoo.json"
# What a run folder has that is shared, under the same names. Nothing else is: `args.yaml` has folders of this machine.
_CURVES = {
    "Losses and figures over the epochs": "results_plot",
    "Precision over recall": "precision_recall",
    "What is taken for what": "confusion",
}
_PREDICTIONS = {"What it finds on images to validate on": "predictions"}
_AGAIN = "look to the network, and push again"


@checked(PUSH)
def push(
    run: str | Path,
    target: str | Path,
    licence: str | None = None,
    notes: str | Path | None = None,
    private: bool = False,
    predictions: bool = True,
    exist_ok: bool = False,
) -> str:
    """Shares a trained model: the `.keras` file, its class names, and a card that is made from the run folder.

    The card, `README.md`, says what the model was trained on, with which options and by which command, its scores and
    on which images, its size, and how to use it, and shows the run's curves. Of paths it has the last part alone.
    On the hub all becomes one commit; a folder is there whole or not at all. What is there opens with `kzoo.load`.

    Args:
        run: the run folder of a training, whose best model is shared, or a `.keras` file.
        target: the folder to write, or `hf://USER/NAME` on Hugging Face's hub, a repository that is made where there
            is none; `hf://USER/NAME@BRANCH` for a branch of it.
        licence: the licence of the weights, as the hub calls it, such as "apache-2.0"; the card says where None that
            none is stated.
        notes: a file with what the model is known to get wrong, in Markdown, which becomes a part of the card.
        private: whether a new repository is private.
        predictions: whether the picture of what the model finds goes with it, which shows images of the dataset.
        exist_ok: whether a folder that an earlier push wrote is replaced.

    Returns:
        What `kzoo.load` opens it by: the folder, or the address.

    Raises:
        FileNotFoundError: there is no such model.
        FileExistsError: there is something in the folder.
        ValueError: an argument is wrong or has no effect, or the run folder is damaged.
        OSError: nobody is logged in to the hub, it cannot be reached, or refuses.

    Example:
        >>> kzoo.push("runs/detect/exp", "hf://somebody/street", licence="apache-2.0")
        'hf://somebody/street'
    """
    address = _address(target)
    kind = "a folder" if address is None else "hf://USER/NAME"
    refuse_idle({"private": private, "exist_ok": exist_ok}, PUSH, lambda _: kind)
    folder, file = _source(Path(run))
    said = None if notes is None else read_text(notes)
    if address is None:
        _check_folder(Path(target), exist_ok)
        title = place = Path(target).resolve().name  # the folders above it are nobody's business
    else:
        _check_login(address)
        title, place = address.name, str(address)
    training = None if folder is None else Training.of(folder)
    subject = Subject(title, place, open_saved(file), training, licence=licence, notes=said)
    pictures = {**_CURVES, **(_PREDICTIONS if predictions else {})}
    if address is None:
        with replacing(Path(target).resolve()) as fresh:
            _write(fresh, subject, file, folder, pictures)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            written = Path(temporary) / "model"
            _write(written, subject, file, folder, pictures)
            _upload(written, address, private)
    return str(target) if address is None else str(address)


def _address(target: str | Path) -> Address | None:
    """The address that a target is; None where it is a folder."""
    if not is_address(target):
        refuse_address(target, "give a folder, or hf://USER/NAME")
        return None
    address = Address.parse(target)
    if address.file:
        raise ValueError(
            f"{address}: a file in a repository; give the repository alone, {Address(address.repository)}"
        )
    return address


def _source(run: Path) -> tuple[RunFolder | None, Path]:
    """The run folder, if it is one, and the model's file."""
    if run.is_file() and run.suffix == ".keras":
        folder = RunFolder(run.parent)
        return (folder if run.name == folder.best.name else None), run
    folder = RunFolder(run)
    if not folder.best.is_file():
        raise FileNotFoundError(
            f"{run}: no model to share there; give a run folder, with {folder.best.name} in it, or a .keras file"
        )
    return folder, folder.best


def _check_folder(target: Path, exist_ok: bool) -> None:
    """Refuses a target that is taken by something else than an earlier push."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not target.is_dir() or not (target / ABOUT).is_file():
        raise FileExistsError(
            f"{target}: is there already, and kzoo push has not written it; choose another folder"
        )
    if not exist_ok:
        raise FileExistsError(
            f"{target}: holds a model that was pushed there; choose another folder, or exist_ok"
        )
    folder = RunFolder(target)
    shared = [
        folder.results,
        *(getattr(folder, name) for name in (*_CURVES.values(), *_PREDICTIONS.values())),
    ]
    own = {CARD, ABOUT, MODEL_FILE, *(path.name for path in shared)}
    others = sorted({path.name for path in target.iterdir()} - own)
    if others:
        raise FileExistsError(
            f"{target}: holds {others[0]}, which kzoo push has not written; move it elsewhere"
        )


def _check_login(address: Address) -> None:
    """Refuses to go on where the hub would refuse at the end."""
    from huggingface_hub import get_token

    if get_token() is None:
        raise PermissionError(f"{address}: nobody is logged in to Hugging Face; {LOG_IN}")


def _write(
    target: Path, subject: Subject, file: Path, folder: RunFolder | None, pictures: dict[str, str]
) -> None:
    """Writes all files of a shared model into a new folder, the card last, which tells of the others."""
    target.mkdir()
    shutil.copyfile(file, target / MODEL_FILE)
    (target / ABOUT).write_text(_about(subject.model), encoding="utf-8")
    shown = {}
    if folder is not None:
        shown = {title: getattr(folder, name) for title, name in pictures.items()}
        shown = {title: path for title, path in shown.items() if path.is_file()}
        for path in (*shown.values(), *([folder.results] if folder.results.is_file() else [])):
            shutil.copyfile(path, target / path.name)
    files = {path.name: path.stat().st_size for path in sorted(target.iterdir())}
    names = {title: path.name for title, path in shown.items()}
    card = write_card(dataclasses.replace(subject, files=files, pictures=names))
    (target / CARD).write_text(card, encoding="utf-8")


def _about(model: ZooModel) -> str:
    """What a program wants to know of a model that it does not open, as JSON."""
    content = {
        "kzoo": __version__,
        "architecture": model.name,
        "task": model.task,
        "image_size": list(model.image_size),
        "num_classes": model.head.num_classes,
        "names": model.names,
        "parameters": model.count_params(),
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _upload(folder: Path, address: Address, private: bool) -> None:
    """Makes the files of a folder one commit of a repository, which is made where there is none."""
    from huggingface_hub import CommitOperationAdd

    api = interface()
    files = [CommitOperationAdd(path.name, str(path)) for path in sorted(folder.iterdir())]
    with speaking_to_hub(address, _AGAIN):
        api.create_repo(address.repository, private=private or None, exist_ok=True)
        public = private and not api.model_info(address.repository).private
    if public:  # it was there, and the hub does not change what it is
        raise ValueError(
            f"{address}: is there already and public, so that private=True has no effect; make it private on "
            f"{address.page}, or leave private out"
        )
    with speaking_to_hub(address, _AGAIN):
        if address.revision:
            api.create_branch(address.repository, branch=address.revision, exist_ok=True)
        message = f"A model of kzoo {__version__}"
        api.create_commit(address.repository, files, commit_message=message, revision=address.revision)
