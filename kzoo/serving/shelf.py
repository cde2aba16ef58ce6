"""The models of a service by their names, and the exchange of one for its next version."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kzoo.options.exports import EXPORT_SUFFIXES
from kzoo.serving.batching import Batcher
from kzoo.serving.refusal import Refusal
from kzoo.serving.running import Runner
from kzoo.serving.settings import Settings
from kzoo.weights.hub import is_address
from kzoo.weights.opening import load
from kzoo.weights.shipped import is_shipped

log = logging.getLogger("kzoo")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SAVED_MODEL = "saved_model.pb"


@dataclass(frozen=True)
class Source:
    """Where a model comes from.

    Attributes:
        name: what it is called in addresses.
        path: what `kzoo.load` opens.
    """

    name: str
    path: str

    @property
    def versions(self) -> list[int]:
        """The versions in a folder NAME/VERSION/, lowest first; none of a model of any other form."""
        folder = Path(self.path)
        if not folder.is_dir() or (folder / _SAVED_MODEL).is_file():
            return []
        found = [one for one in folder.iterdir() if one.name.isdecimal() and (one / _SAVED_MODEL).is_file()]
        return sorted(int(one.name) for one in found)

    def open(self, version: int | None):
        """The model, of a folder of versions the one that is named."""
        folder = Path(self.path)
        places = [one for one in folder.iterdir() if _is_version(one, version)] if version else []
        return load(places[0] if places else self.path)


def _is_version(folder: Path, version: int | None) -> bool:
    return folder.name.isdecimal() and int(folder.name) == version


def sources(models: Sequence[str]) -> list[Source]:
    """Names and places of models as they stand on a command line: MODEL or NAME=MODEL.

    A model is called after its file or folder; a folder that is a number after the one above.

    Args:
        models: what `kzoo predict` takes, each with a name before it or without.

    Raises:
        ValueError: two have one name, or a name can be no part of an address.
        FileNotFoundError: there is no such model.
    """
    found: dict[str, Source] = {}
    for text in models:
        name, path = _named(text)
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{text}: {name!r} is no name for an address; give NAME=MODEL, of letters and digits"
            )
        if name in found:
            raise ValueError(f"{text}: a second model is called {name!r}; give NAME=MODEL for one of them")
        if not (is_shipped(path) or is_address(path) or Path(path).exists()):
            raise FileNotFoundError(f"{path}: no such model; give what kzoo predict takes, or NAME=MODEL")
        found[name] = Source(name, path)
    return list(found.values())


def _named(text: str) -> tuple[str, str]:
    """The name and the path of a model as it stands on a command line."""
    name, equals, path = text.partition("=")
    if equals and _NAME.fullmatch(name) and path and not Path(text).exists():
        return name, path
    place = Path(text.rstrip("/"))
    place = place if is_shipped(text) or is_address(text) else place.resolve()
    if place.name.isdecimal() and (place / _SAVED_MODEL).is_file():
        return place.parent.name, text
    return (place.stem if place.is_file() or place.suffix in EXPORT_SUFFIXES else place.name), text


class Served:
    """One version of a model, with the queue before it.

    Attributes:
        name: what it is called in addresses.
        version: number in `saved_models/NAME/VERSION/`; 1 of models without versions.
        runner: what turns pictures into results.
        batcher: what runs requests together.
    """

    def __init__(self, name: str, version: int, model, settings: Settings, told: Callable[[int], None]):
        self.name, self.version = name, version
        self.runner = Runner(model, settings.batch_size)
        self.batcher = Batcher(self.runner.run, settings.batch_size, settings.wait, settings.queue, told)


class Shelf:
    """All models of a service.

    Args:
        settings: batches and limits.
        told: called with a model's name and the number of images of each batch; nothing by default.

    Example:
        >>> shelf = Shelf(Settings())
        >>> shelf.open(sources(["saved_models/street"]))
        >>> shelf["street"].runner.names
    """

    def __init__(self, settings: Settings, told: Callable[[str, int], None] = lambda name, count: None):
        self.settings, self.told = settings, told
        self._served: dict[str, Served] = {}
        self._sources: dict[str, Source] = {}
        # What could not be opened, and when it was written: it is said once.
        self._faulty: dict[Path, float] = {}
        self._leaving: set[asyncio.Task] = set()
        self._closing = asyncio.Event()

    def open(self, models: Sequence[Source]) -> None:
        """Opens and warms up models, which may take a while.

        Raises:
            ValueError, OSError, ImportError: one cannot be opened.
        """
        for source in models:
            version = (source.versions or [0])[-1]
            self._sources[source.name] = source
            self.put(source.name, source.open(version), version or _number(source.path))

    def put(self, name: str, model, version: int = 1) -> Served:
        """Warms up a model and puts it in the place of the one of its name, whose requests are finished.

        Args:
            name: what it is called in addresses.
            model: what `kzoo.load` gives.
            version: number of the version, 1 by default.
        """
        served = self._warmed(name, model, version)
        self._served[name] = served
        return served

    def __iter__(self):
        return iter(list(self._served.values()))

    def __getitem__(self, name: str) -> Served:
        """The model of a name; a `Refusal` with those there are where there is none."""
        if name not in self._served:
            raise Refusal(404, f"model {name!r}: no such model; known: {', '.join(self._served)}")
        return self._served[name]

    def version(self, name: str, version: str | None) -> Served:
        """As by name, if it is of this version; of any where None."""
        served = self[name]
        if version not in (None, str(served.version)):
            raise Refusal(404, f"model {name!r}: version {version} is not served; {served.version} is")
        return served

    async def watch(self) -> None:
        """Takes up new versions, as long as it is not cancelled; what runs goes on with the version it began with."""
        while True:
            await asyncio.sleep(self.settings.poll)
            for name, source in self._sources.items():
                newest = (await asyncio.to_thread(lambda source=source: source.versions) or [0])[-1]
                if newest > self._served[name].version:
                    await self._take_up(source, newest)

    async def close(self) -> None:
        """Finishes what waits."""
        self._closing.set()
        await asyncio.gather(*(served.batcher.close() for served in self), *self._leaving)

    async def _take_up(self, source: Source, version: int) -> None:
        """Opens a new version beside the old one, and then puts it in its place."""
        place = Path(source.path) / str(version)
        written = place.stat().st_mtime if place.exists() else 0.0
        if self._faulty.get(place) == written:
            return
        try:
            model = await asyncio.to_thread(source.open, version)
            served = await asyncio.to_thread(self._warmed, source.name, model, version)
        except Exception as error:  # whatever is wrong with it, the old one goes on
            self._faulty[place] = written
            log.warning("%s: version %d is not taken up: %s", source.name, version, error)
            return
        old, self._served[source.name] = self._served[source.name], served
        log.warning("%s: version %d takes the place of version %d", source.name, version, old.version)
        leaving = asyncio.create_task(self._leave(old))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _leave(self, served: Served) -> None:
        """Ends a version when no request can hold it any longer."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), self.settings.timeout)
        await served.batcher.close()

    def _warmed(self, name: str, model, version: int) -> Served:
        served = Served(name, version, model, self.settings, lambda count: self.told(name, count))
        served.runner.warm_up()
        return served


def _number(path: str) -> int:
    """The version of a model that is opened by the path of one version, or 1."""
    name = Path(path).name
    return int(name) if name.isdecimal() else 1
