"""The examples of optimizers run, in small, each in a process of its own as a person would."""

import os
import re
import subprocess
import sys

import pytest

_EXAMPLES = {
    "ask_tell": (None, 12, r"\d\.\d\d at \[\d, \d+, '\w+'\] after 12 points"),
    "optuna_study": ("optuna", 4, r"\d\d\.\d\d %  \d\.\d\d M  \|"),
    "optuna_own_loop": ("optuna", 6, r"best 0\.\d+ with \{.*of 6 pruned"),
    "pymoo_front": ("pymoo", 2, r"\d\d\.\d\d %  \d\.\d\d M  \d+:"),
    "gymnasium_env": ("gymnasium", 10, r"\d\d\.\d\d %  \|"),
    "nevergrad_loss": ("nevergrad", 8, r"\d\d\.\d\d %  \|"),
    "syne_tune_simulation": ("syne_tune", 12, r"\d\d\.\d\d %  \|"),
    "ray_tune": ("ray", 2, r"\d\d\.\d\d %  \|"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", _EXAMPLES)
def test_example(name, root, tmp_path):
    package, trials, expected = _EXAMPLES[name]
    if package is not None:
        pytest.importorskip(package)
    script = root / "examples" / "optimizers" / f"{name}.py"
    command = [sys.executable, str(script), "--trials", str(trials)]
    environment = os.environ | {"SYNETUNE_FOLDER": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert re.search(expected, done.stdout), done.stdout[-1000:]


def test_every_example_is_run(root):
    scripts = {script.stem for script in (root / "examples" / "optimizers").glob("*.py")}
    assert scripts == set(_EXAMPLES)
