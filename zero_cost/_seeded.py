"""Random numbers that follow from what they are for."""

from __future__ import annotations

from hashlib import blake2b

import torch


def seeded(purpose: str) -> torch.Generator:
    """A generator that equal texts give equal numbers, on the CPU so that devices agree.

    Args:
        purpose: the seed, and what the numbers are for: other texts, independent numbers.
    """
    digest = blake2b(purpose.encode(), digest_size=7).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))
