"""What several benchmarks need is written once."""

from pathlib import Path

from archcast.datasets import benchmarks

FOLDER = Path(benchmarks.__file__).parent


def test_tables_are_read_in_one_place():
    """But those whose rows are longer than the header, streamed for size, or inside a wheel."""
    own = {"nasbench_nlp", "_lemur_trials", "_lemur_wheel", "_scan_bench_wheel"}
    assert {p.stem for p in FOLDER.glob("*.py") if "import csv" in p.read_text("utf-8")} == own


def test_devices_of_help_are_named_in_one_place():
    assert [p.stem for p in FOLDER.glob("*.py") if "silver_4114" in p.read_text("utf-8")] == [
        "_help"
    ]
