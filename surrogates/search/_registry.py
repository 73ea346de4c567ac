"""Strategies by name."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final

from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSettingError
from archcast.search.domain import Domain
from archcast.search.strategy import Strategy

#: Name -> module of ``archcast.search.strategies`` and class, imported when first asked for.
_OWN: Final = {
    "random": ("simple", "RandomSearch"),
    "evolution": ("evolution", "RegularizedEvolution"),
    "local": ("local", "LocalSearch"),
    "forecast": ("guided", "ForecastSearch"),
    "screen": ("screen", "ScreenSearch"),
    "bananas": ("guided", "Bananas"),
    "boshnas": ("boshnas", "Boshnas"),
    "gbdt-nas": ("gbdt_nas", "GBDTNAS"),
    "weak": ("weak", "WeakPredictors"),
    "linas": ("linas", "LINAS"),
    "nsga2": ("nsga2", "NSGA2"),
    "map-elites": ("map_elites", "MAPElites"),
    "robot": ("robot", "RobotSearch"),
    "successive-halving": ("halving", "SuccessiveHalving"),
}
_REGISTERED: dict[str, type[Strategy]] = {}


def list_strategies() -> list[str]:
    """Names of all strategies."""
    return [*_OWN, *_REGISTERED]


def strategy_class(name: str) -> type[Strategy]:
    """The class of a strategy.

    Raises:
        InvalidSettingError: no strategy of that name; the message has the closest.
    """
    if name in _REGISTERED:
        return _REGISTERED[name]
    if name not in _OWN:
        near = get_close_matches(name, list_strategies(), n=2, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else ", ".join(list_strategies())
        raise InvalidSettingError(f"no strategy is called {shown(name)}; {hint}")
    module, attribute = _OWN[name]
    return getattr(import_module(f"archcast.search.strategies.{module}"), attribute)


def get_strategy(name: str, domain: Domain, *, seed: int = 0, **options: Any) -> Strategy:
    """A strategy by name.

    Args:
        name: one of :func:`list_strategies`.
        domain: the architectures to choose from.
        seed: of its random numbers.
        options: the strategy's own arguments.

    Raises:
        InvalidSettingError: no such strategy, or an argument it does not take.
    """
    kind = strategy_class(name)
    try:
        return kind(domain, seed=seed, **options)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise InvalidSettingError(f"{name}: {str(error).partition(') ')[2] or error}") from error


def register(kind: type[Strategy]) -> type[Strategy]:
    """Make a strategy of one's own known by its ``name``; a class decorator."""
    _REGISTERED[kind.name] = kind
    return kind
