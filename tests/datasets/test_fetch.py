import errno
import hashlib
import http.server
import multiprocessing
import threading
from functools import partial

import pytest

from archcast.datasets import _fetch, _registry, _wheels, cache_folder, fetch, info
from archcast.datasets._derived import derived
from archcast.datasets._registry import Entry, registry
from archcast.datasets.benchmarks import _lemur_wheel
from archcast.encoders.errors import (
    DownloadError,
    IntegrityError,
    StorageError,
    UnknownDatasetError,
)

CONTENT = b"accuracy\n94.37\n" * 1000
ITEM = Entry(
    "toy/table.csv",
    "owner/repo/commit/table.csv",
    len(CONTENT),
    hashlib.sha256(CONTENT).hexdigest(),
    "MIT",
)


@pytest.fixture(autouse=True)
def _toy(monkeypatch, tmp_path):
    """A registry of one file, an empty cache, and nothing in the environment."""
    monkeypatch.setattr(_registry, "registry", lambda: {ITEM.name: ITEM})
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ARCHCAST_MIRROR", raising=False)
    monkeypatch.delenv("ARCHCAST_OFFLINE", raising=False)


@pytest.fixture
def upstream(tmp_path):
    """A folder laid out as the upstream."""
    path = tmp_path / "upstream" / ITEM.path
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return tmp_path / "upstream"


@pytest.fixture
def server(upstream, monkeypatch):
    """A web server over that folder, set as the mirror; counts its requests."""
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            super().do_GET()

        def log_message(self, format, *args):  # noqa: A002  (the base class's name)
            pass

    handler = partial(Handler, directory=str(upstream))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        monkeypatch.setenv("ARCHCAST_MIRROR", f"http://127.0.0.1:{httpd.server_port}/")
        yield requests
        httpd.shutdown()


def files(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file()) if folder.exists() else []


def test_folder_mirror_is_used_in_place(upstream, monkeypatch):
    monkeypatch.setenv("ARCHCAST_MIRROR", str(upstream))
    assert fetch(ITEM.name) == upstream / ITEM.path
    assert files(cache_folder()) == []


def test_folder_mirror_without_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHCAST_MIRROR", str(tmp_path))
    with pytest.raises(DownloadError, match="complete the mirror"):
        fetch(ITEM.name)


def test_tampered_mirror_is_refused(upstream, monkeypatch):
    (upstream / ITEM.path).write_bytes(CONTENT[:-1] + b"!")
    monkeypatch.setenv("ARCHCAST_MIRROR", str(upstream))
    with pytest.raises(IntegrityError, match=ITEM.sha256) as caught:
        fetch(ITEM.name)
    assert hashlib.sha256(CONTENT[:-1] + b"!").hexdigest() in str(caught.value)


def test_download_once_then_from_the_cache(server):
    path = fetch(ITEM.name)
    assert path == cache_folder() / ITEM.path
    assert path.read_bytes() == CONTENT
    assert fetch(ITEM.name) == path
    assert server == [f"/{ITEM.path}"]


def test_damaged_cache_is_mended(server):
    path = fetch(ITEM.name)
    path.write_bytes(b"half")
    assert fetch(ITEM.name).read_bytes() == CONTENT
    assert len(server) == 2


def test_tampered_download_leaves_nothing(server, upstream):
    (upstream / ITEM.path).write_bytes(b"evil")
    with pytest.raises(IntegrityError, match="tampered"):
        fetch(ITEM.name)
    assert server
    assert files(cache_folder()) == []


def test_missing_upstream_file_names_the_status(server, upstream):
    (upstream / ITEM.path).unlink()
    with pytest.raises(DownloadError, match="HTTP status 404") as caught:
        fetch(ITEM.name)
    assert server
    assert not isinstance(caught.value, IntegrityError)
    assert files(cache_folder()) == []


def test_nobody_there(monkeypatch):
    monkeypatch.setenv("ARCHCAST_MIRROR", "http://127.0.0.1:9/")
    with pytest.raises(DownloadError, match="check the network") as caught:
        fetch(ITEM.name)
    assert "\n" not in str(caught.value)


