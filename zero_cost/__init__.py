"""Scores of an architecture that need no training."""

from archcast.zero_cost._proxy import Proxy
from archcast.zero_cost.catalogue import CLASSIC, PROXIES, get_proxy
from archcast.zero_cost.scoring import Scores, score

__all__ = ["CLASSIC", "PROXIES", "Proxy", "Scores", "get_proxy", "score"]
