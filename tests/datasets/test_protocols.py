import numpy as np
import pytest

from archcast import datasets
from archcast.datasets import protocols
from archcast.encoders.errors import UnknownDatasetError
from archcast.encoders.spaces.nasbench201 import NASBench201


def test_every_protocol_quotes_figures_at_its_numbers_of_labels():
    names = [p.name for p in protocols.protocols()]
    assert sorted(names) == sorted(protocols.LABELS)
    for protocol in protocols.protocols():
        for figures in protocol.published.values():
            assert set(figures) <= set(protocol.labels)


def test_draws_repeat_with_their_seed():
    first = protocols.draw(np.arange(100), 10, 3)
    assert np.array_equal(first, protocols.draw(np.arange(100), 10, 3))
    assert not np.array_equal(first, protocols.draw(np.arange(100), 10, 4))
    assert len(set(first.tolist())) == 10


def test_there_are_9445_cells_without_dead_operators(mirror, nasbench201):
    rows = protocols.canonical_rows()
    assert len(rows) == 9445
    space = NASBench201()
    graphs = nasbench201.graphs(rows[:200])
    masked = [space.graph(space.live(nasbench201.specs[i])) for i in rows[:200]]
    assert graphs == masked


def test_class_disjoint_rows_share_no_network_with_labelled_ones(mirror, nasbench201):
    split = protocols.protocol("nasbench201/class-disjoint").splits(78, [0])[0]
    hashes = np.array([g.hash for g in nasbench201.graphs()])
    assert not set(hashes[split.train]) & set(hashes[split.test])
    rest = np.setdiff1d(np.arange(15625), split.test)
    assert set(hashes[rest]) == set(hashes[split.train])


def test_sizes(mirror):
    assert [len(s.test) for s in protocols.protocol("nasbench201/all").splits(78, [0, 1])] == [
        15625, 15625,
    ]  # fmt: skip
    split = protocols.protocol("nasbench201/cifar100").splits(100, [7])[0]
    assert (len(split.train), len(split.test)) == (100, 1000)
    assert not set(split.train.tolist()) & set(split.test.tolist())


def test_devices_are_tasks():
    tasks = set(datasets.info("nasbench201").tasks)
    assert len(protocols.HELP_KNOWN) == 9
    assert set(protocols.HELP_KNOWN) | set(protocols.HELP_UNSEEN) <= tasks
    assert not set(protocols.HELP_KNOWN) & set(protocols.HELP_UNSEEN)


def test_unseen_devices_are_ranked_from_ten_labels_and_the_known_ones(mirror, nasbench201):
    found = [p for p in protocols.protocols() if p.known]
    assert tuple(p.task for p in found) == protocols.HELP_UNSEEN
    for protocol in found:
        assert protocol.known == protocols.HELP_KNOWN
        assert protocol.published["HELP, mean of the unseen devices"] == {10: 0.932}
        assert [f[20] for f in protocol.published.values() if 20 in f] == [
            0.959, 0.893, 0.967, 0.857, 0.962, 0.959,
        ]  # fmt: skip
        split = protocol.splits(10, [0])[0]
        both = np.concatenate([split.train, split.test])
        assert len(split.train) == 10
        assert len(set(both.tolist())) == len(both)
        assert np.isfinite(nasbench201.labels(protocol.task)[both]).all()
        assert len(both) == np.isfinite(nasbench201.labels(protocol.task)).sum()


def test_the_forest_is_quoted_beside_the_published_figures():
    name = "random forest on GRAF features, dead operators masked (quoted)"
    every = protocols.protocol("nasbench201/all")
    disjoint = protocols.protocol("nasbench201/class-disjoint")
    assert list(every.published[name].values()) == [0.720, 0.782, 0.841, 0.857, 0.872]
    assert list(disjoint.published[name].values()) == [0.695, 0.753, 0.805, 0.817, 0.828]
    for protocol in (every, disjoint):
        assert tuple(protocol.published[name]) == protocol.labels


def test_unknown_protocol_has_close_names():
    with pytest.raises(UnknownDatasetError, match="did you mean nasbench201/all"):
        protocols.protocol("nasbench201/al")
