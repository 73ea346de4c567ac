"""SQLite files that several processes begin at once."""

import sqlite3
import subprocess
import sys

import pytest

from archcast.encoders._database import Layout, connect
from archcast.encoders.errors import StorageError

LAYOUT = Layout(b"test", 1, ("CREATE TABLE a (x)", "CREATE TABLE b (x)"))


def test_several_processes_begin_one_file(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from archcast.encoders._database import Layout, connect\n"
        "layout = Layout(b'test', 1, ('CREATE TABLE a (x)', 'CREATE TABLE b (x)'))\n"
        "for i in range(40):\n"
        "    database = connect(Path(sys.argv[1]) / str(i), layout)\n"
        "    with database: database.execute('INSERT INTO b VALUES (1)')\n"
        "    database.close()\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(4)]
    assert [process.wait(timeout=60) for process in running] == [0] * 4
    for i in range(40):
        database = connect(tmp_path / str(i), LAYOUT)
        assert database.execute("SELECT count(*) FROM b").fetchone() == (4,)
        database.close()


@pytest.mark.parametrize(
    "other", [LAYOUT._replace(application=b"else"), LAYOUT._replace(version=2)]
)
def test_a_file_of_another_kind_is_left_alone(tmp_path, other):
    connect(tmp_path / "f", LAYOUT).close()
    before = (tmp_path / "f").read_bytes()
    with pytest.raises(StorageError, match="another program or version"):
        connect(tmp_path / "f", other)
    assert (tmp_path / "f").read_bytes() == before


def test_what_is_no_database_raises(tmp_path):
    (tmp_path / "f").write_bytes(b"never a database" * 99)
    with pytest.raises(sqlite3.DatabaseError):
        connect(tmp_path / "f", LAYOUT)
