"""What is measured at once: networks to learn from, and networks to forecast."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast.datasets.protocols import Protocol, draw
from archcast.datasets.transfers import Population, Transfer, lower_is_better
from archcast.encoders.errors import InvalidSettingError
from archcast.evaluation._networks import Networks, networks
from archcast.predictors import Joined
from archcast.predictors._encoding import Encoding
from archcast.predictors._experts import normal_scores

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Rows of one benchmark.

    Attributes:
        networks: the benchmark's networks.
        rows: (n,) row numbers.
        labels: (n,) labels on the scale that is learned, or (n, T).
        truth: (n,) labels in their natural unit, larger is better.
        beside: (n, T) what the rows were measured at on known devices; None where none is known.
    """

    networks: Networks
    rows: IntArray
    labels: FloatArray
    truth: FloatArray
    beside: FloatArray | None = None

    @property
    def number(self) -> IntArray:
        """(n,) network of each row."""
        return self.networks.number[self.rows]


@dataclass(frozen=True)
class Sample:
    """Rows of one or more benchmarks."""

    parts: tuple[Rows, ...]

    def __len__(self) -> int:
        return sum(len(part.rows) for part in self.parts)

    @property
    def labels(self) -> FloatArray:
        """(n,) or (n, T) labels on the scale that is learned."""
        return np.concatenate([part.labels for part in self.parts])

    @property
    def truth(self) -> FloatArray:
        """(n,) labels in their natural unit, larger is better."""
        return np.concatenate([part.truth for part in self.parts])

    @property
    def groups(self) -> NDArray[np.str_]:
        """(n,) what must be validated together: benchmarks if there are several, else networks."""
        if len(self.parts) == 1:
            return self.parts[0].networks.hashes[self.parts[0].number]
        names = [np.repeat(part.networks.benchmark, len(part.rows)) for part in self.parts]
        return np.concatenate(names)

    def encoded(self, encoding: Encoding) -> Any:
        """The n architectures, as a predictor sees them."""
        found = [part.networks.encoded(encoding, part.number) for part in self.parts]
        if not isinstance(found[0], np.ndarray):
            return [item for part in found for item in part]
        beside = [part.beside for part in self.parts if part.beside is not None]
        if encoding == "joined" and beside:
            return Joined(np.concatenate(found), np.concatenate(beside))
        return np.concatenate(found)

    def distinct(self, encoding: Encoding) -> tuple[Sample, IntArray]:
        """One row for all that look alike, and for each of the n rows the number of its own."""
        if encoding == "joined":  # what is beside equal networks differs
            return self, np.arange(len(self))
        parts, numbers, before = [], [], 0
        for part in self.parts:
            first, number = np.unique(part.number, return_index=True, return_inverse=True)[1:]
            parts.append(_take(part, first))
            numbers.append(number.reshape(-1) + before)
            before += len(first)
        return Sample(tuple(parts)), np.concatenate(numbers)


@dataclass(frozen=True)
class Case:
    """One measurement to make.

    Attributes:
        name: of the protocol or transfer.
        count: number of labels of the target.
        seed: which draw.
        task: what is forecast.
        source: rows of other tasks or spaces, learned from first; None if there are none.
        few: labelled rows of the target; None if there are none.
        test: rows to forecast.
        natural: whether labels are in their natural unit, not normal scores.
    """

    name: str
    count: int
    seed: int
    task: str
    source: Sample | None
    few: Sample | None
    test: Sample
    natural: bool = True


def protocol_cases(
    protocol: Protocol, counts: Sequence[int], seeds: Sequence[int], most: int
) -> Iterator[Case]:
    """The cases of a protocol of few labels, by number of labels and draw.

    Args:
        protocol: the protocol.
        counts: labels; 0 where other devices are known, or the predictor is fitted already.
        seeds: draws of these.
        most: rows measured on the known devices at most; 0 for all.

    Raises:
        InvalidSettingError: more labels than rows.
    """
    nets = networks(protocol.benchmark)
    labels = nets.labels(protocol.task)
    sign = -1 if lower_is_better(protocol.task) else 1
    devices = np.stack([nets.labels(task) for task in protocol.known or (protocol.task,)], 1)
    source = _known_devices(nets, devices, most) if protocol.known else None

    def sample(rows: IntArray) -> Sample:
        usable = rows[(nets.number[rows] >= 0) & np.isfinite(labels[rows])]
        known = devices[usable] if protocol.known else None
        return Sample((Rows(nets, usable, labels[usable], sign * labels[usable], known),))

    for count in counts:
        for seed in seeds:
            try:
                split = protocol.splits(count, [seed])[0]
            except ValueError as error:
                raise InvalidSettingError(f"{protocol.name} has no {count} labels") from error
            yield Case(
                protocol.name,
                count,
                seed,
                protocol.task,
                source,
                sample(split.train) if count else None,
                sample(split.test),
            )


