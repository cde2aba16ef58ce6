"""Modules of a package that are imported when they are first used."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable


def submodules(package: str, path: Iterable[str]) -> Callable[[str], object]:
    """A package's `__getattr__`, which imports its modules by their names.

    Args:
        package: the package's name, its `__name__`.
        path: the folders of its modules, its `__path__`.

    Example:
        >>> __getattr__ = submodules(__name__, __path__)
    """
    names = {module.name for module in pkgutil.iter_modules(path)}

    def getattr(name: str):
        if name in names:
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return getattr
