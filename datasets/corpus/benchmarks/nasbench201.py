"""NAS-Bench-201: 15,625 cells, their accuracies on five data sets, and what they cost to run."""

from __future__ import annotations

from archcast.datasets._benchmark import Benchmark
from archcast.datasets.benchmarks import _nasbench201_accuracies as accuracies
from archcast.datasets.benchmarks import _nasbench201_devices as devices
from archcast.datasets.benchmarks import _nasbench201_proxies as proxies
from archcast.datasets.benchmarks._nasbench201_rows import specs, table
from archcast.encoders.spaces.nasbench201 import NASBench201


def load() -> Benchmark:
    """The benchmark; rows are in its own index order.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    space, texts = NASBench201(), specs()
    tasks = accuracies.readers() | devices.readers()
    return Benchmark(
        "nasbench201",
        texts,
        {task: reader for task, (reader, _) in tasks.items()},
        lambda rows: space.graphs([texts[row] for row in rows]),
        key=space.parse,
        recipes={task: recipe for task, (_, recipe) in tasks.items()},
        seeds={"cifar10/test_accuracy": accuracies.seeds},
        stds=devices.stds(),
        proxies=proxies.readers(),
    )


def isomorphism_classes() -> list[str]:
    """(15,625,) the benchmark's own isomorphism strings, equal for cells it calls the same."""
    return list(table()["UniqueString"])
