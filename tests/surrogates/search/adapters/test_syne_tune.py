"""Syne Tune's blackboxes."""

# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false

import pytest

pytest.importorskip("syne_tune")

from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
from syne_tune.blackbox_repository import UserBlackboxBackend
from syne_tune.optimizer.baselines import RandomSearch

from archcast.encoders.errors import InvalidSettingError, InvalidSpecError
from archcast.search import Objective
from archcast.search.adapters.syne_tune import ELAPSED, ArchitectureBlackbox, SimulationBlackbox


class Table:
    """What SimulationBlackbox asks of a simulation: 3x3 convolutions, fewer at first."""

    fidelities = (0.06, 1.0)
    objective = Objective("convs")

    def __init__(self, domain):
        self.domain = domain

    def look_up(self, spec, fidelity):
        from archcast.search.simulation import Lookup

        if spec.count("none") == 6:
            raise InvalidSpecError("it was not measured")
        return Lookup(spec.count("conv_3x3") * fidelity, 100.0 * fidelity, fidelity)


def _run(blackbox, metric, trials=12):
    backend = UserBlackboxBackend(blackbox, elapsed_time_attr=ELAPSED)
    scheduler = RandomSearch(
        blackbox.configuration_space, metrics=[metric], do_minimize=False, random_seed=1
    )
    tuner = Tuner(
        trial_backend=backend,
        scheduler=scheduler,
        stop_criterion=StoppingCriterion(max_num_trials_finished=trials),
        n_workers=2,
        sleep_time=0,
        callbacks=[SimulatorCallback()],
        save_tuner=False,
        tuner_name="archcast-test",
    )
    tuner.run()
    return tuner


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNETUNE_FOLDER", str(tmp_path))


def test_configurations_are_architectures(domain, convs):
    blackbox = ArchitectureBlackbox(domain, [convs, "params"], seconds=len)
    spec = domain.space.sample(1)[0]
    found = blackbox(configuration=dict(blackbox.parameters.labels(spec)), fidelity=1)
    assert found == {
        "convs": spec.count("conv_3x3"),
        "params": domain.cost("params", [spec])[0],
        ELAPSED: len(spec),
    }


def test_what_is_not_allowed_is_worst(small_domain, convs):
    blackbox = ArchitectureBlackbox(small_domain, [convs, "params"])
    labels = dict(blackbox.parameters.labels(small_domain.space.text((3,) * 6)))
    found = blackbox(configuration=labels, fidelity=1)
    assert found["convs"] < -1e20
    assert found["params"] > 1e20


def test_a_simulation_keeps_fidelities_and_time(domain):
    blackbox = SimulationBlackbox(Table(domain))
    assert blackbox.fidelity_values.tolist() == [3, 50]
    spec = domain.space.text((3,) * 6)
    labels = dict(blackbox.parameters.labels(spec))
    assert blackbox(configuration=labels).ravel() == pytest.approx([0.36, 6.0, 6.0, 100.0])
    assert blackbox(configuration=labels, fidelity=20)["convs"] == pytest.approx(0.36)
    unmeasured = dict(blackbox.parameters.labels(domain.space.text((0,) * 6)))
    assert (blackbox(configuration=unmeasured)[:, 0] < -1e20).all()
    assert SimulationBlackbox(Table(domain), epochs=200).fidelity_values.tolist() == [12, 200]
    with pytest.raises(InvalidSettingError):
        SimulationBlackbox(Table(domain), epochs=5)


@pytest.mark.slow
def test_the_simulator_runs_it(domain, convs, capsys):
    tuner = _run(ArchitectureBlackbox(domain, convs, seconds=30.0), "convs")
    statuses = tuner.tuning_status.last_trial_status_seen
    assert len(statuses) >= 12
    results = tuner.tuning_status.overall_metric_statistics
    assert results.max_metrics["convs"] <= 6
    assert results.max_metrics[ELAPSED] == 30
    tuner = _run(SimulationBlackbox(Table(domain)), "convs", 6)
    assert tuner.tuning_status.overall_metric_statistics.max_metrics["epoch"] == 50
    capsys.readouterr()
