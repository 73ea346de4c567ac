import numpy as np
import pytest

from archcast.datasets.splits import by_class, by_group, few_shot, leave_one_out
from archcast.encoders.spaces import get_space


@pytest.fixture(scope="module")
def graphs():
    space = get_space("nasbench201")
    return space.graphs(list(space.enumerate())[::25])


def test_equal_networks_stay_together(graphs):
    hashes = np.array([graph.hash for graph in graphs])
    splits = by_class(graphs, folds=4, seed=1)
    assert len(splits) == 4
    for split in splits:
        assert not set(hashes[split.train]) & set(hashes[split.test])
        assert len(split.train) + len(split.test) == len(graphs)
    tested = np.concatenate([split.test for split in splits])
    assert sorted(tested.tolist()) == list(range(len(graphs)))


def test_folds_are_balanced_and_repeat_with_their_seed():
    groups = [f"family {k}" for k in range(30) for _ in range(k + 1)]
    splits = by_group(groups, folds=5, seed=3)
    sizes = [len(split.test) for split in splits]
    assert max(sizes) - min(sizes) <= 10
    again = by_group(groups, folds=5, seed=3)
    assert all(np.array_equal(a.test, b.test) for a, b in zip(splits, again, strict=True))
    other = by_group(groups, folds=5, seed=4)
    assert not all(np.array_equal(a.test, b.test) for a, b in zip(splits, other, strict=True))


def test_leave_one_group_out():
    splits = by_group(["a", "b", "a", "c"], folds=3)
    assert sorted(split.test.tolist() for split in splits) == [[0, 2], [1], [3]]


def test_few_shot_with_and_without_groups():
    groups = [k // 2 for k in range(100)]
    for split in few_shot(100, 10, seeds=(0, 1)):
        assert len(split.train) == 10
        assert len(split.test) == 90
        assert not set(split.train) & set(split.test)
    (disjoint,) = few_shot(100, 10, seeds=[0], groups=groups)
    assert np.array_equal(disjoint.train, few_shot(100, 10, seeds=[0])[0].train)
    assert not set(disjoint.train // 2) & set(disjoint.test // 2)
    assert len(disjoint.test) <= 90
    a, b = few_shot(100, 10, seeds=(0, 1))
    assert not np.array_equal(a.train, b.train)


@pytest.mark.parametrize("labels", [0, 100, 101])
def test_impossible_few_shot(labels):
    with pytest.raises(ValueError, match="of 100 rows"):
        few_shot(100, labels)


def test_too_many_folds():
    with pytest.raises(ValueError, match="2 groups cannot make 3 folds"):
        by_group(["a", "b", "a"], folds=3)


def test_leaving_one_out_tests_every_row_once_and_never_trains_on_its_networks():
    groups = ["a", "a", "b", "c", "c", "b"]
    classes = [1, 2, 2, 3, 1, 4]
    found = leave_one_out(groups, classes)
    assert list(found) == ["a", "b", "c"]
    assert found["a"].test.tolist() == [0, 1]
    assert found["a"].train.tolist() == [3, 5]  # rows 2 and 4 are networks of a
    assert leave_one_out(groups)["a"].train.tolist() == [2, 3, 4, 5]
    tested = np.concatenate([split.test for split in found.values()])
    assert sorted(tested.tolist()) == list(range(6))
    with pytest.raises(ValueError, match="one group"):
        leave_one_out(["a", "a"])


def test_groups_and_classes_are_one_a_row():
    with pytest.raises(ValueError, match="1 classes for 2 rows"):
        leave_one_out(["a", "b"], ["x"])
    with pytest.raises(ValueError, match="3 groups for 4 rows"):
        few_shot(4, 1, groups=["a", "b", "c"])
