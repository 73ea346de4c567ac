"""How many candidates a second a search can ask about.

*Exact* is the whole way: text, graph, features, predictor. *Fast* is
`archcast.search.FastForecaster`: of a space of up to 100,000 architectures a table of the
forecaster's own answers (`table`: equal number for number), of a larger one six small networks
that learned from a sample of them (`distilled`). What distilled answers are worth is measured on
architectures held out: Spearman's rho and R² with the forecaster's own, and *kept*, the share of
the forecaster's best hundredth that is in their best tenth. `screen` forecasts what is best by
them in full, so what it returns is exact. *Making* is paid once for a space and predictor, and kept
on disk. Rates are of one process in its own CPU time, unless said otherwise; texts are new in
every measurement, and networks that repeat in a batch (NAS-Bench-201, TransNAS) are computed once,
as always. How many networks and epochs distilling takes was chosen on other architectures of DARTS.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _report import parser, publish, table

from archcast.encoders._engine import run
from archcast.encoders.spaces import Space
from archcast.encoders.tabular import tabular
from archcast.search import Domain, FastForecaster, Forecaster, Objective

#: Space and task; no predictor ships for the last, so the universal one ranks.
UNIVERSAL = "mine/score"
ASKED = (
    ("nasbench201", "cifar10/test_accuracy"),
    ("nasbench201", UNIVERSAL),
    ("darts", "cifar10/test_accuracy"),
    ("darts", UNIVERSAL),
    ("nats_size", "cifar10/test_accuracy"),
    ("transnas_micro", UNIVERSAL),
    ("ofa_mobilenetv3", "imagenet1k/top1"),
)
#: Of these the rates of two processes are measured, too.
BESIDE = tuple(a for a in ASKED if a[0] in ("nasbench201", "darts") and a[1] != UNIVERSAL)
#: Candidates of a batch on the exact and the fast way, and of those asked one at a time.
EXACT, FAST, SINGLE = 1000, 100_000, 20


def made(space: str, task: str, samples: int) -> FastForecaster:
    domain = Domain(space)
    return FastForecaster(domain, Forecaster(domain, Objective(task)), samples=samples)


def timed(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def fresh(space: Space, n: int, seed: int) -> list[str]:
    return space.sample(min(n, space.size or n), seed)


def exact_rows(space: str, task: str) -> list[str]:
    """Rates of the parts and of the whole, and milliseconds of one candidate."""
    domain = Domain(space)
    prior = Forecaster(domain, Objective(task)).prior.base
    specs = fresh(domain.space, EXACT, 11)
    warm = domain.graphs(specs[:50])
    prior.predict(tabular(warm).values)
    start = time.process_time()
    graphs = domain.graphs(specs)
    one = time.process_time()
    features = tabular(graphs).values
    two = time.process_time()
    prior.predict(features)
    three = time.process_time()
    parts = [one - start, two - one, three - two, three - start]

    def single() -> None:
        for spec in fresh(domain.space, SINGLE, 12):
            prior.predict(tabular(domain.graphs([spec])).values)

    own = timed(single) / SINGLE
    rates = [f"{len(specs) / part:,.0f}" for part in parts]
    return [space, _predictor(task), *rates, f"{own * 1e3:.1f}"]


def fast_rows(space: str, task: str, samples: int) -> list[str]:
    """What it took to make, how right it is, and its rates."""
    sys.stderr.write(f"{space} {task}\n")
    fast = made(space, task, samples)
    making = timed(lambda: fast.fidelity)
    how, rng = fast.fidelity, np.random.default_rng(13)
    fast.moments(fast.sample(100, rng))

    def batch() -> None:
        fast.moments(fast.sample(FAST, rng))

    both = timed(batch)
    texts = fast.texts(fast.sample(FAST // 10, rng))
    read = timed(lambda: fast.moments(texts))

    def single() -> None:
        for text in texts[:500]:
            fast.moments([text])

    one = timed(single) / 500
    codes = fast.sample(100_000, rng)
    screen = timed(lambda: fast.screen(codes, top=10))
    fidelity = ["exact"] * 3
    if how.kind == "distilled":
        fidelity = [f"{how.spearman:.3f}", f"{how.r2:.3f}", f"{how.kept:.2f}"]
    drawn = f"{how.kind}, {samples:,}" if how.kind == "distilled" else how.kind
    rates = [f"{FAST / both:,.0f}", f"{len(texts) / read:,.0f}", f"{one * 1e3:.3f}"]
    ends = [f"{screen:.1f}", f"{making:.0f}"]
    return [space, _predictor(task), drawn, *fidelity, *rates, *ends]


def side_by_side(space: str, task: str, samples: int) -> list[str]:
    """Candidates a CPU second, of one process alone and of two at once added up."""
    found = []
    for exact in (True, False):
        jobs = [(space, task, samples, exact, seed) for seed in (1, 2)]
        alone = next(iter(run(_rate, jobs[:1])))
        both = sum(run(_rate, jobs, workers=2))
        found += [f"{alone:,.0f}", f"{both:,.0f}", f"{both / alone:.2f}"]
    return [space, _predictor(task), *found]


def _rate(space: str, task: str, samples: int, exact: bool, seed: int) -> float:
    """Candidates a CPU second of one process, over a second of work."""
    fast, rng = made(space, task, samples), np.random.default_rng(seed)
    prior = fast.forecaster.prior.base
    fast.moments(fast.sample(100, rng))
    specs = fresh(fast.domain.space, EXACT, seed + 20)
    start, done = time.process_time(), 0
    while time.process_time() - start < 1:
        if exact:
            prior.predict(tabular(fast.domain.graphs(specs)).values)
            done += len(specs)
        else:
            fast.moments(fast.sample(FAST // 4, rng))
            done += FAST // 4
    return done / (time.process_time() - start)


def _predictor(task: str) -> str:
    return "universal" if task == UNIVERSAL else task


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--samples", type=int, default=20_000, help="forecasts to learn from")
    options.add_argument("--more", type=int, help="and on DARTS so many")
    options.add_argument("--spaces", nargs="+", help="these spaces only")
    chosen = options.parse_args()
    asked = [a for a in ASKED if chosen.spaces is None or a[0] in chosen.spaces]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ARCHCAST_CACHE"] = folder
        exact = [exact_rows(*a) for a in asked]
        fast = [fast_rows(*a, chosen.samples) for a in asked]
        if chosen.more:
            fast += [fast_rows(*a, chosen.more) for a in asked if a[0] == "darts"]
        pairs = [side_by_side(*a, chosen.samples) for a in asked if a in BESIDE]
    head = ("space", "predictor", "graphs/s", "features/s", "predictor/s", "all/s", "one alone, ms")
    parts = [
        (__doc__ or "").partition("\n\n")[2].strip(),
        f"## Exact, batches of {EXACT:,}\n\n{table(head, exact)}",
    ]
    head = (
        "space", "predictor", "kind", "Spearman", "R²", "kept", "drawn and answered/s",
        "from texts/s", "one alone, ms", "screen of 100,000, s", "making, s",
    )  # fmt: skip
    parts.append(f"## Fast\n\n{table(head, fast)}")
    head = (
        "space", "predictor", "exact/s, one process", "two", "ratio", "fast/s, one process",
        "two", "ratio",
    )  # fmt: skip
    text = "Their rates by their own CPU time, added up: a core for each, other work set aside."
    parts.append(f"## Two processes at once\n\n{text}\n\n{table(head, pairs)}")
    publish("Candidates a second", parts, chosen.out, ("numpy",))


if __name__ == "__main__":
    main()
