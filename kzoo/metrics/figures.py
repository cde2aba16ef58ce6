"""Figures of which some may be missing: NaN where there is nothing to measure."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np


def known_mean(values: Iterable[float]) -> float:
    """The mean of the values that are not NaN; NaN where there are none."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def without_nan(value):
    """Plain data for JSON: the same with None in the place of NaN, and lists in the place of tuples."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
