"""A person's own space, from a mapping of choices."""

import numpy as np
import pytest

from archcast.encoders.errors import EvaluationError, InvalidSpecError, NotANetworkError
from archcast.encoders.spaces import get_space
from archcast.search import ChoiceSpace, Domain, get_strategy, surrogate

BASE = get_space("nasbench201")
OPS = ("none", "skip_connect", "nor_conv_3x3")


def build(choices):
    a, b = choices["first"], choices["second"]
    return BASE.graph(f"|{a}~0|+|{b}~0|nor_conv_1x1~1|+|skip_connect~0|{a}~1|{b}~2|")


def space(to_network=build):
    return ChoiceSpace("own", {"first": OPS, "second": OPS, "lr": [0.1, 0.01]}, to_network)


def test_texts_and_mappings_are_read():
    own = space()
    text = own.text(own.parse({"first": "none", "second": "nor_conv_3x3", "lr": 0.1}))
    assert text == "first=none;second=nor_conv_3x3;lr=0.1"
    assert own.choices(f"own:{text}") == {"first": "none", "second": "nor_conv_3x3", "lr": 0.1}
    assert own.size == 18 == len(set(own.enumerate()))
    assert len(own.neighbours(text)) == 2 + 2 + 1
    assert own.graph(text) == build(own.choices(text))
    assert len(set(own.sample(18, seed=1))) == 18


def test_strategies_search_it():
    domain = Domain(space())
    strategy = get_strategy("evolution", domain, seed=0)
    for _ in range(18):
        (proposal,) = strategy.ask(1)
        strategy.tell(proposal.spec, float(domain.graphs([proposal.spec])[0].macs))
    assert not strategy.ask(1)  # all were proposed


def test_a_surrogate_gets_what_the_loop_has():
    seen = []

    @surrogate(task="mine/accuracy", budget=6, space=space())
    def train(choices):
        seen.append(dict(choices))
        return 50 + len(choices["first"])

    rng = np.random.default_rng(0)
    for _ in range(12):
        train({"first": rng.choice(OPS), "second": str(rng.choice(OPS)), "lr": 0.1})
    winner = train.confirm()
    assert 3 <= len(seen) <= 6
    assert set(winner.arch) == {"first", "second", "lr"}


@pytest.mark.parametrize("choices", [{}, {"a": []}, {"a": [1, 1]}, {"a;b": [1]}, {"a": ["x=y"]}])
def test_choices_that_cannot_be_written_are_refused(choices):
    with pytest.raises(InvalidSpecError):
        ChoiceSpace("own", choices, build)


def test_a_builder_that_fails_is_named():
    def fails(choices):
        raise ZeroDivisionError("depth")

    spec = "first=none;second=none;lr=0.1"
    for build_it in (space(fails).graph, space(fails).module):
        with pytest.raises(
            EvaluationError, match=rf"^own: fails\(\) failed for {spec}: ZeroDivisionError: depth"
        ):
            build_it(spec)
    with pytest.raises(EvaluationError, match=r"<lambda>\(\) turned .* cannot be read"):
        space(lambda _: 7).graph("first=none;second=none;lr=0.1")
    with pytest.raises(InvalidSpecError, match="cannot be 'x'"):
        space().graph("first=x;second=none;lr=0.1")


def test_an_error_of_the_library_names_the_space_and_the_choices():
    own = space(lambda _: BASE.graph("no cell"))
    with pytest.raises(InvalidSpecError, match=r"^own: first=none;second=none;lr=0\.1: nas"):
        own.graph("first=none;second=none;lr=0.1")


def test_a_module_is_not_made_of_a_graph():
    with pytest.raises(NotANetworkError, match=r"own: build\(\) gives a ComputeGraph, and"):
        space().module("first=none;second=none;lr=0.1")