def test_connection_cut_half_way_leaves_nothing(server, monkeypatch):
    import pooch

    def cut(self, url, output_file, pooch, check_only=False):
        output_file.write(CONTENT[:100])
        raise ConnectionResetError(errno.ECONNRESET, "reset")

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", cut)
    with pytest.raises(DownloadError, match="ConnectionResetError"):
        fetch(ITEM.name)
    assert server == []
    assert files(cache_folder()) == []


def test_full_disk(server, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        fetch(ITEM.name)
    assert server
    assert files(cache_folder()) == []


def test_interrupt_leaves_nothing(server, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(ITEM.name)
    assert server
    assert files(cache_folder()) == []


def test_offline_uses_the_cache_and_nothing_else(server, monkeypatch):
    monkeypatch.setenv("ARCHCAST_OFFLINE", "1")
    with pytest.raises(DownloadError, match="ARCHCAST_OFFLINE is set"):
        fetch(ITEM.name)
    monkeypatch.setenv("ARCHCAST_OFFLINE", "0")
    path = fetch(ITEM.name)
    monkeypatch.setenv("ARCHCAST_OFFLINE", "1")
    assert fetch(ITEM.name) == path
    path.write_bytes(b"half")
    with pytest.raises(IntegrityError):
        fetch(ITEM.name)
    assert len(server) == 1


def _fetch_entry(item: Entry, _: int) -> bytes:
    _registry.registry = lambda: {item.name: item}
    return _fetch.fetch(item.name).read_bytes()


def test_two_processes_at_once(server):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        results = pool.map(partial(_fetch_entry, ITEM), range(6), chunksize=1)
    assert results == [CONTENT] * 6
    assert server
    assert files(cache_folder()) == ["table.csv"]


def test_unknown_file_has_close_names():
    with pytest.raises(UnknownDatasetError, match=r"did you mean toy/table.csv"):
        fetch("toy/tables.csv")


def test_real_registry_is_well_formed():
    for name, item in registry().items():
        owner, *rest = item.path.split("/")
        if owner != "derived":  # a table converted from what is not on the upstream
            repository, commit, *rest = rest
            assert repository
            assert len(commit) == 40
        assert rest
        assert len(item.sha256) == 64
        assert item.bytes > 0
        assert name.count("/") >= 1


@pytest.mark.parametrize(
    ("benchmark", "package"),
    [
        ("lemur", "nn-dataset"),
        ("nasbench_graph", "nas-bench-graph"),
        ("scan_bench", "scan-bench"),
    ],
)
def test_without_a_mirror_tables_are_made_of_their_package(benchmark, package, monkeypatch):
    """They lie nowhere upstream; the card names the package, and fetching asks pip for it."""
    monkeypatch.setattr(_registry, "registry", registry)
    asked = []

    def refuse(name):
        asked.append(name)
        raise DownloadError("asked pip")

    for module in (_wheels, _lemur_wheel):
        monkeypatch.setattr(module, "fetch_wheel", refuse)
    card = info(benchmark)
    assert [text.partition("==")[0] for text in card.packages] == [package]
    for name in card.files:
        with pytest.raises(DownloadError, match="asked pip"):
            fetch(name)
    assert set(asked) == {package}


def test_what_lies_nowhere_upstream_is_not_asked_for(monkeypatch):
    monkeypatch.setattr(_registry, "registry", registry)
    monkeypatch.setattr(_fetch, "_download", lambda *_: pytest.fail("asked the upstream"))
    made = {item.name for item in registry().values() if item.wheel}
    nowhere = {item.name for item in registry().values() if item.path.startswith("derived/")}
    assert made < nowhere
    assert all(registry()[name].maker for name in made)
    for name in sorted(nowhere - made):
        for offline in ("0", "1"):
            monkeypatch.setenv("ARCHCAST_OFFLINE", offline)
            with pytest.raises(DownloadError, match="nowhere upstream; point ARCHCAST_MIRROR"):
                fetch(name)


def test_a_derived_file_is_made_again_when_damaged_or_of_another_version(tmp_path):
    made = []

    def make():
        made.append(1)
        return b"content"

    path = derived("table.csv.gz", "1", make)
    assert path.name == "table-1.csv.gz"
    assert derived("table.csv.gz", "1", make) == path
    assert len(made) == 1
    path.write_bytes(b"conten")
    assert derived("table.csv.gz", "1", make).read_bytes() == b"content"
    assert len(made) == 2
    assert derived("table.csv.gz", "2", make) != path
    assert len(made) == 3
