"""Recurrent layers as one op each, in place of one per time step.

While a model is traced, its `nn.GRU`, `nn.LSTM` and `nn.RNN` run the ops of this file. Forward they
become onnxruntime's own GRU, LSTM and RNN (see `edgemeta_export.rules.recurrent`). Their gradients
are plain PyTorch: the gates of all time steps are computed again in one batch from the hidden
states, and the gradients of the weights are one product over all steps. Only what goes from step to
step is an op again (`back`, `lstm_cells`, `lstm_back`): its rule writes two to six nodes a step,
which the tracers never see.

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

NARROW = 16  # columns that onnxruntime's products make at a time


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


@custom_op("edgemeta::back", mutates_args=())
def back(grad: Tensor, factors: Tensor, weight: Tensor) -> Tensor:
    """Carry the gradient of a hidden state from each step to the one before.

    What reaches the state of step t is
    d[t] = grad[t] + ([d[t+1], .., d[t+1]] * factors[t+1]) weight,
    with as many copies of d[t+1] as there are blocks in the weight.

    Shapes: grad (T, N, H), factors (T, N, K * H), weight (K * H, H) -> (T, N, H).
    """
    copies = weight.shape[0] // weight.shape[1]
    made = [grad[-1]]
    for factor, direct in zip(reversed(factors[1:]), reversed(grad[:-1]), strict=True):
        made.append(direct + (made[-1].repeat(1, copies) * factor) @ weight)
    return torch.stack(made[::-1])


@custom_op("edgemeta::lstm_cells", mutates_args=())
def lstm_cells(c0: Tensor, kept: Tensor, new: Tensor) -> Tensor:
    """All cell states, c[t] = kept[t] * c[t-1] + new[t].

    Shapes: c0 (N, H), kept and new (T, N, H) -> (T, N, H).
    """
    made = [c0]
    for keep, more in zip(kept, new, strict=True):
        made.append(keep * made[-1] + more)
    return torch.stack(made[1:])


@custom_op("edgemeta::lstm_back", mutates_args=())
def lstm_back(
    grad: Tensor, grad_cell: Tensor, factors: Tensor, into: Tensor, kept: Tensor, w_hh: Tensor
) -> tuple[Tensor, Tensor]:
    """Carry the gradients of a hidden and a cell state from each step to the one before.

    What reaches the cell of step t is c[t] = c[t+1] * kept[t+1] + h[t] * into[t], what reaches the
    gates is g[t] = [c[t], c[t], c[t], h[t]] * factors[t], and h[t-1] = grad[t-1] + g[t] w_hh.

    Shapes: grad, into and kept (T, N, H), grad_cell (N, H), factors (T, N, 4H), w_hh (4H, H) ->
    gradient of the gates (T, N, 4H), of the first cell state (N, H).
    """
    made: list[Tensor] = []
    at_cell = grad_cell
    for t in reversed(range(grad.shape[0])):
        at_hidden = grad[t] + made[-1] @ w_hh if made else grad[t]
        at_cell = at_cell + at_hidden * into[t]
        made.append(torch.cat([at_cell, at_cell, at_cell, at_hidden], 1) * factors[t])
        at_cell = at_cell * kept[t]
    return torch.stack(made[::-1]), at_cell


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


@back.register_fake
def _(grad: Tensor, factors: Tensor, weight: Tensor) -> Tensor:
    return torch.empty_like(grad)


@lstm_cells.register_fake
def _(c0: Tensor, kept: Tensor, new: Tensor) -> Tensor:
    return torch.empty_like(new)


@lstm_back.register_fake
def _(
    grad: Tensor, grad_cell: Tensor, factors: Tensor, into: Tensor, kept: Tensor, w_hh: Tensor
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(factors), torch.empty_like(grad_cell)


def _gru_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
    """Gradients of `gru`, from that of its hidden states (T, N, H)."""
    x, h0, w_ih, w_hh, b_ih, b_hh, hidden = ctx.saved_tensors
    before = _before(h0, hidden)
    r, z, n, q = _gru_gates(x, before, w_ih, w_hh, b_ih, b_hh)
    new = (1 - z) * (1 - n * n)
    by_r, by_z, by_n = new * q * r * (1 - r), (before - n) * z * (1 - z), new * r
    # What a step hands back is linear in what it gets: four products with known factors, and one
    # with the weights, in which a block of ones stands for the way around the gates.
    factors = torch.cat([by_r, by_z, by_n, z], 2)
    weights = torch.cat([w_hh, torch.eye(h0.shape[1], dtype=w_hh.dtype)])
    every = back(grad, factors, weights)
    at_start = (torch.cat([every[0]] * 4, 1) * factors[0]).mm(weights)
    at_r, at_z = every * by_r, every * by_z
    gates_i = torch.cat([at_r, at_z, every * new], 2)
    gates_h = torch.cat([at_r, at_z, every * by_n], 2)
    return _weight_gradients(x, before, at_start, w_ih, gates_i, gates_h)


def _lstm_backward(ctx: Any, grad: Tensor, grad_cell: Tensor) -> tuple[Tensor, ...]:
    """Gradients of `lstm`, from those of its hidden states (T, N, H) and last cell state (N, H)."""
    x, h0, c0, w_ih, w_hh, b_ih, b_hh, hidden = ctx.saved_tensors
    before = _before(h0, hidden)
    i, f, g, o = _lstm_gates(x, before, w_ih, w_hh, b_ih, b_hh)
    cells = lstm_cells(c0, f, i * g)
    bent = cells.tanh()
    by_cell = [g * i * (1 - i), _before(c0, cells) * f * (1 - f), i * (1 - g * g)]
    factors = torch.cat([*by_cell, bent * o * (1 - o)], 2)
    gates, at_cell = lstm_back(grad, grad_cell, factors, o * (1 - bent * bent), f, w_hh)
    at_start = gates[0].mm(w_hh)
    dx, dh0, *weights = _weight_gradients(x, before, at_start, w_ih, gates, gates)
    return dx, dh0, at_cell, *weights


def _rnn_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of `rnn`, from that of its hidden states (T, N, H)."""
    x, h0, w_ih, w_hh, hidden = ctx.saved_tensors
    slope = 1 - hidden * hidden if ctx.activation == "tanh" else (hidden > 0).to(hidden.dtype)
    gates = back(grad, slope, w_hh) * slope
    at_start = gates[0].mm(w_hh)
    return *_weight_gradients(x, _before(h0, hidden), at_start, w_ih, gates, gates), None


def _weight_gradients(
    x: Tensor, before: Tensor, at_start: Tensor, w_ih: Tensor, gates_i: Tensor, gates_h: Tensor
) -> tuple[Tensor, ...]:
    """Gradients of x, h0, w_ih, w_hh, b_ih and b_hh, from those of the gates (T, N, G)."""
    flat_i, flat_h = gates_i.reshape(-1, w_ih.shape[0]), gates_h.reshape(-1, w_ih.shape[0])
    dx = flat_i.mm(w_ih).reshape(x.shape)
    flat_x = x.reshape(-1, x.shape[2])
    # A product of few columns takes twice the time of its transpose.
    narrow = x.shape[2] < NARROW
    dw_ih = flat_x.t().mm(flat_i).t() if narrow else flat_i.t().mm(flat_x)
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
    from_x = _product(x, w_ih, b_ih + b_hh)
    i, f, g, o = _product(h, w_hh, from_x.reshape(-1, w_hh.shape[0])).chunk(4, -1)
    return i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()


def _product(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(*, I), (G, I), (G,) or (product of *, G) -> (*, G)."""
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
