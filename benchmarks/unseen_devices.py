"""Latency on devices never seen, from 10 and 20 labels.

HELP's protocol: nine devices are known, on six others a few random networks are measured and all
others ranked, in Spearman's rho. *Measured*: the known devices' latencies of the ranked networks
are given, as the protocol allows. *Forecast*: the known devices were measured on 900 other
networks only, so theirs are forecast, too. On NAS-Bench-201 operators come in two ways: counted in
the cell string, dead ones included (devices run them), or from the canonical graph, which has
none. The priors were chosen with ``--develop``, which leaves known devices out instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from _report import parser, publish, spearman, table
from numpy.typing import NDArray

from archcast import datasets
from archcast.datasets import protocols
from archcast.datasets.pool import open_pool
from archcast.encoders.spaces.fbnet import OPERATORS
from archcast.encoders.spaces.nasbench201 import NASBench201
from archcast.encoders.tabular import feature_names
from archcast.predictors import Joined
from archcast.predictors.device import DevicePredictor

FloatArray = NDArray[np.float64]
Rows = NDArray[np.int64]
#: Networks that the known devices were measured on, where not on all; networks ranked, at most.
MEASURED, RANKED = 900, 4000


@dataclass(frozen=True)
class Devices:
    """Networks and their latencies.

    Attributes:
        graphs: (n, F) features of the graphs.
        cells: (n, C) operator counts and choices as the text has them.
        counts: how many of the first columns of the cells are counts.
        known: device -> (n,) latencies.
        unseen: device -> (n,) latencies.
    """

    graphs: NDArray[np.float32]
    cells: NDArray[np.float32]
    counts: int
    known: dict[str, FloatArray]
    unseen: dict[str, FloatArray]


def load(
    name: str, choices: NDArray[np.int64], known: Sequence[str], unseen: Sequence[str]
) -> Devices:
    """Networks of a benchmark, and their latencies on two sets of devices."""
    data, pool = datasets.load(name), open_pool()
    rows = pool.table("architectures", name, ["row", "hash"])
    hashes = rows["hash"].to_numpy()[np.argsort(rows["row"].to_numpy())].astype(str)
    distinct, features = pool.features(name)
    kinds = choices.max() + 1
    counts = np.stack([(choices == kind).sum(1) for kind in range(kinds)], 1)
    single = np.eye(kinds)[choices].reshape(len(choices), -1)
    return Devices(
        features[np.searchsorted(distinct, hashes)],
        np.hstack([counts, single]).astype(np.float32),
        kinds,
        {task: data.labels(task) for task in known},
        {task: data.labels(task) for task in unseen},
    )


def nasbench201() -> Devices:
    space = NASBench201()
    cells = np.array([space.parse(spec) for spec in datasets.load("nasbench201").specs])
    return load("nasbench201", cells, protocols.HELP_KNOWN, protocols.HELP_UNSEEN)


def fbnet() -> Devices:
    """The same devices on FBNet's space, the GPUs at its largest batch, 64."""
    specs = datasets.load("fbnet").specs
    choices = np.array([[OPERATORS.index(op) for op in spec.split(",")] for spec in specs])
    named = [
        [t.replace("-cifar10", "").replace("batch256", "batch64") for t in tasks]
        for tasks in (protocols.HELP_KNOWN, protocols.HELP_UNSEEN)
    ]
    return load("fbnet", choices, *named)


# ----------------------------------------------------------------------------- methods
#: Data, known devices' names, labelled rows, their labels, rows the known devices were measured
#: on, rows to rank -> their forecasts.
Method = Callable[[Devices, Sequence[str], Rows, FloatArray, Rows, Rows], FloatArray]


def size(column: str) -> Method:
    at = feature_names().index(column)
    return lambda data, *rest: data.graphs[rest[-1], at].astype(np.float64)


def best_known(
    data: Devices, known: Sequence[str], few: Rows, y: FloatArray, _: Rows, new: Rows
) -> FloatArray:
    """The known device that ranks the labelled networks best."""
    return max((data.known[name] for name in known), key=lambda v: spearman(v[few], y))[new]


def ridge(
    data: Devices, _: Sequence[str], few: Rows, y: FloatArray, __: Rows, new: Rows
) -> FloatArray:
    """Ridge regression of latency on operator counts, its penalty by leave-one-out error."""
    counts = data.cells[:, : data.counts].astype(np.float64)
    z = (counts - counts.mean(0)) / (counts.std(0) + 1e-9)
    x, target = z[few] - z[few].mean(0), y - y.mean()
    best = None
    for penalty in 10.0 ** np.arange(-2, 2.1, 0.5):
        solve = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T)
        left_out = (target - x @ (solve @ target)) / (1 - np.diag(x @ solve) - 1 / len(few))
        if best is None or (left_out**2).mean() < best[0]:
            best = ((left_out**2).mean(), solve @ target)
    assert best is not None
    return z[new] @ best[1]