def _known_devices(nets: Networks, labels: FloatArray, most: int) -> Sample:
    """Rows that all known devices measured; T labels each, their geometric mean the truth."""
    rows = np.flatnonzero(np.isfinite(labels).all(1) & (nets.number >= 0))
    known = Rows(nets, rows, labels[rows], np.exp(np.log(labels[rows]).mean(1)))
    return Sample((drawn(known, most, np.random.default_rng(0)),))


def transfer_cases(
    transfer: Transfer, counts: Sequence[int], seeds: Sequence[int], most: int
) -> Iterator[Case]:
    """The cases of a transfer.

    Args:
        transfer: the transfer.
        counts: labels of each target; 0 is zero-shot.
        seeds: draws of these, and of the rows of large sources.
        most: rows of each source at most; 0 for all.
    """
    natural = transfer.scale == "natural"
    targets = [population_rows(p, natural) for p in transfer.targets]
    hidden = np.concatenate([part.networks.hashes[part.number] for part in targets])
    sources = [_without(population_rows(p, natural), hidden) for p in transfer.sources]
    for count in counts:
        for seed in seeds:
            rng = np.random.default_rng(seed)
            learned = tuple(drawn(once(part), most, rng) for part in sources if len(part.rows))
            few, test = _given(targets, count, seed, natural)
            yield Case(
                transfer.name,
                count,
                seed,
                transfer.targets[0].task,
                Sample(learned),
                few,
                test,
                natural,
            )


def _given(
    targets: Sequence[Rows], count: int, seed: int, natural: bool
) -> tuple[Sample | None, Sample]:
    """Labelled rows of every target, and the others."""
    if not count:
        return None, Sample(tuple(targets))
    few, rest = [], []
    for part in targets:
        name = part.networks.benchmark
        if count >= len(part.rows):
            raise InvalidSettingError(f"{name} has {len(part.rows)} rows, no {count} labels")
        chosen = draw(np.arange(len(part.rows)), count, seed)
        given = _take(part, chosen)
        other = _take(part, np.setdiff1d(np.arange(len(part.rows)), chosen))
        if not natural:  # normal scores would tell where the few stand among all
            centre, spread = given.truth.mean(), given.truth.std() or 1.0
            given, other = (
                Rows(p.networks, p.rows, (p.truth - centre) / spread, p.truth)
                for p in (given, other)
            )
        few.append(given)
        rest.append(other)
    return Sample(tuple(few)), Sample(tuple(rest))


def population_rows(population: Population, natural: bool) -> Rows:
    """All rows of a population whose graph and label are known."""
    nets = networks(population.benchmark)
    labels = nets.labels(population.task)
    rows = np.arange(len(nets)) if population.select is None else population.select()
    rows = rows[(nets.number[rows] >= 0) & np.isfinite(labels[rows])]
    truth = labels[rows] * (-1 if population.lower_is_better else 1)
    return Rows(nets, rows, labels[rows] if natural else normal_scores(truth), truth)


def _without(part: Rows, hashes: NDArray[np.str_]) -> Rows:
    """Rows of no network that is among the hashes."""
    return _take(part, np.flatnonzero(~np.isin(part.networks.hashes[part.number], hashes)))


def once(part: Rows) -> Rows:
    """One row a network, with the mean of its labels."""
    first, number, counts = np.unique(
        part.number, return_index=True, return_inverse=True, return_counts=True
    )[1:]
    means = [np.bincount(number.reshape(-1), v) / counts for v in (part.labels, part.truth)]
    return Rows(part.networks, part.rows[first], *means)


def drawn(part: Rows, most: int, rng: np.random.Generator) -> Rows:
    """Some of the rows at random, all where ``most`` is 0 or more than there are."""
    if not most or len(part.rows) <= most:
        return part
    return _take(part, np.sort(rng.choice(len(part.rows), most, replace=False)))


def _take(part: Rows, index: IntArray) -> Rows:
    beside = None if part.beside is None else part.beside[index]
    return Rows(part.networks, part.rows[index], part.labels[index], part.truth[index], beside)
