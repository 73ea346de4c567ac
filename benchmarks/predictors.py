"""Every predictor at one task: NAS-Bench-201, CIFAR-10 test accuracy, few labels.

Each predictor learns from the same random cells and forecasts all cells that share no network with
them. Beside ranks and calibration stands what it costs: seconds to fit, forecasts a second, memory,
size on disk. Each runs in a process of its own; a row that is measured is kept in the folder of
``--work``, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _report import parser, publish, table
from numpy.typing import NDArray

from archcast import datasets
from archcast.datasets import protocols
from archcast.encoders import ComputeGraph
from archcast.encoders._files import write_atomically
from archcast.encoders.errors import ArchcastError
from archcast.evaluation import metrics
from archcast.predictors import Predictor, get_predictor, list_predictors, save_predictor

FloatArray = NDArray[np.float64]
TASK = "cifar10/test_accuracy"
#: Networks whose forecasts are timed.
TIMED = 500
#: Row name -> registry name, parameters. A registered predictor that is not here has its defaults.
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "lightgbm": ("lightgbm", {"transform": "logit"}),
    "lightgbm, virtual ensemble": ("lightgbm", {"transform": "logit", "uncertainty": "virtual"}),
    "lightgbm, quantiles": ("lightgbm", {"transform": "logit", "uncertainty": "quantile"}),
    "random-forest, quantiles": (
        "random-forest", {"transform": "logit", "uncertainty": "quantile"},
    ),
}  # fmt: skip
#: Not measured here: they wrap another predictor, or need what this task does not have.
LEFT_OUT = {
    "adapted": "wraps a predictor",
    "conformal": "wraps a predictor",
    "device": "needs latencies of other devices",
    "ensemble": "wraps a predictor",
    "learning-curve": "needs learning curves",
}


class Size(Predictor):
    """A plain baseline: one number of the graph, scaled to the labels by least squares."""

    kind = "size"

    def __init__(self, of: Callable[[ComputeGraph], float]) -> None:
        self.of = of
        self.transform = "identity"

    @property
    def encoding(self) -> Any:
        return "graph"

    def _fit(self, X: Any, y: FloatArray, groups: Any) -> None:
        size = self._size(X)
        self.line_ = np.polyfit(size, y, 1)
        self.rest_ = float(np.std(y - np.polyval(self.line_, size)))

    def _size(self, X: Any) -> FloatArray:
        return np.array([self.of(graph) for graph in X])

    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        values = np.asarray(np.polyval(self.line_, self._size(X)), np.float64)
        return values, np.full(len(X), self.rest_)

    def _state(self) -> Any:
        raise NotImplementedError

    def _restore(self, state: Any) -> None:
        raise NotImplementedError


BASELINES: dict[str, Callable[[ComputeGraph], float]] = {
    "log parameters": lambda g: float(np.log(g.params + 1)),
    "log MACs": lambda g: float(np.log(g.macs + 1)),
    "layers with weights": lambda g: float((g.op_weights > 0).sum()),
}


# ------------------------------------------------------------------- in its own process
def measure(row: str, labels: int, seeds: int) -> dict[str, Any]:
    """Fit and judge one predictor; every figure is the mean over the draws of labels."""
    data = datasets.load("nasbench201")
    graphs = data.graphs()
    place: dict[str, int] = {}
    network_of = np.array([place.setdefault(graph.hash, len(place)) for graph in graphs])
    first = np.unique(network_of, return_index=True)[1]
    networks, truth = [graphs[i] for i in first], data.labels(TASK)
    splits = protocols.protocol("nasbench201/class-disjoint").splits(labels, range(seeds))
    before, runs = _fresh_peak(), []  # data, graphs, Python
    for seed, (train, test) in enumerate(splits):
        runs.append(_run(row, seed, networks, network_of, truth, train, test))
    found = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
    found["kendall_std"] = float(np.std([run["kendall"] for run in runs]))
    return found | {"memory": max(_peak() - before, 0.0), "labels": labels, "seeds": seeds}


def _run(
    row: str, seed: int, networks: list[ComputeGraph], network_of: NDArray[Any], truth: FloatArray,
    train: NDArray[Any], test: NDArray[Any],
) -> dict[str, float]:  # fmt: skip
    predictor = make(row, seed)
    graphs = [networks[i] for i in network_of[train]]
    started = time.process_time()
    predictor.fit(graphs, truth[train], groups=network_of[train])
    seconds = time.process_time() - started
    wanted = np.unique(network_of[test])
    unseen = [networks[i] for i in wanted]
    at = np.searchsorted(wanted, network_of[test])
    y, value = truth[test], predictor.predict(unseen)[at]
    quantiles = predictor.quantiles(unseen, metrics.LEVELS)[:, at]
    low, high = quantiles[1], quantiles[-2]  # levels .05 and .95
    return {
        "kendall": metrics.kendall(y, value),
        "spearman": metrics.spearman(y, value),
        "mae": metrics.mae(y, value),
        "crps": metrics.crps_quantiles(y, quantiles),
        "rmsce": metrics.rmsce(y, quantiles),
        "coverage": metrics.coverage(y, low, high),
        "width": metrics.width(low, high),
        "fit": seconds,
        "speed": _speed(predictor, unseen[:TIMED]),
        "size": _size(predictor),
    }


def make(row: str, seed: int) -> Predictor:
    """A fresh predictor of a row of the table."""
    if row in BASELINES:
        return Size(BASELINES[row])
    kind, params = SETTINGS.get(row, (row, {"transform": "logit"}))
    return get_predictor(kind, **params, seed=seed)


def _speed(predictor: Predictor, graphs: list[ComputeGraph]) -> float:
    """Forecasts a second, the features of the graphs included; the better of two tries."""
    seconds = []
    for _ in range(2):
        started = time.process_time()
        predictor.predict(graphs)
        seconds.append(time.process_time() - started)
    return len(graphs) / min(seconds)


def _size(predictor: Predictor) -> float:
    """MB on disk; 0 for a baseline, which is two numbers."""
    if isinstance(predictor, Size):
        return 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictor.safetensors"
        save_predictor(predictor, path)
        return path.stat().st_size / 1e6


def _fresh_peak() -> float:
    """Forget how much memory this process held before, where the system can; see _peak."""
    # Only Linux has these files; elsewhere the peak is that of the whole process.
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5", "utf-8")
    return _peak()


def _peak() -> float:
    """Most memory that this process has held, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text("utf-8").splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


