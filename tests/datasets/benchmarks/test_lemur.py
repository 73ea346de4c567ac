"""LEMUR: check figures, curves and recipes, and about 20 sources turned into graphs."""

import json
import lzma
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import fields

import numpy as np
import pytest

from archcast import datasets
from archcast.datasets.benchmarks import _lemur_graphs, _lemur_settings, _lemur_trials
from archcast.datasets.benchmarks import lemur as module
from archcast.datasets.benchmarks._lemur_graphs import Job, LemurGraphs, causes, digest
from archcast.datasets.benchmarks._lemur_settings import Setting
from archcast.datasets.foreign import Converted, _sandbox
from archcast.encoders._fingerprint import NOT_FOR_RECORDINGS, encoder_files, fingerprint
from archcast.encoders.errors import InvalidSpecError, SandboxError, UnreadableModelError
from archcast.encoders.spaces import get_space, recognise


@pytest.fixture(scope="module")
def lemur(mirror, cache):
    _lemur_graphs.digests()  # once, before tests with caches of their own
    return datasets.load("lemur")


@pytest.fixture(scope="module")
def trials(lemur):
    return _lemur_trials.trials()


def test_counts(lemur, trials):
    assert len(lemur) == len(set(lemur.specs)) == lemur.card.rows == 79_531
    assert len(_lemur_trials.sources()) == 10_483
    assert len(np.unique(trials.net)) == 7_811
    assert int(trials.repeats.sum()) == 578_595
    assert set(lemur.tasks) == set(lemur.card.tasks)
    assert set(trials.net.tolist()) < set(_lemur_trials.sources())


def test_best_accuracies_of_networks_on_cifar10(lemur):
    best = lemur.labels("cifar10/best_test_accuracy")[
        module.best_rows("cifar10/best_test_accuracy")
    ]
    assert len(best) == 5_724
    assert (best.min(), best.max()) == (pytest.approx(12.02), pytest.approx(93.9))


def test_best_rows_are_the_best_of_each_network(lemur, trials):
    task = "svhn/best_test_accuracy"
    values, rows = lemur.labels(task), module.best_rows(task)
    found = dict(zip(trials.net[rows].tolist(), values[rows], strict=True))
    wanted: dict[str, float] = {}
    for net, value in zip(trials.net.tolist(), values, strict=True):
        if np.isfinite(value):
            wanted[net] = max(value, wanted.get(net, 0.0))
    assert found == wanted
    with pytest.raises(InvalidSpecError, match="lemur has no task"):
        module.best_rows("svhn/nothing")


@pytest.mark.parametrize(
    ("task", "count", "low", "high"),
    [
        ("cifar10/test_accuracy", 119_330, 10.65, 93.9),
        ("cifar100/test_accuracy", 62_212, 1.13, 72.86),
        ("mnist/test_accuracy", 76_210, 10.05, 99.76),
        ("svhn/test_accuracy", 74_753, 12.008, 96.512),
        ("celeba_gender/test_accuracy", 47_534, 60.004, 98.467),
        ("imagenette/val_accuracy", 59_037, 10.013, 89.121),
        ("places365/val_accuracy", 10_596, 0.32877, 46.581),
        ("coco6/miou", 64_901, 6.2703, 65.325),
        ("coco_captions/clip_score", 10_522, 0.16229, 0.27513),
        ("wikitext2_chars/accuracy", 5_953, 2.9607, 68.768),
    ],
)
def test_ranges_of_all_epochs(lemur, trials, task, count, low, high):
    kind = next(kind for kind, name in module._TASKS.items() if name == task)
    row = np.repeat(np.arange(len(trials)), np.diff(trials.first))
    assert trials.repeats[module._of(kind)[row]].sum() == count
    curves = lemur.curves(task)
    best = lemur.labels(module._best(task))
    assert np.nanmin(curves) >= low - 1e-9  # a mean of repeated measurements may lie above
    assert np.nanmax(best) == pytest.approx(high)
    known = np.isfinite(best)
    assert np.nanmax(curves[known], 1) == pytest.approx(best[known])


