"""Architectures as text."""
