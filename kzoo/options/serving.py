"""Options of `kzoo serve`."""

from __future__ import annotations

from kzoo.options.commands import MODEL
from kzoo.options.kinds import Option
from kzoo.options.quantities import Number, Whole
from kzoo.options.words import Place, Text

_LISTEN, _BATCHES, _LIMITS = "Where it listens", "Batches", "Limits"

SERVE: dict[str, Option] = {
    "model": MODEL.but(
        help="One or more trained models, as kzoo predict takes them; NAME=MODEL gives one another name."
    ),
    "host": Text(help="Address to listen on; 0.0.0.0 lets other machines in.", panel=_LISTEN),
    "port": Whole(help="Port to listen on; 0 takes a free one.", least=0, most=65535, panel=_LISTEN),
    "workers": Whole(
        help="Number of processes, each with the models in its memory.",
        unit="processes",
        least=1,
        most=256,
        panel=_LISTEN,
    ),
    "ray": Whole(
        help="Number of replicas of Ray Serve's, on this machine or those of RAY_ADDRESS, in the place of processes.",
        otherwise="no Ray",
        unit="replicas",
        least=1,
        most=4096,
        none=True,
        panel=_LISTEN,
    ),
    "ray_most": Whole(
        help="The most replicas; between the two numbers Ray Serve goes by the requests that wait.",
        otherwise="as many as --ray says",
        unit="replicas",
        least=1,
        most=4096,
        none=True,
        needs={"ray": ("any",)},
        panel=_LISTEN,
    ),
    "token_file": Place(
        help="The file whose one line is the bearer token that requests have to bring.",
        otherwise="no token is asked for",
        what="a file with a token",
        none=True,
        path=True,
        panel=_LISTEN,
    ),
    "certificate": Place(
        help="The file of the TLS certificate, in PEM, which makes it https.",
        otherwise="plain http",
        what="a .pem file",
        none=True,
        path=True,
        needs={"key": ("any",)},
        panel=_LISTEN,
    ),
    "key": Place(
        help="The file of the TLS certificate's private key, in PEM.",
        otherwise="plain http",
        what="a .pem file",
        none=True,
        path=True,
        needs={"certificate": ("any",)},
        panel=_LISTEN,
    ),
    "batch_size": Whole(
        help="Number of images that the model gets at once, at most.",
        unit="images",
        least=1,
        most=4096,
        panel=_BATCHES,
    ),
    "wait": Number(
        help="Time that an image waits for others to share its batch, at most.",
        unit="milliseconds",
        least=0,
        most=10_000,
        panel=_BATCHES,
    ),
    "score_threshold": Number(
        help="Score below which detections are left out where a request names none.",
        least=0,
        most=1,
        panel=_BATCHES,
    ),
    "poll": Number(
        help="Time between two looks for a new version of a model.",
        unit="seconds",
        least=0.05,
        most=86_400,
        panel=_BATCHES,
    ),
    "most_bytes": Whole(
        help="Number of bytes that the body of a request has, at most.",
        unit="bytes",
        least=1024,
        most=2**31,
        panel=_LIMITS,
    ),
    "most_pixels": Whole(
        help="Number of pixels that a picture has, at most; looked at before it is decoded.",
        unit="pixels",
        least=1,
        most=2**28,
        panel=_LIMITS,
    ),
    "timeout": Number(
        help="Time that a request takes, at most.", unit="seconds", above=0, most=86_400, panel=_LIMITS
    ),
    "queue": Whole(
        help="Number of images that wait for a model, at most.",
        unit="images",
        least=1,
        most=100_000,
        panel=_LIMITS,
    ),
    "concurrency": Whole(
        help="Number of requests that are worked on at a time, at most.",
        unit="requests",
        least=1,
        most=100_000,
        panel=_LIMITS,
    ),
}
