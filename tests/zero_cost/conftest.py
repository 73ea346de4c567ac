"""Scores that a test compares must not be one score, found twice on disk."""

import pytest

from archcast.zero_cost import scoring

#: Tests of the cache itself; they bring a folder of their own.
_CACHED = ("test_cache", "test_scoring")


@pytest.fixture(scope="module", autouse=True)
def computed(request):
    """Every score is computed."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.stem not in _CACHED:
            patch.setattr(scoring._Work, "_cache", lambda _work, _cache: None)
        yield