def ours(cells: bool, measured: bool) -> Method:
    fitted: dict[tuple[int, tuple[str, ...], bytes], DevicePredictor] = {}

    def method(
        data: Devices, known: Sequence[str], few: Rows, y: FloatArray, seen: Rows, new: Rows
    ) -> FloatArray:
        every = np.stack([data.known[name] for name in known], 1)
        # Measured devices say what operator choices do; counts are enough beside them.
        x = data.cells[:, : data.counts if measured else None] if cells else data.graphs
        learned = np.arange(len(x)) if measured else seen
        key = (id(data), tuple(known), learned.tobytes())
        if key not in fitted:
            fitted[key] = DevicePredictor().fit(x[learned], every[learned])
        X = Joined(x, every) if measured else x
        return fitted[key].adapt(X[few], y).predict(X[new])

    return method


METHODS: dict[str, Method] = {
    "archcast, known devices measured; cell string": ours(cells=True, measured=True),
    "archcast, known devices measured; graph": ours(cells=False, measured=True),
    "archcast, known devices forecast; cell string": ours(cells=True, measured=False),
    "archcast, known devices forecast; graph": ours(cells=False, measured=False),
    "best single known device, measured": best_known,
    "ridge regression on operator counts": ridge,
    "MACs": size("log_macs"),
    "parameters": size("log_weights"),
}


# ------------------------------------------------------------------------------ tables
def scores(
    data: Devices, method: Method, known: Sequence[str], truth: FloatArray, labels: int, draws: int
) -> list[float]:
    """Spearman's rho of every draw, over the networks measured on no device of the draw."""
    found = []
    for seed in range(draws):
        every = np.arange(len(truth))
        few = protocols.draw(every, labels, seed)
        seen = protocols.draw(np.setdiff1d(every, few), MEASURED, seed)
        rest = np.setdiff1d(every, np.concatenate([few, seen]))
        rest = protocols.draw(rest, min(RANKED, len(rest)), seed)
        value = method(data, known, few, truth[few], seen, rest)
        found.append(spearman(truth[rest], value))
    return found


def rows(
    data: Devices, labels: int, draws: int, develop: bool
) -> tuple[list[str], list[list[str]]]:
    """The devices' names, and one row a method."""
    targets = data.known if develop else data.unseen
    found = []
    for name, method in METHODS.items():
        every = []
        for device, truth in targets.items():
            known = [other for other in data.known if other != device]
            every.append(scores(data, method, known, truth, labels, draws))
        mean = np.mean(every, axis=0)
        cells = [f"{np.mean(s):.3f} ± {np.std(s):.3f}" for s in every]
        found.append([name, f"{mean.mean():.3f} ± {mean.std():.3f}", *cells])
    return [task.partition("/")[0] for task in targets], found


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--draws", type=int, default=10)
    options.add_argument("--develop", action="store_true", help="leave known devices out instead")
    options.add_argument("--spaces", nargs="+", default=["nasbench201", "fbnet"])
    chosen = options.parse_args()
    parts = [
        f"{(__doc__ or '').partition(chr(10) * 2)[2].strip()}",
        f"Mean ± std of Spearman's rho over {chosen.draws} draws of the labels and of at most "
        f"{RANKED:,} networks to rank; `mean` is the devices' mean in each draw.",
    ]
    for space in chosen.spaces:
        data = {"nasbench201": nasbench201, "fbnet": fbnet}[space]()
        for labels in (10,) if chosen.develop else (10, 20):
            names, found = rows(data, labels, chosen.draws, chosen.develop)
            if space == "nasbench201" and not chosen.develop:
                found += _published(labels, len(names))
            parts += [f"## {space}, {labels} labels", table(("method", "mean", *names), found)]
    publish("Latency on unseen devices", parts, chosen.out, ("numpy", "scipy"))


def _published(labels: int, devices: int) -> list[list[str]]:
    empty = ["-"] * devices
    if labels == 10:
        return [["HELP (published)", "0.932", *empty]]
    return [
        ["NASFLAT, its six sets of devices (published)", ".959 .893 .967 .857 .962 .959", *empty]
    ]


if __name__ == "__main__":
    main()
