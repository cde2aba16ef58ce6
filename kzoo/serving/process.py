"""The processes of a service: one that watches, and as many as asked for that listen to the same socket."""

from __future__ import annotations

import functools
import ipaddress
import os
import shutil
import socket
import ssl
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from uvicorn import Config
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from kzoo.serving.settings import Settings
from kzoo.serving.shelf import Source
from kzoo.system.messages import one_line

_DEAF = 60  # seconds that a process may not answer the watching one, as while it opens its models
_GRACE = 5  # seconds beyond a request's own that a stop waits for
_SHARED = "PROMETHEUS_MULTIPROC_DIR"  # see `kzoo.serving.counters`


def serve(
    models: Sequence[Source],
    settings: Settings,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    certificate: Path | None = None,
    key: Path | None = None,
) -> None:
    """Serves models until it is told to stop, by SIGTERM or SIGINT; what runs then is finished.

    A process that dies is replaced. The watching one opens no model itself.

    Args:
        models: names and places of the models.
        settings: batches and limits.
        host: address to listen on; this machine alone by default.
        port: port to listen on, 8000 by default; 0 takes a free one.
        workers: number of processes, 1 by default, each with the models in its memory.
        certificate: file of the TLS certificate, in PEM; None for plain http.
        key: file of its private key, in PEM.

    Raises:
        ValueError: it cannot listen there, or certificate and key are none.
        SystemExit: a model cannot be opened.
    """
    _check_certificate(certificate, key)
    listening = _socket(host, port)
    config = Config(
        functools.partial(_application, tuple(models), settings),
        factory=True,
        workers=workers,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=int(settings.timeout) + _GRACE,
        timeout_worker_healthcheck=_DEAF,
    )
    scheme = "http" if certificate is None else "https"
    place = f"[{host}]" if ":" in host else host
    print(f"{scheme}://{place}:{listening.getsockname()[1]}", flush=True)
    folder = tempfile.mkdtemp(prefix="kzoo-serve-")
    os.environ[_SHARED] = folder
    try:
        watching = _Watching(config, sockets=[listening])
        watching.run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        listening.close()
    if any(process.exitcode == STARTUP_FAILURE for process in watching.processes):
        raise SystemExit(1)


class _Watching(Multiprocess):
    """Replaces processes that die, and asks none whether it is well while all are there.

    uvicorn's own asks all of them, one after the other: it waits long for one that dies meanwhile, and would kill one
    that is opening its models.
    """

    def keep_subprocess_alive(self) -> None:
        if not all(one.process.is_alive() for one in self.processes):
            super().keep_subprocess_alive()


def _application(models: Sequence[Source], settings: Settings):
    """The application of one process, with its models open; what is wrong with them is said in one line."""
    from kzoo.serving.application import application
    from kzoo.serving.service import Service
    from kzoo.system.quiet import native_output_hidden

    try:
        with native_output_hidden():  # what TensorFlow says of its own builds
            service = Service(settings)
            service.shelf.open(models)
        return application(service)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr, flush=True)
        sys.exit(STARTUP_FAILURE)


def _socket(host: str, port: int) -> socket.socket:
    """A socket that is bound, and listens when a process is ready."""
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        family = socket.AF_INET  # a name, which the binding looks up
    listening = socket.socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        why = error.strerror or error
        raise ValueError(f"host={host}, port={port}: {why}; give another --host or --port") from None
    listening.set_inheritable(True)
    return listening


def _check_certificate(certificate: Path | None, key: Path | None) -> None:
    """Refuses files that are no certificate with its key."""
    if certificate is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except FileNotFoundError:
        missing = next(path for path in (certificate, key) if not Path(path).is_file())
        raise ValueError(f"{missing}: no such file; give a certificate and its key in PEM") from None
    except (ssl.SSLError, OSError) as error:
        raise ValueError(
            f"{certificate}, {key}: no certificate with its key: {error}; give both in PEM"
        ) from None


def read_token(path: Path) -> str:
    """The token in a file, its one line.

    Args:
        path: the file.

    Raises:
        ValueError: it is empty, holds several lines, or letters that a header cannot have.
        FileNotFoundError: there is no such file.
    """
    token = Path(path).read_text(encoding="utf-8", errors="replace").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(f"{path}: no token; write one line of letters, digits and signs into it")
    return token
