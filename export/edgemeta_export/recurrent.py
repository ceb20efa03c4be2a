"""Recurrent layers as one op each, in place of one per time step.

While a model is traced, its `nn.GRU`, `nn.LSTM` and `nn.RNN` run the ops of this file. Forward they
become onnxruntime's own GRU, LSTM and RNN (see `edgemeta_export.rules.recurrent`). Their gradients
are plain PyTorch: the gates of all time steps are computed again in one batch from the hidden
states, so that only the gradient of the hidden state itself goes from step to step, with three to
six nodes each, and the gradients of the weights are one product over all steps.

Gates are in PyTorch's order: r, z, n for GRU; i, f, g, o for LSTM. First order only: nothing here
has a second derivative, which tracing never asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.library import custom_op


@custom_op("edgemeta::steps", mutates_args=())
def steps(x: Tensor) -> list[Tensor]:
    """(T, N, M) -> T times (N, M)."""
    return [step.clone() for step in x]


@steps.register_fake
def _(x: Tensor) -> list[Tensor]:
    return [x.new_empty(x.shape[1:]) for _ in range(x.shape[0])]


@custom_op("edgemeta::gru", mutates_args=())
def gru(x: Tensor, h0: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
    """Gated recurrent units (Cho et al. 2014), with the reset gate behind the product.

    Shapes: x (T, N, I), h0 (N, H), w_ih (3H, I), w_hh (3H, H), b_ih and b_hh (3H,) -> (T, N, H).
    """
    made = [h0]
    for step in x:
        _, z, n, _ = _gru_gates(step, made[-1], w_ih, w_hh, b_ih, b_hh)
        made.append((1 - z) * n + z * made[-1])
    return torch.stack(made[1:])


@custom_op("edgemeta::lstm", mutates_args=())
def lstm(
    x: Tensor, h0: Tensor, c0: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
) -> tuple[Tensor, Tensor]:
    """Long short-term memory (Hochreiter and Schmidhuber 1997; forget gates by Gers et al. 2000).

    Shapes: x (T, N, I), h0 and c0 (N, H), w_ih (4H, I), w_hh (4H, H), b_ih and b_hh (4H,) ->
    hidden states (T, N, H), last cell state (N, H).
    """
    made, cell = [h0], c0
    for step in x:
        i, f, g, o = _lstm_gates(step, made[-1], w_ih, w_hh, b_ih, b_hh)
        cell = f * cell + i * g
        made.append(o * cell.tanh())
    return torch.stack(made[1:]), cell.clone()


@custom_op("edgemeta::rnn", mutates_args=())
def rnn(
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor,
    b_hh: Tensor,
    activation: str,
) -> Tensor:
    """Elman's recurrence, h' = tanh or relu of (W x + b + U h + c).

    Shapes: x (T, N, I), h0 (N, H), w_ih (H, I), w_hh (H, H), b_ih and b_hh (H,) -> (T, N, H).
    """
    made = [h0]
    for step in x:
        total = step @ w_ih.t() + b_ih + made[-1] @ w_hh.t() + b_hh
        made.append(total.tanh() if activation == "tanh" else total.relu())
    return torch.stack(made[1:])


@gru.register_fake
def _(x: Tensor, h0: Tensor, *weights: Tensor) -> Tensor:
    return x.new_empty((x.shape[0], *h0.shape))


@lstm.register_fake
def _(x: Tensor, h0: Tensor, c0: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty((x.shape[0], *h0.shape)), torch.empty_like(c0)


@rnn.register_fake
def _(
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor,
    b_hh: Tensor,
    activation: str,
) -> Tensor:
    return x.new_empty((x.shape[0], *h0.shape))


def _gru_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
    """Gradients of `gru`, from that of its hidden states (T, N, H)."""
    x, h0, w_ih, w_hh, b_ih, b_hh, hidden = ctx.saved_tensors
    before = _before(h0, hidden)
    r, z, n, q = _gru_gates(x, before, w_ih, w_hh, b_ih, b_hh)
    new = (1 - z) * (1 - n * n)
    by_r, by_z, by_n = new * q * r * (1 - r), (before - n) * z * (1 - z), new * r
    # What a step hands back is linear in what it gets: four products with known factors, and one
    # with the weights, in which a block of ones stands for the way around the gates.
    size = h0.shape[1]
    factors = steps(torch.cat([by_r, by_z, by_n, z], 2))
    weights = torch.cat([w_hh, torch.eye(size, dtype=w_hh.dtype)])
    at, outer = None, steps(grad)
    total = []
    for factor, direct in zip(reversed(factors), reversed(outer), strict=True):
        at = direct if at is None else direct + at
        total.append(at)
        at = (torch.cat([at, at, at, at], 1) * factor).mm(weights)
    assert at is not None  # noqa: S101  # there is at least one step
    every = torch.cat(total[::-1]).reshape(hidden.shape)
    gates_h = torch.cat([every * by_r, every * by_z, every * by_n], 2)
    gates_i = torch.cat([gates_h[..., : 2 * size], every * new], 2)
    return _weight_gradients(x, before, at, w_ih, gates_i, gates_h)


def _lstm_backward(ctx: Any, grad: Tensor, grad_cell: Tensor) -> tuple[Tensor, ...]:
    """Gradients of `lstm`, from those of its hidden states (T, N, H) and last cell state (N, H)."""
    x, h0, c0, w_ih, w_hh, b_ih, b_hh, hidden = ctx.saved_tensors
    before = _before(h0, hidden)
    i, f, g, o = _lstm_gates(x, before, w_ih, w_hh, b_ih, b_hh)
    cells = [c0]
    for keep, new in zip(steps(f), steps(i * g), strict=True):
        cells.append(keep * cells[-1] + new)
    cell_before = torch.cat(cells[:-1]).reshape(hidden.shape)
    bent = torch.cat(cells[1:]).reshape(hidden.shape).tanh()
    by_cell = [g * i * (1 - i), cell_before * f * (1 - f), i * (1 - g * g)]
    factors = torch.cat([*by_cell, bent * o * (1 - o)], 2)
    into_cell, kept = steps(o * (1 - bent * bent)), steps(f)
    at_hidden, at_cell, outer = None, grad_cell, steps(grad)
    total = []
    every = zip(steps(factors), into_cell, kept, outer, strict=True)
    for factor, into, keep, direct in reversed(list(every)):
        at_hidden = direct if at_hidden is None else direct + at_hidden
        at_cell = at_cell + at_hidden * into
        total.append(torch.cat([at_cell, at_cell, at_cell, at_hidden], 1) * factor)
        at_hidden, at_cell = total[-1].mm(w_hh), at_cell * keep
    assert at_hidden is not None  # noqa: S101  # there is at least one step
    gates = torch.cat(total[::-1]).reshape(*hidden.shape[:2], -1)
    dx, dh0, *weights = _weight_gradients(x, before, at_hidden, w_ih, gates, gates)
    return dx, dh0, at_cell, *weights


def _rnn_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of `rnn`, from that of its hidden states (T, N, H)."""
    x, h0, w_ih, w_hh, hidden = ctx.saved_tensors
    slope = 1 - hidden * hidden if ctx.activation == "tanh" else (hidden > 0).to(hidden.dtype)
    at, total = None, []
    for factor, direct in zip(reversed(steps(slope)), reversed(steps(grad)), strict=True):
        total.append((direct if at is None else direct + at) * factor)
        at = total[-1].mm(w_hh)
    assert at is not None  # noqa: S101  # there is at least one step
    gates = torch.cat(total[::-1]).reshape(hidden.shape)
    return *_weight_gradients(x, _before(h0, hidden), at, w_ih, gates, gates), None


