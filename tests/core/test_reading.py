"""Every mistake of a suite file: located, explained, and nothing else reported."""

from __future__ import annotations

import pytest

from harness.errors import EXIT_USAGE

VALID = """\
[suite]
name = "valid"
[datasets.spots]
use = "spots"
[datasets.boxed]
use = "boxed"
[datasets.bare]
use = "bare"
[models.net]
use = "trainable"
[models.classes]
use = "classifier"
"""
BENCH = """\
[[bench]]
models = ["net"]
datasets = ["spots"]
metrics = ["distance"]
"""
START = VALID.count("\n")
"""Lines before what a test adds."""

MANY = """\
[suite]
name = "many-mistakes"
seeed = 3
[datasett.x]
use = "spots"
[datasets.figures]
use = "stick-figurs"
[datasets.spots]
use = "spots"
cuont = 3
level = 300
[datasets.noisy]
base = "spot"
[datasets.small]
use = "spots"
transforms = [{ kind = "noise", sigma = 0.1 }, { kind = "nois", sigma = 1 }]
[models.net]
use = "trainable"
train = { epocs = 3, momentum = 2.0 }
[models.heatmap]
widht = 3
[models.ok]
use = "trainable"
[metrics."a/b"]
use = "pck"
[[bench]]
models = ["ok", "net", "hetmap"]
datasets = ["figures", "small"]
metrics = ["distanze"]
precision = ["fp32"]
[[bench]]
models = ["ok"]
datasets = ["spots"]
metrics = ["distanze", "distance", "distance"]
latency = [{ scenario = "single-stream", batch = [1, 0] }]
[[gates]]
cell = "*"
metric = "pck"
min = 1
max = 2
[[gates]]
cell = "*"
metric = "pck"
max_regression = "5%"
"""


def test_many_mistakes_at_once(mistakes):
    found = mistakes(MANY)
    expected = [
        (3, "suite.seeed", 'unknown key; did you mean "seed"? (known: baseline, description, name, plugins, reference, '
                           "seed)"),
        (4, "datasett", 'unknown table; did you mean "datasets"?'),
        (7, "datasets.figures.use", 'no plugin provides the dataset "stick-figurs"; did you mean "stick-figures"? '
                                    "(known: "),
        (10, "datasets.spots.cuont", 'unknown key; did you mean "count"? (known: base, count, level, root, transforms, '
                                     "use)"),
        (11, "datasets.spots.level", "input should be less than or equal to 255 (it is 300)"),
        (13, "datasets.noisy.base", 'there is no dataset "spot"; did you mean "spots"?'),
        (16, "datasets.small.transforms[1].kind", '"nois" is not one of noise, blur, contrast, occlusion; '
                                                  'did you mean "noise"?'),
        (19, "models.net.train.epocs", 'unknown key; did you mean "epochs"?'),
        (19, "models.net.train.momentum", "input should be less than 1 (it is 2.0)"),
        (20, "models.heatmap.use", "is required"),
        (24, "metrics.a/b", 'a name can not be empty or contain "/"'),
        (27, "bench[0].models[2]", 'there is no [models.hetmap]; did you mean "heatmap"? (known: heatmap, net, ok)'),
        (29, "bench[0].metrics[0]", 'no plugin provides the metric "distanze"; did you mean "distance"? '
                                    "(known: "),
        (30, "bench[0].precision", 'unknown key; did you mean "precisions"?'),
        (34, "bench[1].metrics[0]", 'no plugin provides the metric "distanze"'),
        (34, "bench[1].metrics[2]", '"distance" is listed twice'),
        (35, "bench[1].latency[0].batch[1]", "input should be greater than 0 (it is 0)"),
        (36, "gates[0]", "needs exactly one of min, max and max_regression"),
        (44, "gates[1].max_regression", "needs suite.baseline, the run to compare with"),
    ]
    assert [(line, path) for line, path, _ in found] == [(line, path) for line, path, _ in expected]
    for (_, _, message), (_, _, start) in zip(found, expected, strict=True):
        assert message.startswith(start)


