"""The pooled table: every benchmark's architectures, graphs, features and labels as Parquet."""

from __future__ import annotations

from archcast.datasets.pool._build import build_pool
from archcast.datasets.pool._files import Manifest, version_of
from archcast.datasets.pool._pool import Pool, open_pool

__all__ = ["Manifest", "Pool", "build_pool", "open_pool", "version_of"]
