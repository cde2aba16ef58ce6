"""Convolutions without names, told apart by shapes and neighbours: small graphs by hand."""

import pytest

from kzoo.weights.matching import Convolution, joined, matched


def conv(name, filters, inputs, *groups, size=1):
    return Convolution(
        name, (filters, inputs, size, size), (1, 1), tuple(frozenset(g.split()) for g in groups)
    )


def split(past="past", through="through"):
    """A stem, two ways of which one has a convolution more, both side by side, and two last convolutions."""
    return [
        conv("stem", 8, 3),
        conv(past, 8, 8, "stem"),
        conv(through, 8, 8, "stem"),
        conv("inner", 8, 8, through, size=3),
        conv("out", 8, 16, "inner", past),
        conv("box", 64, 8, "out"),
        conv("class", 5, 8, "out"),
    ]


def anonymous(graph, shift=3):
    """The same graph by numbers, in another order."""
    names = {each.name: str(i) for i, each in enumerate(graph)}
    return [each.renamed(names) for each in graph[shift:] + graph[:shift]], names


def test_convolutions_of_equal_shapes_are_told_apart_by_what_they_give_to():
    theirs, names = anonymous(split())
    assert matched(theirs, split()) == names
    theirs, names = anonymous(split(past="through", through="past"))
    assert matched(theirs, split(past="through", through="past")) == names


def test_the_order_in_which_maps_are_laid_side_by_side_counts():
    graph = split()
    graph[4] = conv("out", 8, 16, "past", "inner")
    with pytest.raises(ValueError, match="take and give otherwise"):
        matched(anonymous(graph)[0], split())


def test_other_numbers_of_classes():
    graph = split()
    graph[-1] = conv("class", 80, 8, "out")
    theirs, names = anonymous(graph)
    assert matched(theirs, split(), {"class"}) == names
    with pytest.raises(ValueError, match=r"the file has 1 that the other has not, of shapes \(80, 8, 1, 1\)"):
        matched(theirs, split())


def test_what_nothing_tells_apart_is_refused_and_a_name_helps():
    graph = [*split(), conv("same", 64, 8, "out")]
    theirs, names = anonymous(graph)
    with pytest.raises(ValueError, match="box and same cannot be told apart"):
        matched(theirs, graph)
    named = [each.renamed({**{str(n): str(n) for n in range(8)}, names["box"]: "box"}) for each in theirs]
    assert matched(named, graph) == {**names, "box": "box"}


def test_a_convolution_that_runs_twice_is_refused():
    graph = split()
    with pytest.raises(ValueError, match="stem runs several times"):
        matched([*graph, graph[0]], graph)


def test_sums_have_no_order_and_rows_have():
    a, b = (frozenset("a"),), (frozenset("b"),)
    assert joined([a, b], in_row=True) == (frozenset("a"), frozenset("b"))
    assert joined([a, b], in_row=False) == joined([b, a], in_row=False) == (frozenset("ab"),)
    assert joined([(*a, *b), (*a, *b), ()], in_row=False) == (*a, *b)  # maps times their own sigmoid
    assert joined([a, a, b, a], in_row=True) == (*a, *b, *a)
    with pytest.raises(ValueError, match="512 maps side by side"):
        joined([(*a, *b)] * 256, in_row=True)
