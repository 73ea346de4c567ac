"""Latency and energy of named devices, from a network's operators.

What `archcast.search.get_cost("latency_ms:<device>")` is fitted to, and how right it is.

*Held out*: fitted to four fifths of the device's networks (at most 1,500 distinct ones of each
benchmark), asked about the rest. *Other spaces*: fitted to the device's other benchmarks alone,
asked about all networks of this one: what to expect of a space that the device was never measured
on. Ranks carry over, milliseconds do not: benchmarks ran other software at other inputs. `@16` is
NAS-Bench-201 with ImageNet16-120's images of 16 pixels, `@32` with CIFAR-100's classes. MAPE is
the mean absolute error as a percentage of the truth; networks below 5 % of their benchmark's
median count as that. Rates and noises of the correction are those of least leave-one-out error on
the networks fitted to. How strongly a kind's price is pulled to the common one was looked at on
four devices (pixel3, gold-6240, titan-rtx-batch1, fpga), on which a tenth and ten times as much
differ little.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import numpy as np
from _report import parser, publish, spearman, table
from numpy.typing import NDArray

from archcast.search.costs._devices import METRICS, folds, measurements, quality, sources
from archcast.search.costs._operators import AMOUNTS

FloatArray = NDArray[np.float64]
Known = Mapping[str, tuple[FloatArray, FloatArray]]


def rows(metric: str, device: str) -> list[list[str]]:
    """One row for each benchmark that measured a device."""
    known: Known = {p.name: measurements(p) for p in sources()[metric][device]}
    known = {name: part for name, part in known.items() if len(part[1])}
    inside = quality(known, folds(known))
    found = []
    for name, (x, y) in known.items():
        fit = inside[name]
        macs = x[:, AMOUNTS.index("macs") :: len(AMOUNTS)].sum(1)
        cells = [f"{fit.spearman:.3f}", f"{fit.mape:.1f}", f"{spearman(y, macs):.3f}"]
        cells += ["-", "-"] if len(known) == 1 else _carried(known, name)
        found.append([device, name, f"{len(y):,}", *cells])
    return found


def _carried(known: Known, name: str) -> list[str]:
    """Fitted to other benchmarks than this; another input of the same cells is no other one."""
    base = name.partition("@")[0]
    others = {n: part for n, part in known.items() if n.partition("@")[0] != base}
    if not others:
        return ["-", "-"]
    chosen = others | {name: known[name]}
    held_out = {n: np.full(len(y), n == name) for n, (_, y) in chosen.items()}
    fit = quality(chosen, held_out)[name]
    return [f"{fit.spearman:.3f}", f"{fit.mape:.0f}"]


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--devices", nargs="+", help="these devices only")
    chosen = options.parse_args()
    head = (
        "device", "benchmark", "networks", "held out: Spearman", "MAPE %", "MACs alone: Spearman",
        "other spaces: Spearman", "MAPE %",
    )  # fmt: skip
    parts = [(__doc__ or "").partition("\n\n")[2].strip()]
    for metric in METRICS:
        found = []
        for device in sources()[metric]:
            if chosen.devices is None or device in chosen.devices:
                sys.stderr.write(f"{metric} {device}\n")
                found += rows(metric, device)
        if found:
            parts += [f"## {metric}", table(head, found), _summary(found)]
    publish("Latency and energy of devices", parts, chosen.out, ("numpy",))


def _summary(found: list[list[str]]) -> str:
    """Medians over the rows."""
    inside = np.array([[float(r[3]), float(r[4]), float(r[5])] for r in found])
    carried = np.array([[float(r[6]), float(r[7])] for r in found if r[6] != "-"])
    text = (
        f"Medians of {len(found)} rows: held out {np.median(inside[:, 0]):.3f} and "
        f"{np.median(inside[:, 1]):.1f} %, MACs alone {np.median(inside[:, 2]):.3f}"
    )
    if len(carried):
        text += (
            f"; other spaces, {len(carried)} rows: {np.median(carried[:, 0]):.3f} and "
            f"{np.median(carried[:, 1]):.0f} %"
        )
    return text + "."


if __name__ == "__main__":
    main()
