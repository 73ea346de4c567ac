"""Any predictor under any protocol: what is learned from, what is forecast, what is kept."""

import csv
import dataclasses
import io
import json

import numpy as np
import pytest

from archcast.datasets.protocols import Protocol
from archcast.datasets.transfers import (
    QUALITY,
    Population,
    Transfer,
    lower_is_better,
    transfer,
    transfers,
)
from archcast.encoders.errors import (
    InvalidLabelsError,
    InvalidSettingError,
    MissingExtraError,
    UnknownDatasetError,
)
from archcast.evaluation import _cases, _evaluate, _measure, evaluate, list_protocols, metrics
from archcast.evaluation._networks import networks
from archcast.evaluation._scale import usual_transform
from archcast.predictors import get_predictor
from archcast.predictors._experts import normal_scores

pytest.importorskip("lightgbm")
QUICK = {"rounds": 20, "support": 100, "folds": 2}


def few_labels(test="others", **fields) -> Protocol:
    return Protocol(
        "bert", "nasbench_bert", "glue/average", "kendall", lambda: np.arange(500), test, **fields
    )


def across(scale="rank", targets=("transnas_micro",)) -> Transfer:
    return Transfer(
        "across", (QUALITY["nasbench_bert"],), tuple(QUALITY[t] for t in targets), scale
    )


def test_a_table_of_several_draws(mirror, tmp_path):
    protocol = few_labels(published={"somebody": {50: 0.5}})
    results = evaluate("tabular", protocol, labels=[50, 100], seeds=2, params=QUICK)
    assert [(m.labels, m.seed, m.rows) for m in results.measurements] == [
        (50, 0, 450), (50, 1, 450), (100, 0, 400), (100, 1, 400),
    ]  # fmt: skip
    small, large = results.summary()
    assert 0.2 < small.mean["kendall"] < large.mean["kendall"] < 0.9
    assert results.mean("kendall", labels=50) == pytest.approx(small.mean["kendall"])
    assert small.std["kendall"] > 0
    assert 0.6 < large.mean["coverage"] <= 1
    lines = results.to_markdown().splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert f"{small.mean['kendall']:.3f} ± {small.std['kendall']:.3f}" in lines[2]
    assert "somebody (published) | 50 | 0.500 | - |" in lines[4]
    rows = list(csv.DictReader(io.StringIO(results.to_csv())))
    assert [float(row["kendall"]) for row in rows] == [
        m.values["kendall"] for m in results.measurements
    ]
    for name in ("a.md", "a.csv"):
        results.save(tmp_path / name)
    assert (tmp_path / "a.md").read_text() == results.to_markdown()
    with pytest.raises(InvalidSettingError, match=r"\.md"):
        results.save(tmp_path / "a.doc")


def test_figures_are_those_of_the_predictor_by_hand(mirror):
    protocol = few_labels()
    found = evaluate("tabular", protocol, labels=80, seeds=[3], params=QUICK).measurements[0]
    nets, split = networks("nasbench_bert"), protocol.splits(80, [3])[0]
    labels = nets.labels("glue/average")
    train, test = (nets.encoded("tabular", nets.number[rows]) for rows in split)
    by_hand = get_predictor("tabular", **QUICK).fit(
        train, labels[split.train], groups=nets.number[split.train]
    )
    value = by_hand.predict(test)
    assert found.values["kendall"] == pytest.approx(metrics.kendall(labels[split.test], value))
    assert found.values["mae"] == pytest.approx(metrics.mae(labels[split.test], value))
    quantiles = by_hand.quantiles(test, metrics.LEVELS)
    assert found.values["rmsce"] == pytest.approx(metrics.rmsce(labels[split.test], quantiles))
    inside = metrics.coverage(labels[split.test], *by_hand.interval(test, 0.9))
    assert found.values["coverage"] == pytest.approx(inside)


def test_what_was_stopped_goes_on_and_other_settings_start_anew(mirror, tmp_path, monkeypatch):
    made = []
    measure = _measure.measure

    def counting(template, name, case):
        made.append(case.seed)
        return measure(template, name, case)

    monkeypatch.setattr(_evaluate, "measure", counting)
    options = {"labels": 40, "params": QUICK, "work": tmp_path}
    first = evaluate("tabular", few_labels(), seeds=1, **options)
    both = evaluate("tabular", few_labels(), seeds=2, **options)
    assert made == [0, 1]
    assert both.measurements[0] == first.measurements[0]
    assert both.forecasts is not None
    assert first.forecasts is not None
    np.testing.assert_array_equal(both.forecasts.quantiles, first.forecasts.quantiles)
    assert both.forecasts.sign == first.forecasts.sign
    options["params"] = QUICK | {"rounds": 21}
    evaluate("tabular", few_labels(), seeds=1, **options)
    assert made == [0, 1, 0]


