"""Proxies of one's own: what they are called with, and what is said of one that is wrong."""

import pytest

from archcast import zero_cost
from archcast.encoders.errors import InvalidSettingError
from archcast.zero_cost import AGGREGATES, PROXIES, Proxy, get_proxy, register, score

torch = pytest.importorskip("torch")

CELL = "nasbench201:|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|none~2|"
CODE = """
from archcast.zero_cost import Lab, LayerSum, Step

class Loudness(LayerSum):
    def layer(self, step: Step):
        return step.values.abs().mean((1, 2, 3, 4)) if step.weight is not None else None

class Other:
    pass

def steepness(lab: Lab):
    return lab.total((step, grad.flatten(1).norm(dim=1)) for step, grad, _ in lab.gradients)

def wrong(graph):
    return (3).nothing

number = 3
"""


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    """A module of one's own; what is registered is gone after a test."""
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_kinds.py").write_text(CODE)
    (tmp_path / "own_broken.py").write_text("1 / 0\n")
    before = set(PROXIES)
    yield
    for name in set(PROXIES) - before:
        del PROXIES[name]


def scored(where, *needs, cache=True):
    register(Proxy("own", "a formula", "a paper", where, needs=frozenset(needs)))
    return score([CELL], ["own"], samples=2, cache=cache)


def test_observers_and_functions_of_a_lab_are_written_from_the_packages_own_names():
    assert scored("own_kinds:Loudness", "data")["own"][0] > 0
    del PROXIES["own"]
    expected = score([CELL], ["grad_norm"], samples=2)["grad_norm"]
    assert scored("own_kinds:steepness", "labels", "gradients")["own"] == pytest.approx(expected)


@pytest.mark.parametrize("name", ["Observer", "LayerSum", "Lab", "Step"])
def test_what_a_proxy_is_made_of_is_at_hand(name):
    assert name in zero_cost.__all__
    assert getattr(zero_cost, name).__name__ == name


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize(
    ("where", "needs", "words"),
    [
        ("own_kinds:Loudness", (), ["class", "needs"]),
        ("own_kinds:steepness", (), ["'total'", "called with a graph", "needs"]),
        ("own_kinds:Other", ("data",), ["no Observer"]),
        ("own_kinds:number", (), ["no function"]),
        ("own_kinds:absent", ("data",), ["own_kinds:absent"]),
        ("own_nowhere:f", (), ["own_nowhere"]),
        ("own_nowhere:f", ("data",), ["own_nowhere"]),
        ("own_broken:f", ("data",), ["own_broken", "ZeroDivisionError"]),
    ],
)
def test_what_cannot_be_a_proxy_is_told_when_it_is_used(where, needs, words, cache):
    with pytest.raises(InvalidSettingError) as caught:
        scored(where, *needs, cache=cache)
    assert "'own'" in str(caught.value)
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_mistake_that_has_nothing_to_do_with_needs_stays_what_it_is():
    with pytest.raises(AttributeError, match="nothing"):
        scored("own_kinds:wrong")


@pytest.mark.parametrize("needs", ["data", {"weights"}])
def test_needs_are_a_set_of_known_words(needs):
    with pytest.raises(InvalidSettingError, match="data, gradients, labels"):
        register(Proxy("own", "a formula", "a paper", "own_kinds:Loudness", needs=needs))


def test_needs_may_be_any_collection():
    proxy = register(Proxy("own", "a formula", "a paper", "own_kinds:Loudness", needs={"data"}))
    assert proxy.needs == frozenset({"data"})


@pytest.mark.parametrize("where", ["own_kinds", ":f", "own_kinds:", "a:b:c"])
def test_where_has_a_module_and_a_name(where):
    with pytest.raises(InvalidSettingError, match="module:attribute"):
        register(Proxy("own", "a formula", "a paper", where))


@pytest.mark.parametrize("name", list(AGGREGATES))
def test_an_aggregate_that_is_asked_for_as_a_proxy_says_what_it_is_of(name):
    with pytest.raises(InvalidSettingError, match="aggregate") as caught:
        get_proxy(name)
    assert all(part in str(caught.value) for part in AGGREGATES[name].proxies)


def test_kept_scores_hold_as_long_as_the_code_of_ones_own_module(tmp_path):
    from archcast.encoders import _fingerprint
    from archcast.zero_cost._cache import code_version

    (tmp_path / "own_versions.py").write_text(CODE)
    proxy = Proxy("own", "", "", where="own_versions:Loudness", needs=frozenset(("data",)))
    before = code_version(proxy)
    (tmp_path / "own_versions.py").write_text(CODE + "# a remark\n")
    _fingerprint._digest.cache_clear()
    assert code_version(proxy) == before
    (tmp_path / "own_versions.py").write_text(CODE.replace(".abs()", ".square()"))
    _fingerprint._digest.cache_clear()
    assert code_version(proxy) != before
