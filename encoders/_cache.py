"""Where this machine keeps what was downloaded or derived."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where downloads and derived tables go: ``ARCHCAST_CACHE``, or the system's cache folder."""
    configured = os.environ.get("ARCHCAST_CACHE", "")
    if configured:
        return Path(configured)
    import pooch

    return Path(pooch.os_cache("archcast"))
