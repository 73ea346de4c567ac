"""Costs by name: sizes, operators that add up, devices of the corpus, measured tasks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSettingError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.ops import GROUPS
from archcast.encoders.spaces import get_space
from archcast.search import (
    Constraint,
    DeviceCost,
    constrained,
    cost_names,
    cost_unit,
    devices,
    get_cost,
)
from archcast.search.costs import _devices as measured_devices
from archcast.search.costs._latency import Device, floored
from archcast.search.costs._operators import AMOUNTS, KINDS, operator_costs


@pytest.fixture(scope="module")
def graphs() -> list[ComputeGraph]:
    found = get_space("nasbench201").graphs(get_space("nasbench201").sample(40, seed=3))
    for name in ("fbnet", "ofa_mobilenetv3", "hwgpt_s"):
        found += get_space(name).graphs(get_space(name).sample(4, seed=3))
    return found


# ------------------------------------------------------------------------------- sizes
def test_sizes_are_those_of_the_graph(graphs: list[ComputeGraph]) -> None:
    assert get_cost("params")(graphs).tolist() == [g.params for g in graphs]
    assert get_cost("macs")(graphs).tolist() == [g.macs for g in graphs]
    assert get_cost("layers")(graphs).tolist() == [len(g) for g in graphs]
    assert np.allclose(get_cost("weights_mb")(graphs) * 1e6, 4 * get_cost("params")(graphs))
    written = (graphs[-1].channels_out.astype(float) * graphs[-1].extent.prod(1)).sum()
    assert get_cost("activations")(graphs)[-1] == written
    assert get_cost("params")([]).shape == (0,)


def test_units_and_names() -> None:
    assert cost_unit("params") == ""
    assert cost_unit("weights_mb") == "MB"
    assert cost_unit("latency_ms:pixel3") == "ms"
    assert cost_unit("energy_mj:fpga") == "mJ"
    names = cost_names()
    assert "latency_ms:pixel3" in names
    assert len(set(names)) == len(names)
    assert all(get_cost(name) is get_cost(name) for name in names)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("paramz", "params"),
        ("latency_ms:pixel", "latency_ms:pixel3"),
        ("latency_ms", "latency_ms:"),
        ("nonsense", "known: params"),
        ("measured:", "known: params"),
    ],
)
def test_unknown_costs_say_what_is_near(name: str, hint: str) -> None:
    with pytest.raises(InvalidSettingError, match="no cost is called") as error:
        get_cost(name)
    assert hint in str(error.value)


# --------------------------------------------------------------------------- operators
def test_operator_costs_are_sums_over_operators(graphs: list[ComputeGraph]) -> None:
    found = operator_costs(graphs).reshape(len(graphs), len(KINDS), len(AMOUNTS))
    for graph, rows in zip(graphs, found, strict=True):
        real = [k for k, op in enumerate(graph.ops) if op not in GROUPS["io"]]
        assert rows[:, 0].sum() == len(real)
        assert rows[:, 2].sum() == graph.macs
        assert rows[:, 3].sum() == graph.op_weights.sum()
        depthwise = [
            k
            for k in real
            if graph.ops[k] == "conv" and 1 < graph.groups[k] == graph.channels_in[k]
        ]
        assert rows[KINDS.index("conv_depthwise"), 0] == len(depthwise)
        assert rows[KINDS.index("linear"), 0] == graph.count("linear")
    assert operator_costs([]).shape == (0, len(KINDS) * len(AMOUNTS))


def _synthetic(costs: np.ndarray) -> np.ndarray:
    kinds = costs.reshape(len(costs), len(KINDS), len(AMOUNTS))
    return 0.5 + 0.01 * kinds[:, :, 0].sum(1) + 4e-9 * kinds[:, :, 2].sum(1)


@pytest.mark.slow
def test_a_device_of_additive_operators_is_found_again() -> None:
    space = get_space("fbnet")
    specs = space.sample(160, seed=0)
    costs = operator_costs(space.graphs(specs))
    device = Device.fit({"fbnet": (costs[:120], _synthetic(costs[:120]))})
    assert (device.prices >= 0).all()
    truth = _synthetic(costs[120:])
    assert np.abs(device.predict(costs[120:]) / truth - 1).max() < 0.01
    larger = operator_costs(space.graphs(specs[120:], image_size=64))  # four times the MACs
    assert np.abs(device.predict(larger) / _synthetic(larger) - 1).max() < 0.15
    again = Device.from_arrays(device.arrays())
    assert (again.predict(costs) == device.predict(costs)).all()


def test_networks_that_do_nothing_do_not_rule_the_fit() -> None:
    values = np.array([1e-6, 1.0, 2.0, 3.0, 1.5])
    assert floored(values).tolist() == [0.05 * 1.5, 1.0, 2.0, 3.0, 1.5]


# ----------------------------------------------------------------------------- devices
def test_devices_are_read_off_the_cards() -> None:
    sources = measured_devices.sources()["latency_ms"]
    assert {s.name for s in sources["pixel3"]} == {"fbnet", "nasbench201", "nasbench201@16"}
    assert {s.benchmark for s in sources["a100"]} == {"hwgpt_l"}
    assert {s.benchmark for s in sources["a100-batch8"]} == {"hwgpt_s"}
    assert all(len(s.tasks) == 2 for s in sources["titan_xp"])  # encoder and decoder
    assert {s.name for s in sources["pi5-onnx"]} == {"nasbench201@32"}  # not NinaPro, not Darcy
    assert "cora" not in sources
    assert set(devices("energy_mj")) == set(measured_devices.sources()["energy_mj"])
    with pytest.raises(InvalidSettingError, match="not 'power_w'"):
        devices("power_w")


def test_without_the_corpus_it_says_what_to_do(tmp_path: Path) -> None:
    code = (
        "from archcast.encoders.spaces import get_space\n"
        "from archcast.search import get_cost\n"
        "space = get_space('nats_size')\n"
        "get_cost('latency_ms:zcu102')(space.graphs(space.sample(1)))\n"
    )
    env = os.environ | {
        "ARCHCAST_CACHE": str(tmp_path / "cache"),
        "ARCHCAST_MIRROR": str(tmp_path),
    }
    # A process of its own: what others have read of the corpus is not to be known here.
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "DownloadError" in done.stderr
    assert "mirror" in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("mirror")
def test_a_device_is_fitted_kept_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path))
    monkeypatch.setattr(measured_devices, "ROWS", 150)
    monkeypatch.setattr(measured_devices, "sample", measured_devices.sample.__wrapped__)
    space = get_space("nasbench201")
    graphs = space.graphs(space.sample(50, seed=9))
    cost = DeviceCost("fpga")
    values = cost(graphs)
    assert (values > 0).all()
    assert cost.held_out["nasbench201"].spearman > 0.8
    monkeypatch.setattr(measured_devices, "measurements", None)  # nothing is read again
    again = DeviceCost("fpga")
    assert (again(graphs) == values).all()
    assert again.held_out == cost.held_out
    monkeypatch.undo()
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path))
    (path,) = (tmp_path / "search").iterdir()
    path.write_bytes(b"damaged")
    assert measured_devices._read(path) is None


# ------------------------------------------------------------------ measured, and domains
@pytest.mark.usefixtures("mirror")
def test_measured_costs_are_the_tables() -> None:
    from archcast import datasets

    task = "fpga-cifar10/latency_ms"
    table, cost = datasets.load("nasbench201"), get_cost(f"measured:{task}")
    specs = list(table.specs[100:120])
    found = cost(get_space("nasbench201").graphs(specs))
    assert found.tolist() == table.labels(task)[100:120].tolist()
    assert np.isnan(cost(get_space("darts").graphs(get_space("darts").sample(2)))).all()
    with pytest.raises(InvalidSettingError, match="did you mean pixel3"):
        get_cost("measured:pixel3/latenci_ms")(get_space("nasbench201").graphs(specs[:1]))


def test_a_space_with_bounds() -> None:
    domain = constrained("nasbench201", ["params<=0.3M", Constraint("layers", low=40)])
    specs = domain.sample(30, np.random.default_rng(0))
    assert (domain.cost("params", specs) <= 0.3e6).all()
    assert (domain.cost("layers", specs) >= 40).all()
    with pytest.raises(InvalidSettingError, match="did you mean params"):
        constrained("nasbench201", ["parms<=1"])
    with pytest.raises(InvalidSettingError, match="no constraint"):
        constrained("nasbench201", ["small"])


def test_costs_of_ones_own_count_too() -> None:
    def halves(graphs: list[ComputeGraph]) -> np.ndarray:
        return np.array([len(graph) / 2 for graph in graphs])

    domain = constrained("nasbench201", ["mine<=20", "macs<=50M"], costs={"mine": halves})
    specs = domain.sample(10, np.random.default_rng(1))
    assert (domain.cost("mine", specs) <= 20).all()
    assert (domain.cost("macs", specs) <= 50e6).all()
    assert json.dumps(sorted(domain.costs)) == '["macs", "mine"]'
