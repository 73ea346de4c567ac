"""Optuna's objective, sampler and pruner."""

import math
import pickle

import numpy as np
import pytest

pytest.importorskip("optuna")

import optuna

from archcast.encoders.errors import EvaluationError, InvalidSettingError
from archcast.search import Forecaster, Objective
from archcast.search.adapters import Measure
from archcast.search.adapters.optuna import ArchitectureObjective, CurvePruner, ForecastSampler
from archcast.search.journal import Journal

optuna.logging.set_verbosity(optuna.logging.ERROR)
_STATES = optuna.trial.TrialState
_OPERATORS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]


def _study(objective, trials, sampler=None, **options):
    sampler = sampler or optuna.samplers.RandomSampler(seed=1)
    study = optuna.create_study(directions=objective.directions, sampler=sampler)
    study.optimize(objective, n_trials=trials, **options)
    return study


# ------------------------------------------------------------------------- objective
def test_a_trial_tells_what_it_is(domain, convs):
    objective = ArchitectureObjective(domain, [convs, "cifar10/test_accuracy", "params"])
    assert objective.directions == ["maximize", "maximize", "minimize"]
    for trial in _study(objective, 3).trials:
        told = trial.user_attrs
        assert objective.parameters.choose(trial.params) == told["spec"]
        assert trial.values[0] == told["spec"].count("conv_3x3")
        assert trial.values[2] == domain.cost("params", [told["spec"]])[0]
        assert told["source"] == ["measured", "forecast", "cost"]
        low, high = told["interval"][1]
        assert low < trial.values[1] < high


def test_what_breaks_a_constraint_is_pruned_unmeasured(small_domain):
    seen = []
    measure = Measure(Objective("mine"), lambda spec: seen.append(spec) or 1.0)
    study = _study(ArchitectureObjective(small_domain, measure), 20)
    pruned = [t for t in study.trials if t.state == _STATES.PRUNED]
    assert 0 < len(pruned) < 20
    assert all("params<=600000" in t.user_attrs["why"] for t in pruned)
    assert not small_domain.feasible([t.user_attrs["spec"] for t in pruned]).any()
    assert small_domain.feasible(seen).all()
    assert len(seen) == 20 - len(pruned)


def test_samplers_that_handle_constraints_are_told(small_domain, convs):
    objective = ArchitectureObjective(small_domain, convs, infeasible="answer")
    study = _study(objective, 12)
    assert all(t.state == _STATES.COMPLETE for t in study.trials)
    missed = [objective.constraints(t)[0] for t in study.trials]
    over = small_domain.cost("params", [t.user_attrs["spec"] for t in study.trials]) - 600_000
    assert missed == np.maximum(over, 0).tolist()
    if hasattr(study.trials[0], "set_constraint"):
        assert missed == [t.constraints["params<=600000"] for t in study.trials]


def test_what_was_measured_is_not_measured_again(domain):
    seen = []
    measure = Measure(Objective("mine"), lambda spec: seen.append(spec) or len(seen))
    objective = ArchitectureObjective(domain, measure)
    study = optuna.create_study(directions=objective.directions)
    objective.enqueue(study, [domain.space.sample(1)[0]] * 3)
    study.optimize(objective, n_trials=3)
    assert seen == domain.space.sample(1)
    assert [t.value for t in study.trials] == [1, 1, 1]
    assert study.trials[2].user_attrs["why"] == "trial 0 has measured it"


def test_no_architecture_is_pruned(convs):
    objective = ArchitectureObjective("nasbench101", convs)
    study = optuna.create_study(directions=objective.directions)
    study.enqueue_trial(
        {
            name: options[0]
            for name, options in zip(
                objective.parameters.names, objective.parameters.options, strict=True
            )
        }
    )
    study.optimize(objective, n_trials=1)
    assert study.trials[0].state == _STATES.PRUNED
    assert "no architecture" in study.trials[0].user_attrs["why"]