def test_the_command_prints_every_mistake_on_a_line_and_exits_2(cli, write):
    path = write("""[suite]
name = "five"
seeed = 1
[datasets.figures]
use = "stick-figurs"
[models.heatmap]
use = "heatmapnet"
devise = "cpu"
[[bench]]
models = ["hetmap"]
datasets = ["figures"]
metrics = ["pkc"]
""")
    for command in ("validate", "list", "run"):
        outcome = cli(command, path, "--no-plugins=third-party")
        assert (outcome.code, outcome.out) == (EXIT_USAGE, "")
        places = [line.split(": ")[0] for line in outcome.err.splitlines() if line.startswith(str(path))]
        assert places == [f"{path}:{place}" for place in (
            "3  suite.seeed", "5  datasets.figures.use", "8  models.heatmap.devise", "10  bench[0].models[0]",
            "12  bench[0].metrics[0]")]


def test_a_valid_suite_has_no_mistakes(mistakes):
    assert mistakes(VALID + BENCH) == []


# Each: what is added to VALID; line there, key path, message.
SINGLE = {
    "unknown table": ("[modles.x]\n", 1, "modles", 'unknown table; did you mean "models"?'),
    "a table that is a value": ("gates = 3\n" + VALID, 1, "gates", "must be an array of tables: [[gates]]"),
    "a bench that is a table": ("[bench]\nmodels = []\n", 1, "bench", "must be an array of tables: [[bench]]"),
    "named tables that are an array": ("[[metrics]]\nuse = 'pck'\n", 1, "metrics", "must be tables: [metrics.NAME]"),
    "a named table that is a value": ("[metrics]\npck = 3\n", 2, "metrics.pck", "must be a table: [metrics.pck]"),
    "an executor that is a value": ("executor = 'local'\n" + VALID, 1, "executor", "must be a table: [executor]"),
    "no use": ("[models.x]\nwidth = 3\n", 1, "models.x.use", "is required"),
    "use of another type": ("[models.x]\nuse = 3\n", 2, "models.x.use", "input should be a valid string (it is 3)"),
    "an unknown executor": ("[executor]\nuse = 'locl'\n", 2, "executor.use",
                            'no plugin provides the executor "locl"; did you mean "local"?'),
    "a plugin of another kind": ("[metrics.x]\nuse = 'spots'\n", 2, "metrics.x.use",
                                 'no plugin provides the metric "spots"'),
    "neither use nor base": ("[datasets.x]\ncount = 3\n", 1, "datasets.x",
                             "needs either use = PLUGIN or base = DATASET"),
    "unknown key of a plugin": ("[models.x]\nuse = 'trainable'\nwidht = 3\n", 3, "models.x.widht",
                                'unknown key; did you mean "width"? (known: calibration, export, train, use, width)'),
    "unknown nested key": ("[models.x]\nuse = 'onnx'\npath = 'm.onnx'\ninput = { size = [1, 1], colour = 'RGB' }\n", 4,
                           "models.x.input.colour", 'unknown key; did you mean "color"? (known: color, fill, fit, '),
    "a nested key that is missing": ("[models.x]\nuse = 'onnx'\npath = 'm.onnx'\ninput = { color = 'RGB' }\n", 4,
                                     "models.x.input.size", "is required"),
    "wrong type": ("[models.x]\nuse = 'trainable'\nwidth = 'wide'\n", 3, "models.x.width",
                   "input should be a valid integer, unable to parse string as an integer (it is 'wide')"),
    "missing required": ("[datasets.x]\nuse = 'needy'\n", 1, "datasets.x.root", "is required"),
    "a literal": ("[datasets.x]\nuse = 'stick-figures'\nsplit = 'tset'\n", 3, "datasets.x.split",
                  '"tset" is not one of train, val, test; did you mean "test"?'),
    "a rule of the plugin": ("[datasets.x]\nuse = 'stick-figures'\nscale = [0.6, 0.5]\n", 1, "datasets.x",
                             "scale must be [low, high] with low <= high, got [0.6, 0.5]"),
    "empty name": ("[metrics.'']\nuse = 'pck'\n", 1, "metrics.", 'a name can not be empty or contain "/"'),
    "name with a slash": ("[metrics.'a/b']\nuse = 'pck'\n", 1, "metrics.a/b", 'a name can not be empty or contain "/"'),
    "base is missing": ("[datasets.x]\nbase = 'spot'\n", 2, "datasets.x.base",
                        'there is no dataset "spot"; did you mean "spots"?'),
    "base is no name": ("[datasets.x]\nbase = ['spots']\n", 2, "datasets.x.base",
                        "input should be a valid string (it is ['spots'])"),
    "base of itself": ("[datasets.x]\nbase = 'x'\n", 2, "datasets.x.base", "derives from itself: x -> x"),
    "base beside use": ("[datasets.x]\nbase = 'spots'\nuse = 'spots'\n", 3, "datasets.x.use",
                        "can not be given together with base"),
    "override of base": ("[datasets.x]\nbase = 'spots'\nlevel = 300\n", 3, "datasets.x.level",
                         "input should be less than or equal to 255 (it is 300)"),
    "transforms are no list": ("[datasets.x]\nbase = 'spots'\ntransforms = 5\n", 3, "datasets.x.transforms",
                               "input should be a valid list (it is 5)"),
    "transform without kind": ("[datasets.x]\nbase = 'spots'\ntransforms = [{ sigma = 1 }]\n", 3,
                               "datasets.x.transforms[0]", "needs the key 'kind'"),
    "transform without its key": ("[datasets.x]\nbase = 'spots'\ntransforms = [{ kind = 'blur' }]\n", 3,
                                  "datasets.x.transforms[0].sigma", "is required"),
    "transform with another's key": (
        "[datasets.x]\nbase = 'spots'\ntransforms = [\n { kind = 'noise', sigma = 0.1 },\n"
        " { kind = 'occlusion', fraction = 0.5, vale = 3 }]\n", 5, "datasets.x.transforms[1].vale",
        'unknown key; did you mean "value"? (known: fraction, kind, value)'),
    "transform out of range": ("[datasets.x]\nuse = 'spots'\ntransforms = [{ kind = 'noise', sigma = 2 }]\n", 3,
                               "datasets.x.transforms[0].sigma", "input should be less than or equal to 1 (it is 2)"),
    "train of a model that can not": ("[models.x]\nuse = 'classifier'\ntrain = { epochs = 3 }\n", 3, "models.x.train",
                                      'the model plugin "classifier" can not be trained'),
    "train is no table": ("[models.x]\nuse = 'trainable'\ntrain = 3\n", 3, "models.x.train",
                          "input should be a valid table (it is 3)"),
    "unknown train key": ("[models.x]\nuse = 'heatmapnet'\ntrain = { epocs = 3 }\n", 3, "models.x.train.epocs",
                          'unknown key; did you mean "epochs"?'),
    "no models": ("[[bench]]\nmodels = []\nlatency = [{}]\n", 2, "bench[0].models",
                  "list should have at least 1 item"),
    "models of another type": ("[[bench]]\nmodels = 'net'\nlatency = [{}]\n", 2, "bench[0].models",
                               "input should be a valid list (it is 'net')"),
    "measures nothing": ("[[bench]]\nmodels = ['net']\n", 1, "bench[0]", "measures nothing"),
    "datasets without metrics": ("[[bench]]\nmodels = ['net']\ndatasets = ['spots']\n", 1, "bench[0]",
                                 "datasets and metrics belong together"),
    "unknown model": ("[[bench]]\nmodels = ['nat']\nlatency = [{}]\n", 2, "bench[0].models[0]",
                      'there is no [models.nat]; did you mean "net"? (known: classes, net)'),
    "a model twice": ("[[bench]]\nmodels = ['net', 'net']\nlatency = [{}]\n", 2, "bench[0].models[1]",
                      '"net" is listed twice'),
    "a backend twice": ("[[bench]]\nmodels = ['net']\nlatency = [{}]\nbackends = [\n'slow',\n'slow']\n", 6,
                        "bench[0].backends[1]", '"slow" is listed twice'),
    "a precision twice": ("[[bench]]\nmodels = ['net']\nlatency = [{}]\nprecisions = [\n'fp32',\n'fp32']\n", 6,
                          "bench[0].precisions[1]", '"fp32" is listed twice'),
    "unknown backend": ("[[bench]]\nmodels = ['net']\nlatency = [{}]\nbackends = ['onnxruntime-cup']\n", 4,
                        "bench[0].backends[0]",
                        'no plugin provides the backend "onnxruntime-cup"; did you mean "onnxruntime-cpu"?'),
    "precision of a backend": ("[[bench]]\nmodels = ['net']\nlatency = [{}]\nbackends = ['slow']\n"
                               "precisions = ['fp32', 'int8']\n", 4, "bench[0].backends[0]",
                               '"slow" does not run int8 (it runs fp32)'),
    "unknown scenario": ("[[bench]]\nmodels = ['net']\nlatency = [{ scenario = 'sngle-stream' }]\n", 3,
                         "bench[0].latency[0].scenario", 'no plugin provides the scenario "sngle-stream"; did you'),
    "unknown scenario key": ("[[bench]]\nmodels = ['net']\nlatency = [{}, { min_querys = 3 }]\n", 3,
                             "bench[0].latency[1].min_querys", 'unknown key; did you mean "min_queries"? (known: '),
    "latency is a table": ("[[bench]]\nmodels = ['net']\nlatency = { batch = 1 }\n", 3, "bench[0].latency",
                           "input should be a valid list"),
    "model of another task": ("[[bench]]\nmodels = ['net', 'classes']\ndatasets = ['spots']\nmetrics = ['distance']\n",
                              2, "bench[0].models[1]", '"classes" is a classification model, the datasets are for '
                                                       "keypoints"),
    "datasets of two tasks": ("[[bench]]\nmodels = ['net']\ndatasets = ['spots', 'bare']\nmetrics = ['distance']\n", 3,
                              "bench[0].datasets", "mix tasks: spots (keypoints), bare (classification); use one "
                                                   "[[bench]] per task"),
    "metric of another task": ("[[bench]]\nmodels = ['net']\ndatasets = ['spots']\nmetrics = ['pck', 'top-k']\n", 4,
                               "bench[0].metrics[1]", '"top-k" is for classification, the datasets are for keypoints'),
    "metric of maps": ("[[bench]]\nmodels = ['classes']\ndatasets = ['bare']\nmetrics = ['of-maps']\n", 4,
                       "bench[0].metrics[0]", '"of-maps" judges saliency maps: it belongs into [[explain]]'),
    "metric of masks": ("[[bench]]\nmodels = ['classes']\ndatasets = ['boxed']\nmetrics = ['of-masks']\n", 4,
                        "bench[0].metrics[0]", '"of-masks" needs mask, dataset "boxed" has boxes'),
    "metric of regions": ("[[bench]]\nmodels = ['classes']\ndatasets = ['boxed', 'bare']\nmetrics = ['of-regions']\n",
                          4, "bench[0].metrics[0]", '"of-regions" needs boxes, mask, dataset "bare" has none'),
    "metric of one region": ("[metrics.masks]\nuse = 'of-regions'\nonly = 'mask'\n"
                             "[[bench]]\nmodels = ['classes']\ndatasets = ['boxed']\nmetrics = ['masks']\n", 7,
                             "bench[0].metrics[0]", '"masks" needs mask, dataset "boxed" has boxes'),
    "unknown saliency": ("[[explain]]\nmodels = ['classes']\ndatasets = ['bare']\nmetrics = ['of-maps']\n"
                         "saliency = ['grad']\n", 5, "explain[0].saliency[0]",
                         'no plugin provides the saliency "grad"'),
    "explain without saliency": ("[[explain]]\nmodels = ['classes']\ndatasets = ['bare']\nmetrics = ['of-maps']\n", 1,
                                 "explain[0].saliency", "is required"),
    "unknown target": ("[[explain]]\nmodels = ['classes']\ndatasets = ['bare']\nmetrics = ['of-maps']\n"
                       "saliency = ['costly']\ntarget = 'lable'\n", 6, "explain[0].target",
                       '"lable" is not one of label, predicted; did you mean "label"?'),
    "include that matches nothing": (BENCH + "include = ['accuracy/*',\n 'acuracy/*']\n", 6, "bench[0].include[1]",
                                     '"acuracy/*" matches none of its cells: accuracy/spots/net/fp32/onnxruntime-cpu'),
    "exclude that matches nothing": (BENCH + "exclude = ['latency/*']\n", 5, "bench[0].exclude[0]",
                                     '"latency/*" matches none of its cells'),
    "gate without a condition": ("[[gates]]\ncell = '*'\nmetric = 'pck'\n", 1, "gates[0]",
                                 "needs exactly one of min, max and max_regression"),
    "gate without a cell": ("[[gates]]\nmetric = 'pck'\nmin = 1\n", 1, "gates[0].cell", "is required"),
    "regression that is no percentage": ("[[gates]]\ncell = '*'\nmetric = 'pck'\nmax_regression = '5'\n", 4,
                                         "gates[0].max_regression", "string should match pattern"),
    "regression without a baseline": ("[[gates]]\ncell = '*'\nmetric = 'pck'\nmax_regression = '5%'\n", 4,
                                      "gates[0].max_regression", "needs suite.baseline"),
}


