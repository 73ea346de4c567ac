"""The candidates that a search loop asked about: which are one, and what their networks are."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from archcast.encoders import read
from archcast.encoders._words import shown
from archcast.encoders.errors import ArchcastError, EvaluationError, UnreadableModelError
from archcast.encoders.graph import ComputeGraph, pack, unpack
from archcast.encoders.spaces import recognise
from archcast.encoders.tabular import feature_names, tabular
from archcast.search.domain import Domain
from archcast.search.swap._arguments import JOINT, NotPlainError, canonical, leaves, plain
from archcast.search.swap._extras import Codec

__all__ = ["Candidate", "Candidates"]

Floats = NDArray[np.float32]
_HASH: Final = "graph:"
_HELD: Final = "params:"
#: How a loop writes an architecture of a space down.
Form = Literal["text", "prefixed", "choices"]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One architecture as a person's function is called with it.

    Attributes:
        key: its name: equal for calls that would train the same.
        features: (F,) features of its network.
        extras: numbers and texts of the call beside the network.
        graph: the network; None where a space gives it.
        spec: its text in the space, where there is one.
    """

    key: str
    features: Floats
    extras: dict[str, float | str]
    graph: ComputeGraph | None
    spec: str = ""


class Candidates:
    """Names candidates, reads their networks, and gives their features by name.

    With a search space, an architecture's name is its canonical text there. Without, a mapping, a
    number or a text is named by its canonical JSON, a file, module or graph by the graph's hash:
    there, equal networks are one.

    Args:
        domain: the search space; None where architectures come as networks.
        to_network: from what the function takes to a network, or to a text of the space.
        input_shape: of modules and of ONNX files with symbolic dimensions.
    """

    def __init__(
        self,
        domain: Domain | None,
        to_network: Callable[[Any], Any] | None,
        input_shape: Any = None,
    ) -> None:
        self.domain = domain
        self.to_network = to_network
        self.input_shape = input_shape
        self._known: dict[str, Candidate] = {}
        self._arguments: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        self._codec = Codec()
        self.form: Form | None = None

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __getitem__(self, key: str) -> Candidate:
        return self._known[key]

    @property
    def names(self) -> list[str]:
        """Names of all candidates, in the order they came."""
        return list(self._known)

    # ------------------------------------------------------------------ who is it
    def of(self, arch: Any, rest: dict[str, Any]) -> Candidate:
        """The candidate of a call.

        Args:
            arch: what the function was called with.
            rest: the plain arguments beside it that matter.

        Raises:
            EvaluationError: ``to_network`` raised, or gave no network.
            InvalidSpecError: it is not of the space.
            ArchcastError: no network can be read from it.
        """
        text, said, graph = self._named(arch)
        key = f"{text}{JOINT}{canonical(rest)}" if rest else text
        if key not in self._known:
            spec = ""
            if self.domain is not None:
                spec = self._spec(arch) if self.to_network else text
                row = self.domain.features([spec])[0]
            else:
                graph = graph or self._read(arch)
                row = tabular([graph]).values[0]
            extras = leaves(said) | leaves(rest)
            self._known[key] = Candidate(key, np.asarray(row, np.float32), extras, graph, spec)
        return self._known[key]

    def _named(self, arch: Any) -> tuple[str, Any, ComputeGraph | None]:
        """Name, what of it is plain, and its graph if that was needed for the name."""
        if self.domain is not None and self.to_network is None:
            text = self.domain.text(arch)
            choices = getattr(self.domain.space, "choices", None)
            return text, choices(text) if callable(choices) else None, None
        if self.to_network is None and isinstance(arch, str):
            found = recognise(arch)
            if found is not None:
                space, rest = found
                return f"{space.name}:{space.text(space.parse(rest))}", None, None
        elif self.to_network is not None and not hasattr(arch, "named_parameters"):
            # A trial fills its parameters while it is asked for them.
            graph = self._read(arch) if hasattr(arch, "params") and not self.domain else None
            try:
                said = plain(arch)
                own = isinstance(arch, (dict, list, tuple, str, int, float))
                return ("" if own else _HELD) + canonical(said), said, graph
            except NotPlainError:
                pass
        if self.domain is not None:
            return _HELD + self._spec(arch), None, None
        graph = self._read(arch)
        return _HASH + graph.hash, None, graph

    def _converted(self, arch: Any) -> Any:
        if self.to_network is None:
            return arch
        try:
            return self.to_network(arch)
        except ArchcastError:
            raise
        except Exception as error:
            raise EvaluationError(
                f"{_called(self.to_network)} failed for {shown(arch)}: "
                f"{type(error).__name__}: {error}"
            ) from error

    def _spec(self, arch: Any) -> str:
        assert self.domain is not None
        found = self._converted(arch)
        try:
            return self.domain.text(found)
        except (ArchcastError, TypeError, ValueError, AttributeError) as error:
            raise EvaluationError(
                f"{_called(self.to_network)} turned {shown(arch)} into {shown(found)}, which is "
                f"no architecture of {self.domain.space.name}: {error}"
            ) from error

    def _read(self, arch: Any) -> ComputeGraph:
        found = self._converted(arch)
        try:
            return read(found, self.input_shape)
        except ArchcastError as error:
            if self.to_network is None:
                if isinstance(error, UnreadableModelError):
                    raise UnreadableModelError(
                        f"{error}; to_network= makes one of whatever the loop calls with"
                    ) from error
                raise
            raise EvaluationError(
                f"{_called(self.to_network)} turned {shown(arch)} into {shown(found)}, which "
                f"cannot be read as a network: {error}"
            ) from error

    # ------------------------------------------------------------- what to call it with
    def remember(self, key: str, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Keep what a candidate was called with, to call it again."""
        self._arguments[key] = (tuple(args), dict(kwargs))

    def arguments(self, key: str) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """What to call the function with for a candidate; None if that is not known any more."""
        if key in self._arguments:
            return self._arguments[key]
        text, _, rest = key.partition(JOINT)
        if text.startswith((_HASH, _HELD)):
            return None
        named = json.loads(rest) if rest else {}
        if self.domain is not None and self.to_network is None:
            return ((self.spoken(text),), named)
        return ((text if self.to_network is None else json.loads(text),), named)

    def form_of(self, arch: Any) -> Form | None:
        """How an architecture of the space is written; None where there is no space to choose."""
        if self.domain is None or self.to_network is not None:
            return None
        if not isinstance(arch, str):
            return "choices" if isinstance(arch, Mapping) else "text"
        return "prefixed" if arch.startswith(f"{self.domain.space.name}:") else "text"

    def spoken(self, text: str) -> Any:
        """An architecture of the space as the loop writes them; as its choices if nobody knows."""
        assert self.domain is not None
        choices = getattr(self.domain.space, "choices", None)
        if self.form in (None, "choices") and callable(choices):
            return choices(text)
        return f"{self.domain.space.name}:{text}" if self.form == "prefixed" else text

    # ------------------------------------------------------------------------- features
    def features(self, specs: Sequence[str]) -> Floats:
        """(n, F + E) features of candidates by name: of the network, and of the call beside it."""
        width = self._codec.width
        if not len(specs):
            return np.zeros((0, len(feature_names()) + width), np.float32)
        rows = [self._known[spec] for spec in specs]
        x = np.stack([row.features for row in rows])
        return np.hstack([x, self._codec.encode([r.extras for r in rows])]) if width else x

    def sample(self, n: int, rng: np.random.Generator) -> list[str]:
        """Up to n of the candidates so far, by which one tells near from far."""
        names = self.names
        return [names[i] for i in rng.permutation(len(names))[:n].tolist()]

    def settle(self) -> None:
        """Decide on the columns beside the network's, from all candidates so far."""
        rows = list(self._known.values())
        if not any(row.extras for row in rows):
            return
        x = np.stack([row.features for row in rows])
        varied = int((np.ptp(x, axis=0) > 0).sum())
        self._codec = Codec.of([row.extras for row in rows], max(varied, 1))

    def distances(self, key: str, others: Sequence[str]) -> NDArray[np.float64]:
        """(n,) distances of a candidate to others, each feature by how it varies here."""
        if not len(others):
            return np.zeros(0)
        x = self.features(self.names)
        spread = x.std(0)
        spread[spread == 0] = 1
        there, here = self.features(others), self.features([key])
        return np.sqrt((((there - here) / spread) ** 2).mean(1)).astype(np.float64)

    # ------------------------------------------------------------------------- journal
    def written(self, key: str) -> Any:
        """What a journal keeps of a candidate so that it can be learned from after a restart."""
        graph = self._known[key].graph
        if graph is None:
            return None
        file = io.BytesIO()
        np.savez_compressed(file, **pack([graph]))  # pyright: ignore[reportArgumentType]
        return {
            "graph": base64.b64encode(file.getvalue()).decode(),
            "extras": self._known[key].extras,
        }

    def recall(self, key: str, kept: Any) -> bool:
        """Bring back a candidate of an earlier process.

        Args:
            key: its name.
            kept: what :meth:`written` gave; None if there was nothing.

        Returns:
            Whether its network is known.
        """
        if key in self._known:
            return True
        if kept:
            with np.load(io.BytesIO(base64.b64decode(kept["graph"])), allow_pickle=False) as file:
                graph = unpack({name: file[name] for name in file.files})[0]
            row = tabular([graph]).values[0]
            self._known[key] = Candidate(key, row, dict(kept["extras"]), graph)
            return True
        call = self.arguments(key)
        if call is None:
            return False
        rest = json.loads(key.partition(JOINT)[2] or "{}")
        try:
            return self.of(call[0][0], rest).key == key
        except ArchcastError:
            return False


def _called(function: Any) -> str:
    return f"{getattr(function, '__name__', type(function).__name__)}()"
