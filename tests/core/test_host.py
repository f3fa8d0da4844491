"""Finding plugins, switching them off, and keeping what is wrong with one away from the others."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest

from harness import discovery
from harness.api import MetricSpec, Params, hookimpl
from harness.contracts import RunContext
from harness.discovery import Candidate, Disabled
from harness.errors import CellError, DataError, PluginError
from harness.host import Host, HostConfig, blame, call, create
from harness.specs import Provider, Spec


def metric(name, factory="fake_parts:Distance"):
    return MetricSpec(name=name, summary="A metric.", tasks=frozenset({"keypoints"}), factory=factory)


def plugin(name, *specs, **more):
    """A module with one hook for metrics, and whatever else is given."""
    module = ModuleType(name)

    @hookimpl
    def harness_metrics():
        return list(specs)

    module.harness_metrics = harness_metrics
    for key, value in more.items():
        setattr(module, key, value)
    return module


def candidate(name, load, distribution=None, version="1.0"):
    return Candidate(Provider(name, distribution or f"{name}-harness", version), f"{name}_plugin", load)


def raising(error):
    def load(*_, **__):
        raise error

    return load


def host_of(*candidates, disabled=()):
    return Host(candidates, HostConfig(Disabled(frozenset(disabled))))


def states(host):
    return {record.name: record.status for record in host.plugins}


# --- discovery ------------------------------------------------------------------------------------------------------

class EntryPoint(SimpleNamespace):
    """As importlib.metadata gives them."""

    def load(self):
        return plugin(self.name)


def entry(name, distribution, version="1.0"):
    return EntryPoint(name=name, value=f"{name}_plugin", dist=SimpleNamespace(name=distribution, version=version))


def test_our_own_plugins_come_first_then_by_name(monkeypatch):
    found = [entry("b", "zeta"), entry("z", "vision-harness"), entry("a", "zeta"), entry("c", "acme"),
             entry("a", "vision-harness")]

    def entry_points(*, group):
        assert group == "harness"
        return found

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    names = [(each.provider.distribution, each.provider.plugin) for each in discovery.installed()]
    assert names[:2] == [("vision-harness", "a"), ("vision-harness", "z")]
    assert set(names[2:]) == {("zeta", "a"), ("zeta", "b"), ("acme", "c")}
    orders = set()
    for _ in range(3):
        found.insert(0, found.pop())
        orders.add(tuple(str(each.provider) for each in discovery.installed()))
    assert len(orders) == 1


def test_an_entry_point_of_no_distribution(monkeypatch):
    lonely = EntryPoint(name="a", value="a_plugin", dist=None)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [lonely])
    assert [record.status for record in Host.discover().plugins] == ["ok"]


def test_the_first_party_plugins_are_found():
    found = {record.name: record for record in Host.discover(HostConfig(Disabled(frozenset({"third-party"})))).plugins}
    own = {name for name, record in found.items() if record.first_party}
    assert {"keypoints", "classification", "onnx", "runtime", "reports"} <= own
    assert {found[name].status for name in own} == {"ok"}


# --- switched off ---------------------------------------------------------------------------------------------------

LOADED = raising(AssertionError("must not be loaded"))
OURS, ACME, ZETA = Provider("ours", "vision-harness", "1"), Provider("acme", "acme-harness", "1"), \
    Provider("zeta", "acme-harness", "1")


@pytest.mark.parametrize(("names", "covered"), [
    ((), []), (("all",), [OURS, ACME, ZETA]), (("third-party",), [ACME, ZETA]), (("acme",), [ACME]),
    (("acme-harness",), [ACME, ZETA]), (("vision-harness",), [OURS]), (("acme", "ours"), [OURS, ACME]),
    (("acm",), []), (("ALL",), []),
])
def test_what_is_switched_off(names, covered):
    disabled = Disabled(frozenset(names))
    assert [each for each in (OURS, ACME, ZETA) if disabled.covers(each)] == covered


def test_options_and_environment_are_read_together():
    environ = {"HARNESS_DISABLE_PLUGINS": " a, b-harness,,"}
    assert Disabled.read(["c"], environ).names == {"a", "b-harness", "c"}
    assert Disabled.read([], {}).names == frozenset()


def test_what_is_switched_off_is_never_loaded():
    host = host_of(candidate("acme", LOADED), candidate("good", lambda: plugin("good", metric("m"))),
                   disabled=["acme"])
    assert states(host) == {"acme": "disabled", "good": "ok"}
    assert [spec.name for spec in host.specs(Spec)] == ["m"]
    assert (host.failures, host.warnings) == ([], ())


def test_the_environment_switches_off(monkeypatch):
    monkeypatch.setenv("HARNESS_DISABLE_PLUGINS", "all")
    assert {record.status for record in Host.discover().plugins} == {"disabled"}


def test_misspelt_names_are_warned_of():
    host = host_of(candidate("acme", lambda: plugin("acme")), disabled=["acne", "third-party", "acme-harness"])
    assert host.warnings == ('--no-plugins / HARNESS_DISABLE_PLUGINS: no plugin or distribution is called "acne"; '
                             'did you mean "acme"?',)


def test_the_command_line_warns_on_standard_error(cli):
    outcome = cli("plugins", "list", "--no-plugins=keypionts", "--no-plugins=third-party")
    assert outcome.code == 0
    assert 'no plugin or distribution is called "keypionts"; did you mean "keypoints"?' in outcome.err
    assert "keypionts" not in outcome.out


# --- registry -------------------------------------------------------------------------------------------------------

def test_the_provider_is_stamped_on_every_declaration():
    host = host_of(candidate("acme", lambda: plugin("acme", metric("m"), metric("n")), version="1.2"))
    assert [str(spec.provider) for spec in host.specs(MetricSpec)] == ["acme (acme-harness 1.2)"] * 2


def test_a_plugin_can_not_claim_to_be_another():
    host = host_of(candidate("acme", lambda: plugin("acme", MetricSpec(
        name="m", summary="", tasks=frozenset(), factory="a:b", provider=Provider("ours", "vision-harness", "9")))))
    assert host.spec(MetricSpec, "m").provider.distribution == "acme-harness"


def test_duplicates_name_both_providers_and_versions():
    host = host_of(candidate("acme", lambda: plugin("acme", metric("m"), metric("n")), version="1.2"),
                   candidate("zeta", lambda: plugin("zeta", metric("m")), version="3.4"))
    assert states(host) == {"acme": "ok", "zeta": "ok"}
    with pytest.raises(PluginError) as caught:
        host.spec(MetricSpec, "m")
    assert str(caught.value) == ('two plugins declare the metric "m": acme (acme-harness 1.2) and zeta (zeta-harness '
                                 "3.4); disable one with --no-plugins=NAME")
    assert [[spec.name for spec in specs] for specs in host.duplicates()] == [["m", "m"]]
    assert host.spec(MetricSpec, "n").name == "n"
    assert host.may_be_broken(MetricSpec, "m")


def test_one_name_in_two_roles_is_no_duplicate(host):
    assert host.duplicates() == []
    names = {spec.role for spec in host.specs(Spec)}
    assert {"dataset", "model", "metric", "saliency", "backend", "scenario", "executor", "reporter"} <= names


def test_what_nobody_provides():
    with pytest.raises(PluginError, match=r'no plugin provides the metric "pkc"; did you mean "pck"\? \(known: pck\)'):
        Host.of(plugin("a", metric("pck"))).spec(MetricSpec, "pkc")
    with pytest.raises(PluginError, match=r"\(known: none\)$"):
        Host.of().spec(MetricSpec, "pck")


# --- broken plugins -------------------------------------------------------------------------------------------------

class Hostile:
    """Whatever is asked of it raises."""

    def __getattribute__(self, name):
        raise RuntimeError(f"no {name}")


def failing_hook(error):
    @hookimpl
    def harness_metrics():
        raise error

    return harness_metrics


BROKEN = {
    "import": (raising(ImportError("no such module")), "load", "ImportError: no such module"),
    "exit at import": (raising(SystemExit(3)), "load", "SystemExit: 3"),
    "old api": (lambda: plugin("x", harness_api=0), "api", "declares harness_api = 0; this host supports 1"),
    "api of another type": (lambda: plugin("x", harness_api="1"), "api", "declares harness_api = '1'"),
    "class": (lambda: Hostile, "register", "the entry point names the class Hostile; hooks need an instance"),
    "hostile": (Hostile, "load", "RuntimeError: no harness_api"),
    "raising hook": (lambda: plugin("x", harness_metrics=failing_hook(OSError("gone"))), "hooks", "OSError: gone"),
    "exit in a hook": (lambda: plugin("x", harness_metrics=failing_hook(SystemExit(3))), "hooks", "SystemExit: 3"),
    "no list": (lambda: plugin("x", harness_metrics=hookimpl(lambda: metric("m"))), "hooks",
                "must return a list of specs"),
    "nothing": (lambda: plugin("x", 3), "hooks", "harness_metrics returned a int, expected a MetricSpec"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_one_broken_plugin_is_a_record_and_takes_nothing_away(kind):
    load, phase, message = BROKEN[kind]
    host = host_of(candidate("first", lambda: plugin("first", metric("a"))), candidate("broken", load),
                   candidate("last", lambda: plugin("last", metric("b"))))
    assert states(host) == {"first": "ok", "broken": "failed", "last": "ok"}
    assert [spec.name for spec in host.specs(Spec)] == ["a", "b"]
    ((record, failure),) = host.failures
    assert str(record.provider) == "broken (broken-harness 1.0)"
    assert failure.phase == phase
    assert message in failure.message
    with pytest.raises(PluginError, match=r"plugin broken \(broken-harness 1\.0\) failed") as caught:
        host.spec(MetricSpec, "c")
    assert message in str(caught.value)


def test_a_failure_nobody_foresaw_keeps_its_traceback():
    host = host_of(candidate("broken", raising(ZeroDivisionError("x"))))
    assert "Traceback" in host.failures[0][1].traceback
    assert "in load" in host.failures[0][1].traceback


def test_an_interrupt_is_not_a_broken_plugin():
    with pytest.raises(KeyboardInterrupt):
        host_of(candidate("broken", raising(KeyboardInterrupt())))


def test_loading_is_timed():
    host = host_of(candidate("acme", lambda: plugin("acme")), candidate("off", LOADED), disabled=["off"])
    assert [record.load_ms > 0 for record in host.plugins] == [True, False]


# --- lifecycle ------------------------------------------------------------------------------------------------------

class Watcher:
    """Counts what it is told, then raises if asked to."""

    def __init__(self, name, error=None):
        self.__name__, self.error, self.seen = name, error, []

    @hookimpl
    def harness_cell_finished(self, context):
        self.seen.append(context)
        if self.error:
            raise self.error


@pytest.mark.parametrize("error", [OSError("dashboard down"), SystemExit("bye")])
def test_a_lifecycle_hook_that_raises_does_not_silence_the_others(tmp_path, error):
    first, broken, last = Watcher("first"), Watcher("broken", error), Watcher("last")
    host = Host.of(first, broken, last, plugin("other"))
    context = RunContext(tmp_path, {})
    messages = host.notify("harness_cell_finished", context)
    assert messages == [f"plugin broken (broken 0): harness_cell_finished failed: {type(error).__name__}: {error}"]
    assert first.seen == broken.seen == last.seen == [context]
    assert host.notify("harness_run_started", context) == []


# --- factories ------------------------------------------------------------------------------------------------------

@pytest.fixture
def parts(monkeypatch):
    """Factories that a declaration may name."""
    module = ModuleType("acme_parts")

    class Plain:
        def __init__(self, params):
            self.params = params

    module.Plain, module.Broken = Plain, raising(ZeroDivisionError("by nothing"))
    module.Missing, module.Exits = raising(DataError("no data")), raising(SystemExit(3))
    monkeypatch.setitem(sys.modules, "acme_parts", module)
    return module


def spec(factory):
    return Host.of(plugin("acme", metric("m", f"acme_parts:{factory}"))).spec(MetricSpec, "m")


def test_a_factory_gets_the_params(parts):
    params = Params()
    assert create(spec("Plain"), params).params is params
    assert call(spec("Plain"), "acme_parts:Plain", params).params is params


@pytest.mark.parametrize(("factory", "message"), [
    ("Broken", "ZeroDivisionError: by nothing"), ("Absent", "has no attribute 'Absent'"), ("Exits", "SystemExit: 3")])
def test_what_a_factory_raises_names_the_plugin(parts, factory, message):
    with pytest.raises(PluginError) as caught:
        create(spec(factory), Params())
    assert str(caught.value).startswith('metric "m" of plugin acme (acme 0) can not be created: ')
    assert message in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_module_that_is_not_there():
    with pytest.raises(PluginError, match=r'"m" of plugin acme .*No module named .nobody_has_this'):
        create(Host.of(plugin("acme", metric("m", "nobody_has_this:M"))).spec(MetricSpec, "m"), Params())


def test_a_handled_error_passes_as_it_is(parts):
    with pytest.raises(DataError, match="^no data$"):
        create(spec("Missing"), Params())


def test_blame_is_noted_once(parts):
    with pytest.raises(CellError) as caught, blame(spec("Plain")), blame(spec("Plain")):
        raise CellError("x")
    assert caught.value.__notes__ == ['in metric "m" of plugin acme (acme 0)']


# --- tracing --------------------------------------------------------------------------------------------------------

def test_tracing_writes_to_standard_error(monkeypatch, capsys):
    monkeypatch.setenv("HARNESS_TRACE_PLUGINS", "1")
    Host.of(plugin("acme", metric("m")))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "harness_metrics" in captured.err
    monkeypatch.delenv("HARNESS_TRACE_PLUGINS")
    Host.of(plugin("acme", metric("m")))
    assert capsys.readouterr().err == ""


def test_tracing_leaves_the_data_of_a_command_alone():
    import json
    import os

    command = [sys.executable, "-m", "harness", "plugins", "list", "--format", "json"]
    done = subprocess.run(command, env={**os.environ, "HARNESS_TRACE_PLUGINS": "1"}, capture_output=True, text=True,
                          check=True)
    assert {"keypoints", "runtime"} <= {record["name"] for record in json.loads(done.stdout)}
    assert "harness_datasets" in done.stderr
