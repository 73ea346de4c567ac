"""Scores of an architecture that need no training."""

from archcast.zero_cost.static import STATIC, score

__all__ = ["STATIC", "score"]
