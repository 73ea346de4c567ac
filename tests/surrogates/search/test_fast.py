"""Fast forecasts: codes, tables that are exact, networks that learned, screening."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSettingError
from archcast.encoders.spaces import Field, FieldSpace, Space, get_space
from archcast.search import (
    ChoiceSpace,
    Constraint,
    Domain,
    FastForecaster,
    Forecaster,
    Objective,
    get_cost,
)
from archcast.search.fast._codes import FieldCoder, ListCoder, coder, of_the_library
from archcast.search.fast._student import Student

CODED = ("transnas_micro", "darts", "nasnet", "fbnet", "ofa_mobilenetv3", "hwgpt_s", "scan_llm")


class Plain(FieldSpace):
    """A space of one's own: small enough for a table."""

    name = "plain_test_space"
    fields = (Field("width", (8, 16, 24), 2), Field("kernel", (1, 3)))

    def build(self, net, cell, num_classes, image_size):
        (one, two), (kernel,) = cell
        x = net.conv_norm(net.input((3, image_size, image_size)), one, 3, "relu", stride=2)
        x = net.conv_norm(x, two, kernel, "relu")
        net.output(net.linear(net.global_pool(x), num_classes))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path))
    return tmp_path / "search"


def _fast(space: Space | str, **options) -> FastForecaster:
    domain = Domain(space)
    return FastForecaster(domain, Forecaster(domain, Objective("mine/score")), **options)


# -------------------------------------------------------------------------------- codes
@pytest.mark.parametrize("name", CODED)
def test_codes_are_written_and_read(name: str) -> None:
    space = get_space(name)
    codes = coder(space)
    assert codes is not None
    drawn = codes.sample(60, np.random.default_rng(0))
    texts = codes.decode(drawn)
    assert len(texts) == len(drawn) == 60
    assert [space.text(space.parse(text)) for text in texts] == texts  # canonical
    assert codes.decode(codes.encode(texts)) == texts
    own = space.sample(40, seed=5)
    assert codes.decode(codes.encode(own)) == own
    columns = codes.encode(texts) + codes.offsets
    assert columns.min() >= 0
    assert columns.max() < codes.columns


def test_codes_of_a_genotype_written_otherwise() -> None:
    space, codes = get_space("darts"), coder(get_space("darts"))
    assert codes is not None
    text = space.sample(1, seed=1)[0]
    assert (codes.encode([f"darts:{text}"]) == codes.encode([text])).all()
    assert coder(get_space("nasbench101")) is None


def test_drawn_genotypes_are_equally_likely() -> None:
    codes = coder(get_space("darts"))
    assert codes is not None
    drawn = codes.sample(20_000, np.random.default_rng(0))
    _, counts = np.unique(drawn[:, :2], axis=0, return_counts=True)
    assert len(counts) == 49  # the first node reads states 0 and 1
    assert abs(counts / 20_000 - 1 / 49).max() < 0.006


# -------------------------------------------------------------------------------- tables
def test_a_small_space_is_answered_exactly(cache: Path) -> None:
    fast = _fast(Plain())
    specs = list(Plain().enumerate())
    means, stds = fast.moments(specs)
    own = fast.forecaster.moments(specs)
    assert (means == own[0]).all()
    assert (stds == own[1]).all()
    assert fast.fidelity.kind == "table"
    codes = fast.sample(50, np.random.default_rng(0))
    assert (fast.moments(codes)[0] == fast.forecaster.moments(fast.texts(codes))[0]).all()
    assert not cache.exists()  # a space of one's own may change between sessions
    fast.forecaster.learn(specs[:6], [0.1, 0.5, 0.2, 0.9, 0.4, 0.3])
    learned = fast.forecaster.moments(specs)
    assert (fast.moments(specs)[0] == learned[0]).all()
    assert (learned[0] != own[0]).any()


@pytest.mark.slow
def test_a_table_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = get_space("transnas_macro").sample(5, seed=0)
    first = _fast("transnas_macro").moments(specs)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(Domain, "features", None)  # no feature is computed again
    assert (_fast("transnas_macro").moments(specs)[0] == first[0]).all()
    monkeypatch.undo()


def test_a_damaged_table_is_made_anew(cache: Path) -> None:
    fast = _fast("transnas_macro")
    specs = fast.domain.space.sample(5, seed=0)
    path = fast._path()
    assert path is not None
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no table")
    assert (fast.moments(specs)[0] == fast.forecaster.moments(specs)[0]).all()
    assert path.stat().st_size > 1000


