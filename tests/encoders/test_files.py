"""Files are written whole or not at all, with the modes the user asked for."""

import os
import subprocess
import sys

import pytest

from archcast.encoders import _files
from archcast.encoders.errors import StorageError


def test_a_file_that_fails_half_way_leaves_the_old_one(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(file):
        file.write(b"new")
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="No space left"):
        _files.write_atomically(path, fail)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
def test_files_have_the_mode_that_the_process_asks_for(tmp_path):
    code = f"""
import os
os.umask(0o027)
from pathlib import Path
from archcast.encoders import _files
_files.write_atomically(Path({str(tmp_path / "file")!r}), lambda file: file.write(b"x"))
assert os.umask(0) == 0o027
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_writing_leaves_the_mode_of_other_threads_files_alone(tmp_path, monkeypatch):
    def refuse(mask):
        raise AssertionError("for a moment other threads' files are open to all")

    monkeypatch.setattr(os, "umask", refuse)
    _files.write_atomically(tmp_path / "file", lambda file: file.write(b"x"))
    assert (tmp_path / "file").read_bytes() == b"x"