def _weight_gradients(
    x: Tensor, before: Tensor, at_start: Tensor, w_ih: Tensor, gates_i: Tensor, gates_h: Tensor
) -> tuple[Tensor, ...]:
    """Gradients of x, h0, w_ih, w_hh, b_ih and b_hh, from those of the gates (T, N, G)."""
    flat_i, flat_h = gates_i.reshape(-1, w_ih.shape[0]), gates_h.reshape(-1, w_ih.shape[0])
    dx = flat_i.mm(w_ih).reshape(x.shape)
    dw_ih = flat_i.t().mm(x.reshape(-1, x.shape[2]))
    dw_hh = flat_h.t().mm(before.reshape(-1, before.shape[2]))
    return dx, at_start, dw_ih, dw_hh, flat_i.sum(0), flat_h.sum(0)


def _gru_gates(
    x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return r, z, n, and what r is multiplied with in n; for one step or for all of them."""
    from_x, from_h = _product(x, w_ih, b_ih), _product(h, w_hh, b_hh)
    (xr, xz, xn), (hr, hz, hn) = from_x.chunk(3, -1), from_h.chunk(3, -1)
    r, z = (xr + hr).sigmoid(), (xz + hz).sigmoid()
    return r, z, (xn + r * hn).tanh(), hn


def _lstm_gates(
    x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return i, f, g, o; for one step or for all of them."""
    i, f, g, o = (_product(x, w_ih, b_ih) + _product(h, w_hh, b_hh)).chunk(4, -1)
    return i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()


def _product(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(*, I), (G, I), (G,) -> (*, G)."""
    flat = torch.addmm(bias, x.reshape(-1, x.shape[-1]), weight.t())
    return flat.reshape(*x.shape[:-1], weight.shape[0])


def _before(h0: Tensor, hidden: Tensor) -> Tensor:
    """(N, H), (T, N, H) -> (T, N, H): the hidden state that each step began with."""
    return torch.cat([h0[None], hidden[:-1]])


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    hidden = output[0] if isinstance(output, tuple) else output
    ctx.save_for_backward(*inputs, hidden)


def _save_rnn(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, h0, w_ih, w_hh, _, _, ctx.activation = inputs
    ctx.save_for_backward(x, h0, w_ih, w_hh, output)


gru.register_autograd(_gru_backward, setup_context=_save)
lstm.register_autograd(_lstm_backward, setup_context=_save)
rnn.register_autograd(_rnn_backward, setup_context=_save_rnn)


def _forward(layer: nn.RNNBase, x: Any, start: Any = None) -> tuple[Tensor, Any]:
    """Run a recurrent layer by the ops of this file; the arguments are those of the layer."""
    if not isinstance(x, Tensor) or x.ndim != 3:
        raise NotImplementedError("packed sequences and single samples have no fast path")
    is_lstm = layer.mode == "LSTM"
    every = x.transpose(0, 1) if layer.batch_first else x
    ways = 2 if layer.bidirectional else 1
    if start is None:
        zeros = x.new_zeros((layer.num_layers * ways, every.shape[1], layer.hidden_size))
        start = (zeros, zeros) if is_lstm else zeros
    begin = start if is_lstm else (start,)
    ends: list[Sequence[Tensor]] = []
    for level in range(layer.num_layers):
        made = []
        for way in range(ways):
            row = level * ways + way
            given = every.flip(0) if way else every
            found, end = _one_way(layer, row, given, [tensor[row] for tensor in begin])
            made.append(found.flip(0) if way else found)
            ends.append(end)
        every = torch.cat(made, 2) if ways == 2 else made[0]
    last = tuple(torch.stack(tensors) for tensors in zip(*ends, strict=True))
    return every.transpose(0, 1) if layer.batch_first else every, last if is_lstm else last[0]


def _one_way(
    layer: nn.RNNBase, row: int, x: Tensor, begin: Sequence[Tensor]
) -> tuple[Tensor, Sequence[Tensor]]:
    """Run one direction of one level; returns the hidden states and the last state."""
    weights: list[Tensor] = [*layer.all_weights[row]]
    if not layer.bias:
        zeros = weights[0].new_zeros(weights[0].shape[0])
        weights += [zeros, zeros]
    if layer.mode == "LSTM":
        hidden, cell = lstm(x, *begin, *weights)
        return hidden, (hidden[-1], cell)
    if layer.mode == "GRU":
        hidden = gru(x, *begin, *weights)
    else:
        hidden = rnn(x, *begin, *weights, layer.mode.removeprefix("RNN_").lower())
    return hidden, (hidden[-1],)


class _OneOpGRU(nn.GRU):
    forward = _forward  # type: ignore[assignment]


class _OneOpLSTM(nn.LSTM):
    forward = _forward  # type: ignore[assignment]


class _OneOpRNN(nn.RNN):
    forward = _forward  # type: ignore[assignment]


ONE_OP: dict[type[nn.RNNBase], type[nn.RNNBase]] = {
    nn.GRU: _OneOpGRU,
    nn.LSTM: _OneOpLSTM,
    nn.RNN: _OneOpRNN,
}


@contextmanager
def one_op_recurrence(model: nn.Module) -> Iterator[None]:
    """Have the recurrent layers of a model run the ops of this file, within a `with` block.

    Projections (`proj_size`) and subclasses stay as they are; PyTorch takes those apart itself.
    """
    changed = [m for m in model.modules() if type(m) in ONE_OP and not m.proj_size]
    kinds = [type(m) for m in changed]
    for module in changed:
        module.__class__ = ONE_OP[type(module)]  # type: ignore[index]
    try:
        yield
    finally:
        for module, kind in zip(changed, kinds, strict=True):
            module.__class__ = kind
