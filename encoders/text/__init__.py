"""Architectures as text, for language models."""

from archcast.encoders.text._parse import parse
from archcast.encoders.text._serialise import count_tokens, serialise

__all__ = ["count_tokens", "parse", "serialise"]
