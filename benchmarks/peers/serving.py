"""What all peers do alike: answer requests, a JSON line each, until the input ends.

A request is a case (its arrays in a file), then `calls` to time, or `result` to write. A peer knows
nothing of edgemeta.
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
        prepare: takes the request of a case; returns a function that does once what is timed, and
            one that does it from the start and returns what came of it: arrays by name (adapted
            parameters, or their meta-gradients), and a loss.
        packages: versions, by name.
    """
    call = result = None
    for line in sys.stdin:
        request = json.loads(line)
        if "case" in request and request["case"] not in cases:
            answer = {"error": f"no model for {request['case']}"}
        elif "case" in request:
            call, result = prepare(request)
            call()
            answer = {"packages": packages}
        elif "calls" in request:
            seconds = []
            for _ in range(request["calls"]):
                began = time.perf_counter()
                call()
                seconds.append(time.perf_counter() - began)
            answer = {"seconds": seconds}
        else:
            arrays, loss = result()
            np.savez(request["result"], **arrays)
            answer = {"loss": float(loss)}
        print(json.dumps(answer), flush=True)
