"""Predictors over compute graphs."""
