"""``FastForecaster``: a forecaster's answers for very many architectures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from archcast.encoders._cache import cache_folder
from archcast.encoders._files import write_atomically
from archcast.encoders._fingerprint import fingerprint, imported_files
from archcast.encoders.errors import InvalidSettingError
from archcast.predictors.storage import pack
from archcast.search.domain import Domain
from archcast.search.fast._codes import Coder, Codes, ListCoder, coder, of_the_library
from archcast.search.fast._student import Student
from archcast.search.forecaster import Forecaster

if TYPE_CHECKING:
    from archcast.predictors import Predictor

__all__ = ["FastForecaster", "Fidelity", "Screened"]

FloatArray = NDArray[np.float64]
#: Architectures whose graphs and features are in memory at once.
_AT_ONCE: Final = 2048
#: Share of the sample that is held out from the student, as one in so many.
_HELD_OUT: Final = 10
#: Whose code the answers depend on, beside the space's and the predictor's.
_MADE_BY: Final = (
    "archcast.encoders.tabular", "archcast.search.fast._codes", "archcast.search.fast._student"
)  # fmt: skip
#: Least that fidelity can be told from.
_FEWEST: Final = 200


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How fast answers were made, and how near they are to the forecaster's own.

    Attributes:
        kind: ``table``: the forecaster's own answers, kept, so exact; ``distilled``: those of
            small networks that learned from some of them; ``direct``: the forecaster is asked.
        networks: architectures held out, which the following are about; 0 where exact.
        spearman: rank correlation of the student's answers with the forecaster's.
        r2: share of the variance of the forecaster's answers that the student's explain.
        kept: share of the forecaster's best hundredth that is among the student's best tenth.
    """

    kind: Literal["table", "distilled", "direct"]
    networks: int = 0
    spearman: float = 1.0
    r2: float = 1.0
    kept: float = 1.0


class Screened(NamedTuple):
    """The best of many candidates, the best first; numbers are the forecaster's own.

    Attributes:
        specs: the architectures.
        means: (n,) expected merits.
        stds: (n,) their standard deviations.
    """

    specs: list[str]
    means: FloatArray
    stds: FloatArray


