"""Predictors: from an architecture's features to what it will score."""

from __future__ import annotations

from archcast.predictors.storage import load_predictor, save_predictor
from archcast.predictors.tabular_predictor import TabularPredictor

__all__ = ["TabularPredictor", "load_predictor", "save_predictor"]
