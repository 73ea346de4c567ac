"""Ray Tune's searcher and trainable; a whole run of Tune is in the example."""

# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false

import math

import pytest

pytest.importorskip("ray.tune")

from ray import tune

from archcast.encoders.errors import InvalidSettingError
from archcast.search import get_strategy
from archcast.search.adapters.ray_tune import ArchitectureTrainable, StrategySearcher, param_space


def test_the_space_as_tune_knows_it(domain):
    space = param_space(domain)
    assert len(space) == 6
    assert all(isinstance(one, tune.search.sample.Categorical) for one in space.values())
    assert set(space["0"].categories) >= {"nor_conv_3x3", "none"}


def test_what_a_config_scores(small_domain, convs):
    train = ArchitectureTrainable(small_domain, [convs, "params"])
    spec = small_domain.space.text((3, 0, 0, 0, 0, 3))
    by_spec = train.score({"spec": spec, "fidelity": 1.0})
    by_choices = train.score(dict(train.problem.parameters.labels(spec)))
    assert by_spec == by_choices
    assert by_spec["convs"] == 2
    assert by_spec["params"] == small_domain.cost("params", [spec])[0]
    heavy = train.score({"spec": small_domain.space.text((3,) * 6)})
    assert math.isnan(heavy["convs"])
    assert "constraint" in heavy["why"]


def test_a_strategy_searches(domain):
    searcher = StrategySearcher(get_strategy("random", domain, seed=1))
    assert searcher.set_search_properties("loss", "min", {})
    assert not searcher.set_search_properties("loss", "min", {"0": 1})
    configs = {trial: searcher.suggest(trial) for trial in "abc"}
    expected = [p.spec for p in get_strategy("random", domain, seed=1).ask(1)]
    assert configs["a"] == {"spec": expected[0], "fidelity": 1.0}
    searcher.on_trial_complete("b", {"loss": 0.5})
    searcher.on_trial_complete("a", error=True)
    searcher.on_trial_complete("unknown", {"loss": 1})
    told = searcher.strategy.history
    assert [(m.spec, m.failed) for m in told] == [
        (configs["b"]["spec"], False),
        (configs["a"]["spec"], True),
    ]
    assert told[0].merits == (-0.5,)


def test_saved_and_restored(domain, tmp_path):
    first = StrategySearcher(get_strategy("random", domain, seed=1), "loss", "min")
    first.suggest("a")
    first.suggest("b")
    first.on_trial_complete("a", {"loss": 0.5})
    first.save(str(tmp_path / "state"))
    second = StrategySearcher(get_strategy("random", domain, seed=1), "loss", "min")
    second.restore(str(tmp_path / "state"))
    second.on_trial_complete("b", {"loss": 0.25})
    first.on_trial_complete("b", {"loss": 0.25})
    assert second.strategy.history == first.strategy.history
    assert second.suggest("c") == first.suggest("c")
    with pytest.raises(InvalidSettingError):
        second.restore(str(tmp_path / "state"))


def test_several_objectives_have_several_metrics(domain):
    strategy = get_strategy("random", domain, objectives=2)
    with pytest.raises(InvalidSettingError, match="2 objective"):
        StrategySearcher(strategy, "loss", "min")
    searcher = StrategySearcher(strategy, ["top1", "loss"], ["max", "min"])
    searcher.suggest("a")
    searcher.on_trial_complete("a", {"top1": 3, "loss": 2})
    assert strategy.history[0].merits == (3, -2)


def test_the_end_of_a_space():
    from archcast.encoders.spaces import Field, FieldSpace
    from archcast.search import Domain

    class Three(FieldSpace):
        name = "three"
        fields = (Field("x", (1, 2, 3)),)

    searcher = StrategySearcher(get_strategy("random", Domain(Three())), "loss", "min")
    assert len({searcher.suggest(str(at))["spec"] for at in range(3)}) == 3
    assert searcher.suggest("3") is None
    for at in range(3):
        searcher.on_trial_complete(str(at), {"loss": at})
    assert searcher.suggest("3") == StrategySearcher.FINISHED