def test_estimators_of_other_libraries_are_measured_too(mirror):
    linear = pytest.importorskip("sklearn.linear_model").Ridge()
    results = evaluate(linear, few_labels(), labels=50, seeds=1, name="ridge")
    row = results.summary()[0]
    assert row.predictor == "ridge"
    assert np.isfinite(row.mean["kendall"])
    assert np.isnan(row.mean["coverage"])
    assert "coverage" not in results.to_markdown()
    assert (results + results).summary()[0].draws == 2


def test_equal_networks_are_encoded_and_forecast_once(mirror):
    seen = []

    class Watching:
        def fit(self, X, y):
            self.shape = X.shape
            return self

        def predict(self, X):
            seen.append(len(X))
            return X[:, 0]

    protocol = dataclasses.replace(
        few_labels(),
        benchmark="transnas_micro",
        task="taskonomy-class_object/val_accuracy",
        rows=lambda: np.arange(4096),
    )
    result = evaluate(Watching(), protocol, labels=5, seeds=1)
    nets = networks("transnas_micro")
    assert seen == [len(np.unique(nets.number[protocol.splits(5, [0])[0].test]))]
    assert seen[0] < result.measurements[0].rows == 4091


def test_what_is_of_no_labelled_network_is_also_ranked_alone(mirror):
    results = evaluate("tabular", few_labels("all"), labels=100, seeds=1, params=QUICK)
    whole, unseen = results.measurements
    assert (whole.part, whole.rows) == ("all", 500)
    nets, rows = networks("nasbench_bert"), few_labels("all").splits(100, [0])[0].train
    assert unseen.part == "unseen"
    assert unseen.rows == (~np.isin(nets.number, nets.number[rows])).sum() < 401
    assert unseen.values["kendall"] < whole.values["kendall"]
    assert results.mean("kendall") == whole.values["kendall"]
    assert results.mean("kendall", part="unseen") == unseen.values["kendall"]


def test_zero_shot_and_few_labels_across_spaces(mirror):
    results = evaluate("tabular", across(), labels=[0, 30], seeds=1, params=QUICK, most=200)
    zero, few = results.summary()
    assert few.mean["kendall"] > zero.mean["kendall"]
    assert few.rows == zero.rows - 30
    assert np.isnan(zero.mean["mae"])  # normal scores have no unit
    assert np.isfinite(zero.mean["isotonic_mae"])
    # A predictor that has learned already is used as it is, or adapted.
    nets = networks("nasbench_bert")
    fitted = get_predictor("tabular", **QUICK).fit(
        nets.encoded("tabular", nets.number), nets.labels("glue/average")
    )
    alone = evaluate(fitted, across("natural"), seeds=1).measurements[0]
    assert alone.values["kendall"] != zero.mean["kendall"]
    assert evaluate(fitted, few_labels("all"), labels=0, seeds=1).mean("kendall") > 0.5


def test_no_network_of_the_target_is_learned_from(mirror):
    both = Transfer(
        "self",
        (QUALITY["transnas_micro"], QUALITY["nasbench_bert"]),
        (dataclasses.replace(QUALITY["transnas_micro"], select=lambda: np.arange(2000)),),
        "rank",
    )
    case = next(_cases.transfer_cases(both, [0], [0], 0))
    assert case.source is not None
    sides = [
        {digest for part in sample.parts for digest in part.networks.hashes[part.number].tolist()}
        for sample in (case.source, case.test)
    ]
    assert not sides[0] & sides[1]
    assert len(case.source.parts) == 2
    hashes = networks("transnas_micro").hashes[case.source.parts[0].number]
    assert len(set(hashes.tolist())) == len(hashes)  # a network counts once
    assert set(case.source.groups.tolist()) == {"transnas_micro", "nasbench_bert"}


def test_several_targets_are_ranked_together_and_alone(mirror):
    spaces = ("transnas_micro", "autoformer_tiny")
    results = evaluate("tabular", across(targets=spaces), seeds=1, params=QUICK, most=100)
    parts = {row.part: row for row in results.summary()}
    assert set(parts) == {"all", *spaces}
    assert parts["all"].rows == sum(parts[space].rows for space in spaces)
    assert "| part |" in results.to_markdown()


