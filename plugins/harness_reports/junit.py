"""JUnit XML: a test case for each cell and each gate, as CI systems show them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree as ET

from harness.api import CellResult, FinishedRun, GateResult, LatencyResult, Params

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class JunitReporter:
    """Suite `cells` (failed cells are errors, skipped ones skipped) and suite `gates` (failures).

    Properties of a cell are its numbers; of a latency that is not valid, or was disturbed, also `invalid` with the
    reason, or `noisy`. As in a run's exit code such a cell has not failed: that is for a gate to say.
    """

    def __init__(self, params: Params) -> None:
        pass

    def render(self, run: FinishedRun) -> Mapping[str, str | bytes]:
        results = run.results
        root = ET.Element("testsuites", name=str(results.suite.get("suite", {}).get("name", "harness")))
        cells = ET.SubElement(root, "testsuite", name="cells")
        for cell in results.cells:
            _cell(cells, cell)
        gates = ET.SubElement(root, "testsuite", name="gates")
        for gate in results.gates:
            _gate(gates, gate)
        for suite in (cells, gates):
            _count(suite)
        ET.indent(root)
        return {"junit.xml": ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"}


def _cell(suite: ET.Element, cell: CellResult) -> None:
    case = ET.SubElement(suite, "testcase", classname=f"harness.{cell.kind}", name=_xml(cell.key),
                         time=f"{cell.cost.seconds or 0:.3f}")
    numbers = {name: metric.value for name, metric in cell.metrics.items() if not metric.detail}
    if cell.latency is not None:
        fields = ("p50_ms", "p90_ms", "p99_ms", "throughput", "ratio")
        numbers |= {name: getattr(cell.latency, name) for name in fields}
    known = {name: f"{value:.9g}" for name, value in numbers.items() if value is not None} | _doubts(cell.latency)
    if known:
        properties = ET.SubElement(case, "properties")
        for name, text in known.items():
            ET.SubElement(properties, "property", name=_xml(name), value=_xml(text))
    if cell.error is not None:
        error = ET.SubElement(case, "error", type=_xml(cell.error.type), message=_xml(cell.error.message))
        error.text = _xml(cell.error.where or "")
    elif cell.status == "skipped":
        ET.SubElement(case, "skipped", message=_xml(cell.reason or ""))


def _doubts(latency: LatencyResult | None) -> dict[str, str]:
    if latency is None:
        return {}
    invalid = {} if latency.valid else {"invalid": latency.why or "not valid"}
    return invalid | ({"noisy": "the machine was disturbed"} if latency.noisy else {})


def _gate(suite: ET.Element, gate: GateResult) -> None:
    case = ET.SubElement(suite, "testcase", classname="harness.gate", name=_xml(gate.expression), time="0")
    if not gate.passed:
        value = "" if gate.value is None else f"is {gate.value:.6g}"
        ET.SubElement(case, "failure", type="Gate", message=_xml(": ".join(filter(None, [value, gate.reason]))))


def _count(suite: ET.Element) -> None:
    kinds = {"tests": "testcase", "errors": "testcase/error", "failures": "testcase/failure",
             "skipped": "testcase/skipped"}
    for name, path in kinds.items():
        suite.set(name, str(len(suite.findall(path))))


def _xml(text: str) -> str:
    """Without the characters that XML 1.0 can not hold, however they are escaped."""
    return _NO_XML.sub("\ufffd", text)
