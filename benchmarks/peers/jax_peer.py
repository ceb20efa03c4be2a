"""JAX as a peer of the speed benchmarks: all steps of an adaptation in one jitted function.

    python -m venv /tmp/venv-jax
    /tmp/venv-jax/bin/pip install -r benchmarks/peers/jax-requirements.txt
    python -m benchmarks.adapt_latency --peer jax=/tmp/venv-jax/bin/python

The models are those of benchmarks/models.py, written again over the same weights. Requests: see
serving.py.
"""

from __future__ import annotations

import os
import sys

if hasattr(os, "sched_setaffinity"):  # XLA has no other way to be told how many threads it may use
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[1])])

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from serving import serve

UNROLLED = 4  # time steps of a recurrent layer that XLA sees at once


def linear(p, name, x):
    """(N, inside) -> (N, outside)."""
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def convolution(p, name, x, stride=1, padding=((1, 1), (1, 1)), groups=1):
    """(N, C, H, W) -> (N, D, H', W')."""
    y = lax.conv_general_dilated(
        x, p[f"{name}.weight"], (stride, stride), padding, feature_group_count=groups
    )
    return y + p[f"{name}.bias"][:, None, None]


def halve(x):
    """2x2 max-pooling: (N, C, H, W) -> (N, C, H // 2, W // 2)."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def mlp(p, x):
    """(N, 561) -> (N, 6)."""
    x = jax.nn.relu(linear(p, "layer1", x))
    return linear(p, "head", jax.nn.relu(linear(p, "layer2", x)))


def conv4(p, x, norm=False):
    """(N, 1, 28, 28) -> (N, 5)."""
    for k in range(4):
        x = convolution(p, f"body.{k}.0", x)
        if norm:
            mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
            gamma, beta = p[f"body.{k}.1.weight"], p[f"body.{k}.1.bias"]
            x = (x - mean) * lax.rsqrt(var + 1e-5) * gamma[:, None, None] + beta[:, None, None]
        x = halve(jax.nn.relu(x))
    return linear(p, "head", x.reshape(len(x), -1))


def ds_cnn(p, x):
    """(N, 1, 49, 10) -> (N, 12)."""
    x = convolution(p, "stem", x, 2, ((5, 5), (1, 1)))
    for k in range(4):
        x = jax.nn.relu(convolution(p, f"body.{k}.0", x, groups=x.shape[1]))
        x = jax.nn.relu(convolution(p, f"body.{k}.2", x, padding=((0, 0), (0, 0))))
    return linear(p, "head", x.mean((2, 3)))


def gru(p, x):
    """(N, 50, 6) -> (N, 6)."""
    weights, bias = p["gru.layer.weight_hh_l0"], p["gru.layer.bias_hh_l0"]
    inputs = x @ p["gru.layer.weight_ih_l0"].T + p["gru.layer.bias_ih_l0"]

    def step(h, gates):
        reset_x, update_x, new_x = jnp.split(gates, 3, 1)
        reset_h, update_h, new_h = jnp.split(h @ weights.T + bias, 3, 1)
        new = jnp.tanh(new_x + jax.nn.sigmoid(reset_x + reset_h) * new_h)
        update = jax.nn.sigmoid(update_x + update_h)
        return (1 - update) * new + update * h, None

    start = jnp.zeros((len(x), weights.shape[1]))
    last, _ = lax.scan(step, start, inputs.swapaxes(0, 1), unroll=UNROLLED)
    return linear(p, "head", last)


MODELS = {
    "mlp": mlp,
    "conv4-32": conv4,
    "conv4-32-25": conv4,
    "conv4-64-bn": lambda p, x: conv4(p, x, norm=True),
    "ds-cnn": ds_cnn,
    "ds-cnn-25": ds_cnn,
    "gru": gru,
    "head-only": conv4,
}


def prepare(request):
    """See `serve`."""
    model = MODELS[request["case"]]
    with np.load(request["arrays"]) as arrays:
        x, y = jnp.asarray(arrays["x"]), jnp.asarray(arrays["y"])
        p = {n[2:]: jnp.asarray(a) for n, a in arrays.items() if n.startswith("p:")}
    adapted = {n: p.pop(n) for n in request["adapted"]}

    def loss(params, x):
        logits = jax.nn.log_softmax(model({**p, **params}, x))
        return -jnp.take_along_axis(logits, y[:, None], 1).mean()

    @jax.jit
    def adapt(params, x):
        for _ in range(request["steps"]):
            grads = jax.grad(loss)(params, x)
            params = jax.tree.map(lambda a, g: a - request["lr"] * g, params, grads)
        return params

    def all_steps():
        return jax.block_until_ready(adapt(adapted, x))

    def result():
        params = all_steps()
        return {n: np.asarray(a) for n, a in params.items()}, loss(params, x)

    return all_steps, result


if __name__ == "__main__":
    serve(MODELS, prepare, {"jax": jax.__version__})
