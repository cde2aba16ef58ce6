"""Transformers' layers beside torch's, with the same weights."""

import numpy as np
import pytest
from keras import ops

from kzoo.layers.multihead import MultiHeadAttention, attend, unseen
from kzoo.layers.positions import places
from kzoo.layers.transformer import EncoderLayer, gelu, inverse_sigmoid

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.backends
WIDTH, HEADS, HIDDEN = 16, 4, 24
RNG = np.random.default_rng(0)


def drawn(*shape):
    return RNG.normal(size=shape).astype("float32")


def linear(layer, theirs):
    layer.kernel.assign(theirs.weight.detach().numpy().T)
    layer.bias.assign(theirs.bias.detach().numpy())


def copied(mine: MultiHeadAttention, theirs) -> None:
    weights, biases = (np.split(x.detach().numpy(), 3) for x in (theirs.in_proj_weight, theirs.in_proj_bias))
    for layer, weight, bias in zip(mine.projections, weights, biases, strict=True):
        layer.kernel.assign(weight.T)
        layer.bias.assign(bias)
    linear(mine.out, theirs.out_proj)


@pytest.mark.parametrize("masked", [False, True])
def test_attention(masked):
    theirs = torch.nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    torch.nn.init.normal_(theirs.in_proj_bias)
    mine = MultiHeadAttention(WIDTH, HEADS)
    mine.build()
    copied(mine, theirs)
    query, key, value = drawn(2, 5, WIDTH), drawn(2, 7, WIDTH), drawn(2, 7, WIDTH)
    visible = RNG.random((5, 7)) < 0.6
    visible[:, 0] = True
    mask = torch.tensor(~visible) if masked else None
    wanted, _ = theirs(*(torch.tensor(x) for x in (query, key, value)), attn_mask=mask)
    given = mine(query, key, value, bias=unseen(ops.convert_to_tensor(visible)) if masked else None)
    np.testing.assert_allclose(given, wanted.detach(), atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_to_keys_of_which_some_are_padding(masked):
    theirs = torch.nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    mine = MultiHeadAttention(WIDTH, HEADS)
    mine.build()
    copied(mine, theirs)
    query, key, value = drawn(2, 5, WIDTH), drawn(2, 7, WIDTH), drawn(2, 7, WIDTH)
    there = np.array([[True] * 7, [True] * 3 + [False] * 4])
    visible = RNG.random((5, 7)) < 0.6
    visible[:, 0] = True
    wanted, _ = theirs(
        *(torch.tensor(x) for x in (query, key, value)),
        attn_mask=torch.tensor(~visible) if masked else None,
        key_padding_mask=torch.tensor(~there),
    )
    bias = unseen(ops.convert_to_tensor(visible)) if masked else None
    given = mine(query, key, value, bias=bias, there=ops.convert_to_tensor(there))
    np.testing.assert_allclose(given, wanted.detach(), atol=1e-5)
    # What padding holds changes nothing, and what is no padding does.
    for column, same in ((5, True), (1, False)):
        other = value.copy()
        other[1, column] += 1
        again = mine(query, key, other, bias=bias, there=ops.convert_to_tensor(there))
        assert np.allclose(again, given, atol=1e-6) == same


def test_where_all_keys_are_padding_nothing_becomes_nan():
    mine = MultiHeadAttention(WIDTH, HEADS)
    mine.build()
    query, key = drawn(1, 2, WIDTH), drawn(1, 3, WIDTH)
    assert np.isfinite(mine(query, key, key, there=ops.zeros((1, 3), dtype="bool"))).all()


def test_a_query_that_sees_nothing_stays_finite():
    bias = unseen(ops.zeros((2, 3), dtype="bool"))
    assert np.isfinite(attend(drawn(1, 2, 8), drawn(1, 3, 8), drawn(1, 3, 8), 2, bias)).all()


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("first", [False, True])
def test_encoder_layer(first, activation):
    theirs = torch.nn.TransformerEncoderLayer(
        WIDTH, HEADS, HIDDEN, 0.0, activation, batch_first=True, norm_first=first
    )
    mine = EncoderLayer(WIDTH, HEADS, HIDDEN, 0.0, activation, first)
    mine.build()
    copied(mine.attention, theirs.self_attn)
    linear(mine.feedforward.first, theirs.linear1)
    linear(mine.feedforward.last, theirs.linear2)
    for residual, norm in zip(mine.residuals, (theirs.norm1, theirs.norm2), strict=True):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        residual.norm.gamma.assign(norm.weight.detach().numpy())
    x = drawn(2, 6, WIDTH)
    wanted = theirs.train()(torch.tensor(x)).detach()
    np.testing.assert_allclose(mine(x, np.zeros((1, 6, WIDTH), "float32")), wanted, atol=1e-5)


def test_gelu_is_the_exact_one():
    x = np.linspace(-5, 5, 101, dtype="float32")
    np.testing.assert_allclose(
        gelu(ops.convert_to_tensor(x)), torch.nn.functional.gelu(torch.tensor(x)), atol=2e-6
    )


def test_inverse_sigmoid_is_finite_at_the_ends():
    x = np.float32([0, 1e-7, 0.25, 0.5, 1, 1.5])
    given = ops.convert_to_numpy(inverse_sigmoid(ops.convert_to_tensor(x)))
    ends = np.log(1e-5)
    np.testing.assert_allclose(given, [ends, ends, np.log(1 / 3), 0, -ends, -ends], rtol=1e-4, atol=1e-6)


def test_places_lie_in_the_middle_or_at_the_end_of_their_cells():
    np.testing.assert_allclose(places(4), [0.25, 0.5, 0.75, 1.0], atol=1e-5)
    np.testing.assert_allclose(places(4, 0.5), [0.125, 0.375, 0.625, 0.875], atol=1e-5)
