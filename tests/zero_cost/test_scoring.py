"""``score``: what is asked for, in any company and order, by any number of processes."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from archcast.encoders.errors import (
    DeviceError,
    InvalidSettingError,
    ShapeError,
    StorageError,
)
from archcast.encoders.spaces import get_space
from archcast.zero_cost import CLASSIC, PROXIES, Proxy, _program, catalogue, score, scoring
from archcast.zero_cost._settings import Settings

torch = pytest.importorskip("torch")

from archcast.zero_cost import _bench  # noqa: E402
from archcast.zero_cost._lab import LayerSum  # noqa: E402

SPACE = get_space("nasbench201")
QUICK = {"samples": 3, "cache": False}
#: One that reads the graph, one that watches, one that differentiates.
KINDS = ("params", "nwot", "snip")
_PICTURES = np.random.default_rng(3).standard_normal((9, 3, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def graphs():
    return SPACE.graphs(SPACE.sample(5, seed=2), image_size=8)


@pytest.fixture(scope="module")
def scores(graphs):
    return score(graphs, KINDS, **QUICK)


@pytest.fixture
def proxy(monkeypatch):
    """Adds a proxy for the time of a test."""

    def add(name, compute, needs=("data",)):
        monkeypatch.setitem(PROXIES, name, Proxy(name, "", "", f"made:{name}", frozenset(needs), 1))
        made = catalogue.implementation
        monkeypatch.setattr(
            _bench, "implementation", lambda p: compute if p.name == name else made(p)
        )

    return add


def test_scores_are_a_mapping(scores):
    assert list(scores) == list(KINDS)
    assert len(scores) == 3
    assert {name: values.shape for name, values in scores.items()} == dict.fromkeys(KINDS, (5,))
    assert not any(scores.reasons.values())
    table = pytest.importorskip("pandas") and scores.to_pandas()
    assert table["snip"].tolist() == scores["snip"].tolist()


def test_order_and_company_change_nothing(graphs, scores):
    backwards = score(graphs[::-1], KINDS, batch=2, **QUICK)
    alone = [score([graph], KINDS, **QUICK) for graph in graphs]
    for name in KINDS:
        np.testing.assert_allclose(backwards[name][::-1], scores[name], rtol=1e-5)
        np.testing.assert_allclose([s[name][0] for s in alone], scores[name], rtol=1e-5)


def test_proxies_together_are_those_alone(graphs, scores):
    for name in KINDS:
        np.testing.assert_allclose(score(graphs, [name], **QUICK)[name], scores[name], rtol=1e-5)


def test_equal_architectures_are_scored_once(graphs, scores, monkeypatch):
    seen = []
    real = _program.compile_graph
    monkeypatch.setattr(_bench, "compile_graph", lambda g: seen.append(g) or real(g))
    found = score([graphs[1], graphs[0], graphs[1]], KINDS, **QUICK)
    assert len(seen) == 2
    for name in KINDS:
        assert found[name][0] == found[name][2]
        np.testing.assert_allclose(found[name], scores[name][[1, 0, 1]], rtol=1e-5)


def test_seeds_are_repeatable_and_differ(graphs, scores):
    again = score(graphs, KINDS, seed=0, **QUICK)
    other = score(graphs, KINDS, seed=1, **QUICK)
    assert all((again[name] == scores[name]).all() for name in KINDS)
    assert (other["params"] == scores["params"]).all()
    assert not np.isclose(other["nwot"], scores["nwot"], rtol=1e-4).any()
    assert not np.isclose(other["snip"], scores["snip"], rtol=1e-4).any()


def test_another_process_finds_the_same(scores):
    code = (
        "from archcast.encoders.spaces import get_space; from archcast.zero_cost import score\n"
        "space = get_space('nasbench201')\n"
        "graphs = space.graphs(space.sample(5, seed=2), image_size=8)\n"
        f"found = score(graphs, {KINDS}, samples=3, cache=False)\n"
        "print(*found['nwot'], *found['snip'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = np.array(done.stdout.split(), float).reshape(2, 5)
    np.testing.assert_allclose(found, [scores["nwot"], scores["snip"]], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_several_processes_find_the_same(graphs, scores, engine, tmp_path):
    if engine == "ray":
        pytest.importorskip("ray")
    found = score(
        graphs, KINDS, samples=3, batch=2, engine=engine, workers=2, cache=tmp_path / "scores"
    )
    for name in KINDS:
        np.testing.assert_allclose(found[name], scores[name], rtol=1e-5)
    kept = score(graphs, KINDS, samples=3, cache=tmp_path / "scores")
    assert all((kept[name] == found[name]).all() for name in KINDS)


# --------------------------------------------------------------------------- the cache
def test_what_is_known_is_not_computed(graphs, scores, tmp_path, monkeypatch):
    path = tmp_path / "scores.sqlite"
    score(graphs[:3], KINDS, samples=3, cache=path)
    seen = []
    real = scoring._score_part
    monkeypatch.setattr(
        scoring, "_score_part", lambda part, names, *rest: seen.append((part, names)) or
        real(part, names, *rest)
    )  # fmt: skip
    found = score(graphs, (*KINDS, "grad_norm"), samples=3, cache=path)
    assert [(len(part), names) for part, names in seen] == [
        (3, ("grad_norm",)),
        (2, ("nwot", "snip", "grad_norm")),
    ]
    for name in KINDS:
        np.testing.assert_allclose(found[name], scores[name], rtol=1e-5)
    seen.clear()
    score(graphs, (*KINDS, "grad_norm"), samples=3, cache=path, batch=1)
    assert not seen


def test_the_cache_lies_in_the_library_s_folder(graphs, tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path))
    score(graphs[:1], KINDS, samples=2)
    assert (tmp_path / "scores.sqlite").exists()


def test_other_data_are_other_scores(graphs, tmp_path):
    path = tmp_path / "scores.sqlite"
    images = np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype(np.float32)
    labels = np.arange(4)
    drawn = score(graphs[:2], KINDS, samples=3, cache=path)
    given = score(graphs[:2], KINDS, samples=3, data=(images, labels), cache=path)
    again = score(graphs[:2], KINDS, samples=3, data=(torch.tensor(images), labels), cache=path)
    bare = score(graphs[:2], KINDS, samples=3, data=(images, None), cache=path)
    assert not np.isclose(given["nwot"], drawn["nwot"]).any()
    assert (again["snip"] == given["snip"]).all()
    assert not np.isclose(bare["snip"], given["snip"]).any()


def test_missing_scores_are_kept_with_their_reason(graphs, tmp_path, monkeypatch):
    empty = SPACE.graph("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", image_size=8)
    first = score([empty, graphs[0]], KINDS, samples=3, cache=tmp_path / "c")
    assert first.reasons["nwot"].keys() == {0}
    monkeypatch.setattr(scoring, "_score_part", None)
    again = score([graphs[0], empty], KINDS, samples=3, cache=tmp_path / "c")
    assert again.reasons["nwot"] == {1: first.reasons["nwot"][0]}
    assert np.isnan(again["nwot"]).tolist() == [False, True]


def test_interrupted_it_goes_on_where_it_was(graphs, scores, tmp_path, monkeypatch):
    real, parts = scoring._score_part, []

    def impatient(part, *rest):
        parts.append(part)
        if len(parts) == 3:
            raise KeyboardInterrupt
        return real(part, *rest)

    monkeypatch.setattr(scoring, "_score_part", impatient)
    with pytest.raises(KeyboardInterrupt):
        score(graphs, KINDS, samples=3, batch=1, cache=tmp_path / "c")
    found = score(graphs, KINDS, samples=3, batch=1, cache=tmp_path / "c")
    assert len(parts) == 3 + 3  # two were done, the third was not, and three are left
    np.testing.assert_allclose(found["snip"], scores["snip"], rtol=1e-5)


@pytest.mark.slow
def test_ctrl_c_keeps_what_several_processes_found(tmp_path):
    code = (
        "import sys; from archcast.encoders.spaces import get_space\n"
        "from archcast.zero_cost import score\n"
        "if __name__ == '__main__':\n"
        "    space = get_space('nasbench201'); graphs = space.graphs(space.sample(400), None, 16)\n"
        "    score(graphs, ['snip'], batch=1, samples=8, workers=2, cache=sys.argv[1])\n"
    )
    script, path = tmp_path / "script.py", tmp_path / "scores.sqlite"
    script.write_text(code)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        running = subprocess.Popen(
            [sys.executable, str(script), str(path)], stderr=subprocess.DEVNULL
        )
    finally:
        signal.signal(signal.SIGINT, before)
    while running.poll() is None and _rows(path) < 3:
        signal.sigtimedwait([], 0.2)
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=60) != 0
    assert 3 <= _rows(path) < 400


def _rows(path):
    import sqlite3

    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            return database.execute("SELECT count(*) FROM scores").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


# ---------------------------------------------------------------------- what goes wrong
@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"proxies": ["nwto"]}, InvalidSettingError, "nwot"),
        ({"samples": 0}, InvalidSettingError, "samples"),
        ({"batch": 0}, InvalidSettingError, "batch"),
        ({"init": "zeros"}, InvalidSettingError, "kaiming"),
        ({"workers": 0}, InvalidSettingError, "workers"),
        ({"engine": "spark"}, InvalidSettingError, "ray"),
        ({"device": "abacus"}, DeviceError, "abacus"),
        ({"data": (np.zeros((2, 3, 8, 8), np.float32), None)}, InvalidSettingError, "fewer"),
        ({"data": (np.zeros((9, 8), np.float32), None)}, ShapeError, "images"),
        ({"data": (["cat.png"], None)}, ShapeError, "numbers"),
        ({"data": (np.zeros((9, 3, 8, 8), np.float32), np.zeros((9, 2)))}, ShapeError, "labels"),
        ({"cache": __file__}, StorageError, "not a cache"),
        ({"samples": 2.5}, InvalidSettingError, "samples is a whole number, not 2.5"),
        ({"seed": "a"}, InvalidSettingError, "seed is a whole number, not 'a'"),
        ({"memory": 0}, InvalidSettingError, "memory is at least 1"),
        ({"init": "zeros"}, InvalidSettingError, "there are .*, normal$"),
        ({"data": (_PICTURES * np.nan, None)}, InvalidSettingError, "images .* not finite"),
        ({"data": (_PICTURES, [0.5] * 9)}, InvalidSettingError, "labels are whole numbers"),
        ({"data": (_PICTURES, [-1] * 9)}, InvalidSettingError, "label -1"),
        ({"data": (_PICTURES, [1] * 8)}, ShapeError, "8 labels for 9 images"),
        ({"data": (_PICTURES.transpose(0, 2, 3, 1), None)}, ShapeError, "transpose"),
        ({"data": (_PICTURES, None, None)}, InvalidSettingError, "images alone"),
        ({"data": 3}, InvalidSettingError, "images alone"),
    ],
)
def test_mistakes_are_told(graphs, wrong, error, words):
    options = {"proxies": KINDS, **QUICK} | wrong
    with pytest.raises(error, match=words):
        score(graphs, **options)


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"engine": "spark"}, InvalidSettingError, "ray"),
        ({"device": "abacus"}, DeviceError, "abacus"),
        ({"device": "cuda:x"}, DeviceError, "cuda:x"),
        ({"workers": 0}, InvalidSettingError, "workers"),
    ],
)
def test_mistakes_are_told_where_no_network_runs_too(graphs, wrong, error, words):
    with pytest.raises(error, match=words):
        score(graphs, ["params"], **wrong)


@pytest.mark.parametrize(
    "arch", ["|none~0|", b"onnx", Path("model.onnx"), SPACE, torch.nn.Sequential(torch.nn.ReLU())]
)
def test_a_single_architecture_is_no_list(arch):
    with pytest.raises(InvalidSettingError, match="list"):
        score(arch, ["params"])


def test_a_single_name_is_a_list_of_one(graphs, scores):
    found = score(graphs[:1], "nwot", **QUICK)
    assert list(found) == ["nwot"]
    assert found["nwot"][0] == pytest.approx(scores["nwot"][0], rel=1e-5)


def test_images_alone_are_data(graphs):
    alone, pair = (
        score(graphs[:1], KINDS, data=d, **QUICK) for d in (_PICTURES, (_PICTURES, None))
    )
    assert [*alone["snip"], *alone["nwot"]] == [*pair["snip"], *pair["nwot"]]


def test_whole_labels_may_be_floating_point_numbers(graphs):
    found = [
        score(graphs[:1], ["snip"], data=(_PICTURES, np.arange(9, dtype=kind)), **QUICK)["snip"][0]
        for kind in (np.int64, np.float32)
    ]
    assert found[0] == found[1]


def test_a_label_beyond_the_classes_is_a_reason(graphs):
    found = score(graphs[:2], KINDS, data=(_PICTURES, [105] * 9), **QUICK)
    assert set(found.reasons["snip"].values()) == {"label 105 of 10 classes: labels count from 0"}
    assert np.isfinite(found["nwot"]).all()


def test_nothing_to_score():
    assert score([], KINDS, **QUICK)["nwot"].shape == (0,)


def test_what_does_not_fit_is_said_and_costs_nobody_else(graphs, scores):
    big = SPACE.graph(SPACE.sample(1, seed=9)[0], image_size=64)
    found = score([graphs[0], big, graphs[1]], KINDS, memory=30_000_000, **QUICK)
    assert "MB of memory" in found.reasons["snip"][1]
    assert found.reasons["snip"].keys() == {1}
    assert np.isfinite(found["nwot"]).all()  # a forward pass takes less than gradients
    np.testing.assert_allclose(found["snip"][[0, 2]], scores["snip"][:2], rtol=1e-5)


def test_want_of_memory_is_not_kept(graphs, tmp_path):
    options = {"proxies": ["snip"], "samples": 3, "cache": tmp_path / "c"}
    assert np.isnan(score(graphs[:1], memory=1000, **options)["snip"][0])
    assert np.isfinite(score(graphs[:1], **options)["snip"][0])


class Fragile(LayerSum):
    """Fails where one of the programs is a certain one."""

    spoiler = None
    passes = 0

    def see(self, step):
        if any(p.graph == Fragile.spoiler for p in self.programs):
            raise IndexError("out of range\nand more")
        super().see(step)

    def layer(self, step):
        return torch.ones(step.copies)


def test_one_that_fails_costs_nobody_else(graphs, scores, proxy, monkeypatch):
    proxy("fragile", Fragile)
    monkeypatch.setattr(Fragile, "spoiler", graphs[3])
    found = score(graphs, (*KINDS, "fragile"), **QUICK)
    assert found.reasons["fragile"] == {3: "IndexError: out of range"}
    assert np.isfinite(found["fragile"]).tolist() == [True, True, True, False, True]
    for name in KINDS:
        np.testing.assert_allclose(found[name], scores[name], rtol=1e-5)


def test_a_graph_without_a_program_costs_nobody_else(graphs, scores, monkeypatch):
    real = _program.compile_graph

    def compile_graph(graph):
        return real(graph if graph != graphs[0] else None)

    monkeypatch.setattr(_bench, "compile_graph", compile_graph)
    found = score(graphs, KINDS, **QUICK)
    assert found.reasons["nwot"].keys() == found.reasons["snip"].keys() == {0}
    np.testing.assert_allclose(found["snip"][1:], scores["snip"][1:], rtol=1e-5)


def test_failures_are_looked_for_in_few_launches(graphs, proxy, monkeypatch):
    launches = []

    def broken(lab):
        launches.append(len(lab))
        raise RuntimeError("broken")

    proxy("broken", broken)
    score(graphs[:4], ("broken",), **QUICK)
    assert sorted(launches) == [1, 1, 1, 1, 2, 2, 4]


def test_running_out_of_memory_makes_launches_smaller(graphs, proxy):
    launches = []

    def hungry(lab):
        launches.append(len(lab))
        if len(lab) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.ones(len(lab), dtype=torch.float64)

    proxy("hungry", hungry)
    assert score(graphs, ("hungry", "nwot"), **QUICK)["hungry"].tolist() == [1] * 5
    assert launches[0] == 5
    assert max(launches[1:]) <= 3


def test_infinite_scores_are_none(graphs, proxy):
    def endless(lab):
        return torch.full((len(lab),), float("inf"), dtype=torch.float64)

    proxy("endless", endless)
    found = score(graphs[:2], ("endless",), **QUICK)
    assert np.isnan(found["endless"]).all()
    assert found.reasons["endless"] == {0: "the score is inf", 1: "the score is inf"}


def test_weights_are_let_go_of(graphs):
    bench = _bench.Bench(Settings(samples=2, memory=3_000_000))
    list(bench.scores(graphs[:1], [PROXIES["nwot"]]))
    assert sum(w.nbytes for w in bench.weights._kept.values()) < 3_000_000 // 4


def test_the_classic_ones_are_proxies():
    assert set(CLASSIC) <= set(PROXIES)


def test_scoring_graphs_needs_no_torch():
    code = (
        "import sys; from archcast.encoders.spaces import get_space\n"
        "from archcast.zero_cost import score\n"
        "space = get_space('nasbench201'); specs = space.sample(2)\n"
        "score(space.graphs(specs), ['params', 'flops', 'trainable_layers'])\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