def test_a_journal_outlives_the_study(domain, tmp_path):
    specs = domain.space.sample(3)
    seen = []

    def train(spec):
        seen.append(spec)
        if spec == specs[1]:
            raise RuntimeError("out of memory")
        if spec == specs[2] and len(seen) == 3:
            raise KeyboardInterrupt
        return 1.5

    path = tmp_path / "j.sqlite"

    def again():
        objective = ArchitectureObjective(domain, Measure(Objective("mine"), train), journal=path)
        study = optuna.create_study(directions=objective.directions)
        objective.enqueue(study, specs)
        return study, objective

    study, objective = again()
    with pytest.raises(KeyboardInterrupt):
        study.optimize(objective, n_trials=3, catch=(RuntimeError,))
    study, objective = again()
    study.optimize(objective, n_trials=3)
    assert seen == [*specs, specs[2]]
    first, second, third = study.trials
    assert (first.value, first.user_attrs["why"]) == (1.5, "the journal has it")
    assert second.state == _STATES.PRUNED
    assert "out of memory" in second.user_attrs["why"]
    assert (third.value, third.user_attrs["source"]) == (1.5, ["measured"])
    with Journal(path, {"space": "nasbench201", "objectives": ["mine:max"]}) as journal:
        assert [t.state for t in journal.trials()] == ["done", "failed", "done"]


def test_an_objective_can_be_sent_to_other_processes(tmp_path):
    objective = ArchitectureObjective(
        "nasbench201", "cifar10/test_accuracy", journal=tmp_path / "j"
    )
    assert pickle.loads(pickle.dumps(objective)).distributions == objective.distributions


def test_threads(domain, tmp_path):
    seen = []
    measure = Measure(Objective("mine"), lambda spec: seen.append(spec) or 1.0)
    objective = ArchitectureObjective(domain, measure, journal=tmp_path / "j.sqlite")
    specs = domain.space.sample(4)
    study = optuna.create_study(directions=objective.directions)
    objective.enqueue(study, specs * 4)
    study.optimize(objective, n_trials=16, n_jobs=4)
    assert sorted(seen) == sorted(specs)


# --------------------------------------------------------------------------- sampler
@pytest.mark.slow
def test_the_sampler_beats_random_draws(domain, convs):
    """Of 25 trials, with a prior that was never told what counts here."""
    best = []
    for sampler in (None, "ours"):
        objective = ArchitectureObjective(domain, convs)
        own = ForecastSampler(objective, seed=0, candidates=64) if sampler else None
        study = _study(objective, 25, own)
        best.append(np.sort([t.value for t in study.trials])[-5:].mean())
    assert best[1] > best[0]
    specs = [t.user_attrs["spec"] for t in study.trials]
    assert len(set(specs)) == 25


@pytest.mark.slow
def test_the_same_seed_proposes_the_same(small_domain, convs):
    runs = []
    for seed in (0, 0, 1):
        objective = ArchitectureObjective(small_domain, [convs, "params"])
        study = _study(objective, 6, ForecastSampler(objective, seed=seed, candidates=32))
        runs.append([t.user_attrs["spec"] for t in study.trials])
    assert runs[0] == runs[1] != runs[2]
    assert small_domain.feasible(runs[0]).all()


def test_running_trials_are_reckoned_with(domain, convs, monkeypatch):
    """What is being measured counts as known, so that workers look at different places."""
    objective = ArchitectureObjective(domain, convs)
    sampler = ForecastSampler(objective, seed=0, candidates=16)
    study = _study(objective, 3, sampler)
    running = study.ask(fixed_distributions=objective.distributions)
    name = sampler._pool.name(running.params)
    asked, moments = [], Forecaster.moments

    def spy(self, specs, *, beside=()):
        asked.append(list(beside))
        return moments(self, specs, beside=beside)

    monkeypatch.setattr(Forecaster, "moments", spy)
    study.ask(fixed_distributions=objective.distributions)
    assert asked == [[name]]


def _loop(trial):
    a, b = (trial.suggest_categorical(name, _OPERATORS) for name in "ab")
    cells = trial.suggest_int("cells", 1, 2)
    rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    return (a == "nor_conv_3x3") + (b == "nor_conv_3x3") + 0.1 * cells + 0.01 * math.log10(rate)


def _network(params):
    assert "rate" not in params
    if params["a"] == "none":
        raise RuntimeError("such a network is not possible")
    last = params["a"] if params["cells"] == 2 else "none"
    return f"|{params['a']}~0|+|{params['b']}~0|{params['b']}~1|+|skip_connect~0|none~1|{last}~2|"


