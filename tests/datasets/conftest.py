"""Benchmarks over the mirror, with caches of the test run's own."""

import os

import pytest

from archcast import datasets


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A cache folder for derived files; ``ARCHCAST_TEST_CACHE`` keeps one between runs."""
    kept = os.environ.get("ARCHCAST_TEST_CACHE")
    folder = kept or str(tmp_path_factory.mktemp("cache"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCHCAST_CACHE", folder)
        yield folder


@pytest.fixture(scope="session")
def nasbench201(mirror, cache):
    return datasets.load("nasbench201")


@pytest.fixture(scope="session")
def timm_zoo(mirror, cache):
    return datasets.load("timm_zoo")


@pytest.fixture(scope="session")
def nasbench101(mirror, cache):
    """Takes a minute without a kept cache: the whole space is enumerated and hashed."""
    return datasets.load("nasbench101")