# --------------------------------------------------------------------------- all of them
def rows(only: list[str]) -> list[str]:
    """Names of the table's rows: baselines, variants, every registered predictor."""
    known = [*BASELINES, *SETTINGS, *(k for k in list_predictors() if k not in LEFT_OUT)]
    found = list(dict.fromkeys(known))
    unknown = sorted(set(only) - set(found))
    if unknown:
        sys.exit(f"no row is called {unknown[0]!r}; rows are {', '.join(found)}")
    return [name for name in found if not only or name in only]


def ask(row: str, chosen: argparse.Namespace, kept: Path) -> dict[str, Any]:
    """A row as it was measured before, or measured now in a new process."""
    if kept.is_file():
        return json.loads(kept.read_text("utf-8"))
    command = [sys.executable, __file__, "--row", row, "--labels", str(chosen.labels)]
    command += ["--seeds", str(chosen.seeds), "--kept", str(kept)]
    try:
        done = subprocess.run(command, check=False, timeout=chosen.limit)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {chosen.limit} s"}
    if done.returncode or not kept.is_file():
        return {"failed": "failed; see what it wrote above"}
    return json.loads(kept.read_text("utf-8"))


def cells_of(row: str, found: dict[str, Any]) -> list[str]:
    if "failed" in found:
        return [row, found["failed"], *[""] * (len(HEAD) - 2)]
    return [
        row,
        f"{found['kendall']:.3f} ± {found['kendall_std']:.3f}",
        *(f"{found[key]:.3f}" for key in ("spearman", "mae", "crps", "rmsce", "coverage")),
        f"{found['width']:.2f}",
        f"{found['fit']:.1f}",
        f"{found['speed']:,.0f}",
        f"{found['memory']:,.0f}",
        f"{found['size']:.2f}",
    ]


HEAD = (
    "predictor", "KT", "SPR", "MAE", "CRPS", "RMSCE", "coverage of 90 %", "width", "fit, CPU s",
    "forecasts / CPU s", "memory, MB", "size, MB",
)  # fmt: skip


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--labels", type=int, default=781)
    options.add_argument("--seeds", type=int, default=3, help="draws of the labels")
    options.add_argument("--only", nargs="*", default=[], help="rows to measure; all by default")
    options.add_argument("--work", type=Path, default=Path("predictors-work"), help="kept rows")
    options.add_argument("--limit", type=float, default=3600, help="seconds for a row at most")
    options.add_argument("--row", help=argparse.SUPPRESS)
    options.add_argument("--kept", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.row:
        try:
            found = measure(chosen.row, chosen.labels, chosen.seeds)
        except ArchcastError as error:
            sys.exit(f"{chosen.row}: {error}")
        write_atomically(chosen.kept, lambda file: file.write(json.dumps(found).encode()))
        return
    chosen.work.mkdir(parents=True, exist_ok=True)
    lines = []
    for row in rows(chosen.only):
        name = "".join(c if c.isalnum() else "-" for c in row)
        kept = chosen.work / f"{name}.{chosen.labels}.{chosen.seeds}.json"
        lines.append(cells_of(row, ask(row, chosen, kept)))
    note = (
        f"{chosen.labels} labels of NAS-Bench-201, CIFAR-10 test accuracy; judged on all cells "
        f"that share no network with a labelled one; mean over {chosen.seeds} draws (± std of KT). "
        "Errors, CRPS and the mean width of the 90 % interval in points. Seconds to fit and "
        "forecasts a second start from graphs and count processor time, so that other work on the "
        "machine does not enter; memory is what fitting and forecasting needed on top of the data."
    )
    bias = (
        "How trees widen their spread was corrected after a run of this table had shown 99 % "
        "coverage, so their calibration flatters; ranks do not depend on it. Rows that are not "
        "here take long (`--only`); their own tables have them."
    )
    left = "; ".join(f"{kind}: {why}" for kind, why in LEFT_OUT.items())
    publish(
        "Predictors: accuracy, calibration and cost",
        [note, bias, table(HEAD, lines), f"Not in the table: {left}."],
        chosen.out,
        ("lightgbm", "scikit-learn", "numpy"),
        "one thread, one process a predictor",
    )


if __name__ == "__main__":
    main()