class FastForecaster:
    """Expected merits of a hundred thousand architectures a second.

    A space of up to 100,000 architectures is forecast as a whole, once, and answers are looked
    up: they are the forecaster's own. Of a larger one a sample is forecast, small networks
    learn to answer from the choices alone, and :attr:`fidelity` says how well, measured on
    architectures that they did not learn from. Spaces that are neither small nor lists of choices
    are forecast one by one as before. What was made from a prior alone is kept in the cache;
    after :meth:`Forecaster.learn` it is made anew when next asked.

    Args:
        domain: the architectures; its constraints count in :meth:`screen` alone.
        forecaster: what is to be answered for, of the same domain.
        samples: architectures of a large space that are forecast to learn from; a space of one's
            own is large if it has more.
        seed: of the sample and of the networks.

    Raises:
        InvalidSettingError: too few samples.
    """

    def __init__(
        self, domain: Domain, forecaster: Forecaster, *, samples: int = 20_000, seed: int = 0
    ) -> None:
        if samples < _FEWEST:
            raise InvalidSettingError(f"{samples} samples teach nothing; give {_FEWEST} at least")
        self.domain = domain
        self.forecaster = forecaster
        self.samples = samples
        self.seed = seed
        self._coder = coder(domain.space, samples)
        self._table: FloatArray | None = None
        self._student: Student | None = None
        self._fidelity = Fidelity("direct")
        self._made_of: object = None
        self._drawn: Codes | None = None

    @property
    def fidelity(self) -> Fidelity:
        """How near the answers are to the forecaster's own; makes what answers, if need be."""
        self._prepare()
        return self._fidelity

    def sample(self, n: int, rng: np.random.Generator) -> Codes | list[str]:
        """Candidates at random, for the other methods; some may repeat or break constraints.

        Args:
            n: how many.
            rng: draws them.

        Returns:
            (n, P) codes, or texts where the space has no codes.
        """
        if self._coder is None:
            return self.domain.space.sample(n, int(rng.integers(2**31)))
        return self._coder.sample(n, rng)

    def texts(self, candidates: Codes | Sequence[str]) -> list[str]:
        """The canonical texts of candidates."""
        if self._coder is None or not isinstance(candidates, np.ndarray):
            return list(candidates)
        return self._coder.decode(candidates)

    def moments(self, candidates: Codes | Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Expected merits and their standard deviations; see :meth:`Forecaster.moments`.

        Args:
            candidates: n texts, or (n, P) codes of :meth:`sample`.

        Returns:
            (n,) means and (n,) standard deviations; higher is better.
        """
        self._prepare()
        if self._coder is None:
            return self.forecaster.moments(self.texts(candidates))
        codes = candidates if isinstance(candidates, np.ndarray) else self._coder.encode(candidates)
        if self._table is not None:
            found = self._table[codes[:, 0]]
            return found[:, 0], found[:, 1]
        assert self._student is not None
        found = self._student.answer(codes)
        return found[:, 0], np.exp(found[:, 1])

    def screen(
        self, candidates: Codes | Sequence[str], top: int = 10, *, shortlist: int = 10
    ) -> Screened:
        """The best candidates that meet the constraints, by the forecaster's own answers.

        All candidates are ranked fast; the best ``shortlist * top`` of them that are feasible are
        forecast in full and ranked again.

        Args:
            candidates: n texts, or (n, P) codes of :meth:`sample`.
            top: how many are wanted.
            shortlist: how many for each of them are forecast in full.

        Returns:
            At most ``top`` different architectures; fewer if no more are feasible.
        """
        means, _ = self.moments(candidates)
        order, wanted = np.argsort(-means, kind="stable"), max(shortlist, 1) * top
        found: dict[str, None] = {}
        for start in range(0, len(order), wanted):
            best = self._named(candidates, order[start : start + wanted])
            specs = [spec for spec in dict.fromkeys(best) if spec not in found]
            feasible = self.domain.feasible(specs)
            found.update((s, None) for s, ok in zip(specs, feasible, strict=True) if ok)
            if len(found) >= wanted:
                break
        specs = list(found)[:wanted]
        means, stds = self._exact(specs)
        best = np.argsort(-means, kind="stable")[:top]
        return Screened([specs[at] for at in best.tolist()], means[best], stds[best])

    # ------------------------------------------------------------------ private
    def _named(self, candidates: Codes | Sequence[str], rows: NDArray[np.intp]) -> list[str]:
        """The texts of some of the candidates."""
        if isinstance(candidates, np.ndarray):
            return self.texts(candidates[rows])
        return [candidates[int(row)] for row in rows]

    def _exact(self, specs: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """The forecaster's own answers; looked up if they are in the table."""
        if self._table is not None:
            return self.moments(specs)
        parts = [
            self.forecaster.moments(specs[start : start + _AT_ONCE])
            for start in range(0, len(specs), _AT_ONCE)
        ] or [(np.zeros(0), np.zeros(0))]
        means, stds = zip(*parts, strict=True)
        return np.concatenate(means), np.concatenate(stds)

    def _prepare(self) -> None:
        """Make what answers, unless it is there and the forecaster has not learned since."""
        state = (tuple(self.forecaster.specs), tuple(self.forecaster.values))
        if self._coder is None or self._made_of == state:
            return
        path = None if self.forecaster.labels else self._path()
        if path is None or not self._read(path):
            self._make()
            if path is not None:
                self._write(path)
        self._made_of = state

    def _make(self) -> None:
        assert self._coder is not None
        self._table = self._student = None
        if isinstance(self._coder, ListCoder):
            self._table = np.stack(self._exact(self._coder.texts), 1)
            self._fidelity = Fidelity("table")
            return
        drawn = self._sample_once(self._coder)
        means, stds = self._exact(self._coder.decode(drawn))
        targets = np.stack([means, np.log(np.maximum(stds, 1e-12))], 1)
        test = np.arange(len(means)) % _HELD_OUT == 0
        student = Student.fit(
            drawn[~test], targets[~test], self._coder.offsets, self._coder.columns, self.seed
        )
        self._fidelity = _compare(means[test], student.answer(drawn[test])[:, 0])
        self._student = student

    def _sample_once(self, coder: Coder) -> Codes:
        """What is forecast to learn from, always the same; features of it are remembered."""
        if self._drawn is None:
            drawn = coder.sample(self.samples, np.random.default_rng(self.seed))
            self._drawn = np.random.default_rng(self.seed).permutation(np.unique(drawn, axis=0))
        return self._drawn

    def _path(self) -> Path | None:
        """Where answers made from the prior alone are kept; None for spaces of one's own."""
        space = self.domain.space
        if not of_the_library(space):
            return None
        prior = self.forecaster.prior.base
        code = imported_files(*_MADE_BY, type(space).__module__, type(prior).__module__)
        given = {k: v for k, v in vars(space).items() if not k.startswith("_")}
        plain = {k: v for k, v in given.items() if isinstance(v, (str, int, float, tuple))}
        asked = {
            "space": [space.name, sorted(plain.items())],
            "size": [self.domain.num_classes, self.domain.image_size],
            "objective": _question(self.forecaster),
            "sample": [self.samples, self.seed],
        }
        digits = fingerprint(
            {*code, Path(__file__)}, json.dumps(asked, sort_keys=True), _digest(prior)
        )
        return cache_folder() / "search" / f"fast-{space.name}-{digits}.safetensors"

    def _read(self, path: Path) -> bool:
        from safetensors import SafetensorError, safe_open

        if not path.is_file():
            return False
        try:
            with safe_open(path, framework="np") as file:
                about: dict[str, Any] = json.loads((file.metadata() or {})["fidelity"])
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            fidelity = Fidelity(**about)
            student = None if "table" in arrays else Student.from_arrays(arrays)
        except (SafetensorError, KeyError, ValueError, TypeError, OSError):
            return False  # damaged: it is made anew
        self._table, self._student, self._fidelity = arrays.get("table"), student, fidelity
        return True

    def _write(self, path: Path) -> None:
        from safetensors.numpy import save

        arrays = {"table": self._table} if self._student is None else self._student.arrays()
        tensors = {k: np.ascontiguousarray(v) for k, v in arrays.items() if v is not None}
        data = save(tensors, metadata={"fidelity": json.dumps(asdict(self._fidelity))})
        write_atomically(path, lambda file: file.write(data))


def _compare(truth: FloatArray, value: FloatArray) -> Fidelity:
    """The student's answers beside the forecaster's, on architectures held out."""
    from archcast.evaluation.metrics import spearman

    rest = ((truth - value) ** 2).sum() / max(((truth - truth.mean()) ** 2).sum(), 1e-30)
    best = np.argsort(-truth)[: max(len(truth) // 100, 1)]
    near = np.argsort(-value)[: max(len(truth) // 10, 1)]
    kept = float(np.isin(best, near).mean())
    return Fidelity("distilled", len(truth), float(spearman(truth, value)), float(1 - rest), kept)


def _question(forecaster: Forecaster) -> list[str]:
    """What of a forecaster's question changes its merits."""
    objective = forecaster.objective
    return [objective.direction, forecaster.transform]


def _digest(predictor: Predictor) -> str:
    """Digits of all that a predictor has learned."""
    packed, arrays = pack(predictor)
    found = hashlib.sha256(json.dumps(packed, sort_keys=True, default=str).encode())
    for name in sorted(arrays):
        found.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()
