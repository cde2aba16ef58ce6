"""How long several things take on a machine that may do other work beside."""

import time


def seconds(functions, rounds):
    """The least that each takes, by turns, so that other work on the machine falls on all alike."""
    spent = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(rounds):
        for function, times in zip(functions, spent, strict=True):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
    return [min(times) for times in spent]
