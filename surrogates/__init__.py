"""Forecast what a neural architecture will score, without training it."""
