"""How much memory each proxy takes, against what scoring thinks it does (Linux).

One network whose activations are large beside its weights, one the other way round. The highest
resident memory while each is scored, less that before.

    python benchmarks/zero_cost_memory.py --out benchmarks/results/zero_cost_memory.md
"""

from __future__ import annotations

import gc
from pathlib import Path

import torch
from _report import parser, publish, table

from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces import get_space
from archcast.zero_cost import PROXIES, score
from archcast.zero_cost._bench import Bench
from archcast.zero_cost._program import compile_graph
from archcast.zero_cost._settings import Settings

#: Space, size of its input, samples in the mini-batch.
CASES = (("nasbench201", 32, 32), ("flexibert", 8, 2))
SEED = 5


def resident(field: str) -> int:
    """Bytes: ``VmRSS`` now, ``VmHWM`` at most since the last reset."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field))


def taken(graph: ComputeGraph, name: str, samples: int) -> int | None:
    """Bytes that scoring took at most; None if there is no score."""
    gc.collect()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    found = score([graph], [name], samples=samples, cache=False)
    return None if found.reasons[name] else resident("VmHWM") - before


def main() -> None:
    options = parser(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    torch.set_num_threads(1)
    graphs, head = [], ["proxy"]
    for name, size, samples in CASES:
        space = get_space(name)
        graphs.append(space.graph(space.sample(1, seed=SEED)[0], image_size=size))
        head += [f"{name}, {samples} samples: MB", "thought", "thought / taken"]
        score(graphs[-1:], ["nwot", "snip"], samples=samples, cache=False)  # libraries are loaded
    rows = []
    for proxy in PROXIES.values():
        if not proxy.needs:
            continue
        row = [proxy.name]
        for graph, (_, _, samples) in zip(graphs, CASES, strict=True):
            measured = taken(graph, proxy.name, samples)
            thought = Bench(Settings(samples=samples))._bytes(compile_graph(graph), [proxy])
            if measured is None:
                row += ["", "", ""]
            else:
                ratio = f"{thought / measured:.2f}" if measured > 1e6 else ""
                row += [f"{measured / 1e6:.0f}", f"{thought / 1e6:.0f}", ratio]
        rows.append(row)
    note = "Empty: the proxy does not apply, or took less than 1 MB."
    publish("Memory of zero-cost proxies", [table(head, rows), note], options.out, ["torch"])


if __name__ == "__main__":
    main()