@pytest.mark.parametrize("name", SINGLE)
def test_one_mistake_is_one_problem(mistakes, name):
    text, line, path, start = SINGLE[name]
    if VALID in text:
        found = mistakes(text)
    else:
        found, line = mistakes(VALID + text), START + line
    assert [(found_line, found_path) for found_line, found_path, _ in found] == [(line, path)]
    assert found[0][2].startswith(start)


def test_a_precision_that_a_backend_can_not_run_may_be_excluded(mistakes):
    bench = ("[[bench]]\nmodels = ['net']\nlatency = [{}]\nbackends = ['slow', 'onnxruntime-cpu']\n"
             "precisions = ['fp32', 'int8']\n")
    assert len(mistakes(VALID + bench)) == 1
    assert mistakes(VALID + bench + "exclude = ['*/int8/slow/*']\n") == []


def test_a_valid_gate_after_an_invalid_one_is_judged_at_its_own_line(mistakes):
    gates = "[[gates]]\ncell = '*'\nmetric = 'pck'\n[[gates]]\ncell = '*'\nmetric = 'pck'\nmax_regression = '5%'\n"
    assert [(line, path) for line, path, _ in mistakes(VALID + gates)] == [
        (START + 1, "gates[0]"), (START + 7, "gates[1].max_regression")]


