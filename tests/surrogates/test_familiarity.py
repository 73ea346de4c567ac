"""How well a predictor knows networks, whatever its family."""

import numpy as np
import pytest

import archcast
from archcast.encoders.errors import InvalidSettingError
from archcast.encoders.spaces import get_space
from archcast.predictors import get_predictor


@pytest.fixture(scope="module")
def base():
    return archcast.universal("cifar10/test_accuracy")


def told(predictor, graphs):
    """Familiarity by a predictor that can tell."""
    found = archcast.familiarity(predictor, graphs)
    assert found is not None
    return found


def drawn(space, n, seed):
    return get_space(space).graphs(get_space(space).sample(n, seed=seed))


def test_spaces_that_the_universal_predictor_learned_from_are_known(base):
    found = told(base, drawn("nasbench201", 20, 0))
    assert sum(f.word in ("familiar", "near") for f in found) >= 15
    assert sum(f.nearest == "nasbench201" for f in found) >= 15
    assert archcast.familiarity(base, []) == []


def test_what_is_like_the_labelled_is_known_and_nothing_else(base):
    adapted = base.adapt(drawn("flexibert", 30, 0), np.linspace(60, 80, 30))
    inside = told(adapted, drawn("flexibert", 20, 1))
    assert sum(f.word in ("familiar", "near") for f in inside) >= 17
    assert "30 labelled" in inside[0].reason
    # That the base has seen NAS-Bench-201 tells nothing of its level in this unit.
    outside = told(adapted, drawn("nasbench201", 20, 0))
    assert {f.word for f in outside} <= {"far", "alien"}
    assert "unlike the 30 labelled networks; nearest known space: nasbench201" in outside[0].reason


def test_intervals_are_wide_where_nothing_like_it_was_labelled(base):
    graphs = drawn("nats_size", 60, 0)
    labels = np.log([graph.params for graph in graphs])
    adapted = base.adapt(graphs[:30], labels[:30])
    low, high = adapted.interval(graphs[30:], 0.9)
    wide_low, wide_high = adapted.interval(drawn("ofa_mobilenetv3", 10, 0), 0.9)
    assert np.median(wide_high - wide_low) > 3 * np.median(high - low)
    assert ((low <= labels[30:]) & (labels[30:] <= high)).mean() > 0.7


def test_two_labels_cannot_tell(base):
    adapted = base.adapt(drawn("flexibert", 2, 0), [60.0, 80.0])
    new = drawn("flexibert", 5, 1)
    assert archcast.familiarity(adapted, new) == archcast.familiarity(base, new)


def test_a_base_in_the_same_unit_knows_beside_the_labels():
    from archcast._shipped import predictor_for

    task = predictor_for(archcast.get_task("cifar10/test_accuracy"))
    adapted = task.adapt(drawn("flexibert", 10, 0), np.linspace(60, 80, 10))
    new = drawn("nasbench201", 5, 0)
    assert archcast.familiarity(adapted, new) == archcast.familiarity(task, new)


@pytest.mark.parametrize("given", ["nats_size:8:8:8:8:8", ["a", "b"], 3])
def test_only_graphs_have_a_familiarity(base, given):
    with pytest.raises(InvalidSettingError, match=r"encoders\.read"):
        archcast.familiarity(base, given)
    graph = drawn("nats_size", 1, 0)[0]
    assert archcast.familiarity(base, graph) == archcast.familiarity(base, [graph])


def test_a_predictor_of_another_family_has_only_its_labels_to_tell_by():
    graphs = drawn("nats_size", 40, 0)
    plain = get_predictor("bayesian-linear").fit(graphs, np.linspace(60, 80, 40))
    assert archcast.familiarity(plain, graphs[:2]) is None
    adapted = plain.adapt(graphs[:20], np.linspace(60, 80, 20))
    inside = told(adapted, drawn("nats_size", 10, 1))
    outside = told(adapted, drawn("nasbench_nlp", 5, 0))
    assert sum(f.word in ("familiar", "near") for f in inside) >= 8
    assert {f.word for f in outside} == {"alien"}
    assert "unlike the 20 labelled" in outside[0].reason


def test_the_shipped_predictor_of_a_task_tells_what_predict_tells():
    from archcast._shipped import predictor_for

    graphs = drawn("nasbench201", 5, 0)
    task = archcast.get_task("cifar10/test_accuracy")
    found = archcast.familiarity(predictor_for(task), graphs)
    assert found == [archcast.predict(g, task=task.name).familiarity for g in graphs]
