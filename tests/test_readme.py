"""What README tells a user to type exists."""

import re
import shlex
from pathlib import Path

import pytest

from archcast import cli


def blocks(root: Path, language: str) -> str:
    text = (root / "README.md").read_text()
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL))


def test_every_command_and_option_exists(root: Path, capsys: pytest.CaptureFixture) -> None:
    lines = [line.partition(" #")[0] for line in blocks(root, "bash").splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("archcast ")]
    assert {"predict", "demo", "compare", "show", "tasks"} <= {words[0] for words in commands}
    for words in commands:
        options = [word for word in words if word.startswith("--")]
        names = [word for word in words[:2] if word.isidentifier()]
        depth = 2 if names[:1] == ["datasets"] else 1
        assert cli.main([*names[:depth], "--help"]) == 0
        shown = capsys.readouterr().out
        assert all(option in shown for option in options), words


def test_both_of_cis_blocks_are_marked(root: Path) -> None:
    text = (root / "README.md").read_text()
    for name in ("light", "full"):
        assert re.search(rf"^<!-- command: {name} -->\n```bash\npip install ", text, re.MULTILINE)


def test_links_lead_somewhere(root: Path) -> None:
    guides = [*root.glob("[a-z]*/**/README.md")]
    assert len(guides) > 5
    for page in (root / "README.md", root / "ARCHITECTURE.md", root / "CONTRIBUTING.md", *guides):
        links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
        missing = [s for s in links if "://" not in s and not (page.parent / s).exists()]
        assert not missing, f"{page}: {missing}"


def test_python_examples_are_python(root: Path) -> None:
    compile(blocks(root, "python"), "README.md", "exec")
