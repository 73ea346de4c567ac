import pickle
import subprocess

import numpy as np
import pytest

from archcast.datasets._unpickle import load_pickle
from archcast.encoders.errors import StorageError, UnreadableModelError


class _Hostile:
    def __init__(self, call, *args):
        self._call = (call, args)

    def __reduce__(self):
        return self._call


def written(path, obj, protocol=4):
    path.write_bytes(pickle.dumps(obj, protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
def test_plain_containers_and_numpy_numbers(tmp_path, protocol):
    plain = [{"arch": "|none~0|", (1, 2): [1.5, None, True]}, b"x"]
    assert load_pickle(written(tmp_path / "p", plain, protocol)) == plain
    numbers = {"a": np.float64(1.25), "b": np.int32(7), "c": np.float32(0.5)}
    assert load_pickle(written(tmp_path / "n", numbers, protocol)) == {"a": 1.25, "b": 7, "c": 0.5}


def test_hostile_pickle_runs_nothing(tmp_path):
    mark = tmp_path / "mark"
    for call, *args in (
        (subprocess.call, ["touch", str(mark)]),
        (eval, f"open({str(mark)!r}, 'w')"),
        (getattr, "x", "upper"),
        (np.load, str(mark)),
    ):
        path = written(tmp_path / "evil", [_Hostile(call, *args)])
        with pytest.raises(UnreadableModelError, match="refused"):
            load_pickle(path)
        assert not mark.exists()


def test_object_arrays_and_other_numpy_types_are_refused(tmp_path):
    for obj in (np.array([_Hostile(eval, "1")], object), np.datetime64("2020-01-01"), np.zeros(3)):
        with pytest.raises(UnreadableModelError):
            load_pickle(written(tmp_path / "p", obj))


def test_damaged_files(tmp_path):
    whole = pickle.dumps({"a": [1.0] * 50, "b": np.float64(2)})
    for cut in range(0, len(whole), 7):
        (tmp_path / "p").write_bytes(whole[:cut])
        with pytest.raises(UnreadableModelError):
            load_pickle(tmp_path / "p")
    with pytest.raises(StorageError):
        load_pickle(tmp_path / "absent")
