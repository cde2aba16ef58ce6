"""Showing images of rare classes more often."""

from __future__ import annotations

import numpy as np


def repeat_factors(dataset, threshold: float) -> np.ndarray:
    """How often an epoch shows each image, so that rare classes are seen more.

    A class that a share f of the images has gets max(1, sqrt(threshold / f)); an image the most of its classes'.

    Args:
        dataset: a dataset with `len`, `classes` and `record(i)`; of a semantic one the classes in its masks count,
            which are all decoded.
        threshold: the share of the images, above 0 and up to 1, below which a class is rare.

    Returns:
        (N,) float64, from 1.

    Raises:
        ValueError: the threshold is no share, or the dataset does not know its labels without decoding images.

    Source: Gupta et al. 2019, LVIS, arXiv:1908.03195, "Repeat Factor Sampling".
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"balance={threshold}: give a share of the images, above 0 and up to 1")
    if not hasattr(dataset, "record"):
        raise ValueError(
            f"balance={threshold}: {type(dataset).__name__} has no record(i), which tells labels without decoding"
        )
    semantic = getattr(dataset, "semantic", False)
    labels = [
        np.unique(dataset.mask(i) if semantic else dataset.record(i).labels) for i in range(len(dataset))
    ]
    shows = np.zeros((len(labels), len(dataset.classes)), bool)  # (N, C) whether an image shows a class
    for row, image_labels in zip(shows, labels, strict=True):
        known = (image_labels >= 0) & (image_labels < len(row))
        row[image_labels[known].astype(int)] = True
    share = np.maximum(
        shows.mean(0), 1 / max(1, len(shows))
    )  # (C,) as if on one image where a class is on none
    factors = np.maximum(1.0, np.sqrt(threshold / share))  # (C,)
    return np.where(shows, factors, 1.0).max(1, initial=1.0)


def repeated_order(factors: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """One epoch's order of positions, shuffled.

    Args:
        factors: (N,) how often to show each image, from `repeat_factors`; a fraction is the chance of one more time.
        length: number of the epoch's positions.
        rng: the only source of chance.

    Returns:
        (length,) int64 positions.
    """
    whole = np.floor(factors)
    counts = whole + (rng.random(len(factors)) < factors - whole)  # (N,)
    positions = rng.permutation(np.repeat(np.arange(len(factors)), counts.astype(int)))
    # Chance may have drawn fewer than on average.
    missing = max(0, length - len(positions))
    return np.concatenate([positions, rng.choice(len(factors), missing, p=factors / factors.sum())])[:length]
