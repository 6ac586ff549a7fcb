"""Findings as remarks on the spec, for tools that show such remarks in a file: what SARIF and GitLab have in common.

Rules
-----
* A remark stands where the spec cites what the expectation rests on, else at the parameter that it is about, else at the
  first line: whoever reads it sees the documented fact beside what came back.
* Findings that say the same of several cases of one target are one remark. Its fingerprint names check, target, parameter
  and case, and nothing that changes from run to run; remarks that share all of these are numbered.
* A shipped spec is ``specs/<provider>/<endpoint>.yaml``, a path of the user's is the name of its file.
* The words say first where the answers came from, when they are not a provider's of today.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.model import Json
from harness.report import text
from harness.report.alike import alike
from harness.report.results import RunResult, TargetResult
from harness.spec import shipped_targets
from harness.strict import Document, escape, load_yaml

_NAME, _MESSAGE = 200, 1000


@dataclass(frozen=True)
class Remark:
    """One remark: what it says, and the file, line and fingerprint that it has."""

    target: str
    finding: Mapping[str, Json]
    cases: int
    path: str
    line: int
    fingerprint: str
    said: str


def remarks(result: RunResult) -> Iterator[Remark]:
    """The remarks of a run, in the order of its report."""
    origin = _origin(result.document["run"])
    seen: Counter[tuple[str, ...]] = Counter()
    for target in result.targets:
        spec, findings = load_yaml(target.spec.text), target.summary["findings"]
        facts, path = _facts(spec), _path(target)
        for same in alike(findings):
            first = findings[same[0]]
            key = (first["check"], target.spec.target, first["parameter"] or "", first["case_id"])
            seen[key] += 1
            digest = hashlib.sha256("\0".join((*key, str(seen[key]))).encode("utf-8", "replace")).hexdigest()
            line = _line(target, spec, facts, first)
            yield Remark(target.spec.target, first, len(same), path, line, digest, origin + _said(target, first, same))


def _origin(run: Mapping[str, Json]) -> str:
    if text.is_simulated(run):
        return "Simulated: "
    return "Recorded: " if run["mode"] == "replay" else ""


def _said(target: TargetResult, finding: Mapping[str, Json], same: list[int]) -> str:
    about = f" ({text.visible(finding['parameter'], _NAME)})" if finding["parameter"] else ""
    times = f", in {text.count(len(same), 'case')}" if len(same) > 1 else ""
    source = finding["source"]
    states = f" The document states: {source['states']} ({source['document']}, {source['where']})." if source else ""
    name = text.visible(target.spec.target, _NAME)
    return f"{name}{about}: {text.visible(finding['message'], _MESSAGE)}{times}.{text.visible(states, _MESSAGE)}"


def _path(target: TargetResult) -> str:
    name = target.spec.target
    file = target.spec.path.name
    return f"specs/{name.partition('/')[0]}/{file}" if name in shipped_targets() else file


def _line(
    target: TargetResult, spec: Document, facts: Mapping[tuple[str, str], int], finding: Mapping[str, Json]
) -> int:
    source = finding["source"]
    if source is not None and (source["where"], source["states"]) in facts:
        return facts[source["where"], source["states"]]
    about = next((one for one in target.spec.parameters if one.name == finding["parameter"]), None)
    return 1 if about is None else spec.line(about.at.removeprefix("#"))


def _facts(spec: Document) -> Mapping[tuple[str, str], int]:
    """The line of each cited fact, the first one where it is cited more often."""
    found: dict[tuple[str, str], int] = {}
    for pointer, value in _nodes(spec.value, ""):
        if isinstance(value.get("where"), str) and isinstance(value.get("states"), str):
            found.setdefault((value["where"], value["states"]), spec.line(f"{pointer}/where"))
    return found


def _nodes(value: Json, pointer: str) -> Iterator[tuple[str, Mapping[str, Json]]]:
    if isinstance(value, dict):
        yield pointer, value
        for name, item in value.items():
            yield from _nodes(item, f"{pointer}/{escape(name)}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _nodes(item, f"{pointer}/{place}")