def test_a_regression_of_what_no_round_can_tell_is_refused(mistakes):
    suite = VALID.replace("[suite]", "[suite]\nbaseline = 'before'")
    gate = "[[gates]]\ncell = '*'\nmetric = '{}'\nmax_regression = '5%'\n"
    assert mistakes(suite + gate.format("p90_ms") + gate.format("pck")) == []
    assert mistakes(suite + gate.format("gflops").replace("max_regression = '5%'", "min = 5")) == []
    assert mistakes(suite + gate.format("gflops")) == [
        (START + 4, "gates[0].metric",
         '"gflops" is no number of a round, so that it can not be compared with a baseline measured in the same '
         "rounds: take cpu_ms, mean_ms, p50_ms, p90_ms, p95_ms, p99_ms, throughput, or min or max")]


@pytest.mark.parametrize("text", ["", "seed = 1\n", "[suites]\nname = 'a'\n"])
def test_a_suite_without_its_table(mistakes, text):
    assert ('the table [suite] with name = "..." is missing') in [message for _, _, message in mistakes(text)]


@pytest.mark.parametrize("name", ["", "a/b", "../up", ".hidden", "with space", "a\\\\b"])
def test_the_name_of_a_suite_names_a_folder(mistakes, name):
    assert [(line, path) for line, path, _ in mistakes(f'[suite]\nname = "{name}"\n')] == [(2, "suite.name")]


def test_a_mistake_in_a_profile_stands_at_the_profile(mistakes):
    text = VALID + BENCH + ("[profiles.fast.datasets.spots]\ncuont = 3\n[[profiles.fast.bench]]\n"
                            "models = ['nat']\nlatency = [{}]\n")
    assert mistakes(text) == []
    assert [(line, path) for line, path, _ in mistakes(text, "fast")] == [
        (START + 6, "profiles.fast.datasets.spots.cuont"), (START + 8, "profiles.fast.bench[0].models[0]")]


def test_a_key_that_a_profile_breaks_by_omission_stands_at_the_table(mistakes):
    text = VALID + BENCH + "[profiles.fast.datasets.more]\nuse = 'needy'\n"
    assert [(line, path) for line, path, _ in mistakes(text, "fast")] == [
        (START + 5, "profiles.fast.datasets.more.root")]
