"""Training-free scores a second on NAS-Bench-201: plain, ours one by one, ours together.

Plain is ``_plain_proxies.py``: a torch module a network, hooks, one proxy a run. Ours one by one
asks :func:`archcast.zero_cost.score` for one architecture and one proxy at a time; ours together
for all architectures. Building modules and compiling graphs count; reading specifications does
not. Every proxy sees the same number of samples. On the CPU times are CPU seconds of one thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

os.environ.setdefault("OMP_NUM_THREADS", "1")

import _plain_newer
import numpy as np
import torch
from _plain_nasbench201 import network
from _plain_proxies import CLASSIC as PLAIN
from _report import parser, publish, table
from torch import nn

from archcast.encoders import read_all
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces import get_space
from archcast.zero_cost import CLASSIC, get_proxy, score

#: Proxies whose cost is that of running networks forward.
FORWARD = ("nwot", "zen", "swap", "meco", "dextr")


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--nets", type=int, default=32)
    options.add_argument("--plain-nets", type=int, default=8, help="of them, timed the plain way")
    options.add_argument("--samples", type=int, default=32)
    options.add_argument("--device", default="cpu")
    options.add_argument("--batch", type=int, help="architectures in a launch")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    # Cells that pass nothing on leave most plain scores undefined.
    drawn = get_space("nasbench201").sample(2 * chosen.nets, seed=0)
    connected = [s for s, graph in zip(drawn, read_all(drawn), strict=True) if len(graph) > 4]
    specs = connected[: chosen.nets]
    bench = _Bench(specs, chosen.plain_nets, chosen.samples, chosen.device, chosen.batch)
    names = list(dict.fromkeys((*FORWARD, *CLASSIC)))
    rows, singles, plains = [], {}, {}
    for name in names:
        together, alone, plain = bench.ours([name]), bench.one_by_one(name), bench.plain(name)
        singles[name], plains[name] = together, plain
        rows.append([name, _rate(plain), _rate(alone), _rate(together), _ratio(plain, together)])
    every = bench.ours(list(CLASSIC))
    head = ("proxy", "plain, nets/s", "ours one by one", "ours together", "together / plain")
    parts = [
        f"{chosen.nets} random networks ({len(set(bench.graphs))} different graphs), "
        f"{chosen.samples} samples, {chosen.device}.",
        table(head, rows),
        all_at_once(every, singles, plains),
        bench.floor(singles["nwot"]),
    ]
    publish("Training-free scores a second", parts, chosen.out, ("torch",))


def all_at_once(every: float, singles: dict[str, float], plains: dict[str, float | None]) -> str:
    """What the 13 classic proxies cost together."""
    ran = [name for name in CLASSIC if get_proxy(name).needs]
    mean = float(np.mean([singles[name] for name in ran if name != "l2_norm"]))
    known = [value for name in ran if name != "l2_norm" and (value := plains[name])]
    plain = float(np.mean(known))
    return (
        f"All 13 classic proxies in one call: {every:.3f} s a network. That is {every / mean:.1f} "
        f"times the mean of our proxies alone, {every / plain:.1f} times the mean of the plain "
        f"ones alone (means over the {len(known)} that run the network), and 1/"
        f"{sum(known) / every:.1f} of what the plain ones cost one after the other."
    )


class _Bench:
    """Networks, and seconds a network of the three ways."""

    def __init__(
        self, specs: Sequence[str], plain: int, samples: int, device: str, batch: int | None
    ) -> None:
        self.specs, self.few = specs, specs[:plain]
        self.graphs: list[ComputeGraph] = read_all(specs)
        self.samples, self.device, self.batch = samples, device, batch
        draw = torch.Generator().manual_seed(0)
        self.images = torch.randn(samples, 3, 32, 32, generator=draw).to(device)
        self.labels = torch.randint(10, (samples,), generator=draw).to(device)
        self.clock = time.process_time if device == "cpu" else self._synchronised

    def _synchronised(self) -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    def _seconds(self, function: Callable[[], object], count: int) -> float:
        start = self.clock()
        function()
        return (self.clock() - start) / count

    def ours(self, names: Sequence[str]) -> float:
        """Together."""
        self._score(self.graphs[:2], names)
        return self._seconds(lambda: self._score(self.graphs, names), len(self.graphs))

    def one_by_one(self, name: str) -> float:
        """One architecture a call."""
        few = self.graphs[: len(self.few)]
        return self._seconds(lambda: [self._score([graph], [name]) for graph in few], len(few))

    def _score(self, graphs: Sequence[ComputeGraph], names: Sequence[str]) -> None:
        score(
            graphs, names, samples=self.samples, device=self.device, batch=self.batch, cache=False
        )

    def plain(self, name: str) -> float | None:
        """One module and one run a proxy; None where there is no plain one."""
        function = PLAIN.get(name) or _others().get(name)
        if function is None:
            return None

        def run() -> None:
            for spec in self.few:
                function(network(spec).to(self.device), self.images, self.labels)

        return self._seconds(run, len(self.few))

    def floor(self, together: float) -> str:
        """The arithmetic that a forward pass needs, against what the machine does at best."""
        macs = float(np.mean([graph.macs for graph in self.graphs])) * self.samples
        elements = [
            (graph.channels_out.astype(np.int64) * np.prod(graph.extent, 1)).sum()
            for graph in self.graphs
        ]
        moved = float(np.mean(elements)) * self.samples * 4 * 2
        flops, bytes_ = self._peaks()
        needed = 2 * macs / flops + moved / bytes_
        return (
            f"A forward pass needs {2 * macs / 1e9:.1f} GFLOP and moves {moved / 1e9:.2f} GB (each "
            f"value written and read once). This device multiplies matrices at {flops / 1e9:,.0f} "
            f"GFLOP/s and copies at {bytes_ / 1e9:.0f} GB/s (measured here), so {needed:.4f} s a "
            f"network is the floor of operators run one after the other; nwot takes "
            f"{together:.4f} s, {together / needed:.1f} times that."
        )

    def _peaks(self) -> tuple[float, float]:
        a = torch.randn(1024, 1024, device=self.device)
        big = torch.randn(1 << 25, device=self.device)
        out = torch.empty_like(big)
        flops = min(self._seconds(lambda: torch.mm(a, a), 1) for _ in range(7))
        copied = min(self._seconds(lambda: out.copy_(big), 1) for _ in range(7))
        return 2 * 1024**3 / flops, 2 * 4 * big.numel() / copied


def _others() -> dict[str, Callable[[nn.Module, torch.Tensor, torch.Tensor], float]]:
    """Plain proxies beyond the classic ones."""
    return {name: getattr(_plain_newer, name) for name in FORWARD if hasattr(_plain_newer, name)}


def _rate(seconds: float | None) -> str:
    return "" if seconds is None else f"{1 / seconds:,.1f}" if seconds > 1e-9 else "-"


def _ratio(plain: float | None, ours: float) -> str:
    return "" if plain is None or ours <= 0 else f"{plain / ours:.1f}"


if __name__ == "__main__":
    main()
