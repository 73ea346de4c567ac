"""Predictors that read an architecture as text; they need sentence-transformers."""
