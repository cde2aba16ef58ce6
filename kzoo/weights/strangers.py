"""Files of strangers: a `.keras` file looked through before Keras opens it, so that nothing of its author's runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kzoo.registration import CLASSES
from kzoo.system.messages import one_line
from kzoo.weights.archives import ExpandingError, check_model_file, open_archive, read_json_member

_OURS = frozenset(f"kzoo>{name}" for names in CLASSES.values() for name in names)
# Modules of Keras whose classes make parts of models: what of them runs what a file says is in `_LAYERS`.
_MODULES = (
    *(
        "keras.layers",
        "keras.initializers",
        "keras.regularizers",
        "keras.constraints",
        "keras.dtype_policies",
    ),
    *("keras.losses", "keras.metrics", "keras.optimizers", "keras.optimizers.schedules"),
)
# And of other modules, which open files and the like besides, these alone.
_CLASSES = {
    "keras": ("DTypePolicy", "Model", "Sequential"),
    "keras.models": ("Functional", "Model", "Sequential"),
    "keras.src.models.functional": ("Functional",),
    "keras.src.models.sequential": ("Sequential",),
}
_FUNCTIONS = ("builtins", "keras.activations", "keras.losses", "keras.metrics")  # builtins: any of these
# These run code that is in the file, or read other files of this machine.
_LAYERS = (
    *("Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"),
    *("StringLookup", "IntegerLookup", "TextVectorization"),
)
# Of these, those that run what the file itself brings.
_CODE = frozenset({"Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer", "__lambda__"})
_PLAIN = ("__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__")


def check_stranger(path: Path, name: str) -> None:
    """Refuses a `.keras` file that is damaged, or that names anything but kzoo's own classes and Keras's harmless ones.

    Keras itself refuses code in files unless somebody has switched that off for the whole program
    (`keras.config.enable_unsafe_deserialization`), and makes any class that a program has registered. A file of a
    stranger has neither.

    Args:
        path: the file.
        name: what it is called in messages, such as the address that it is from.

    Raises:
        ValueError: the file is not whole, or names something else; the message has it.
    """
    try:
        check_model_file(path)
        with open_archive(path) as archive:
            broken = archive.testzip()  # HDF5 reads wrong bytes without a word
        config = read_json_member(path)
    except ExpandingError as error:
        raise ValueError(f"{name}: {str(error).removeprefix(f'{path}: ')}") from None
    except Exception as error:  # broken files fail in every way there is
        broken = next(iter(str(error).splitlines()), type(error).__name__)
    if broken is not None:
        # The cache has a link to it, by which the damaged one would be taken for whole.
        raise ValueError(f"{name}: damaged ({broken}); remove {path.resolve()}, and it is fetched anew")
    for one in _things(config):
        if not _is_harmless(one):
            what = ".".join(str(part) for part in (one.get("module"), one["class_name"]) if part)
            raise ValueError(
                f"{name}: asks for {what}, which is neither kzoo's nor a harmless part of Keras; a file that kzoo "
                "wrote does not: do not open it"
            )


def refuse_code(path: Path) -> None:
    """Refuses a `.keras` file with code of its author's in it, which kzoo runs of no file.

    Args:
        path: the file. What is damaged in it is left to those to tell who open it.

    Raises:
        ValueError: it has; the message has the layer.
    """
    try:
        config = read_json_member(path)
    except Exception:  # broken files fail in every way there is
        return
    for one in _things(config):
        if one["class_name"] in _CODE:
            inner = one.get("config")
            called = (
                f" {one_line(inner['name'])[:100]!r}" if isinstance(inner, dict) and "name" in inner else ""
            )
            raise ValueError(
                f"{one_line(path)}: the layer{called} is a {one['class_name'].strip('_')}: code of whoever wrote the "
                "file, which kzoo does not run; build the model of layers of Keras's or kzoo's own, and save that"
            )


def _things(config) -> Iterator[dict]:
    """All that a configuration says is to be made: whatever has the name of a class."""
    waiting = [config]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if "class_name" in one:
                yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _is_harmless(thing: dict) -> bool:
    """Whether something to be made is one of kzoo's, or of Keras without code of the file's."""
    name, module, registered = (thing.get(key) for key in ("class_name", "module", "registered_name"))
    if name in _PLAIN:
        return True
    if name == "function":  # Keras looks its name up among what is registered, then in its own modules
        name = thing.get("config")
        return name in _OURS or (_is_name(name) and module in _FUNCTIONS)
    if registered not in (None, name):  # which Keras looks up before the module's
        return registered in _OURS
    return _is_name(name) and name not in _LAYERS and (module in _MODULES or name in _CLASSES.get(module, ()))


def _is_name(name) -> bool:
    return isinstance(name, str) and name.isidentifier()
