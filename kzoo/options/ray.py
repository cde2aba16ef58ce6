"""Numbers of Ray's workers, for the commands that take some."""

from __future__ import annotations

from kzoo.options.quantities import Whole

_WORKERS = Whole(otherwise="no Ray", unit="workers", least=1, most=4096, none=True)

TRAINING = _WORKERS.but(
    help="Number of Ray's workers that share each batch, on this machine or on those of RAY_ADDRESS; a lost one is "
    "replaced."
)
LOOKING = _WORKERS.but(
    help="Number of Ray's workers that look at images, on this machine or on those of RAY_ADDRESS; each result is a "
    "line of predictions.jsonl, and the same command goes on after a stop."
)
