import pickle
import subprocess
import zipfile

import numpy as np
import pytest

from archcast.datasets._unpickle import load_pickle, load_torch
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


def test_torch_files_without_torch(tmp_path):
    torch = pytest.importorskip("torch")
    plain = {"|none~0|": 3, "latency": [1.5, 2, float("inf")]}
    torch.save(plain, tmp_path / "plain.pt")
    assert load_torch(tmp_path / "plain.pt") == plain
    torch.save({"weight": torch.zeros(3)}, tmp_path / "tensor.pt")
    with pytest.raises(UnreadableModelError, match="refused"):
        load_torch(tmp_path / "tensor.pt")


def torch_file(path, content, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("archive/data.pkl", content)
    return path


def test_hostile_torch_files(tmp_path):
    mark = tmp_path / "mark"
    evil = pickle.dumps(_Hostile(subprocess.call, ["touch", str(mark)]))
    with pytest.raises(UnreadableModelError, match="refused"):
        load_torch(torch_file(tmp_path / "evil.pt", evil))
    assert not mark.exists()
    swollen = torch_file(tmp_path / "z.pt", pickle.dumps([0] * 9999), zipfile.ZIP_DEFLATED)
    with pytest.raises(UnreadableModelError, match="compressed"):
        load_torch(swollen)


def test_damaged_torch_files(tmp_path):
    whole = torch_file(tmp_path / "p.pt", pickle.dumps([1.0] * 50)).read_bytes()
    assert load_torch(tmp_path / "p.pt") == [1.0] * 50
    for cut in range(0, len(whole), 7):
        (tmp_path / "p.pt").write_bytes(whole[:cut])
        with pytest.raises(UnreadableModelError):
            load_torch(tmp_path / "p.pt")
    with zipfile.ZipFile(tmp_path / "q.pt", "w") as archive:
        archive.writestr("other", b"")
    with pytest.raises(UnreadableModelError):
        load_torch(tmp_path / "q.pt")
    with pytest.raises(StorageError):
        load_torch(tmp_path / "absent.pt")
