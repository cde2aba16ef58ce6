"""What comparisons with torch share: the same random numbers whichever tests ran before."""

import importlib.util

import pytest


def pytest_itemcollected(item):
    item.add_marker("parity")


@pytest.fixture(autouse=True)
def same_numbers():
    """torch draws a network's first weights from one stream of numbers, which each test begins anew."""
    if importlib.util.find_spec("torch") is not None:
        import torch

        torch.manual_seed(0)
