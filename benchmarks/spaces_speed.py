"""How fast search spaces give graphs, one thread.

Graphs come with canonical order and hash, from texts, in CPU time. Cell spaces are built in batches
(a disjoint union, one numpy step an operator), the others operator by operator through the same
simplification as files and modules; the last column is that way for all.
"""

from __future__ import annotations

import os
import time
from itertools import islice

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _report import parser, publish, table

from archcast.encoders.spaces import SPACES, Space
from archcast.encoders.spaces._nasbench101_cells import module_hashes, unique_cells

#: Spaces of names: their graphs are recorded from an installed package, not built.
NAMES = ("timm", "torchvision", "lemur")


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--graphs", type=int, default=4000, help="graphs of a batched space")
    options.add_argument("--few", type=int, default=150, help="graphs built one by one")
    options.add_argument("--cells", action="store_true", help="enumerate NAS-Bench-101, too")
    chosen = options.parse_args()
    wanted = [name for name in sorted(SPACES) if name not in NAMES]
    rows = [space_row(name, chosen.graphs, chosen.few) for name in wanted]
    head = ("space", "specifications", "graphs/s", "mean operators", "operators/s", "one by one/s")
    parts = [table(head, rows), *([cells()] if chosen.cells else [])]
    publish("Graphs a second, by search space", parts, chosen.out, ("numpy",))


def space_row(name: str, count: int, few: int) -> list[str]:
    """Texts to graphs, as the space does it and one by one."""
    space = SPACES[name]
    batched = type(space).graphs is not Space.graphs
    specs = space.sample(min(count if batched else few, space.size or count), seed=0)
    space.graphs(specs[:10])
    start = time.process_time()
    graphs = space.graphs(specs)
    rate = len(specs) / (time.process_time() - start)
    single = "the same"
    if batched:
        start = time.process_time()
        Space.graphs(space, specs[:few])
        single = f"{few / (time.process_time() - start):,.0f}"
    nodes = float(np.mean([len(graph) for graph in islice(graphs, 1000)]))
    size = "unlimited" if space.size is None else _count(space.size)
    return [name, size, f"{rate:,.0f}", f"{nodes:.0f}", f"{rate * nodes:,.0f}", single]


def _count(size: int) -> str:
    return f"{size:,}" if size < 10**9 else f"{float(size):.1e}"


def cells() -> str:
    """The whole of NAS-Bench-101."""
    start = time.process_time()
    tables = list(unique_cells())
    found = sum(len(cells.matrices) for cells in tables)
    enumerated = time.process_time() - start
    start = time.process_time()
    hashes = {name for cells in tables for name in module_hashes(cells)}
    return (
        f"NAS-Bench-101: {found:,} unique cells in {enumerated:.1f} CPU-s, their {len(hashes):,} "
        f"published hashes in {time.process_time() - start:.1f} CPU-s more."
    )


if __name__ == "__main__":
    main()