def test_labels_are_the_curves_last_and_best_values(lemur, trials):
    curve = lemur.curves("cifar10/test_accuracy")
    row = int(np.argmax(np.nan_to_num(lemur.labels("cifar10/best_test_accuracy"))))
    known = curve[row][np.isfinite(curve[row])]
    assert trials.net[row] == "MoEv7"
    assert known.max() == pytest.approx(93.9)
    assert known[-1] == lemur.labels("cifar10/test_accuracy")[row]
    assert lemur.recipe("cifar10/test_accuracy")["epochs"][row] == len(known)


def test_epochs_of_runs(trials):
    assert Counter(trials.epochs.tolist()).most_common(3) == [(5, 51_186), (1, 18_440), (50, 5_257)]


def test_traps_are_as_the_card_says(lemur, trials):
    value, repeats = trials.value, trials.repeats
    row = np.repeat(np.arange(len(trials)), np.diff(trials.first))
    for dataset, share, count in (("svhn", 0.19587, 40_069), ("celeba-gender", 0.61352, 19_977)):
        same = (trials.dataset[row] == dataset) & (value == share)
        assert repeats[same].sum() == pytest.approx(count, abs=5)
    families = Counter(module.family(name) for name in np.unique(trials.net).tolist())
    assert families["FractalNet"] == 1_651
    assert families["AlexNet"] > 5_000


def test_perplexity_is_won_back(lemur):
    values = lemur.labels("wikitext2_chars/best_perplexity")
    assert 2.5 < np.nanmin(values) < 3.0
    assert np.nanmax(values) < 1000
    assert module._unit(("", "", "ppl"), np.array([1.0, 0.0])) == pytest.approx([1, 1000])


def test_recipes_are_aligned(lemur):
    recipe = lemur.recipe("mnist/test_accuracy")
    assert all(len(values) == len(lemur) for values in recipe.values())
    mnist = np.isfinite(lemur.labels("mnist/test_accuracy"))
    plain = mnist & (recipe["transform"] == "norm")
    assert set(recipe["image_size"][plain].tolist()) == {28}


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        (("img-classification", "mnist", "norm_64_flip"), "1x64x64-10"),
        (("img-classification", "cifar-100", "echo"), "3x32x32-100"),
        (("img-classification", "cifar-10", "complex_128"), "3x128x128-10-complex64"),
        (("img-classification", "cifar-10", "bf-v1-RandomCrop_82"), "3x64x64-10"),
        (("img-segmentation", "coco", "echo_299_flip"), "3x299x299-6"),
        (("txt-generation", "wikitext", "echo"), "128-256-int64"),
    ],
)
def test_settings_follow_from_data_set_and_transform(kind, setting):
    found = _lemur_settings.setting(*kind)
    assert str(found) == setting
    assert _lemur_settings.parsed(setting) == found


def test_families_keep_variants_together():
    assert module.family("alt-nn1-409a150d17392efd92c29b0596da912c") == "AlexNet"
    assert module.family("ga-mut-12") == "AlexNet"
    assert module.family("BagNet-560341b5-15a8-4829-a8ac-ea4c7391a950") == "BagNet"
    assert module.family("FCN32s-2") == "FCN32s"
    assert module.family("MoEv9-AlexNetv3") == "MoE"
    assert module.family("C5C-RESNETLSTM-2710f3b99727c92b2c7ead7bfa8efe49") == "RESNETLSTM"
    assert module.family("a16b25d485622212877ca354ebc2a363")


def test_space_of_names(lemur):
    space = get_space("lemur")
    assert space.size == len(list(space.enumerate())) == 10_482
    names = space.sample(20, seed=1)
    assert names == space.sample(20, seed=1) != space.sample(20, seed=2)
    assert len(set(names)) == 20
    for spec in (*names, "ResNet@3x64x64-10"):
        assert space.text(space.parse(spec)) == spec
        assert space.parse(f"lemur:{spec}") == space.parse(spec) == space.parse(space.parse(spec))
    assert space.parse(lemur.specs[0])[0] == str(_lemur_trials.trials().net[0])
    assert recognise("lemur:ResNet") == (space, "ResNet")
    near = space.neighbours("ga-1")
    assert "ga-2" in near
    assert "ga-1" not in near
    assert space.crossover("ResNet", "VGG", seed=1) in {"ResNet", "VGG"}
    assert "class Net" in space.source("ResNet")
    with pytest.raises(SandboxError, match="foreign code"):
        space.module("ResNet")
    with pytest.raises(ValueError, match="networks, not"):
        space.sample(20_000)


