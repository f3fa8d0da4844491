"""From a suite file to a valid Suite: tables checked against their plugins, names resolved, all mistakes at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness import calibration
from harness import source as sources
from harness.errors import EXIT_PLUGIN, EXIT_USAGE, PluginError, SuiteError, did_you_mean, one_of
from harness.gates import unmeasurable
from harness.host import Host
from harness.locate import KeyPath, Locations
from harness.mismatches import mismatches
from harness.params import BASE, Params
from harness.source import Source
from harness.specs import (
    BackendSpec,
    DatasetSpec,
    ExecutorSpec,
    GradientRuleSpec,
    MetricSpec,
    ModelSpec,
    SaliencySpec,
    ScenarioSpec,
    Spec,
)
from harness.suite import (
    BackendEntry,
    Bench,
    BenchTable,
    Calibration,
    CalibrationTable,
    DatasetEntry,
    DatasetTable,
    ExecutorEntry,
    ExplainTable,
    GateTable,
    LatencyRequest,
    LatencyTable,
    MatrixTable,
    MetricEntry,
    ModelEntry,
    ModelTable,
    PluginTable,
    SaliencyEntry,
    SaliencyTable,
    Suite,
    SuiteTable,
)
from harness.validation import problems_of, split

T = TypeVar("T", bound=BaseModel)
S = TypeVar("S", bound=Spec)
E = TypeVar("E")
Reader = Callable[[str, dict[str, Any], KeyPath], E | None]

TOP_LEVEL = ("suite", "datasets", "models", "saliency", "metrics", "backends", "executor", "bench", "explain", "gates",
             "profiles")


def read_suite(path: Path, host: Host, profile: str | None = None, environ: Mapping[str, str] | None = None) -> Suite:
    """Read and check a suite file.

    Raises SuiteError with every mistake found (each with file, line and key path), UsageError when unreadable.
    """
    source = sources.load(path, profile, environ)
    suite = _Reader(source, host).read()
    if suite is None or source.problems:
        raise SuiteError(source.problems)
    return suite


def read_resolved(data: Mapping[str, Any], host: Host) -> Suite:
    """The suite of an earlier run, as its results keep it: profile applied, environment expanded.

    Raises SuiteError when it is no valid suite any more, e.g. because a plugin is gone.
    """
    tables = dict(data)
    source = Source(Path(tables.pop("path", "suite.toml")), tables, Locations.of(""))
    suite = _Reader(source, host).read()
    if suite is None or source.problems:
        raise SuiteError(source.problems)
    return suite


class _Reader:
    """Reads one suite. Each method notes its mistakes in the source and goes on, so that all are found."""

    def __init__(self, source: Source, host: Host) -> None:
        self.source = source
        self.host = host
        self.folder = source.path.resolve().parent

    def read(self) -> Suite | None:
        for key in self.source.data:
            if key not in TOP_LEVEL:
                self.source.problem((key,), f"unknown table{did_you_mean(key, TOP_LEVEL)}")
        table = self._suite_table()
        self.datasets = self._tables("datasets", self._dataset)
        self.metrics = self._tables("metrics", self._simple(MetricSpec, MetricEntry))
        self.models = self._tables("models", self._model)
        self.saliency = self._tables("saliency", self._saliency)
        self.backends = self._tables("backends", self._simple(BackendSpec, BackendEntry))
        executor = self._executor()
        benches = [*self._benches("bench", BenchTable), *self._benches("explain", ExplainTable)]
        gates = [gate for path, data in self._array("gates") if (gate := self._gate(data, path, table)) is not None]
        if table is None:
            return None
        return Suite(self.source.path, table, _present(self.datasets), _present(self.models), tuple(benches),
                     tuple(gates), executor, self.source.data, self.source.line)

    # --- [suite] -----------------------------------------------------------------------------------------------------

    def _suite_table(self) -> SuiteTable | None:
        if "suite" not in self.source.data:
            self.source.problem((), 'the table [suite] with name = "..." is missing')
            return None
        table = self._validate(SuiteTable, self.source.data["suite"], ("suite",))
        if table is not None:
            for index, pin in enumerate(table.plugins):
                for problem in self.host.require([pin]):
                    self.source.problem(("suite", "plugins", index), problem, EXIT_PLUGIN)
        return table

    def _gate(self, data: Any, path: KeyPath, suite: SuiteTable | None) -> GateTable | None:
        gate = self._validate(GateTable, data, path)
        if gate is not None and gate.max_regression and suite is not None and not suite.baseline:
            self.source.problem((*path, "max_regression"), "needs suite.baseline, the run to compare with")
        if gate is not None and (problem := unmeasurable(gate)):
            self.source.problem((*path, "metric"), problem)
        return gate

    def _executor(self) -> ExecutorEntry | None:
        data = self.source.data.get("executor")
        if data is None:
            return None
        if not isinstance(data, dict):
            self.source.problem(("executor",), "must be a table: [executor]")
            return None
        return self._simple(ExecutorSpec, ExecutorEntry)(str(data.get("use")), data, ("executor",))

    # --- named tables ------------------------------------------------------------------------------------------------

    def _tables(self, name: str, read: Reader[E]) -> dict[str, E | None]:
        """Entries by id; None for one with mistakes, so that references to it are not reported as well."""
        tables = self.source.data.get(name, {})
        if not isinstance(tables, dict):
            self.source.problem((name,), f"must be tables: [{name}.NAME]")
            return {}
        entries: dict[str, E | None] = {}
        for key, data in tables.items():
            path = (name, key)
            if not isinstance(data, dict):
                self.source.problem(path, f"must be a table: [{name}.{key}]")
            elif "/" in key or not key.strip():
                self.source.problem(path, 'a name can not be empty or contain "/": it becomes a part of keys')
            else:
                entries[key] = read(key, data, path)
                continue
            entries[key] = None
        return entries

    def _dataset(self, key: str, data: dict[str, Any], path: KeyPath) -> DatasetEntry | None:
        merged = self._derived(key, data, path)
        if merged is None:
            return None
        found = self._plugin(DatasetTable, DatasetSpec, merged, path)
        if found is None:
            return None
        table, spec, params = found
        return DatasetEntry(key, spec, params, table.transforms)

    def _derived(self, key: str, data: dict[str, Any], path: KeyPath,
                 seen: tuple[str, ...] = ()) -> dict[str, Any] | None:
        """The keys of a dataset with those of its base taken over; None after a mistake."""
        if "base" not in data:
            return data
        base, tables = data["base"], self.source.data["datasets"]
        if problem := _base_problem(base, tables, (*seen, key)):
            self.source.problem((*path, "base"), problem)
            return None
        if "use" in data:
            self.source.problem((*path, "use"), "can not be given together with base")
            return None
        inherited = self._derived(base, tables[base], ("datasets", base), (*seen, key))
        return None if inherited is None else self._inherit(inherited, ("datasets", base), data, path)

    def _inherit(self, inherited: dict[str, Any], base: KeyPath, data: dict[str, Any], path: KeyPath) -> dict[str, Any]:
        """A mistake in what is taken over is located at the base, so that it is reported once."""
        source, own = self.source, {name: value for name, value in data.items() if name != "base"}
        for name in inherited.keys() - own.keys():
            source.origins[*path, name] = source.original((*base, name))
        merged = {**inherited, **own}
        first, more = inherited.get("transforms", []), own.get("transforms", [])
        if isinstance(first, list) and isinstance(more, list) and (first or more):
            merged["transforms"] = [*first, *more]
            places = [source.original((*base, "transforms", index)) for index in range(len(first))]
            places += [(*source.original((*path, "transforms")), index) for index in range(len(more))]
            source.origins.update({(*path, "transforms", index): place for index, place in enumerate(places)})
        return merged

    def _model(self, key: str, data: dict[str, Any], path: KeyPath) -> ModelEntry | None:
        train = data.get("train")
        if isinstance(train, dict) and isinstance(data.get("use"), str):
            self._check_train(data["use"], train, (*path, "train"))
        found = self._plugin(ModelTable, ModelSpec, data, path)
        if found is None:
            return None
        table, spec, params = found
        return ModelEntry(key, spec, params, table.export, table.train, (self.folder / "exports",),
                          self._calibration(spec, table, (*path, "calibration")))

    def _calibration(self, spec: ModelSpec, table: ModelTable, path: KeyPath) -> Calibration | None:
        """What the suite says, and else what the model's recipe says; None when neither names a dataset."""
        asked = table.calibration or CalibrationTable()
        own = calibration.of_recipe(self.host, spec, table.train, asked)
        if asked.dataset is None:
            if own is None and table.calibration is not None:
                self.source.problem(path, f'the model plugin "{spec.name}" has no training data of its own; name a '
                                          "dataset")
            return own
        found = self._references((asked.dataset,), self.datasets, path, "dataset",
                                 self._default(DatasetSpec, DatasetEntry))
        metrics = () if asked.metric is None else self._references(
            (asked.metric,), self.metrics, path, "metric", self._default(MetricSpec, MetricEntry))
        if not found or (asked.metric is not None and not metrics):
            return None
        return calibration.of_dataset(found[0], metrics[0] if metrics else None, asked)

    def _check_train(self, plugin: str, train: dict[str, Any], path: KeyPath) -> None:
        spec = next((spec for spec in self.host.specs(ModelSpec) if spec.name == plugin), None)
        if spec is not None and not spec.factory:
            self.source.problem(path, f'the model plugin "{plugin}" can not be trained')
        elif spec is not None:
            self._validate(spec.recipe, train, path)

    def _saliency(self, key: str, data: dict[str, Any], path: KeyPath) -> SaliencyEntry | None:
        found = self._plugin(SaliencyTable, SaliencySpec, data, path)
        return None if found is None else self._generator(key, found[1], found[2], found[0].layer)

    def _generator(self, key: str, spec: SaliencySpec, params: Params, layer: str | None = None) -> SaliencyEntry:
        return SaliencyEntry(key, spec, params, layer, tuple(self.host.specs(GradientRuleSpec)) if spec.graph else ())

    def _simple(self, spec_type: type[S], entry: Callable[[str, S, Params], E]) -> Reader[E]:
        """How a table with nothing but a plugin and its params is read."""
        def read(key: str, data: dict[str, Any], path: KeyPath) -> E | None:
            found = self._plugin(PluginTable, spec_type, data, path)
            return None if found is None else entry(key, found[1], found[2])

        return read

    def _plugin(self, table_model: type[T], spec_type: type[S], data: dict[str, Any],
                path: KeyPath) -> tuple[T, S, Params] | None:
        """A table's own keys, its plugin, and the plugin's params; None after a mistake."""
        own, rest = split(data, table_model)
        table = self._validate(table_model, own, path)
        spec = self._spec(spec_type, own["use"], (*path, "use")) if isinstance(own.get("use"), str) else None
        if spec is None:
            return None
        params = self._validate(spec.params, rest, path, also=table_model.model_fields)
        return None if table is None or params is None else (table, spec, params)

    def _spec(self, spec_type: type[S], name: str, path: KeyPath) -> S | None:
        try:
            return self.host.spec(spec_type, name)
        except PluginError as error:
            code = EXIT_PLUGIN if self.host.may_be_broken(spec_type, name) else EXIT_USAGE
            self.source.problem(path, str(error), code)
            return None

    # --- [[bench]], [[explain]] --------------------------------------------------------------------------------------

    def _benches(self, name: str, model: type[MatrixTable]) -> Iterator[Bench]:
        for path, data in self._array(name):
            table = self._validate(model, data, path)
            if table is not None and (bench := self._bench(table, path)) is not None:
                yield bench

    def _bench(self, table: MatrixTable, path: KeyPath) -> Bench | None:
        before = len(self.source.problems)
        for index, precision in enumerate(table.precisions):
            if precision in table.precisions[:index]:
                self.source.problem((*path, "precisions", index), f'"{precision}" is listed twice')
        models = self._references(table.models, self.models, (*path, "models"), "model")
        datasets = self._references(table.datasets, self.datasets, (*path, "datasets"), "dataset")
        metrics = self._references(table.metrics, self.metrics, (*path, "metrics"), "metric",
                                   self._default(MetricSpec, MetricEntry))
        backends = self._references(table.backends, self.backends, (*path, "backends"), "backend",
                                    self._default(BackendSpec, BackendEntry))
        latency: tuple[LatencyRequest, ...] = ()
        saliency: tuple[SaliencyEntry, ...] = ()
        target = None
        if isinstance(table, BenchTable):
            requests = [self._latency(data, (*path, "latency", i)) for i, data in enumerate(table.latency)]
            latency = tuple(request for request in requests if request is not None)
        elif isinstance(table, ExplainTable):
            saliency = self._references(table.saliency, self.saliency, (*path, "saliency"), "saliency",
                                        self._default(SaliencySpec, self._generator))
            target = table.target
        batch_size = None if table.batch_size == "auto" else table.batch_size
        bench = Bench(where=path, models=models, datasets=datasets, metrics=metrics, precisions=table.precisions,
                      backends=backends, batch_size=batch_size, include=table.include, exclude=table.exclude,
                      latency=latency, saliency=saliency, target=target)
        for where, message in mismatches(bench, table):
            self.source.problem(where, message)
        return bench if len(self.source.problems) == before else None

    def _references(self, names: tuple[str, ...], entries: Mapping[str, E | None], path: KeyPath, kind: str,
                    default: Callable[[str, KeyPath], E | None] | None = None) -> tuple[E, ...]:
        """The entries of the given ids; where `default` is given, a name may also be a plugin's."""
        found = []
        for index, name in enumerate(names):
            where = (*path, index)
            if name in names[:index]:
                self.source.problem(where, f'"{name}" is listed twice')
            elif name in entries:
                found.append(entries[name])
            elif default is not None:
                found.append(default(name, where))
            else:
                table = f"{kind}s" if kind != "saliency" else kind
                self.source.problem(where, f'there is no [{table}.{name}]{did_you_mean(name, entries)} '
                                           f"(known: {one_of(entries)})")
        return tuple(entry for entry in found if entry is not None)

    def _default(self, spec_type: type[S], entry: Callable[[str, S, Params], E]) -> Callable[[str, KeyPath], E | None]:
        """How a name that no table has becomes an entry: as a plugin with its defaults."""
        def make(name: str, path: KeyPath) -> E | None:
            spec = self._spec(spec_type, name, path)
            params = None if spec is None else self._validate(spec.params, {}, path)
            return None if spec is None or params is None else entry(name, spec, params)

        return make

    def _latency(self, data: dict[str, Any], path: KeyPath) -> LatencyRequest | None:
        own, rest = split(data, LatencyTable)
        table = self._validate(LatencyTable, own, path)
        spec = None if table is None else self._spec(ScenarioSpec, table.scenario, (*path, "scenario"))
        if table is None or spec is None:
            return None
        params = self._validate(spec.params, rest, path, also=LatencyTable.model_fields)
        return None if params is None else LatencyRequest(spec, params, table.batch, table.threads)

    # --- helpers -----------------------------------------------------------------------------------------------------

    def _array(self, name: str) -> Iterator[tuple[KeyPath, Any]]:
        data = self.source.data.get(name, [])
        if not isinstance(data, list):
            self.source.problem((name,), f"must be an array of tables: [[{name}]]")
            return
        for index, item in enumerate(data):
            yield (name, index), item

    def _validate(self, model: type[T], data: Any, path: KeyPath, also: Mapping[str, Any] | None = None) -> T | None:
        try:
            return model.model_validate(data, context={BASE: self.folder})
        except ValidationError as error:
            for where, message in problems_of(error, model, data, also or {}):
                self.source.problem((*path, *where), message)
            unknown = {each["loc"] for each in error.errors() if each["type"] == "extra_forbidden"}
            if not isinstance(data, dict) or not any(len(loc) == 1 for loc in unknown):
                return None
            # Without its unknown keys the table may say more that is wrong.
            return self._validate(model, {key: data[key] for key in data if (key,) not in unknown}, path, also)


def _base_problem(base: Any, tables: Mapping[str, Any], seen: tuple[str, ...]) -> str | None:
    if not isinstance(base, str):
        return f"input should be a valid string (it is {base!r})"
    if not isinstance(tables.get(base), dict):
        return f'there is no dataset "{base}"{did_you_mean(base, tables)}'
    if base in seen:
        return f"derives from itself: {' -> '.join((*seen[seen.index(base):], base))}"
    return None


def _present(entries: Mapping[str, E | None]) -> dict[str, E]:
    return {key: entry for key, entry in entries.items() if entry is not None}
