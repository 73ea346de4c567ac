"""Settings and fixtures for the whole suite."""

import os
from pathlib import Path

import pytest

# Two threads spinning on shared cores are slower than one; set before any library reads it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
_SHARED = ROOT.parent / "shared"
if "ARCHCAST_MIRROR" not in os.environ and (_SHARED / "corpus").is_dir():
    os.environ["ARCHCAST_MIRROR"] = str(_SHARED / "corpus")


def pytest_configure(config: pytest.Config) -> None:
    """The groups' marker is known without pytest-xdist, too."""
    config.addinivalue_line("markers", "xdist_group(name): one process runs all of a group")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With ``--dist loadgroup``, one process runs a whole file: its fixtures are made once."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder that mirrors the benchmarks' upstream files; skips the test without one."""
    folder = Path(os.environ.get("ARCHCAST_MIRROR", ""))
    if "ARCHCAST_MIRROR" not in os.environ or not folder.is_dir():
        pytest.skip("needs ARCHCAST_MIRROR: a folder with the benchmarks' files")
    return folder


@pytest.fixture(scope="session")
def onnx_files() -> list[Path]:
    """Real ONNX files of many kinds, beside the mirror; skips the test without them."""
    files = sorted((_SHARED / "onnx").glob("*.onnx"))
    if not files:
        pytest.skip("needs a folder of real ONNX files beside the repository")
    return files


@pytest.fixture(scope="session")
def light_models() -> list[Path]:
    """The nine ImageNet networks that travel inside the onnx package, without weights."""
    import onnx

    folder = Path(onnx.__path__[0]) / "backend" / "test" / "data" / "light"
    return sorted(folder.glob("light_*.onnx"))