def test_the_space_is_known_without_the_benchmark():
    code = """
import sys
from archcast.encoders.spaces import get_space, recognise
assert not any(name.startswith("archcast.datasets") for name in sys.modules)
space, name = recognise("lemur:ResNet")
assert (space, name) == (get_space("lemur"), "ResNet")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "rubbish", ["", "rubbish", "ResNit", "__init__", 7, None, (("x",),), "ResNet@3", "ResNet@axb-1"]
)
def test_rubbish_is_refused(lemur, rubbish):
    with pytest.raises(InvalidSpecError, match="lemur"):
        get_space("lemur").parse(rubbish)


needs_walls = pytest.mark.skipif(
    bool(_sandbox.missing()), reason="needs a kernel with seccomp and Landlock"
)

#: Name -> parameters of networks that are (near) copies of torchvision's, at 10 outputs.
CLASSICS = ("AlexNet", "VGG", "ResNet", "DenseNet", "GoogLeNet", "ShuffleNet")


@needs_walls
def test_about_twenty_sources_become_graphs(lemur):
    pytest.importorskip("torch")
    keys = [(name, Setting((3, 224, 224), (10,))) for name in CLASSICS]
    keys += [(name, Setting((3, 64, 64), (10,))) for name in get_space("lemur").sample(14, seed=3)]
    builder = LemurGraphs()
    good = []
    with suppress(UnreadableModelError):
        builder.graphs(keys)  # all are recorded by one worker
    for key in keys:
        with suppress(UnreadableModelError):
            good += builder.graphs([key])
    assert len(good) >= 0.7 * len(keys)
    assert {graph.source for graph in good} == {"lemur"}
    assert {graph.output_shape for graph in good} == {(1, 10)}
    assert len(list(builder.folder.glob("*.json.xz"))) >= len(good)
    again = LemurGraphs()
    again.record = None  # nothing is run twice
    assert again._graph(keys[0]) == builder.graphs([keys[0]])[0]


@needs_walls
def test_the_recorder_in_the_sandbox_gives_the_graph_of_the_same_module_outside(lemur):
    torch = pytest.importorskip("torch")
    from archcast.encoders import read
    from archcast.encoders.spaces._zoo_models import torchvision_model

    (foreign,) = LemurGraphs().graphs([("AlexNet", Setting((3, 224, 224), (10,)))])
    with torch.device("meta"):
        module = torchvision_model("alexnet", 224)
        module.classifier[6] = torch.nn.Linear(4096, 10)
    own = read(module, example=torch.zeros(1, 3, 224, 224, device="meta"))
    assert foreign.hash == own.hash
    assert foreign.params == own.params


@needs_walls
def test_workers_share_the_work_and_an_interruption_stops_all(lemur, monkeypatch, tmp_path):
    pytest.importorskip("torch")
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path))
    builder = LemurGraphs()
    jobs = [Job(str(i), "AlexNet", {Setting((3, 64, 64), (i,)): {}}) for i in range(2, 6)]
    builder.record(jobs[:3], workers=2)
    kept = [builder.entry(job) for job in jobs[:3]]
    assert all(entry is not None and entry["name"] == "AlexNet" for entry in kept)
    assert builder.entry(jobs[3]) is None

    def broken(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(builder, "_keep", broken)
    with pytest.raises(KeyboardInterrupt):
        builder.record(jobs, workers=1)
    assert builder.entry(jobs[3]) is None


def test_an_end_that_may_not_last_is_not_kept(lemur, monkeypatch, tmp_path):
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path))
    answers = [Converted(["out of time"], [""], [""], passing=True), Converted(["no"], [""], [""])]

    class Worker:
        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda self, *_: None  # noqa: E731
        convert = lambda self, *_: answers.pop(0)  # noqa: E731

    monkeypatch.setattr(_lemur_graphs, "ForeignCode", Worker)
    key = ("AlexNet", Setting((3, 99, 99), (10,)))
    builder = LemurGraphs()
    with pytest.raises(UnreadableModelError, match="out of time"):
        builder.graphs([key])
    assert not list(tmp_path.rglob("*.json.xz"))
    for again in (builder, LemurGraphs()):
        with pytest.raises(UnreadableModelError, match="gives no network: no"):
            again.graphs([key])
    assert answers == []


def test_failures_that_may_not_last_are_told_but_not_kept(lemur, monkeypatch, tmp_path):
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path))
    builder = LemurGraphs()
    key, job = next(iter(builder._jobs.items()))

    def record(jobs, **_):
        builder._passing[job.file] = "no answer"

    monkeypatch.setattr(builder, "record", record)
    monkeypatch.setattr(builder, "jobs", [job])
    assert builder.failed()[key] == "no answer"
    assert not list(builder.folder.glob("failed-*"))


@needs_walls
def test_damaged_files_are_made_again(lemur, monkeypatch, tmp_path):
    pytest.importorskip("torch")
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path))
    builder = LemurGraphs()
    key = next(key for key in builder._jobs if key[0] == "AlexNet")
    builder.jobs = [builder._jobs[key]]
    (graph,) = builder.graphs([key])
    (path,) = builder.folder.glob("*.json.xz")
    whole = path.read_bytes()
    for damaged in (b"", b"x" * 50, lzma.compress(b"{}"), whole[:100]):
        path.write_bytes(damaged)
        _lemur_graphs._entry.cache_clear()
        assert _lemur_graphs._reasons_of(path) is None
    assert builder.graphs([key]) == [graph]
    path.write_bytes(whole[:100])
    kept = builder.folder / f"failed-{fingerprint(encoder_files(NOT_FOR_RECORDINGS))}.json"
    kept.write_bytes(b'{"AlexN')
    assert key not in builder.failed()
    assert json.loads(kept.read_bytes()) == {}
    assert _lemur_graphs._reasons_of(path) == [""] * len(builder._jobs[key].settings)


def test_damaged_tables_are_made_again(lemur, trials, monkeypatch, tmp_path):
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path))
    monkeypatch.setattr(_lemur_trials, "_grouped", lambda path: columns)
    columns = {f.name: getattr(trials, f.name) for f in fields(trials)}
    columns |= _lemur_trials._texts("extra", columns.pop("extra"))
    again = _lemur_trials.trials.__wrapped__
    again()
    (path,) = tmp_path.rglob("lemur-trials*.npz")
    path.write_bytes(path.read_bytes()[:1000])
    assert np.array_equal(again().value, trials.value)


def test_identical_code_under_other_names_is_recorded_once():
    assert digest("x = 1  # one") == digest("\nx = 1\n") != digest("x = 2")
    assert digest("not python (") == digest("not python (")


def test_causes_leave_out_what_is_particular():
    reasons = [
        "import: ModuleNotFoundError: No module named 'apex'",
        "run: RuntimeError: size 3 of 4",
        "run: RuntimeError: size 5 of 6",
        "out of time",
        "read: no operator (found aten.topk); archcast forecasts",
        "read: no operator; archcast forecasts",
    ]
    assert causes(reasons) == {
        "import: ModuleNotFoundError: No module named 'apex'": 1,
        "run: RuntimeError": 2,
        "out of time": 1,
        "read: no operator": 2,
    }


def test_runs_of_another_network_than_the_recorded_one_have_no_graph(lemur, trials):
    builder = LemurGraphs()
    others = builder.other(range(len(trials)))
    assert len(others) == 198
    assert len(np.unique(trials.net[others])) == 3
    kinds = _lemur_settings.settings(trials)
    row = next(row for row in others if trials.net[row] == "VisionTransformer")
    recorded = builder._jobs["VisionTransformer", kinds[row]].settings[kinds[row]]
    assert recorded["patch_size"] != _lemur_settings.prm(trials, row)["patch_size"]
    with pytest.raises(UnreadableModelError, match=r"1 runs have another network.*VisionTransf"):
        lemur.graphs([row])


def test_rows_with_a_graph_are_those_that_succeed_and_are_recorded(lemur, monkeypatch):
    monkeypatch.setattr(LemurGraphs, "failed", lambda self: {})
    assert len(datasets.load("lemur").with_graph) == len(lemur) - 198


def test_extra_parameters_reach_the_source(trials):
    row = int(np.flatnonzero(trials.extra != "")[0])
    given = _lemur_settings.prm(trials, row)
    extra = {**json.loads(str(trials.extra[row])), "pretrained": 0}
    assert {key: given[key] for key in extra} == extra
    assert given["lr"] == float(trials.lr[row])
