"""The loop that nobody wrote for us, and the same with one line swapped, in small."""

import difflib
import subprocess
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("optuna")


@pytest.fixture(scope="module")
def folder(root):
    return root / "examples" / "digits"


def run(script, *more):
    done = subprocess.run(
        [sys.executable, script, *more], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_loop_is_the_same_but_for_the_swap(folder):
    plain, swapped = (
        (folder / name).read_text("utf-8").split('"""', 2)[2].splitlines()
        for name in ("plain.py", "swapped.py")
    )
    changes = [line for line in difflib.ndiff(plain, swapped) if line[:2] in ("- ", "+ ")]
    gone = [line for line in changes if line[0] == "-"]
    assert [line[2:].strip() for line in gone] == [
        "best = study.best_params",
        "value = study.best_value",
    ]
    assert sum(line[2:].strip() != "" for line in changes) - len(gone) <= 7


@pytest.mark.slow
def test_both_loops_run(folder):
    assert run(folder / "plain.py", "--trials", "2").startswith("2 trainings, validation ")
    said = run(folder / "swapped.py", "--trials", "18")
    assert "digits/accuracy: 18 calls about 18 candidates" in said
    assert "trained 15 of 15 trainings" in said
    assert "answered by forecasts alone: 3 candidates" in said
    assert "15 trainings, validation" in said