def test_ones_own_parameters_by_a_function_to_networks():
    study = optuna.create_study(
        direction="maximize",
        sampler=ForecastSampler(_network, Objective("mine", "max"), seed=2, candidates=12),
    )
    study.optimize(_loop, n_trials=12)
    assert study.best_value > 2.1
    later = [t.params for t in study.trials[1:]]
    assert all(p["a"] != "none" for p in later)
    chosen = [tuple(p[key] for key in ("a", "b", "cells")) for p in later]
    assert len(set(chosen)) == len(chosen)


def test_a_known_search_space_needs_no_first_trial():
    distributions = {
        "a": optuna.distributions.CategoricalDistribution(_OPERATORS),
        "b": optuna.distributions.CategoricalDistribution(_OPERATORS),
        "cells": optuna.distributions.IntDistribution(1, 2),
        "rate": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True),
    }
    sampler = ForecastSampler(_network, seed=0, candidates=8, search_space=distributions)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(_loop, n_trials=1)
    assert study.trials[0].params["a"] != "none"


def test_networks_that_never_come_are_told():
    sampler = ForecastSampler(lambda _params: 3, candidates=4, seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    with pytest.raises(EvaluationError, match="to_network made no network"):
        study.optimize(_loop, n_trials=3)


def test_another_direction_is_refused(domain, convs):
    objective = ArchitectureObjective(domain, convs)
    study = optuna.create_study(direction="minimize", sampler=ForecastSampler(objective))
    with pytest.raises(InvalidSettingError, match="directions are min"):
        study.optimize(objective, n_trials=1)


def test_when_nothing_is_left_the_study_goes_on():
    two = {"b": optuna.distributions.CategoricalDistribution(["none", "skip_connect"])}
    sampler = ForecastSampler(
        lambda params: _network({"a": "skip_connect", "cells": 1, **params}),
        search_space=two,
        seed=0,
    )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(lambda trial: len(trial.suggest_categorical("b", two["b"].choices)), n_trials=4)
    assert len({t.params["b"] for t in study.trials[:2]}) == 2
    assert all(t.state == _STATES.COMPLETE for t in study.trials)


# ---------------------------------------------------------------------------- pruner
def _curve(rng):
    end, speed = rng.uniform(0.5, 0.95), rng.uniform(2.0, 8.0)
    noise = rng.normal(0, 0.003, 20)
    return end * (1 - np.exp(-np.arange(1, 21) / speed)) + noise


def _pruned(pruner, seed, sign=1.0, trials=40):
    """Best final value of what was not pruned, of all, and the share of steps that were run."""
    rng = np.random.default_rng(seed)
    curves = [_curve(rng) for _ in range(trials)]
    steps = 0

    def loop(trial):
        nonlocal steps
        for step, value in enumerate(curves[trial.number]):
            steps += 1
            trial.report(sign * value, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return sign * curves[trial.number][-1]

    direction = "maximize" if sign > 0 else "minimize"
    study = optuna.create_study(direction=direction, pruner=pruner)
    study.optimize(loop, n_trials=trials)
    return sign * study.best_value, max(c[-1] for c in curves), steps / (20 * trials)


@pytest.mark.slow
def test_the_pruner_saves_steps_and_keeps_the_best():
    pytest.importorskip("sklearn")
    found = [_pruned(CurvePruner(), seed) for seed in range(3)]
    for best, possible, share in found:
        assert best > possible - 0.02
        assert share < 0.7


@pytest.mark.slow
def test_losses_are_pruned_alike():
    pytest.importorskip("sklearn")
    assert _pruned(CurvePruner(), 1, -1.0, 20) == _pruned(CurvePruner(), 1, 1.0, 20)


def test_nothing_is_pruned_before_enough_is_known():
    assert _pruned(CurvePruner(startup=10), 0, trials=10)[2] == 1


def test_pruner_settings():
    with pytest.raises(InvalidSettingError):
        CurvePruner(chance=1.5)
    study = optuna.create_study(directions=["minimize"] * 2)
    with pytest.raises(InvalidSettingError, match="one objective"):
        CurvePruner().prune(study, optuna.trial.create_trial(values=[0, 1]))
