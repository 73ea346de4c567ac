"""Scores that were computed before: found again, by nobody else, and never in the way."""

import math
import sqlite3
import subprocess
import sys
import warnings

import pytest

from archcast.encoders.errors import StorageError
from archcast.zero_cost import PROXIES
from archcast.zero_cost import _cache as cache_module
from archcast.zero_cost._cache import ScoreCache, code_version, data_fingerprint

NWOT, SNIP = PROXIES["nwot"], PROXIES["snip"]
BOTH = {"nwot": NWOT, "snip": SNIP}
ONE, TWO = "0" * 31 + "1", "f" * 32


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scores.sqlite"


def opened(path, **settings):
    return ScoreCache(path, {"samples": 4, "seed": 0} | settings)


def filled(path):
    cache = opened(path)
    cache.keep(BOTH, [("nwot", ONE, (1.5, "")), ("snip", ONE, (math.nan, "no weights"))])
    cache.close()


def test_what_was_kept_is_found_by_another(path):
    filled(path)
    again = opened(path)
    assert again.find(NWOT, [TWO, ONE]) == {ONE: (1.5, "")}
    score, reason = again.find(SNIP, [ONE])[ONE]
    assert math.isnan(score)
    assert reason == "no weights"


@pytest.mark.parametrize("settings", [{"samples": 5}, {"seed": 1}, {"data": "abc"}])
def test_other_settings_are_other_scores(path, settings):
    filled(path)
    assert opened(path, **settings).find(NWOT, [ONE]) == {}


def test_other_code_is_other_scores(path, monkeypatch):
    filled(path)
    monkeypatch.setattr(cache_module, "code_version", lambda _proxy: "changed")
    assert opened(path).find(NWOT, [ONE]) == {}


def test_the_version_is_that_of_the_code_a_proxy_uses(monkeypatch):
    assert code_version(NWOT) == code_version(NWOT)
    assert code_version(NWOT) != code_version(SNIP)
    before = code_version(NWOT)
    monkeypatch.setattr(cache_module, "_torch_release", lambda: "99.0")
    assert code_version(NWOT) != before


def test_data_count_by_their_numbers_and_shape():
    import numpy as np

    x = np.arange(12, dtype=np.float32)
    prints = {data_fingerprint(x, None), data_fingerprint(x.reshape(3, 4), None)}
    prints |= {data_fingerprint(x + 1, None), data_fingerprint(x, np.zeros(3)), data_fingerprint()}
    assert len(prints) == 5
    assert data_fingerprint(x.reshape(3, 4).T.copy().T) == data_fingerprint(x.reshape(3, 4))


def test_thousands_of_scores_at_once(path):
    hashes = [f"{i:032x}" for i in range(3000)]
    cache = opened(path)
    cache.keep(BOTH, [("nwot", key, (float(i), "")) for i, key in enumerate(hashes)])
    found = cache.find(NWOT, [*hashes, ONE])
    assert [found[key][0] for key in hashes] == list(range(3000))


def test_several_processes_write_at_once(path):
    code = (
        "import sys; from archcast.zero_cost._cache import ScoreCache\n"
        "from archcast.zero_cost import PROXIES; from pathlib import Path\n"
        "cache = ScoreCache(Path(sys.argv[1]), {'samples': 4, 'seed': 0})\n"
        "for i in range(60):\n"
        "    row = ('nwot', f'{int(sys.argv[2]) * 60 + i:032x}', (float(i), ''))\n"
        "    cache.keep({'nwot': PROXIES['nwot']}, [row])\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", code, str(path), str(n)])
        for n in range(3)
    ]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    assert len(opened(path).find(NWOT, [f"{i:032x}" for i in range(180)])) == 180


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path))
    return tmp_path / "scores.sqlite"


@pytest.mark.parametrize("damage", [b"SQLite format 3\0" + b"\xff" * 5000, b"never a database" * 9])
def test_a_damaged_file_is_set_aside(own_cache, damage):
    own_cache.write_bytes(damage)
    with pytest.warns(RuntimeWarning, match="damaged"):
        cache = opened(None)
    cache.keep(BOTH, [("nwot", ONE, (2.0, ""))])
    assert cache.find(NWOT, [ONE]) == {ONE: (2.0, "")}
    assert own_cache.with_name("scores.sqlite.damaged-0").read_bytes() == damage


def test_damage_that_shows_late_costs_no_score(path):
    cache = opened(path)
    cache.keep(BOTH, [("nwot", f"{i:032x}", (float(i), "")) for i in range(5000)])
    cache.close()
    size = path.stat().st_size
    with path.open("r+b") as file:  # the first page, with the tables' names, stays whole
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    cache = opened(path)
    with pytest.warns(RuntimeWarning, match="damaged"):
        found = cache.find(NWOT, [f"{i:032x}" for i in range(5000)])
    assert len(found) < 5000
    cache.keep(BOTH, [("nwot", ONE, (2.0, ""))])
    assert cache.find(NWOT, [ONE]) == {ONE: (2.0, "")}
    assert list(path.parent.glob("*.damaged-0"))


def test_a_person_s_own_file_is_left_alone(path):
    path.write_text("network,score\n")
    with pytest.raises(StorageError, match="not a cache of scores"):
        opened(path)
    assert path.read_text() == "network,score\n"


def test_another_program_s_database_is_left_alone(path):
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE scores (name)")
    database.close()
    with pytest.raises(StorageError, match="another program"):
        opened(path)


def test_a_place_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        opened(tmp_path / "file" / "scores.sqlite")
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path / "file"))
    with pytest.warns(RuntimeWarning, match="not cached"):
        cache = opened(None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        cache.keep(BOTH, [("nwot", ONE, (2.0, ""))])
        assert cache.find(NWOT, [ONE]) == {}


def test_a_disk_that_fills_up_is_told_once(path, monkeypatch):
    cache = opened(path)
    assert cache._database is not None
    cache._database.execute("PRAGMA max_page_count = 6")
    rows = [("nwot", f"{i:032x}", (float(i), "")) for i in range(5000)]
    with pytest.warns(RuntimeWarning, match="not cached.*full"):
        cache.keep(BOTH, rows)
    assert cache.find(NWOT, [ONE]) == {}
