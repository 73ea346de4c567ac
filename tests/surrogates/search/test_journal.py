"""What a search has found is on disk the moment it is known."""

import math
import os
import signal
import subprocess
import sys

import pytest

from archcast.encoders.errors import InvalidSettingError, StorageError
from archcast.search.journal import Answer, Journal

FACTS = {"space": "nasbench201", "task": "cifar10/test_accuracy", "budget": 5}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "study.sqlite"


def test_a_trial_is_begun_once(path):
    with Journal(path, FACTS) as one, Journal(path, FACTS) as two:
        assert one.claim("a")
        assert not two.claim("a")
        assert two.claim("a", 0.5)
        one.finish("a", [1.5, 2.0], seconds=3.0, note="fine")
        two.fail("a", 0.5, note="too big")
        assert not two.claim("a")
        found = one.trials()
    assert [(t.spec, t.fidelity, t.state, t.values, t.note) for t in found] == [
        ("a", 1.0, "done", (1.5, 2.0), "fine"),
        ("a", 0.5, "failed", (), "too big"),
    ]
    assert found[0].seconds == 3.0
    assert math.isnan(found[1].seconds)


def test_what_was_interrupted_can_begin_again(path):
    with Journal(path, FACTS) as journal:
        assert journal.claim("a")
        journal.release("a")
        assert journal.claim("a")
        journal.finish("a", [1.0])
        journal.release("a")
        assert len(journal.trials()) == 1


def test_claims_of_the_killed_are_released_and_results_kept(path):
    code = (
        "import os, signal, sys; from archcast.search.journal import Journal\n"
        f"journal = Journal(sys.argv[1], {FACTS!r})\n"
        "journal.claim('done'); journal.finish('done', [7.0]); journal.claim('half')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode < 0
    with Journal(path, FACTS) as journal:
        assert [(t.spec, t.values) for t in journal.trials()] == [("done", (7.0,))]
        assert journal.claim("half")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only /proc tells of zombies")
def test_claims_of_zombies_are_released(path):
    code = (
        "import sys; from archcast.search.journal import Journal\n"
        f"Journal(sys.argv[1], {FACTS!r}).claim('half'); print(flush=True); sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline()
        with Journal(path, FACTS) as journal:
            assert not journal.claim("half")
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and left unreaped
        with Journal(path, FACTS) as journal:
            assert journal.claim("half")
    finally:
        child.kill()
        child.communicate(timeout=60)


def test_claims_of_the_living_are_theirs(path):
    with Journal(path, FACTS) as journal:
        journal.claim("mine")
        with Journal(path, FACTS) as other:
            assert not other.claim("mine")


def test_a_journal_of_another_search_is_refused(path):
    Journal(path, FACTS).close()
    with pytest.raises(InvalidSettingError, match="budget 5, not 9"):
        Journal(path, {**FACTS, "budget": 9})


def test_a_file_that_is_no_journal_is_refused_and_left(tmp_path):
    mine = tmp_path / "mine.txt"
    mine.write_text("never a database" * 20)
    with pytest.raises(StorageError, match=r"mine\.txt"):
        Journal(mine, FACTS)
    assert mine.read_text() == "never a database" * 20
    assert [each.name for each in tmp_path.iterdir()] == ["mine.txt"]


def test_answers_and_facts_are_kept(path):
    answers = [
        Answer("a", "forecast", 90.0, 85.0, 93.0, 1.0),
        Answer("b", "measured", 91.0, math.nan, math.nan, 2.0),
    ]
    with Journal(path, FACTS) as journal:
        for answer in answers:
            journal.answer(answer)
        journal.note("confirmed", ["b"])
    with Journal(path, FACTS) as journal:
        found = journal.answers()
        assert found[0] == answers[0]
        assert found[1].source == "measured"
        assert math.isnan(found[1].low)
        assert journal.fact("confirmed") == ["b"]
        assert journal.fact("nothing") is None


def test_without_a_path_all_is_in_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Journal(None) as journal:
        assert journal.claim("a")
        journal.finish("a", [1.0])
        assert journal.trials()[0].values == (1.0,)
    assert not list(tmp_path.iterdir())


def test_several_processes_share_the_work(path):
    code = (
        "import sys; from archcast.search.journal import Journal\n"
        f"journal = Journal(sys.argv[1], {FACTS!r})\n"
        "mine = [i for i in range(60) if journal.claim(f's{i}')]\n"
        "for i in mine: journal.finish(f's{i}', [float(i)])\n"
        "print(len(mine))\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    counts = [int(process.communicate(timeout=60)[0]) for process in running]
    assert sum(counts) == 60
    with Journal(path, FACTS) as journal:
        assert {t.spec: t.values for t in journal.trials()} == {
            f"s{i}": (float(i),) for i in range(60)
        }
