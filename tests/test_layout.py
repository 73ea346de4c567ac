"""The folders, the packages declared for them, and what importing them costs."""

import importlib
import json
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

HEAVY = {
    "lightgbm",
    "matplotlib",
    "onnxruntime",
    "optuna",
    "pandas",
    "pyarrow",
    "ray",
    "scipy",
    "sentence_transformers",
    "sklearn",
    "timm",
    "torch",
    "torchvision",
    "transformers",
}
IMPORT_ROOTS = {
    "surrogates": "archcast",
    "encoders": "archcast.encoders",
    "datasets/corpus": "archcast.datasets",
    "zero_cost": "archcast.zero_cost",
}


def settings(root: Path) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]


def packages_on_disk(root: Path) -> set[str]:
    found = set()
    for folder, package in IMPORT_ROOTS.items():
        base = root / folder
        for init in base.rglob("__init__.py"):
            parts = init.parent.relative_to(base).parts
            found.add(".".join((package, *parts)))
    return found


def modules_loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_declared_packages_are_those_on_disk(root: Path) -> None:
    assert set(settings(root)["packages"]) == packages_on_disk(root)


def test_package_dir_maps_the_folders(root: Path) -> None:
    assert settings(root)["package-dir"] == {name: folder for folder, name in IMPORT_ROOTS.items()}


def test_datasets_folder_is_no_package(root: Path) -> None:
    # A top-level `datasets` would shadow Hugging Face's package of that name.
    assert not (root / "datasets" / "__init__.py").exists()


def test_no_root_conftest_and_no_test_packages(root: Path) -> None:
    assert not (root / "conftest.py").exists()
    assert not list((root / "tests").rglob("__init__.py"))


def test_every_declared_data_file_pattern_matches(root: Path) -> None:
    for package, patterns in settings(root)["package-data"].items():
        folder = Path(str(importlib.import_module(package).__file__)).parent
        for pattern in patterns:
            assert list(folder.glob(pattern)), f"{package}: nothing matches {pattern}"


def every_module() -> list[str]:
    package = importlib.import_module("archcast")
    return sorted(
        module.name
        for module in pkgutil.walk_packages(package.__path__, "archcast.")
        if not module.name.endswith("__main__")
    )


@pytest.mark.parametrize("package", sorted(IMPORT_ROOTS.values()))
def test_package_imports(package: str) -> None:
    assert importlib.import_module(package).__doc__


def test_every_module_imports_and_has_what_its_all_names() -> None:
    names = every_module()  # that __all__ is sorted, ruff's RUF022 checks
    assert len(names) > 10
    for name in names:
        module = importlib.import_module(name)
        assert all(hasattr(module, item) for item in getattr(module, "__all__", ())), name


@pytest.mark.parametrize("name", ["archcast", "archcast.encoders", "archcast.datasets"])
def test_no_function_is_shadowed_by_a_module_of_its_name(name: str) -> None:
    # Importing a submodule sets it as an attribute of its package, over any lazy function there.
    for module in every_module():
        importlib.import_module(module)
    package = importlib.import_module(name)
    public = {item: getattr(package, item) for item in package.__all__}
    shadowed = [item for item, value in public.items() if isinstance(value, ModuleType)]
    assert set(shadowed) <= {"datasets", "encoders", "pretraining"}


@pytest.mark.parametrize(
    "statement",
    [
        "import archcast",
        "import archcast.cli",
        "import archcast.datasets",
        "import archcast.encoders",
        "import archcast.search",
        "import archcast.search as s; [getattr(s, name) for name in s.__all__]",
        "from archcast.cli import main; main(['search', '--help'])",
        "from archcast.cli import main; main(['search', '--list'])",
        "import archcast; archcast.predict; archcast.Forecast; archcast.tasks()",
    ],
)
def test_imports_are_light(statement: str) -> None:
    loaded = modules_loaded_by(statement)
    assert not loaded & HEAVY


def test_import_archcast_adds_few_modules() -> None:
    base = modules_loaded_by("import numpy, onnx")
    added = modules_loaded_by("import archcast") - base
    assert not {"typer", "rich", "pooch", "requests"} & added
    assert len(added) < 120


def test_the_package_answers_for_its_parts() -> None:
    code = "import archcast; print(archcast.encoders.read.__name__, archcast.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("read ")
    command = [sys.executable, "-m", "archcast", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("archcast ")
