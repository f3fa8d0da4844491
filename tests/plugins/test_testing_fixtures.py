"""The fixtures for plugin authors do what their docstrings say."""

import subprocess
import sys

import pytest

from harness.errors import PluginError
from harness.host import Host
from harness.specs import MetricSpec

PLUGIN = """
    from harness.api import MetricSpec, hookimpl

    @hookimpl
    def harness_metrics():
        return [MetricSpec(name="temporary", summary="T.", tasks=frozenset({"keypoints"}), factory="x:y")]
"""


class Sound:
    """No plugin at all."""


def test_harness_host_knows_nothing_that_is_installed(harness_host):
    host = harness_host()
    assert host.plugins == ()
    with pytest.raises(PluginError, match='"pck"'):
        host.spec(MetricSpec, "pck")


def test_harness_host_takes_objects(harness_host):
    (record,) = harness_host(Sound()).plugins
    assert (record.status, record.hooks) == ("ok", ())
    assert "implements no hook" in record.warnings[0]


def test_tmp_plugin_is_discovered_here_and_in_subprocesses(tmp_plugin):
    plugin = tmp_plugin(PLUGIN, name="tmp", version="3.1")
    provider = Host.discover().spec(MetricSpec, "temporary").provider
    assert str(provider) == "tmp (tmp-harness 3.1)"
    code = "import sys; from harness.host import Host; print(*[r.provider for r in Host.discover().plugins], sep='\\n')"
    listed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True,
                            env=plugin.environment)
    assert "tmp (tmp-harness 3.1)" in listed.stdout.splitlines()


def test_tmp_plugin_is_gone_afterwards():
    assert "tmp_plugin" not in sys.modules
    assert all(record.name != "tmp" for record in Host.discover().plugins)


def test_tmp_plugin_with_another_entry_point(tmp_plugin):
    tmp_plugin("class Plugin:\n    pass\n", name="odd", entry="odd_plugin:Plugin")
    (record,) = [record for record in Host.discover().plugins if record.name == "odd"]
    assert "the class Plugin" in record.failures[0].message
