"""The most promising of very many candidates: draws, then generations bred from the best."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from archcast.search.domain import Domain
from archcast.search.fast import FastForecaster
from archcast.search.fast._codes import Coder, Codes, ListCoder

__all__ = ["hunt"]

#: Share of the candidates that is drawn; the others are bred, in so many generations.
_DRAWN: Final = 0.4
_GENERATIONS: Final = 12
#: Parents, and candidates looked at for parents that meet the constraints.
_PARENTS: Final = 200
_LOOKED_AT: Final = 400
#: Best candidates that live on.
_KEPT: Final = 5000
#: Share of choices that a child takes from another parent, or from a draw.
_CROSSED: Final = 0.5
_CHANGED: Final = 0.05


def hunt(
    fast: FastForecaster, coder: Coder, n: int, keep: int, rng: np.random.Generator
) -> list[str]:
    """The most promising architectures by fast answers, the best first.

    Args:
        fast: answers.
        coder: of the same space.
        n: candidates, some of which may repeat.
        keep: how many are wanted.
        rng: draws and breeds.

    Returns:
        At most ``keep`` different texts that meet the constraints.
    """
    if isinstance(coder, ListCoder):
        whole = np.arange(coder.columns, dtype=np.int32)[:, None]
        pool = whole if n >= len(whole) else rng.permutation(whole)[:n]
        return _best(fast.domain, coder, pool, fast.moments(pool)[0], keep, len(pool))[0]
    first = max(round(_DRAWN * n), 1)
    pool = _different(_drawn(fast.domain, coder, first, rng))
    means = fast.moments(pool)[0]
    for part in np.array_split(np.arange(n - first), _GENERATIONS):
        parents, broken = _best(fast.domain, coder, pool, means, _PARENTS, _LOOKED_AT)
        pool, means = np.delete(pool, broken, 0), np.delete(means, broken)
        if not parents or not len(part):
            break
        order = np.argsort(-means, kind="stable")[:_KEPT]
        bred = _bred(coder, coder.encode(parents), len(part), rng)
        pool = _different(np.concatenate([pool[order], bred]))
        means = fast.moments(pool)[0]
    return _best(fast.domain, coder, pool, means, keep, len(pool))[0]


def _drawn(domain: Domain, coder: Coder, n: int, rng: np.random.Generator) -> Codes:
    """Candidates at random, among them some that meet the constraints."""
    drawn = coder.sample(n, rng)
    if not domain.constraints:
        return drawn
    return np.concatenate([coder.encode(domain.sample(_PARENTS, rng)), drawn])


def _bred(coder: Coder, parents: Codes, n: int, rng: np.random.Generator) -> Codes:
    """Children, half of two parents, half of one and of a few drawn choices."""
    first = parents[rng.integers(len(parents), size=n)]
    half = n // 2
    second = parents[rng.integers(len(parents), size=half)]
    crossed = coder.mixed(first[:half], second, _CROSSED, rng)
    changed = coder.mixed(first[half:], coder.sample(n - half, rng), _CHANGED, rng)
    return np.concatenate([crossed, changed])


def _different(codes: Codes) -> Codes:
    return np.unique(codes, axis=0)


def _best(
    domain: Domain,
    coder: Coder,
    codes: Codes,
    means: NDArray[np.float64],
    wanted: int,
    most: int,
) -> tuple[list[str], list[int]]:
    """The best that meet the constraints, of the ``most`` best; rows of those that break them."""
    order = np.argsort(-means, kind="stable")[:most]
    found: dict[str, None] = {}
    broken: list[int] = []
    for start in range(0, len(order), wanted):
        rows = order[start : start + wanted]
        specs = coder.decode(codes[rows])
        kept = domain.feasible(specs)
        found.update((spec, None) for spec, ok in zip(specs, kept, strict=True) if ok)
        broken += rows[~kept].tolist()
        if len(found) >= wanted:
            break
    return list(found)[:wanted], broken