def test_small_is_good_where_the_task_says_so(mirror):
    task = "tpu/train_seconds"
    protocol = dataclasses.replace(few_labels(), task=task)
    found = evaluate("tabular", protocol, labels=60, seeds=1, params=QUICK)
    assert found.mean("kendall") > 0.3
    assert found.forecasts is not None
    assert found.forecasts.sign == -1
    assert (found.forecasts.higher == -found.forecasts.truth).all()
    assert lower_is_better(task)
    assert not lower_is_better("taskonomy-room_layout/val_negative_mse")
    assert usual_transform(task) == "log"
    assert usual_transform("cifar10/test_accuracy") == "logit"
    assert usual_transform("cifar10/test_accuracy", natural=False) == "identity"


def test_known_devices_come_before_the_few_labels(mirror):
    known = ("mnli/accuracy", "qnli/accuracy", "qqp/accuracy")
    protocol = dataclasses.replace(few_labels(), task="mrpc/accuracy", known=known)
    case = next(_cases.protocol_cases(protocol, [10], [0], 0))
    assert case.source is not None
    labels = np.stack([networks("nasbench_bert").labels(task) for task in known], 1)
    np.testing.assert_array_equal(case.source.labels, labels[case.source.parts[0].rows])
    assert case.source.truth == pytest.approx(np.exp(np.log(case.source.labels).mean(1)))
    cold = evaluate("tabular", dataclasses.replace(protocol, known=()), labels=10, seeds=3,
                    params=QUICK)  # fmt: skip
    warm = evaluate("tabular", protocol, labels=10, seeds=3, params=QUICK)
    assert warm.mean("kendall") > cold.mean("kendall") + 0.05


def test_normal_scores_share_ties():
    scores = normal_scores(np.array([3.0, 1.0, 2.0, 2.0]))
    assert scores == pytest.approx([1.15035, -1.15035, 0, 0], abs=1e-4)


def test_every_quality_of_the_corpus_is_left_out_once():
    names = [t.name for t in transfers()]
    assert len(set(names)) == len(names)
    for name, population in QUALITY.items():
        left = transfer(f"leave-out/{name}")
        assert left.targets == (population,)
        assert population not in left.sources
        from archcast import datasets

        assert population.task in datasets.info(name).tasks
    assert set(names) <= set(list_protocols())
    assert isinstance(transfers()[0].sources[0], Population)


def test_what_makes_no_sense_is_refused(mirror):
    with pytest.raises(UnknownDatasetError, match="did you mean nasbench201/all"):
        evaluate("tabular", "nasbench201/al")
    with pytest.raises(UnknownDatasetError, match="leave-out/nats_size"):
        evaluate("tabular", "leave-out/nats_siz")
    with pytest.raises(InvalidSettingError, match="unknown predictor"):
        evaluate("tabulr", few_labels(), labels=10)
    with pytest.raises(InvalidSettingError, match="no 501 labels"):
        evaluate("tabular", few_labels(), labels=501)
    with pytest.raises(InvalidSettingError, match="seeds"):
        evaluate("tabular", few_labels(), labels=10, seeds=0)
    with pytest.raises(InvalidSettingError, match="nothing to learn from"):
        evaluate("tabular", few_labels(), labels=0)
    with pytest.raises(InvalidLabelsError):
        evaluate("tabular", few_labels(), labels=1)
    with pytest.raises(InvalidSettingError, match="knows no graph"):
        networks("ofa_latency")


def test_pictures(mirror, tmp_path):
    pytest.importorskip("matplotlib")
    results = evaluate("tabular", few_labels(), labels=40, seeds=1, params=QUICK)
    results.save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InvalidSettingError, match="no forecasts"):
        dataclasses.replace(results, forecasts=None).save(tmp_path / "b.svg")


def test_pictures_need_matplotlib(mirror, tmp_path, monkeypatch):
    import sys

    results = evaluate("tabular", few_labels(), labels=40, seeds=1, params=QUICK)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match="plot"):
        results.save(tmp_path / "a.png")


def test_measurements_are_json(mirror, tmp_path):
    evaluate("tabular", few_labels(), labels=40, seeds=1, params=QUICK, work=tmp_path)
    (kept,) = tmp_path.glob("*.json")
    assert json.loads(kept.read_text())[0]["labels"] == 40
