"""How well a predictor knows networks, whatever its family."""

import numpy as np
import pytest

import archcast
from archcast.encoders.spaces import get_space
from archcast.predictors import get_predictor


@pytest.fixture(scope="module")
def base():
    return archcast.universal("cifar10/test_accuracy")


def drawn(space, n, seed):
    return get_space(space).graphs(get_space(space).sample(n, seed=seed))


def test_spaces_that_the_universal_predictor_learned_from_are_known(base):
    found = archcast.familiarity(base, drawn("nasbench201", 20, 0))
    assert sum(f.word in ("familiar", "near") for f in found) >= 15
    assert sum(f.nearest == "nasbench201" for f in found) >= 15
    assert archcast.familiarity(base, []) == []


def test_a_few_labels_make_their_own_space_known(base):
    labelled, new = drawn("flexibert", 30, 0), drawn("flexibert", 20, 1)
    before = archcast.familiarity(base, new)
    adapted = base.adapt(labelled, np.linspace(60, 80, 30))
    after = archcast.familiarity(adapted, new)
    known = [f for f in after if f.word in ("familiar", "near")]
    assert len(known) >= 16
    assert all(b.score <= a.score for b, a in zip(before, after, strict=True))
    assert any("30 labelled" in f.reason for f in known)
    far = archcast.familiarity(adapted, drawn("nasbench_nlp", 5, 0))
    assert not any("like the 30 labelled" in f.reason for f in far)


def test_few_labels_cannot_tell(base):
    adapted = base.adapt(drawn("flexibert", 5, 0), np.linspace(60, 80, 5))
    new = drawn("flexibert", 5, 1)
    assert archcast.familiarity(adapted, new) == archcast.familiarity(base, new)


def test_a_predictor_of_another_family_has_only_its_labels_to_tell_by():
    graphs = drawn("nats_size", 40, 0)
    plain = get_predictor("bayesian-linear").fit(graphs, np.linspace(60, 80, 40))
    assert archcast.familiarity(plain, graphs[:2]) is None
    adapted = plain.adapt(graphs[:20], np.linspace(60, 80, 20))
    inside = archcast.familiarity(adapted, drawn("nats_size", 10, 1))
    outside = archcast.familiarity(adapted, drawn("nasbench_nlp", 5, 0))
    assert sum(f.word in ("familiar", "near") for f in inside) >= 8
    assert {f.word for f in outside} == {"alien"}


def test_the_shipped_predictor_of_a_task_tells_what_predict_tells():
    from archcast._shipped import predictor_for

    graphs = drawn("nasbench201", 5, 0)
    task = archcast.get_task("cifar10/test_accuracy")
    found = archcast.familiarity(predictor_for(task), graphs)
    assert found == [archcast.predict(g, task=task.name).familiarity for g in graphs]
