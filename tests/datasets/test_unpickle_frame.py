import pickle
import subprocess

import numpy as np
import pytest

from archcast.datasets import fetch
from archcast.datasets._unpickle_frame import load_frame
from archcast.encoders.errors import StorageError, UnreadableModelError


@pytest.fixture(scope="module")
def path(mirror):
    return fetch("nasbench201/12-epochs-pandas.pickle")


def test_columns_are_what_pandas_reads(path):
    columns = load_frame(path)
    assert {name: len(values) for name, values in columns.items()} == dict.fromkeys(
        ("arch", "cellstr", *(f"{d}-{p}" for d in SETS for p in ("test", "val"))), 15_625
    )
    assert columns["arch"] == list(range(15_625))
    assert columns["cellstr"][0].startswith("|avg_pool_3x3~0|")
    assert columns["cifar10-test"][:2] == [69.55, 88.22]


SETS = ("cifar10", "cifar100", "imagenet")


def test_damaged_tables_are_refused(path, tmp_path):
    whole = path.read_bytes()
    for cut in (0, 60, 600, 5_000, 800_000, len(whole) - 1):
        (tmp_path / "p").write_bytes(whole[:cut])
        with pytest.raises(UnreadableModelError):
            load_frame(tmp_path / "p")
    (tmp_path / "p").write_bytes(whole.replace(b"pandas.core.frame", b"os" + b"." * 15))
    with pytest.raises(UnreadableModelError, match="refused"):
        load_frame(tmp_path / "p")
    with pytest.raises(StorageError):
        load_frame(tmp_path / "absent")


class _Hostile:
    def __init__(self, call, *args):
        self._call = (call, args)

    def __reduce__(self):
        return self._call


def test_no_other_object_is_a_table_and_none_is_run(tmp_path):
    mark = tmp_path / "mark"
    for obj in (
        [1, 2],
        np.zeros(3),
        slice(1, 2, 3),
        _Hostile(subprocess.call, ["touch", str(mark)]),
    ):
        (tmp_path / "p").write_bytes(pickle.dumps(obj))
        with pytest.raises(UnreadableModelError):
            load_frame(tmp_path / "p")
    assert not mark.exists()
