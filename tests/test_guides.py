"""The guides' examples run as they stand."""

import re
from pathlib import Path

import numpy as np
import pytest

from archcast.encoders.spaces import SPACES


def examples(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.fixture
def own_names():
    """Spaces that an example registers are gone after it."""
    before = set(SPACES)
    yield
    for name in set(SPACES) - before:
        del SPACES[name]


def test_spaces_guide(root: Path, own_names) -> None:
    pytest.importorskip("torch")
    found: dict = {}
    for code in examples(root / "encoders" / "spaces" / "README.md"):
        exec(compile(code, "encoders/spaces/README.md", "exec"), found)
    assert 10 < found["forecast"].value < 96
    assert found["space"].size == 4**3 * 3**3 * 2**3 * 2
    assert found["graph"].macs > 1e8


def test_corpus_guide(root: Path, mirror: Path, light_models: list[Path], tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    for path in light_models:
        (tmp_path / path.name.removeprefix("light_")).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path / "cache"))
    found: dict = {}
    for code in examples(root / "datasets" / "README.md"):
        exec(compile(code, "datasets/README.md", "exec"), found)
    assert found["data"].query("64:64:56:64:24", found["task"]) == 93.65
    assert found["own"].query("resnet50.onnx", "pets/top1") == 93.1
    assert found["labels"].num_rows == len(found["hashes"]) == len(found["features"]) == 2


def test_predictors_guide(root: Path, tmp_path, monkeypatch):
    pytest.importorskip("lightgbm")
    monkeypatch.setattr("archcast.predictors._registry._SESSION", {})
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    for code in examples(root / "surrogates" / "predictors" / "README.md"):
        exec(compile(code, "surrogates/predictors/README.md", "exec"), found)
    truth = np.array(found["measured"])
    assert np.corrcoef(found["values"], truth[40:])[0, 1] > 0.5
    assert ((found["low"] <= truth) & (truth <= found["high"])).mean() > 0.8


def test_predictors_guide_knows_all_predictors(root: Path):
    from archcast.predictors import list_predictors

    text = (root / "surrogates" / "predictors" / "README.md").read_text()
    missing = [kind for kind in list_predictors() if f"`{kind}`" not in text]
    assert not missing


def test_zero_cost_guide(root: Path, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from archcast.zero_cost import PROXIES

    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    before = set(PROXIES)
    found: dict = {}
    try:
        for code in examples(root / "zero_cost" / "README.md"):
            if code.startswith("# my_proxies.py"):
                (tmp_path / "my_proxies.py").write_text(code)
            else:
                exec(compile(code, "zero_cost/README.md", "exec"), found)
        own = found["zero_cost"].score(found["cells"], ["grad_norm"], samples=8)
    finally:
        for name in set(PROXIES) - before:
            del PROXIES[name]
    assert "attention" in found["why"]
    assert found["best"] in found["cells"]
    assert found["joined"].shape == found["ranks"].shape == (6,)
    assert found["found"] is not None
    assert found["next_index"] is not None
    # The examples tell architectures from one another; a dead cell has no layers to look at.
    mine = found["mine"]
    assert len(set(mine["longest_path"])) > 2
    assert len(set(mine["Loudness"][found["scores"]["params"] > 0])) > 2
    np.testing.assert_allclose(mine["steepness"], np.nan_to_num(own["grad_norm"]))
    assert found["scores"]["params"].min() == 0


def test_front_page_says_how_many_proxies_there_are(root: Path):
    from archcast.zero_cost import PROXIES

    text = (root / "README.md").read_text()
    assert f"{len(PROXIES)} training-free proxies" in text


@pytest.mark.slow
def test_search_guide(root: Path, tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path / "cache"))
    found: dict = {}
    page = root / "surrogates" / "search" / "README.md"
    for code in re.sub(
        r"<!-- needs the corpus -->\n```python.*?```", "", page.read_text(), flags=re.DOTALL
    ).split("```python\n")[1:]:
        exec(compile(code.partition("```")[0], "surrogates/search/README.md", "exec"), found)
    assert found["winner"].value == 60 + 5 * found["winner"].arch.count("conv_3x3")
    assert (tmp_path / "best").is_dir()
    assert found["domain"].feasible([study_spec(found["study"])]).all()
    assert len(found["best"].specs) == 5


def study_spec(study) -> str:
    return study.best_trials[0].user_attrs["spec"]


def test_simulation_in_the_search_guide(root: Path, mirror: Path):
    found: dict = {}
    page = (root / "surrogates" / "search" / "README.md").read_text()
    code = page.partition("<!-- needs the corpus -->\n```python\n")[2].partition("```")[0]
    exec("from archcast.search import get_strategy\n" + code, found)
    assert 0 <= found["table"].regret(found["trace"].values[found["best"]]) < 2
