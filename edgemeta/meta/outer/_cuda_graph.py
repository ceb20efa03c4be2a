"""A function on a GPU as one launch.

An outer step of a small network is thousands of kernels of some microseconds each, and a GPU that
is asked for one after the other waits for the asking. So they are captured once, as a CUDA graph,
and replayed in one go.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edgemeta.meta.outer._recorded_step import Function

WARM_UPS = 3  # libraries choose kernels and take workspaces in their first calls


def as_cuda_graph(function: Function, example: Sequence[Tensor]) -> Function:
    """Capture the kernels that a function launches.

    Args:
        function: of CUDA tensors, to a tuple of them; it never waits for the GPU.
        example: arguments; later calls have to bring the same shapes and dtypes.

    Returns:
        A function that replays them. The next call overwrites its results.

    Raises:
        RuntimeError: the function cannot be captured.
    """
    inputs = [tensor.clone() for tensor in example]
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            function(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # What other threads ask of the GPU meanwhile, such as room for the next batch, is no matter.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        results = function(*inputs)

    def replay(*tensors: Tensor) -> tuple[Tensor, ...]:
        for mine, given in zip(inputs, tensors, strict=True):
            mine.copy_(given)
        graph.replay()
        return results

    return replay
