"""HW-GPT-Bench: parameters and operations of the table prove the networks."""

import numpy as np
import pytest

from archcast import datasets
from archcast.encoders.errors import DownloadError
from archcast.encoders.spaces import get_space

PERPLEXITIES = {"s": (10_000, 22.2, 41.9), "m": (5_245, 21.1, 35.7), "l": (429, 18.6, 29.3)}
BATCH = {"s": 8, "m": 4, "l": 1}


@pytest.fixture(scope="module", params=sorted(PERPLEXITIES))
def size(request, mirror):
    return request.param


def test_check_figures(size):
    benchmark = datasets.load(f"hwgpt_{size}")
    values = benchmark.labels("openwebtext/perplexity")
    known = values[np.isfinite(values)]
    assert len(benchmark) == len(set(benchmark.specs)) == 10_000
    assert (len(known), known.min().round(1), known.max().round(1)) == PERPLEXITIES[size]
    assert sum(task.endswith("/latency_ms") for task in benchmark.tasks) == 14
    assert sum(task.endswith("/energy_mj") for task in benchmark.tasks) == 13
    assert set(benchmark.card.tasks) == set(benchmark.tasks)
    assert benchmark.recipe("openwebtext/perplexity")["inherited"] is True
    assert benchmark.recipe("a100/latency_ms")["batch_size"] == BATCH[size]
    assert "batch_size" not in benchmark.recipe("a100/energy_mj")


def test_parameters_and_operations_are_those_of_the_table(size):
    benchmark = datasets.load(f"hwgpt_{size}")
    space = get_space(benchmark.name)
    rows = list(range(0, 10_000, 400))
    params = benchmark.proxy_scores("openwebtext/params")[rows]
    flops = benchmark.proxy_scores("openwebtext/flops")[rows]
    for row, graph, count, operations in zip(
        rows, benchmark.graphs(rows), params, flops, strict=True
    ):
        # The table has six digits.
        assert graph.params == pytest.approx(count, rel=6e-6)
        cell = space.parse(benchmark.specs[row])
        (width,), (depth,) = space.chosen(cell, "embed_dim"), space.chosen(cell, "n_layer")
        linear = sum(m for m, op in zip(graph.op_macs, graph.ops, strict=True) if op == "linear")
        norms = 5 * 1024 * width * (2 * depth + 1)
        gates = 1024 * width * sum(ratio for (ratio,) in space.layers(cell, "mlp_ratio"))
        counted = BATCH[size] * (2 * linear + norms + gates)
        assert counted == pytest.approx(operations, rel=6e-6)


def test_parameters_of_all_rows_follow_the_networks(size):
    """The closed form of what the graphs count, against the whole table."""
    benchmark = datasets.load(f"hwgpt_{size}")
    space = get_space(benchmark.name)
    counted = []
    for spec in benchmark.specs:
        cell = space.parse(spec)
        (width,), (depth,) = space.chosen(cell, "embed_dim"), space.chosen(cell, "n_layer")
        heads = sum(h for (h,) in space.layers(cell, "n_head"))
        wide = width * sum(ratio for (ratio,) in space.layers(cell, "mlp_ratio"))
        biases = 192 * heads + 2 * wide + 2 * width * depth
        total = width * (2 * 50254 + 2 + 4 * depth + 256 * heads + 3 * wide)
        counted.append(total + space.chosen(cell, "bias")[0] * biases)
    np.testing.assert_allclose(counted, benchmark.proxy_scores("openwebtext/params"), rtol=6e-6)
    sample = range(0, 10_000, 2_000)
    assert [g.params for g in benchmark.graphs(sample)] == [counted[row] for row in sample]


GPUS = ("p100", "a100", "a40", "a6000", "h100", "rtx2080", "rtx3080", "v100")


@pytest.mark.parametrize(
    ("name", "least", "most"), [("s", 1.02, 1.43), ("m", 1.77, 2.08), ("l", 3.94, 6.84)]
)
def test_energies_are_watt_hours_but_not_of_as_many_sequences(mirror, name, least, most):
    benchmark = datasets.load(f"hwgpt_{name}")
    ratios = [
        np.median(
            benchmark.labels(f"{gpu}/energy_mj")
            / (benchmark.labels(f"{gpu}/latency_ms") * benchmark.labels(f"{gpu}/power_w"))
        )
        for gpu in GPUS
    ]
    assert (min(ratios), max(ratios)) == pytest.approx((least, most), abs=0.01)
    watts = benchmark.labels("cpu_a6000/energy_mj") / benchmark.labels("cpu_a6000/latency_ms")
    assert np.median(watts) == pytest.approx(107.2, abs=0.2)


def test_rows_of_another_space_are_left_out(mirror):
    from archcast.datasets._csv_tables import read_columns

    table = read_columns(datasets.fetch("hwgpt/m.csv.gz"))
    foreign = [
        row for row, width in enumerate(table["embed_dim"]) if width in ("192", "384", "768")
    ]
    assert (len(table["embed_dim"]), len(foreign)) == (10_017, 17)
    assert not any(table["perplexity"][row] for row in foreign)


def test_the_table_has_to_come_from_a_mirror(monkeypatch, tmp_path):
    from archcast.datasets.benchmarks import _hwgpt

    monkeypatch.delenv("ARCHCAST_MIRROR", raising=False)
    monkeypatch.setenv("ARCHCAST_OFFLINE", "1")
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path))
    _hwgpt._table.cache_clear()
    with pytest.raises(DownloadError, match=r"converted from the pickles.*ARCHCAST_MIRROR"):
        _hwgpt._table("s")
