"""Measuring predictors: metrics, protocols, tables."""

from __future__ import annotations

from archcast.evaluation import metrics

__all__ = ["metrics"]
