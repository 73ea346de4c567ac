"""Training from a configuration file."""

import json

import numpy as np
import pytest

from archcast import cli, pretraining_config
from archcast.encoders.errors import InvalidSettingError, StorageError, UnknownTaskError
from archcast.evaluation._networks import networks
from archcast.predictors import Predictor, load_predictor
from archcast.predictors.storage import read_about
from archcast.pretraining_config import pretrain_config, read_config

pytest.importorskip("lightgbm")
TABULAR = """
predictor = "tabular"
params = { rounds = 10, support = 60, folds = 2 }
"""
BERT = """
[[data]]
benchmark = "nasbench_bert"
task = "glue/average"
rows = 80
"""


def write(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_one_predictor(mirror, tmp_path):
    config = write(tmp_path, TABULAR + BERT)
    (path,) = pretrain_config(config, tmp_path)
    assert path == tmp_path / "mine.safetensors"
    about = read_about(path)
    assert (about["task"], about["labels"]) == ("glue/average", 80)
    nets = networks("nasbench_bert")
    value = load_predictor(path).predict(nets.encoded("tabular", nets.number))
    assert np.corrcoef(value, nets.labels("glue/average"))[0, 1] > 0.6
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == []


def test_what_is_finished_is_kept_until_something_changes(mirror, tmp_path, monkeypatch):
    fits = []
    fit = Predictor.fit

    def counting(self, X, y, **options):
        fits.append(self.kind)
        if len(fits) == 2:
            raise KeyboardInterrupt
        return fit(self, X, y, **options)

    monkeypatch.setattr(Predictor, "fit", counting)
    model = '[[model]]\nname = "{0}"\npredictor = "bayesian-linear"\n' + BERT.replace(
        "[[data]]", "[[model.data]]"
    )
    config = write(tmp_path, model.format("a") + model.format("b"))
    running = pretrain_config(config, tmp_path)
    first = next(running)
    bytes_of = first.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        next(running)
    assert len(list(pretrain_config(config, tmp_path))) == 2
    assert len(fits) == 3  # the second one only
    assert first.read_bytes() == bytes_of
    config.write_text(config.read_text().replace("rows = 80", "rows = 81", 1))
    assert len(list(pretrain_config(config, tmp_path))) == 2
    assert len(fits) == 4
    first.write_bytes(b"half a file")
    assert len(list(pretrain_config(config, tmp_path))) == 2
    assert len(fits) == 5


def test_several_benchmarks_are_learned_by_rank(mirror, tmp_path):
    other = '[[data]]\nbenchmark = "transnas_micro"\ntask = "{}"\nrows = 60\n'
    text = TABULAR.replace("rounds", "seed = 1, rounds")
    text = f'scale = "rank"\n{text}{BERT}' + other.format("taskonomy-jigsaw/val_accuracy")
    recipe = read_config(write(tmp_path, text))[0]
    sample, labels = pretraining_config._data(recipe)
    assert labels.shape == (140,)
    assert abs(labels).max() < 4
    assert set(sample.groups.tolist()) == {"nasbench_bert", "transnas_micro"}
    assert pretraining_config._made(recipe).get_params()["transform"] == "identity"


def test_several_tasks_have_labels_missing(mirror, tmp_path):
    text = 'predictor = "device"\nscale = "tasks"\n' + BERT
    text += BERT.replace("glue/average", "mnli/accuracy")
    recipe = read_config(write(tmp_path, text))[0]
    _, labels = pretraining_config._data(recipe)
    assert labels.shape == (160, 2)
    assert (np.isfinite(labels).sum(0) == 80).all()
    with pytest.raises(InvalidSettingError, match="one task"):
        list(pretrain_config(write(tmp_path, text.replace("device", "tabular")), tmp_path))


def test_a_predictor_among_the_parameters(tmp_path):
    text = 'predictor = "ensemble"\n[params]\nmembers = 2\n'
    text += '[params.base]\npredictor = "random-forest"\nseed = 5\n' + BERT
    made = pretraining_config._made(read_config(write(tmp_path, text))[0])
    base = made.get_params(deep=False)["base"]
    assert (base.kind, base.seed) == ("random-forest", 5)


def test_graph_networks_leave_their_logs_and_no_trace_in_the_file(mirror, tmp_path):
    pytest.importorskip("torch_geometric")
    pytest.importorskip("lightning_fabric")
    text = 'predictor = "gin"\nparams = { epochs = 2, width = 8, depth = 1 }\n'
    config = write(tmp_path, text + BERT.replace("80", "20"))
    plain = next(pretrain_config(config, tmp_path / "plain"))
    logged = next(pretrain_config(config, tmp_path / "logged", logs=["csv"]))
    assert plain.read_bytes() == logged.read_bytes()
    assert not list((tmp_path / "plain").glob("*.training"))
    (log,) = (tmp_path / "logged").rglob("metrics.csv")
    assert len(log.read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("predictor = ", "not TOML"),
        (TABULAR, "no .*data"),
        (BERT, "'predictor' is missing"),
        (TABULAR + "[[data]]\nbenchmark = 'nats_size'", r"\[\[data\]\] 1: 'task' is missing"),
        (TABULAR + BERT.replace("rows", "row"), "did you mean rows"),
        ("pred = 3\n" + BERT, "did you mean predictor"),
        ("scale = 'log'\n" + TABULAR + BERT, "natural, rank"),
        ("name = 'a/b'\n" + TABULAR + BERT, "file's name"),
        ("data = 3\n" + TABULAR, "no .*data"),
        ("data = [3]\n" + TABULAR, "no table"),
        (TABULAR + BERT.replace("80", "-5"), r"\[\[data\]\] 1: rows is a whole number"),
        (TABULAR + BERT.replace("80", "'many'"), "rows is a whole number"),
        ("predictor = 'tabular'\nparams = 3\n" + BERT, "params is a table"),
        ("predictor = 3\n" + BERT, "predictor is a text"),
    ],
)
def test_mistakes_say_where(text, words, tmp_path):
    with pytest.raises(InvalidSettingError, match=words) as error:
        list(pretrain_config(write(tmp_path, text), tmp_path))
    assert "mine.toml" in str(error.value)


def test_parameters_of_a_wrong_type_are_refused(tmp_path):
    config = write(tmp_path, TABULAR.replace("rounds = 10", 'rounds = "a"') + BERT)
    with pytest.raises(InvalidSettingError, match="tabular: rounds is a whole number, not 'a'"):
        list(pretrain_config(config, tmp_path))


def test_what_is_not_there(mirror, tmp_path):
    with pytest.raises(StorageError, match=r"none\.toml"):
        list(pretrain_config(tmp_path / "none.toml", tmp_path))
    with pytest.raises(UnknownTaskError):
        list(pretrain_config(write(tmp_path, TABULAR + BERT.replace("glue/", "x/")), tmp_path))
    with pytest.raises(InvalidSettingError, match="no logs"):
        list(pretrain_config(write(tmp_path, TABULAR + BERT), tmp_path, logs=["csv"]))


def test_command_line(mirror, tmp_path, capsys):
    config = str(write(tmp_path, TABULAR + BERT))
    assert cli.main(["pretrain", "--config", config, "--out", str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a' / 'mine.safetensors'}\n"
    assert json.loads(json.dumps(read_about(tmp_path / "a" / "mine.safetensors")))["labels"] == 80
    for argv, words in (
        (["--config", config, "--preset", "tiny"], "give one"),
        (["--devices", "2"], "--config"),
        (["--config", config, "--out", str(tmp_path / "b"), "--devices", "2"], "no devices"),
    ):
        assert cli.main(["pretrain", *argv]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line
