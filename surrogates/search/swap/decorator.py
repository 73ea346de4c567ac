"""``surrogate``: swap a training function for forecasts by one line, and train where it matters."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import update_wrapper
from inspect import iscoroutinefunction
from typing import Any, Final, Literal, NamedTuple

from archcast.encoders.errors import EvaluationError, InvalidSettingError
from archcast.encoders.spaces import Space
from archcast.predictors import Predictor
from archcast.search.domain import Domain
from archcast.search.journal import Answer
from archcast.search.swap._account import Account
from archcast.search.swap._arguments import signature_of
from archcast.search.swap._belief import Unit
from archcast.search.swap._budget import Seconds, parse_budget
from archcast.search.swap._report import Report
from archcast.search.swap._settings import Settings

__all__ = ["Surrogate", "Winner", "surrogate"]

_UNITS: Final = (None, "fraction", "percent", "own")
_DIRECTIONS: Final = (None, "max", "min")
_ON_ERROR: Final = ("raise", "forecast")


class Winner(NamedTuple):
    """The best architecture at the end.

    Attributes:
        arch: as the function was called with it.
        value: what it scores.
        source: ``measured``, or ``forecast`` if nothing was ever trained.
        key: its name in journal and report.
    """

    arch: Any
    value: float
    source: Literal["measured", "forecast"]
    key: str


class Surrogate:
    """A training function that mostly answers from forecasts; made by :func:`surrogate`.

    It is called as the function itself was, and gives a float. It may be called by several
    threads, and by several processes that share a journal. On a class's method it keeps an
    account of its own for every instance.
    """

    __wrapped__: Callable[..., Any]

    def __init__(self, function: Callable[..., Any], settings: Settings) -> None:
        self._function, self._settings = function, settings
        self._form = signature_of(function)
        self._opening = threading.Lock()
        self._opened: Account | None = None
        update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> float:
        """The score of an architecture: measured, or else forecast.

        Raises:
            EvaluationError: ``to_network`` failed, or the function gave no number.
            InvalidSettingError: nothing may be trained and the forecasts have no unit.
            Exception: what the function raised, unless ``on_error="forecast"``.
        """
        return self._account.answer(args, kwargs)

    def measured(self, *args: Any, **kwargs: Any) -> float:
        """Train an architecture for real, unless it was; it is spent from the budget.

        Raises:
            InvalidSettingError: the budget is spent.
        """
        return self._account.measure(self._account.candidate(args, kwargs))

    def forecast(self, *args: Any, **kwargs: Any) -> Answer:
        """What is expected of an architecture, with the 90 % interval; nothing is trained.

        Raises:
            NotFittedError: nothing was measured yet, and the predictor only ranks.
        """
        return self._account.forecast(self._account.candidate(args, kwargs).key)

    def confirm(self, k: int | None = None) -> Winner:
        """Train the most promising candidates that were only forecast, and name the winner.

        One after the other, each where the best measured is most likely to be beaten by much,
        after learning from those before.

        Args:
            k: most trainings; all that are left of the budget if None.

        Returns:
            The best that was measured.

        Raises:
            EvaluationError: no candidate is known, or all trainings failed.
            InvalidSettingError: nothing may be trained and the forecasts have no unit; or
                ``beyond`` cannot tell how to call the function.
            Exception: what the function raised, unless ``on_error="forecast"``; that training is
                spent, what was measured is kept, and the next call goes on.
        """
        account = self._account
        done = 0
        while (k is None or done < k) and (key := account.best_untrained()) is not None:
            account.train(key, "confirm")
            done += 1
        best = account.best()
        if best is None and account.candidates.names and not account.belief.speaks:
            raise account.mute()
        if best is None:
            raise EvaluationError(
                f"{self.__name__}() has answered for no candidate yet; run the search first"
            )
        call = account.candidates.arguments(best[0])
        arch = None
        if call is not None:
            arch = next(iter(self._form.bind(*call[0], **call[1]).arguments.values()))
        source: Any = best[2]
        return Winner(arch, best[1], source, best[0])

    def report(self) -> Report:
        """How right the forecasts were, and what was saved; print it."""
        return self._account.report()

    def close(self) -> None:
        """Let go of the journal; the next call opens it again."""
        with self._opening:
            if self._opened is not None:
                self._opened.journal.close()
                self._opened = None

    # ----------------------------------------------------------------- private
    @property
    def _account(self) -> Account:
        with self._opening:
            if self._opened is None or self._opened.process != os.getpid():
                self._opened = Account(self._function, self._form, self._settings)
            return self._opened

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        name = f"_archcast_{self.__name__}"
        held = getattr(instance, "__dict__", None)
        if held is None:
            raise InvalidSettingError(
                f"{type(instance).__name__} has __slots__ and no __dict__; wrap a function instead"
            )
        if name not in held:
            held[name] = Surrogate(self._function.__get__(instance, owner), self._settings)
        return held[name]

    def __reduce__(self) -> str:
        return self.__qualname__  # by name, as functions are

    def __repr__(self) -> str:
        return f"<surrogate of {self.__qualname__}() for {self._settings.task}>"

    __name__: str
    __qualname__: str


def surrogate(
    *,
    task: str,
    budget: int | str | Seconds,
    space: str | Space[Any] | Domain | None = None,
    to_network: Callable[[Any], Any] | None = None,
    input_shape: Any = None,
    direction: Literal["max", "min"] | None = None,
    unit: Unit | None = None,
    prior: Predictor | None = None,
    start: int | None = None,
    confirm: int | None = None,
    beyond: bool = False,
    calls: int | None = None,
    journal: str | os.PathLike[str] | None = None,
    on_error: Literal["raise", "forecast"] = "raise",
    ignore: Sequence[str] = (),
    clock: Callable[[], float] = time.perf_counter,
    seed: int = 0,
) -> Callable[[Callable[..., Any]], Surrogate]:
    """Put a surrogate where training was; a decorator of the function that trains.

    The function's first argument is the architecture. A call is answered from the predictor. It
    trains for real to calibrate at the start, where a forecast is too unsure to tell whether the
    candidate is the best so far, and, when :meth:`Surrogate.confirm` is called, the best in the
    end. Every real result corrects the predictor. What was measured is never trained again.

    Two calls are about the same candidate if the architecture and all plain arguments (numbers,
    texts, lists, mappings) are equal. What is not plain, such as a data loader, is taken to be the
    same every time. Modules and ONNX files are told apart by their canonical graphs, so by what
    they compute, not by their weights.

    Args:
        task: what is measured. A known task (:func:`archcast.tasks`) starts from its own predictor;
            any other name, as ``digits/accuracy``, from the universal one, which needs a few real
            trainings to speak in its unit.
        budget: real trainings, failed ones included; or time: ``"2h"``, ``Seconds(90)``. A
            training is begun if one as long as those before would fit.
        space: search space that architectures belong to, or a :class:`Domain`; None where they are
            networks, files, or come through ``to_network``.
        to_network: from the architecture to a module, ONNX file, graph or specification.
        input_shape: of modules, batch first; see :func:`archcast.encoders.read`.
        direction: ``max`` or ``min``; the task's own, ``max`` if it is not known.
        unit: ``percent``, ``fraction`` (accuracies between 0 and 1) or ``own``; found out from the
            values if None.
        prior: a fitted predictor instead of the usual one.
        start: trainings to calibrate with; a fifth of the budget if None, and twice that where the
            predictor knows nothing alike.
        confirm: trainings kept back for the end; three fifths of the budget if None.
        beyond: whether :meth:`Surrogate.confirm` may train architectures of the space that the
            loop never asked about; it mostly finds better ones. Then one training calibrates
            (two where nothing alike is known) and all others are kept for the end, unless
            ``start`` and ``confirm`` say otherwise.
        calls: how many calls there will be, if that is known: the budget is spread over them.
        journal: SQLite file of all results and answers; None keeps them in memory. Restarted with
            the same file, a search loses no measurement. Processes that share a budget need one.
        on_error: whether an exception of the function is raised, or a forecast answers, once
            there is one in the unit of the task. The training counts as spent. Values that are
            not finite are passed on, or forecast.
        ignore: arguments of the function that do not matter, such as ``verbose``.
        clock: seconds; another one than the wall's times simulated trainings.
        seed: of the random numbers by which ``beyond`` chooses; all else is determined.

    Returns:
        A decorator of functions and methods.

    Raises:
        InvalidSettingError: a setting makes no sense.
        InvalidSpecError: no space of that name.
    """
    amount = parse_budget(budget)
    for name, value in (("start", start), ("confirm", confirm), ("calls", calls)):
        if value is not None and (not isinstance(value, int) or value < 0):
            raise InvalidSettingError(f"{name} is a whole number, 0 or more, not {value!r}")
    if not isinstance(task, str) or not task:
        raise InvalidSettingError(f"task is a name such as cifar10/test_accuracy, not {task!r}")
    for name, value, known in (
        ("unit", unit, _UNITS),
        ("on_error", on_error, _ON_ERROR),
        ("direction", direction, _DIRECTIONS),
    ):
        if value not in known:
            words = ", ".join(repr(word) for word in known)
            raise InvalidSettingError(f"{name} is one of {words}, not {value!r}")
    domain = space if isinstance(space, Domain) or space is None else Domain(space)
    if beyond and (domain is None or to_network is not None):
        raise InvalidSettingError(
            "beyond=True chooses architectures of a space and calls the function with them: it "
            "needs space=, and cannot go together with to_network="
        )
    settings = Settings(
        task, amount, domain, direction, to_network, input_shape, prior, unit, start, confirm,
        beyond, calls, journal, on_error, (ignore,) if isinstance(ignore, str) else tuple(ignore),
        clock, seed,
    )  # fmt: skip

    def swap(function: Callable[..., Any]) -> Surrogate:
        if not callable(function) or iscoroutinefunction(function):
            raise InvalidSettingError(f"@surrogate goes on a plain function, not on {function!r}")
        return Surrogate(function, settings)

    return swap
