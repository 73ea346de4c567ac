"""Scores of an architecture that need no training."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from archcast.zero_cost._execute import Step
    from archcast.zero_cost._lab import Lab, LayerSum, Observer
    from archcast.zero_cost._proxy import Proxy
    from archcast.zero_cost.aggregate import AGGREGATES, Aggregate, rank_aggregate
    from archcast.zero_cost.catalogue import CLASSIC, PROXIES, get_proxy, register
    from archcast.zero_cost.network import GraphNetwork, materialise
    from archcast.zero_cost.proxies.dextr_published import dextr_published
    from archcast.zero_cost.proxies.distillation import diswot_scores
    from archcast.zero_cost.proxy_search import ProxySearch, proxy_search
    from archcast.zero_cost.robot import RoBoT, robot_search
    from archcast.zero_cost.scoring import Scores, score
    from archcast.zero_cost.source import load_source

#: Name -> module that has it, imported when first asked for: some need torch.
_HOMES: Final = {
    "AGGREGATES": "aggregate",
    "Aggregate": "aggregate",
    "CLASSIC": "catalogue",
    "GraphNetwork": "network",
    "Lab": "_lab",
    "LayerSum": "_lab",
    "Observer": "_lab",
    "PROXIES": "catalogue",
    "Proxy": "_proxy",
    "ProxySearch": "proxy_search",
    "RoBoT": "robot",
    "Scores": "scoring",
    "Step": "_execute",
    "dextr_published": "proxies.dextr_published",
    "diswot_scores": "proxies.distillation",
    "get_proxy": "catalogue",
    "load_source": "source",
    "materialise": "network",
    "proxy_search": "proxy_search",
    "rank_aggregate": "aggregate",
    "register": "catalogue",
    "robot_search": "robot",
    "score": "scoring",
}

__all__ = [
    "AGGREGATES",
    "CLASSIC",
    "PROXIES",
    "Aggregate",
    "GraphNetwork",
    "Lab",
    "LayerSum",
    "Observer",
    "Proxy",
    "ProxySearch",
    "RoBoT",
    "Scores",
    "Step",
    "dextr_published",
    "diswot_scores",
    "get_proxy",
    "load_source",
    "materialise",
    "proxy_search",
    "rank_aggregate",
    "register",
    "robot_search",
    "score",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"archcast.zero_cost.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