# ----------------------------------------------------------------------------- distilled
@pytest.mark.slow
def test_a_large_space_is_learned_and_says_how_well(cache: Path) -> None:
    fast = _fast("darts", samples=1500, seed=1)
    found = fast.fidelity
    assert found.kind == "distilled"
    assert found.networks == 150
    assert 0.8 < found.spearman < 1
    assert 0.6 < found.r2 < 1
    codes = fast.sample(3000, np.random.default_rng(7))
    means, stds = fast.moments(codes)
    assert means.shape == stds.shape == (3000,)
    assert (stds > 0).all()
    fresh = fast.texts(codes[:200])
    truth = fast.forecaster.moments(fresh)[0]
    assert np.corrcoef(truth, means[:200])[0, 1] > 0.8
    assert np.allclose(fast.moments(fresh)[0], means[:200], atol=1e-5)

    best = fast.screen(codes, top=5)
    assert (best.means == fast.forecaster.moments(best.specs)[0]).all()  # exact, not distilled
    assert (np.diff(best.means) <= 0).all()
    assert best.means[0] >= np.quantile(truth, 0.99)

    again = _fast("darts", samples=1500, seed=1)  # read from the cache
    assert again.fidelity == found
    assert (again.moments(codes)[0] == means).all()
    assert len(list(cache.iterdir())) == 1


@pytest.mark.slow
def test_screening_keeps_the_constraints() -> None:
    space = get_space("transnas_macro")
    bound = float(np.median(get_cost("params")(space.graphs(space.sample(100)))))
    domain = Domain(
        space,
        constraints=[Constraint("params", high=bound)],
        costs={"params": get_cost("params")},
    )
    fast = FastForecaster(domain, Forecaster(domain, Objective("mine/score")))
    everything = list(domain.space.enumerate())
    found = fast.screen(everything, top=7, shortlist=3)
    allowed = [s for s, ok in zip(everything, domain.feasible(everything), strict=True) if ok]
    means = np.sort(fast.moments(allowed)[0])[::-1]
    assert len(found.specs) == 7
    assert set(found.specs) <= set(allowed)
    assert (found.means == means[:7]).all()
    none = Domain(
        domain.space, constraints=[Constraint("params", high=1)], costs=dict(domain.costs)
    )
    assert FastForecaster(none, fast.forecaster).screen(everything[:50]).specs == []


def test_a_space_without_codes_is_asked_directly() -> None:
    fast = _fast("nasbench101")
    assert fast.fidelity.kind == "direct"
    specs = fast.sample(6, np.random.default_rng(0))
    assert (fast.moments(specs)[0] == fast.forecaster.moments(fast.texts(specs))[0]).all()
    assert len(fast.screen(specs, top=2).specs) == 2


def test_too_few_samples() -> None:
    with pytest.raises(InvalidSettingError, match="200 at least"):
        _fast("darts", samples=10)


@pytest.mark.slow
def test_a_student_learns_what_codes_say() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(5, size=(2500, 6), dtype=np.int32)
    effect, other = rng.normal(size=(6, 5)), rng.normal(size=(5, 5))
    truth = effect[np.arange(6), codes].sum(1) + other[codes[:, 0], codes[:, 1]]
    targets = np.stack([truth, -3 * truth + 100], 1)
    offsets = np.arange(0, 30, 5, dtype=np.int32)
    student = Student.fit(codes[:2000], targets[:2000], offsets, 30, seed=0)
    rest = ((student.answer(codes[2000:]) - targets[2000:]) ** 2).mean(0)
    assert (rest / targets[2000:].var(0) < 0.02).all()
    again = Student.from_arrays(student.arrays())
    assert (again.answer(codes) == student.answer(codes)).all()


def test_single_graphs_are_those_of_batches() -> None:
    for name in ("nasbench201", "darts", "nats_size", "transnas_micro", "fbnet"):
        domain = Domain(name)
        specs = domain.space.sample(6, seed=2)
        batch = domain.space.graphs(specs)
        for spec, graph in zip(specs, batch, strict=True):
            (alone,) = domain.graphs([spec])
            assert alone == graph
            assert (alone.name, alone.params, alone.source) == (
                graph.name,
                graph.params,
                graph.source,
            )


def test_lists_take_texts_of_other_forms() -> None:
    codes = coder(get_space("nasbench201"))
    assert isinstance(codes, ListCoder)
    spec = get_space("nasbench201").sample(1, seed=0)[0]
    assert codes.decode(codes.encode([f"nasbench201:{spec}"])) == [spec]


def test_spaces_of_ones_own_are_listed_and_kept_with_care() -> None:
    assert isinstance(coder(Plain(), few=18), ListCoder)  # all of them would be built
    assert isinstance(coder(Plain(), few=17), FieldCoder)
    mine = ChoiceSpace("mine", {"depth": [1, 2]}, lambda choices: None)
    assert not of_the_library(mine)  # its function may change, which no fingerprint sees
    assert of_the_library(get_space("darts"))
