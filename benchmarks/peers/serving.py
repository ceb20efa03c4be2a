"""What all peers do alike: answer requests, a JSON line each, until the input ends.

A request is a case (its arrays in a file), then `calls` to time, or `result` to write. A peer knows
nothing of edgemeta or PyTorch.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np


def serve(cases, prepare, packages):
    """Answer requests.

    Args:
        cases: names of the cases that the peer has models for.
        prepare: takes the request of a case; returns a function that adapts, and one that adapts
            and returns the parameters, arrays by name, and the loss with them.
        packages: versions, by name.
    """
    adapt = result = None
    for line in sys.stdin:
        request = json.loads(line)
        if "case" in request and request["case"] not in cases:
            answer = {"error": f"no model for {request['case']}"}
        elif "case" in request:
            adapt, result = prepare(request)
            adapt()
            answer = {"packages": packages}
        elif "calls" in request:
            seconds = []
            for _ in range(request["calls"]):
                began = time.perf_counter()
                adapt()
                seconds.append(time.perf_counter() - began)
            answer = {"seconds": seconds}
        else:
            params, loss = result()
            np.savez(request["result"], **params)
            answer = {"loss": float(loss)}
        print(json.dumps(answer), flush=True)
