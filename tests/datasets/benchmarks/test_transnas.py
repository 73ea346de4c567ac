"""TransNAS-Bench-101's figures, out of the real files."""

import json
import time

import numpy as np
import pytest
from scipy.stats import spearmanr

from archcast import datasets
from archcast.datasets._fetch import fetch
from archcast.datasets.benchmarks._transnas import _columns
from archcast.datasets.benchmarks.transnas_micro import PROXIES
from archcast.encoders.spaces._net_graph import GraphNet
from archcast.encoders.spaces._transnas import HEADS, decoder
from archcast.encoders.spaces.transnas_micro import CONV1, EDGES, SKIP, TransNASMicro

TASKS = ("class_object", "class_scene", "jigsaw", "room_layout", "segmentsemantic", "normal",
         "autoencoder")  # fmt: skip
SPACE = TransNASMicro()
#: NASLib's networks have more classes than those the benchmark trained.
NASLIB_CLASSES = {"class_object": 100, "class_scene": 63}


@pytest.fixture(scope="module")
def micro(mirror):
    return datasets.load("transnas_micro")


@pytest.fixture(scope="module")
def macro(mirror):
    return datasets.load("transnas_macro")


@pytest.fixture(scope="module")
def suite_zero(mirror):
    """Task -> cell -> what NAS-Bench-Suite-Zero says of it."""
    return json.loads(fetch("transnas_micro/proxies.json").read_bytes())


def task_of(benchmark, name):
    return next(task for task in benchmark.tasks if task.startswith(f"taskonomy-{name}/"))


@pytest.mark.parametrize(
    ("task", "best"),
    [
        ("class_scene", 54.94),
        ("class_object", 45.59),
        ("jigsaw", 95.37),
        ("room_layout", -0.601),
        ("segmentsemantic", 94.61),
        ("normal", 0.587),
        ("autoencoder", 0.577),
    ],
)
def test_best_cells(micro, task, best):
    labels = micro.labels(task_of(micro, task))
    assert labels.shape == (4096,)
    assert np.isfinite(labels).all()
    assert labels.max() == pytest.approx(best, abs=5.1e-3 if best > 1 else 5.1e-4)


@pytest.mark.parametrize(
    ("task", "least", "best", "spec"),
    [
        ("class_scene", 46.3326, 57.4144, "64-224131-basic"),
        ("class_object", 39.1073, 47.4224, "64-22231-basic"),
        ("jigsaw", 73.9053, 97.0193, "64-2243-basic"),
        ("room_layout", -2.7689, -0.5822, "64-214313-basic"),
        ("segmentsemantic", 93.7843, 94.8585, "64-222133-basic"),
        ("normal", 0.0765, 0.6435, "64-224111-basic"),
        ("autoencoder", 0.2239, 0.7488, "64-221113-basic"),
    ],
)
def test_best_stacks(macro, task, least, best, spec):
    labels = macro.labels(task_of(macro, task))
    assert labels.shape == (3256,)
    assert (labels.min(), labels.max()) == pytest.approx((least, best), abs=5e-5)
    assert macro.specs[labels.argmax()] == spec
    assert macro.query(spec, task_of(macro, task)) == labels.max()


@pytest.mark.parametrize("name", ["transnas_micro", "transnas_macro"])
def test_card_tells_tasks_and_recipes_differ(mirror, name):
    benchmark = datasets.load(name)
    assert set(benchmark.card.tasks) == set(benchmark.tasks)
    assert benchmark.card.rows == len(benchmark)
    epochs = [benchmark.recipe(task_of(benchmark, task))["epochs"] for task in TASKS]
    assert epochs == [25, 25, 10, 25, 30, 30, 30]


@pytest.mark.parametrize(
    ("task", "equal"),
    [
        ("class_object", 234),
        ("class_scene", 496),
        ("jigsaw", 684),
        ("room_layout", 10),
        ("segmentsemantic", 84),
        ("normal", 247),
        ("autoencoder", 121),
    ],
)
def test_labels_are_the_last_epochs(micro, suite_zero, task, equal):
    """The proxies' file has the best epoch of 711 of the same runs."""
    table = suite_zero[task]
    last = micro.query(list(table), task_of(micro, task))
    best = np.array([row["val_accuracy"] for row in table.values()])
    assert (last <= best).all()
    assert (last == best).sum() == equal
    # A wrong order of edges or operators would all but destroy this.
    assert np.corrcoef(last, best)[0, 1] > 0.97


def test_zen_failed_exactly_where_nothing_passes(micro):
    dead = np.array([len(graph) == 2 for graph in micro.graphs()])
    assert dead.sum() == 169
    for task in TASKS:
        assert (np.isnan(micro.proxy_scores(f"taskonomy-{task}/zen")) == dead).all()
    scene = micro.labels(task_of(micro, "class_scene"))
    assert set(scene[dead]) == {scene.min()}


def test_published_proxies(micro, macro):
    assert len(micro.proxies) == 7 * (11 + 1)
    for task in TASKS:
        counts = {p: int(np.isfinite(micro.proxy_scores(f"taskonomy-{task}/{p}")).sum())
                  for p in PROXIES}  # fmt: skip
        epe_nas = 386 if task == "jigsaw" else 0
        assert counts == dict.fromkeys(PROXIES, 711) | {"jacov": 691, "epe_nas": epe_nas}
        assert np.isfinite(macro.proxy_scores(f"taskonomy-{task}/zen")).all()
    dead = np.array([len(graph) == 2 for graph in micro.graphs()])
    fisher = micro.proxy_scores("taskonomy-normal/fisher")
    assert (fisher[dead & np.isfinite(fisher)] > 4e8).sum() == 20
    assert np.nanmax(fisher[~dead]) < 0.1


