"""Data inside Python packages: fetched by pip, verified, and read without running anything."""

import csv
import gzip
import hashlib
import json
import lzma
import os
import subprocess
import zipfile
from collections import Counter
from types import SimpleNamespace

import pytest

from archcast.datasets import _wheels
from archcast.datasets.benchmarks import _lemur_wheel
from archcast.encoders.errors import (
    DownloadError,
    IntegrityError,
    StorageError,
    UnknownDatasetError,
    UnreadableModelError,
)

TRIAL = {
    "accuracy": 0.123456789, "batch": 32, "duration": 2_131_000_000_000, "lr": 0.012345678,
    "momentum": 0.9, "tie_weights": 0.12345678, "epoch": 3, "transform": "echo_64",
    "uid": "0123456789abcdef",
}  # fmt: skip


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small wheel of the real one's form, registered, with a cache of its own."""
    path = tmp_path / "nn_dataset-2.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ab/nn/nn/B.py", "b = 1\n")
        archive.writestr("ab/nn/nn/A.py", "a = 1\n")
        archive.writestr("ab/nn/nn/deep/C.py", "c = 1\n")
        archive.writestr("ab/nn/stat/train/img-x_coco_acc_A_1/2.json", json.dumps([TRIAL]))
        archive.writestr("ab/nn/stat/run/other.json", "[")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    item = _wheels.Wheel("nn-dataset", "2.1.2", path.name, path.stat().st_size, sha256, "MIT")
    monkeypatch.setattr(_wheels, "_registered", lambda: {"nn-dataset": item})
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ARCHCAST_OFFLINE", raising=False)
    return path


@pytest.fixture
def pip(monkeypatch, package):
    """A pip that copies the small wheel, and counts how often it is called."""
    calls = []

    def run(command, **_):
        calls.append(command)
        target = command[command.index("--dest") + 1]
        with open(os.path.join(target, package.name), "wb") as file:  # noqa: PTH118, PTH123
            file.write(package.read_bytes())
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_registered_wheels_are_whole():
    for name in ("nn-dataset", "nas-bench-graph", "scan-bench"):
        item = _wheels.wheel(name)
        assert len(item.sha256) == 64
        assert item.version in item.file
    with pytest.raises(UnknownDatasetError, match="nn-dataset"):
        _wheels.wheel("nn-dataste")


def test_fetched_once_without_dependencies_or_builds(pip):
    first = _wheels.fetch_wheel("nn-dataset")
    assert _wheels.fetch_wheel("nn-dataset") == first
    assert len(pip) == 1
    assert {"--no-deps", "--only-binary", "nn-dataset==2.1.2"} <= set(pip[0])


def test_a_tampered_wheel_is_refused(pip, package):
    path = _wheels.fetch_wheel("nn-dataset")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match="tampered"):
        _wheels.fetch_wheel("nn-dataset")
    path.unlink()
    package.write_bytes(b"something else")
    with pytest.raises(IntegrityError, match="tampered"):
        _wheels.fetch_wheel("nn-dataset")
    assert not path.exists()


def test_offline_says_where_to_put_it(package, monkeypatch):
    monkeypatch.setenv("ARCHCAST_OFFLINE", "1")
    with pytest.raises(DownloadError, match=r"OFFLINE.*nn_dataset-2.1.2-py3-none-any.whl"):
        _wheels.fetch_wheel("nn-dataset")


def test_what_pip_says_is_told(package, monkeypatch):
    failed = SimpleNamespace(returncode=1, stderr="WARNING: x\nERROR: no such version\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(DownloadError, match="ERROR: no such version"):
        _wheels.fetch_wheel("nn-dataset")

    def late(*_, **__):
        raise subprocess.TimeoutExpired("pip", 1)

    monkeypatch.setattr(subprocess, "run", late)
    with pytest.raises(DownloadError, match="minutes"):
        _wheels.fetch_wheel("nn-dataset")
    nothing = SimpleNamespace(returncode=0, stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: nothing)
    with pytest.raises(DownloadError, match="another file"):
        _wheels.fetch_wheel("nn-dataset")


def test_members_are_read_not_extracted(package, tmp_path):
    found = dict(_wheels.members(package, lambda name: name.startswith("ab/nn/nn/")))
    assert list(found) == ["ab/nn/nn/B.py", "ab/nn/nn/A.py", "ab/nn/nn/deep/C.py"]
    (tmp_path / "bad.whl").write_bytes(b"PK")
    with pytest.raises(UnreadableModelError, match="not a readable wheel"):
        list(_wheels.members(tmp_path / "bad.whl", lambda name: True))
    with pytest.raises(StorageError, match="cannot read"):
        list(_wheels.members(tmp_path / "none.whl", lambda name: True))


def test_tables_of_the_package(pip):
    with lzma.open(_lemur_wheel.code_table(), "rt") as file:
        assert [json.loads(line) for line in file] == [
            {"net": "A", "code": "a = 1\n"},
            {"net": "B", "code": "b = 1\n"},
        ]
    with gzip.open(_lemur_wheel.trial_table(), "rt", newline="") as file:
        (row,) = list(csv.DictReader(file))
    assert row == {
        "task": "img-x", "dataset": "coco", "metric": "acc", "net": "A_1", "epoch": "2",
        "accuracy": "0.12346", "batch": "32", "lr": "0.01235", "momentum": "0.9", "dropout": "",
        "transform": "echo_64", "duration_s": "2.13e+03", "uid8": "01234567",
        "extra": '{"tie_weights":0.123457}',
    }  # fmt: skip


@pytest.mark.slow
def test_the_real_package_gives_the_registered_tables(mirror):
    folder = os.environ.get("ARCHCAST_TEST_WHEELS")
    if not folder:
        pytest.skip("needs ARCHCAST_TEST_WHEELS: a folder with the wheel of 103 MB")
    from pathlib import Path

    wheel = Path(folder) / _wheels.wheel("nn-dataset").file
    with gzip.open(mirror / "derived" / "lemur_trials.csv.gz", "rt", newline="") as file:
        reader = csv.reader(file)
        assert tuple(next(reader)) == _lemur_wheel.HEADER
        wanted = Counter(map(tuple, reader))
    assert Counter(map(tuple, _lemur_wheel.trial_rows(wheel))) == wanted
    with lzma.open(mirror / "derived" / "lemur_code.jsonl.xz", "rt") as file:
        codes = {row["net"]: row["code"] for row in map(json.loads, file)}
    assert {row["net"]: row["code"] for row in _lemur_wheel.code_rows(wheel)} == codes
