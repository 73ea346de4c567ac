"""NAS-Bench-201 beyond clean accuracy: robustness, devices, other data sets, published proxies."""

import builtins
import time

import numpy as np
import pytest
from scipy.stats import spearmanr

from archcast import datasets
from archcast.datasets._unpickle import load_torch
from archcast.datasets.benchmarks import _nasbench201_devices as devices
from archcast.datasets.benchmarks._nasbench201_rows import naslib_columns
from archcast.datasets.benchmarks.nasbench201 import isomorphism_classes
from archcast.encoders.errors import MissingExtraError


def test_a_hundred_tasks_fit_on_a_line(nasbench201):
    assert len(nasbench201.tasks) == 110
    assert repr(nasbench201).endswith("cifar100/test_accuracy and 105 more)")


def of(benchmark, ending):
    return [task for task in benchmark.tasks if task.endswith(ending)]


def test_robustness_is_of_the_same_cells(nasbench201):
    clean = naslib_columns("nasbench201/robustness.csv")["val_accs"]
    assert np.array_equal(clean, nasbench201.labels("cifar10/val_accuracy"))
    attacked = [task for task in nasbench201.tasks if "_accuracy_eps_" in task]
    assert len(attacked) == 32
    for task in attacked:
        values = nasbench201.labels(task)
        assert np.isfinite(values).all()
        assert values.min() >= 0
        assert values.max() <= 93.1 + 1e-9
    weak, strong = (nasbench201.labels(f"cifar10/pgd_accuracy_eps_{eps}") for eps in ("0.5", "8"))
    assert (strong <= weak).all()
    recipe = nasbench201.recipe("cifar10/pgd_accuracy_eps_0.5")
    assert (recipe["attack"], recipe["epsilon_255"]) == ("pgd", 0.5)


def test_unsupported_cells_have_no_latency(nasbench201):
    for data in ("cifar10", "imagenet16-120"):
        edge = nasbench201.labels(f"edgetpu-{data}/latency_ms")
        assert np.isnan(edge).sum() == 4_699
        assert np.nanmin(edge) > 0
        for device in ("edgegpu", "raspi4", "pixel3", "eyeriss", "fpga"):
            assert (nasbench201.labels(f"{device}-{data}/latency_ms") > 0).all()


def test_help_is_in_index_order(nasbench201):
    index = load_torch(datasets.fetch("help/nasbench201/index.pt"))
    assert [index[spec] for spec in nasbench201.specs] == list(range(15_625))
    tasks = [t for t in nasbench201.card.tasks if "(HELP)" in nasbench201.card.tasks[t]]
    assert len(tasks) == 23
    macs = np.array([graph.macs for graph in nasbench201.graphs(range(2_000))])
    for task in tasks:
        values = nasbench201.labels(task)
        assert (values > 0).all()
        # The cells that compute more take longer; a wrong order would leave nothing of it.
        assert spearmanr(values[:2_000], macs)[0] > 0.3


def test_four_devices_of_help_are_those_of_hw_nas_bench(nasbench201):
    for device in ("eyeriss", "fpga", "pixel3", "raspi4"):
        values = load_torch(datasets.fetch(f"help/nasbench201/{device}.pt"))
        assert min(values) > 0
        assert nasbench201.labels(f"{device}-cifar10/latency_ms").tolist() == values


def test_hw_nas_bench_360(nasbench201):
    gestures = nasbench201.labels("ninapro/test_accuracy")
    assert (gestures.min(), gestures.max()) == pytest.approx((64.80, 94.39), abs=5e-3)
    again = devices.accuracy_360("cifar100")
    assert again.max() == pytest.approx(73.5133, abs=1e-4)
    # The rows are those of the benchmark's index: the accuracy it repeats tells.
    assert spearmanr(again, nasbench201.labels("cifar100/test_accuracy"))[0] > 0.999
    assert np.abs(again - nasbench201.labels("cifar100/test_accuracy")).max() < 3
    error = nasbench201.labels("darcy-flow/relative_l2_error")
    assert (error.min(), error.max()) == pytest.approx((0.0152, 1.7998), abs=1e-4)
    assert spearmanr(error, nasbench201.labels("cifar100/test_accuracy"))[0] < -0.4


def test_latencies_of_360_and_their_deviation(nasbench201):
    tasks = [task for task in of(nasbench201, "latency_ms") if task.startswith(("pi5", "pixel-"))]
    assert len(tasks) == 12
    assert len([task for task in of(nasbench201, "energy_mj") if task.startswith("pi5")]) == 9
    noise = []
    for task in tasks:
        assert (nasbench201.labels(task) > 0).all()
        if task.startswith("pi5"):
            spread = nasbench201.label_std(task) / nasbench201.labels(task)
            noise.append(np.median(spread))
    # As the card says.
    assert (min(noise), max(noise)) == pytest.approx((0.0010, 0.0053), abs=5e-5)


@pytest.mark.parametrize("task", ["pi5-onnx-cifar100/latency_ms", "cifar10/pgd_accuracy_eps_1"])
def test_some_labels_were_copied_within_classes(nasbench201, task):
    pairs = set(zip(isomorphism_classes(), nasbench201.labels(task), strict=True))
    assert len(pairs) == 6_466


@pytest.mark.parametrize(("proxy", "rank"), [("jacov", 0.818), ("nwot", 0.792), ("synflow", 0.732)])
def test_published_proxies(nasbench201, proxy, rank):
    scores = nasbench201.proxy_scores(f"cifar10/{proxy}")
    known = np.isfinite(scores)
    assert known.sum() == 9_445
    validation = nasbench201.labels("cifar10/val_accuracy")
    assert spearmanr(scores[known], validation[known])[0] == pytest.approx(rank, abs=5e-4)


def test_proxies_on_three_data_sets(nasbench201):
    names = nasbench201.proxies
    assert [sum(name.startswith(f"{data}/") for name in names) for data in SETS] == [13, 12, 12]
    for name in names:
        known = np.isfinite(nasbench201.proxy_scores(name)).sum()
        expected = {"cifar10": 9_445, "cifar100": 725, "imagenet16-120": 724}
        assert known == expected[name.split("/")[0]] - (name in ONE_MISSING)
    validation = nasbench201.labels("imagenet16-120/val_accuracy")
    scores = nasbench201.proxy_scores("imagenet16-120/synflow")
    assert spearmanr(scores, validation, nan_policy="omit")[0] > 0.7


SETS = ("cifar10", "cifar100", "imagenet16-120")
ONE_MISSING = ("cifar100/nwot", "imagenet16-120/nwot")


def test_every_group_of_labels_is_read_in_a_second(mirror, cache):
    for task in (
        "cifar10/test_accuracy_12_epochs",
        "cifar10/fgsm_accuracy_eps_1",
        "edgegpu-cifar10/latency_ms",
        "1080ti-batch1/latency_ms",
        "pi5-onnx-ninapro/latency_ms",
    ):
        start = time.process_time()
        datasets.load("nasbench201").labels(task)
        assert time.process_time() - start < 1, task


def test_missing_pyarrow_names_the_extra(nasbench201, monkeypatch):
    imported = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    devices._table_360.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"archcast\[train\]"):
        devices.accuracy_360("ninapro")
