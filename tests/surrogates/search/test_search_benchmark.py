"""``benchmarks/search.py``, in small."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest


@pytest.fixture(scope="module")
def ran(mirror, root, tmp_path_factory):
    """The quick run, then the same command again."""
    folder = tmp_path_factory.mktemp("search")
    command = [
        sys.executable, str(root / "benchmarks" / "search.py"), "--quick",
        "--strategies", "random", "evolution", "--work", str(folder),
    ]  # fmt: skip
    out = ["--out", str(folder / "table.md")]
    first = subprocess.run([*command, *out], capture_output=True, text=True, check=True)
    lines = (folder / "quick.jsonl").read_text().splitlines()
    subprocess.run(command, capture_output=True, text=True, check=True)
    return folder, first.stdout, lines


@pytest.mark.slow
def test_tables_curves_and_plot_are_written(ran):
    folder, printed, _ = ran
    assert printed == (folder / "table.md").read_text()
    assert "| random | 2 |" in printed
    assert "| evolution | 2 |" in printed
    assert (folder / "table.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((folder / "table.csv").open()))
    assert {row["method"] for row in rows} == {"random", "evolution"}
    regrets = [float(row["regret"]) for row in rows if row["method"] == "random"]
    assert regrets == sorted(regrets, reverse=True)


@pytest.mark.slow
def test_what_was_run_is_not_run_again(ran):
    folder, _, lines = ran
    assert (folder / "quick.jsonl").read_text().splitlines() == lines
    runs = [json.loads(line) for line in lines]
    assert [(run["method"], run["seed"]) for run in runs] == [
        ("random", 0), ("evolution", 0), ("random", 1), ("evolution", 1),
    ]  # fmt: skip
    assert all(len(set(run["picks"])) == 30 for run in runs)


@pytest.mark.slow
def test_regret_in_the_table_is_that_of_the_picks(ran, root):
    from archcast.search import simulate

    folder, _, lines = ran
    simulation = simulate("transnas_micro", "taskonomy-normal/val_ssim")
    picks = [json.loads(line)["picks"] for line in lines if '"random"' in line]
    best = [simulation.values[chosen[:20]].max() for chosen in picks]
    expected = np.mean([simulation.optimum - value for value in best])
    rows = csv.DictReader((folder / "table.csv").open())
    found = [r for r in rows if r["method"] == "random" and r["trainings"] == "20"]
    assert float(found[0]["regret"]) == pytest.approx(expected, rel=1e-4)
