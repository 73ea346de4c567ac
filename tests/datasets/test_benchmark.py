"""The table itself, on a toy, and what holds for every benchmark."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from archcast import datasets
from archcast.datasets import Benchmark, benchmarks
from archcast.datasets._registry import registry
from archcast.encoders.errors import InvalidSpecError, UnknownDatasetError, UnknownTaskError


@pytest.fixture
def toy():
    seeds = np.array([[1.0, 3.0, np.nan], [5.0, np.nan, np.nan], [np.nan] * 3])
    return Benchmark(
        "nasbench201",
        ["a", "b", "c"],
        {"t/acc": lambda: np.array([2.0, 5.0, np.nan]), "t/other": lambda: np.arange(3.0)},
        lambda rows: [f"graph {row}" for row in rows],  # pyright: ignore[reportArgumentType]
        key=str.lower,
        recipes={"t/acc": {"epochs": 3}},
        seeds={"t/acc": lambda: seeds},
    )


def test_labels_are_aligned_and_cannot_be_changed(toy):
    assert toy.tasks == ("t/acc", "t/other")
    labels = toy.labels("t/acc")
    np.testing.assert_array_equal(labels, [2, 5, np.nan])
    with pytest.raises(ValueError, match="read-only"):
        labels[0] = 0


def test_query_one_and_many(toy):
    assert toy.query("b", "t/acc") == 5
    assert isinstance(toy.query("b", "t/acc"), float)
    np.testing.assert_array_equal(toy.query(["C", "a", "A"], "t/acc"), [np.nan, 2, 2])
    with pytest.raises(InvalidSpecError, match="no measurement of 'z'"):
        toy.query("z", "t/acc")


def test_seeds_and_their_spread(toy):
    assert toy.seeds("t/acc").shape == (3, 3)
    np.testing.assert_allclose(toy.label_std("t/acc"), [2**0.5, np.nan, np.nan])
    assert toy.seeds("t/other").shape == (3, 0)
    assert np.isnan(toy.label_std("t/other")).all()


def test_recipe_graphs_and_table(toy):
    assert toy.recipe("t/acc") == {"epochs": 3}
    assert toy.recipe("t/other") == {}
    assert toy.graphs([2, 0]) == ["graph 2", "graph 0"]
    assert len(toy.graphs()) == len(toy) == 3
    frame = toy.to_pandas()
    assert list(frame.columns) == ["spec", "t/acc", "t/other"]
    assert frame["t/other"].tolist() == [0, 1, 2]


def test_unknown_task_has_close_names(toy):
    for method in (toy.labels, toy.seeds, toy.label_std, toy.recipe):
        with pytest.raises(UnknownTaskError, match="did you mean t/acc"):
            method("t/ac")


def test_unknown_benchmark_has_close_names():
    for function in (datasets.info, datasets.load):
        with pytest.raises(UnknownDatasetError, match="did you mean nasbench201"):
            function("nasbench_201")


def test_every_benchmark_has_a_card():
    folder = Path(benchmarks.__file__).parent
    modules = {p.stem for p in folder.glob("[!_]*.py")}
    assert set(datasets.list_benchmarks()) == modules
    assert len(modules) > 20


@pytest.mark.parametrize("name", datasets.list_benchmarks())
def test_cards_are_complete(name):
    card = datasets.info(name)
    assert card.name == name
    for field in ("title", "licence", "redistribution", "citation", "noise_floor"):
        assert len(getattr(card, field)) >= 3, field
    assert card.tasks
    assert card.traps
    assert set(card.files) <= set(registry())


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("accel_nasbench", "at 224 pixels for all tasks"),
        ("nasbench201", "CIFAR-10's networks (10 classes, 32 pixels) for all tasks"),
        ("nasbench_graph", "Cora's networks (1,433 features, 7 classes, 256 wide) for all tasks"),
        ("nasbench_mr", "the classifier of 50 classes at 128x128"),
        ("transnas_macro", "end with the classifier of objects"),
        ("transnas_micro", "end with the classifier of objects"),
    ],
)
def test_cards_say_which_tasks_network_the_graph_is(name, network):
    """Their tasks have networks of different heads or inputs, but a row has one graph."""
    text = " ".join(datasets.info(name).traps)
    assert "Graphs" in text
    assert network in text


def test_every_registered_file_belongs_to_a_card():
    used = {file for name in datasets.list_benchmarks() for file in datasets.info(name).files}
    # Copies of tables that a card's files hold, too, or that add nothing; kept for tests.
    spare = {
        "nasbench201/12-epochs.pickle",
        "nasbench101/1k.json",
        "timm_zoo/model_metadata-in1k.csv",
    }
    spare |= {f"help/nasbench201/{d}.pt" for d in ("eyeriss", "fpga", "pixel3", "raspi4")}
    assert set(registry()) - used == spare


@pytest.mark.parametrize("name", datasets.list_benchmarks())
def test_card_and_benchmark_agree(name, mirror, cache):
    data = datasets.load(name)
    assert data.name == name
    assert len(data) == data.card.rows == len(data.specs)
    assert tuple(data.card.tasks) == data.tasks
    assert data.space == (data.card.space or name)
    task = data.tasks[0]
    values = data.labels(task)
    assert values.shape == (len(data),)
    assert np.isfinite(values).any()
    row = int(np.flatnonzero(np.isfinite(values))[0])
    assert data.query([data.specs[row]], task)[0] == data.query(data.specs[row], task)
    for field, value in data.recipe(task).items():
        assert not isinstance(value, (list, tuple, np.ndarray)) or len(value) == len(data), field


def test_importing_and_cards_load_nothing_heavy():
    code = (
        "import sys; from archcast import datasets; datasets.info('timm_zoo'); "
        "heavy = {'torch', 'pandas', 'sklearn', 'timm', 'pooch', 'requests'}; "
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_one_can_ask_whether_an_architecture_was_measured(toy):
    assert toy.specs[0] in toy
    assert "no such" not in toy
    assert 7 not in toy
    with pytest.raises(InvalidSpecError, match="list of them"):
        toy.query(7, toy.tasks[0])
    with pytest.raises(UnknownDatasetError, match="of one's own"):
        _ = Benchmark("own", [], {}, lambda rows: []).card