@pytest.mark.parametrize("task", TASKS)
def test_parameters_are_the_published_ones(suite_zero, task):
    table = suite_zero[task]
    graphs = SPACE.for_task(task).graphs(list(table), num_classes=NASLIB_CLASSES.get(task))
    published = np.array([round(row["params"]["score"] * 1e6) for row in table.values()])
    missing = published - [graph.params for graph in graphs]
    # All that is missing are operators on dead edges, which graphs leave out.
    assert (missing >= 0).all()
    assert (missing == 0).sum() == 395
    built = [_parameters(cell, task) for cell in list(table)[::71]]
    assert built == published[::71].tolist()


def test_parameters_of_dead_edges_are_the_rest(suite_zero):
    table = suite_zero["room_layout"]
    published = [round(row["params"]["score"] * 1e6) for row in table.values()]
    assert [_parameters(cell, "room_layout") for cell in table] == published


@pytest.mark.parametrize("task", TASKS)
def test_macs_are_the_published_operations_less_norms_and_activations(suite_zero, task):
    table, space = suite_zero[task], SPACE.for_task(task)
    graphs = space.graphs(list(table), num_classes=NASLIB_CLASSES.get(task))
    published = [row["params"]["score"] * 1e6 for row in table.values()]
    compared = 0
    for (cell, row), graph, params in zip(table.items(), graphs, published, strict=True):
        if round(params) != graph.params:
            continue  # the source counts dead edges
        counted = _macs(graph, task) + _decoder_extras(task)
        counted += _norms_and_activations(cell, space.image_size)
        assert row["flops"]["score"] * 1e6 == pytest.approx(counted, abs=0.5)
        compared += 1
    assert compared == 395


def _macs(graph, task: str) -> int:
    """The source counts one tile of nine, and no transposed convolution."""
    ops = np.array(graph.ops)
    if task != "jigsaw":
        return int(graph.op_macs[ops != "conv_transpose"].sum())
    return int(graph.op_macs[ops == "conv"].sum() // 9 + graph.op_macs[ops == "linear"].sum())


def _decoder_extras(task: str) -> int:
    """Biases but those of transposed convolutions, norms and leaky ReLUs; or the pooling."""
    head = HEADS[task]
    if head.kind in ("vector", "tiles"):
        return 81 * 512  # 8x8 positions count as 9x9, and nine tiles of 2x2 as 3x3
    found, size = head.outputs * head.pixels**2, 8
    for layer in decoder(head.kind, 5):
        size *= 2 if layer.doubles else 1
        found += (3 if layer.doubles else 4) * layer.out * size**2
    return found


def _parameters(cell: str, task: str) -> int:
    """Weights of all operators, those on dead edges included."""
    space, found = SPACE.for_task(task), []

    class Counting(GraphNet):
        def _weight(self, *shape):
            found.append(int(np.prod(shape)))
            return super()._weight(*shape)

    classes = NASLIB_CLASSES.get(task, space.num_classes)
    space.build(Counting(), space.parse(cell), classes, space.image_size)
    return sum(found)


def _norms_and_activations(cell: str, pixels: int) -> int:
    """What the source counts beside MACs: 2 a normed number, 1 a number a ReLU reads."""
    width, size = 64, pixels // 4
    found = (2 + 1) * 32 * (pixels // 2) ** 2 + 2 * width * size**2
    for stride in (2, 1, 1, 1, 2, 1, 1, 1, 2, 1):
        before = width * size**2
        width, size = width * stride, size // stride
        after = width * size**2
        for op, (source, _) in zip(SPACE.parse(cell)[0], EDGES, strict=True):
            if op >= CONV1 or (op == SKIP and source == 0 and stride == 2):
                found += 2 * after + (before if source == 0 else after)
    return found


def test_twins_give_the_noise_floor_the_card_tells(micro):
    graphs = micro.graphs()
    groups = {}
    for row, graph in enumerate(graphs):
        groups.setdefault(graph.hash, []).append(row)
    assert len(groups) == 1376
    twins = [rows for rows in groups.values() if len(rows) > 1 and len(graphs[rows[0]]) > 2]
    assert len(twins) == 313
    floor = {task: float(np.sqrt(np.mean([labels[rows].var(ddof=1) for rows in twins])))
             for task in TASKS for labels in [micro.labels(task_of(micro, task))]}  # fmt: skip
    expected = {"class_object": 0.57, "class_scene": 0.36, "jigsaw": 1.55, "room_layout": 0.012,
                "segmentsemantic": 0.038, "normal": 0.0063, "autoencoder": 0.020}  # fmt: skip
    assert floor == pytest.approx(expected, rel=0.03)


def test_graphs_are_aligned_with_labels(micro, macro):
    for benchmark, least in ((micro, 0.8), (macro, 0.8)):
        graphs = benchmark.graphs()
        assert [graph.name for graph in graphs] == list(benchmark.specs)
        macs = [graph.macs for graph in graphs]
        assert spearmanr(macs, benchmark.labels(task_of(benchmark, "class_scene")))[0] > least


@pytest.mark.parametrize("name", ["transnas_micro", "transnas_macro"])
def test_opening_is_quick(mirror, name):
    _columns.cache_clear()
    start = time.process_time()
    benchmark = datasets.load(name)
    benchmark.labels(benchmark.tasks[0])
    assert time.process_time() - start < 1
