"""Versions of derived files; see :mod:`archcast.encoders._fingerprint`."""

from archcast.encoders._fingerprint import encoder_files, fingerprint

__all__ = ["encoder_files", "fingerprint"]
