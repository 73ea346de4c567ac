"""HAT's latencies, whose designs the source only averages."""

import numpy as np
import pytest

from archcast import datasets
from archcast.datasets._csv_tables import numbers, read_columns
from archcast.datasets.benchmarks._hat import layers
from archcast.encoders.spaces import get_space

#: Task -> rows, and measured rows of its devices.
ROWS = {
    "iwslt14deen": (1998, [1998]),
    "wmt14ende": (5998, [2000, 2000, 2000]),
    "wmt14enfr": (5989, [2000, 1997, 1999]),
    "wmt19ende": (1999, [1999]),
}


@pytest.mark.parametrize("task", sorted(ROWS))
def test_check_figures(mirror, task):
    benchmark = datasets.load(f"hat_{task}")
    rows, measured = ROWS[task]
    assert len(benchmark) == len(set(benchmark.specs)) == rows == benchmark.card.rows
    decoders = [t for t in benchmark.tasks if t.endswith("/decoder_latency_ms")]
    values = [benchmark.labels(t) for t in decoders]
    assert [int(np.isfinite(v).sum()) for v in values] == measured
    # Every file has 2,000 rows; those of one design are kept as single measurements.
    assert all(np.isfinite(benchmark.seeds(t)).sum() == 2000 for t in benchmark.tasks)
    assert min(np.nanmin(v) for v in values) > 0
    assert set(benchmark.card.tasks) == set(benchmark.tasks)
    assert all(np.nanmin(benchmark.label_std(t)) >= 0 for t in benchmark.tasks)


def test_deviation_is_that_of_all_runs_behind_a_label(mirror):
    table = read_columns(datasets.fetch("hat/iwslt14deen_gpu_titanxp.csv"))
    mean, std = (numbers(table[f"latency_{kind}_decoder"]) for kind in ("mean", "std"))
    benchmark, task = datasets.load("hat_iwslt14deen"), "titan_xp/decoder_latency_ms"
    seeds, found = benchmark.seeds(task), benchmark.label_std(task)
    several = np.flatnonzero(np.isfinite(seeds).sum(1) > 1)
    assert len(several) == 2
    for row in several:
        lines = [int(np.flatnonzero(mean == v)[0]) for v in seeds[row][np.isfinite(seeds[row])]]
        # Two runs a measurement that have its mean and deviation, and all four of them together.
        runs = [mean[line] + sign * std[line] for line in lines for sign in (-1, 1)]
        assert found[row] == pytest.approx(np.std(runs))
    one = int(np.flatnonzero(np.isfinite(seeds).sum(1) == 1)[0])
    assert found[one] == pytest.approx(std[np.flatnonzero(mean == seeds[one][0])[0]])


def test_designs_have_the_means_of_the_source(mirror):
    table = read_columns(datasets.fetch("hat/iwslt14deen_gpu_titanxp.csv"))
    benchmark, space = datasets.load("hat_iwslt14deen"), get_space("hat_iwslt14deen")
    latency = numbers(table["latency_mean_decoder"])
    seeds = benchmark.seeds("titan_xp/decoder_latency_ms")
    reach = {-1: 1, 1: 2, 2: 3}
    for row in range(0, 2000, 50):
        (found,) = np.flatnonzero((seeds == latency[row]).any(1))
        cell = space.parse(benchmark.specs[found])
        for name in ("decoder_ffn_embed_dim", "decoder_self_attention_heads"):
            chosen = [value for (value,) in space.layers(cell, name)]
            assert np.mean(chosen) == pytest.approx(float(table[f"{name}_avg"][row]))
        far = [reach[value] for (value,) in space.layers(cell, "decoder_arbitrary_ende_attn")]
        assert np.mean(far) == pytest.approx(float(table["decoder_arbitrary_ende_attn_avg"][row]))
        wide = space.chosen(cell, "encoder_ffn_embed_dim")
        assert np.mean(wide) == pytest.approx(float(table["encoder_ffn_embed_dim_avg"][row]))


def test_lists_of_one_mean_cost_the_same():
    space = get_space("hat_wmt14ende")
    cell = {
        "encoder_embed_dim": 640, "encoder_ffn_embed_dim": [512, 3072, 1024, 1024, 2048, 512],
        "encoder_self_attention_heads": [2, 8, 4, 4, 2, 8], "decoder_embed_dim": 512,
        "decoder_layer_num": 3, "decoder_ffn_embed_dim": [3072, 512, 1024],
        "decoder_self_attention_heads": [8, 2, 2], "decoder_ende_attention_heads": [4, 4, 2],
        "decoder_arbitrary_ende_attn": [2, -1, -1],
    }  # fmt: skip
    other = cell | {
        "encoder_ffn_embed_dim": [2048, 2048, 1024, 1024, 1024, 1024],
        "encoder_self_attention_heads": [8, 8, 4, 4, 2, 2],
        "decoder_ffn_embed_dim": [1024, 3072, 512],
        "decoder_self_attention_heads": [4, 4, 4], "decoder_arbitrary_ende_attn": [1, 1, -1],
    }  # fmt: skip
    first, second = space.graph(cell), space.graph(other)
    assert first.hash != second.hash
    assert (first.params, first.macs) == (second.params, second.macs)


def test_the_most_even_list_of_a_mean():
    assert layers(4, 3, (2, 4, 8)) == (4, 4, 4)
    assert layers(14 / 3, 3, (2, 4, 8)) == (8, 4, 2)
    assert layers(1194.6666666666667, 6, (512, 1024, 2048, 3072)) == (2048,) + (1024,) * 5
    assert layers(8, 1, (2, 4, 8)) == (8,)
