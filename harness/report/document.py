"""report.json: everything a run found out, computed from its history.

Rules
-----
* The document is a function of the history and the specs; nothing in it was remembered from the run itself.
* Key order is fixed; numbers are seconds, USD and shares; its schema is ``report.schema.json``.
* A finding carries one request that shows it, as a curl command with the key as ``$VARIABLE``. It is whole, so that pasted it
  is the same request; where it would be longer than ``MOST_COMMAND``, words say where the body is.
* A bench covers nothing: its coverage is null. Whether its measurement is valid is judged where it was made, live.
"""

from __future__ import annotations

import json
import shlex
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from harness.audit import judged as judged_audit
from harness.audit import over
from harness.checks import judge
from harness.checks.evidence import Anchor
from harness.flow import Route, asks_without_key, without_key_request
from harness.history import History
from harness.metrics.cost import Cost, cost
from harness.metrics.coverage import NO_COVERAGE, coverage
from harness.model import Call, Case, Exchange, Finding, Json, Judged, Plan, Request, RunKind, Verdict, worst
from harness.report import lineup, pictures, tallies, text
from harness.report.measurement import latency, measurement, timed
from harness.report.results import RunResult, TargetResult
from harness.spec import Spec
from harness.traffic import conduct_from
from harness.transport.redact import MASK
from harness.urls import show_origin, without_query

SCHEMA_VERSION = 1
MOST_COMMAND = 16 * 1024
"""Characters of a command."""
CASES = ("planned", "run", "pass", "fail", "warn", "unknown")


def build(history: History, specs: Mapping[str, Spec]) -> RunResult:
    """The result of a run; ``specs`` are the contracts to judge it by, by target."""
    header = history.header
    plans = history.plans
    dialects = lineup.same_requests([(specs[plan.target], specs[plan.target].flows[plan.flow]) for plan in plans])
    targets = tuple(
        _target(history, plan, specs[plan.target], said) for plan, said in zip(plans, dialects, strict=True)
    )
    footer: Mapping[str, Any] = history.footer or {}
    total = cost(history.calls)
    sent = all(one.call is not None for target in targets for one in target.judged)
    complete = bool(footer.get("complete")) and not history.torn and sent
    verdict = worst([Verdict(target.summary["verdict"]) for target in targets])
    kind, where = kind_of(history), _origin(header, simulated=bool(footer.get("simulated")))
    document = {
        "schema_version": SCHEMA_VERSION,
        "run": {
            "id": header["run_id"],
            "started_at": header["started_at"],
            "finished_at": footer.get("finished_at", header["started_at"]),
            "complete": complete,
            **where,
            "harness_version": header["harness_version"],
            "seed": header["seed"],
            "command": header["command"],
            "audit": _audit(history, targets, measured=kind == "bench" and where["mode"] in ("live", "record")),
        },
        "totals": {
            "verdict": verdict.value,
            "paid_requests": total.paid_requests,
            "unknown_charge": total.unknown_charge,
            "images": total.images,
            "usd": _usd(total.usd),
            "usd_max": _usd(total.usd_max),
            "requests": sum(len(call.exchanges) for call in history.calls),
            "cases": {name: sum(target.summary["cases"][name] for target in targets) for name in CASES},
        },
        "targets": {target.spec.target: target.summary for target in targets},
    }
    notes = ("the last line of the history was cut off; everything before it was read",) if history.torn else ()
    return RunResult(document, targets, notes, kind, history)


def kind_of(history: History) -> RunKind:
    """What a run was for; a history that does not say is a check's."""
    kind: RunKind = history.header.get("kind", "check")
    return kind


def _audit(history: History, targets: Sequence[TargetResult], *, measured: bool) -> Json:
    """How fast this machine was; judged for a run that measured a provider, a replay's as it was recorded."""
    audit = over(history.audits)
    if not measured:
        return audit
    totals = {target.spec.target: [sample.midpoint for sample in target.samples.get("total", ())] for target in targets}
    medians = {target: statistics.median(total) for target, total in totals.items() if total}
    capped = {}
    for target in targets:
        options = history.header["targets"][target.spec.target]
        met = target.summary["measurement"]["most_in_flight"] >= options["concurrency"]
        if met and conduct_from(options.get("conduct")).open_loop:
            capped[target.spec.target] = options["concurrency"]
    return judged_audit(audit, medians, capped, killed=None in history.audits)


def _origin(header: Mapping[str, Any], *, simulated: bool) -> Json:
    """Where the answers came from: whatever a simulator answered live is ``simulate``, whatever the run was told."""
    mode, recorded_from, recorded_at = header["mode"], header.get("recorded_from"), header.get("recorded_at")
    if mode == "record":
        recorded_from, recorded_at = "simulator" if simulated else "live", header["started_at"]
    mode = "simulate" if simulated and mode != "replay" else mode
    return {"mode": mode, "recorded_from": recorded_from, "recorded_at": recorded_at}


def dump(document: Mapping[str, Json]) -> str:
    """The text of report.json."""
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _usd(amount: Decimal) -> float:
    return round(float(amount), 6)


def _target(history: History, plan: Plan, spec: Spec, said: tuple[Mapping[str, Json], Sequence[str]]) -> TargetResult:
    options = history.header["targets"][plan.target]
    route = Route(spec, spec.flows[plan.flow], options["base_url"])
    calls = history.of(plan.target)
    anchor = Anchor(history.header["anchor_ns"], datetime.fromisoformat(options["anchor_at"]))
    spent = cost(calls)
    conduct = conduct_from(options.get("conduct"))
    judged = judge(route, plan, calls, anchor, fetched=conduct.downloads)
    found = timed(route, judged, conduct)
    # A finding is best shown by a valid request: whoever reads it should not stumble over another fault in the body.
    shown = sorted(judged, key=lambda one: one.case.kind != "accept")
    findings = [finding for one in shown for finding in one.findings if finding.verdict is not Verdict.PASS]
    verdict = worst([one.verdict for one in judged])
    if verdict is Verdict.WARN:
        verdict = Verdict.PASS
    by_id = {one.case.id: one for one in judged}
    ran = [one for one in judged if one.call is not None]
    chosen = pictures.chosen(route, judged, len(history.plans))
    summary: dict[str, Json] = {
        "spec_sha256": spec.sha256,
        "flow": plan.flow,
        "origin": show_origin(options["base_url"]),
        "verdict": verdict.value,
        "coverage": coverage(plan, calls) if kind_of(history) == "check" else NO_COVERAGE,
        "cases": {
            "planned": len(plan.cases),
            "run": len(ran),
            "pass": sum(one.verdict is Verdict.PASS for one in ran),
            "fail": sum(one.verdict is Verdict.FAIL for one in ran),
            "warn": sum(one.verdict is Verdict.WARN for one in ran),
            "unknown": sum(one.verdict is Verdict.UNKNOWN for one in ran),
        },
        "findings": [_finding(finding, by_id[finding.case_id], route) for finding in findings],
        "polling": _polling(history, route, calls),
        "latency": latency(found),
        "cost": _cost(spent, options["price_source"]),
        "checks": tallies.checks(judged),
        "parameters": tallies.parameters(spec, plan, judged),
        "same_request": {"request": _command(route, route.submit(said[0])), "lacks": list(said[1])},
        "pictures": [pictures.described(shown) for shown in chosen],
        "documents": tallies.documents(spec),
    }
    if kind_of(history) == "bench":
        summary["measurement"] = measurement(spec, found, calls, conduct)
    price = Decimal(options["usd_per_image"])
    return TargetResult(
        spec, route.flow, plan, judged, found.samples, found.hidden, price, options["base_url"], summary, chosen
    )


def _cost(spent: Cost, source: str) -> Json:
    each = spent.usd / spent.images_delivered if spent.images_delivered else None
    return {
        "paid_requests": spent.paid_requests,
        "images": spent.images,
        "usd": _usd(spent.usd),
        "usd_per_image": None if each is None else _usd(each),
        "price_source": source,
    }


def _polling(history: History, route: Route, calls: Sequence[Call]) -> Json:
    if route.flow.status is None or route.flow.body:
        return None
    polls = [len(call.of("status")) for call in calls if call.of("status")]
    return {
        "schedule": history.header["targets"][route.spec.target]["schedule"],
        "polls_per_job": round(sum(polls) / len(polls), 3) if polls else 0.0,
    }


def _finding(finding: Finding, one: Judged, route: Route) -> Json:
    source = finding.source
    return {
        "check": finding.check,
        "verdict": finding.verdict.value,
        "parameter": finding.parameter,
        "case_id": finding.case_id,
        "expected": finding.expected,
        "observed": finding.observed,
        "message": finding.message,
        "source": None
        if source is None
        else {"document": source.document, "where": source.where, "states": source.states},
        "request": shown_by(route, one.case, finding),
        "smallest": finding.body is not None,
    }


def shown_by(route: Route, case: Case, finding: Finding) -> str:
    """The request that shows a finding: the least one that is known, else the one that it speaks of, else the submit."""
    if finding.body is None and finding.about is not None:
        return _command(route, _as_sent(route, finding.about))
    return curl(route, case, finding.body)


def _as_sent(route: Route, exchange: Exchange) -> Request:
    """The request of a recorded exchange: with the key, with what stood in for it, or without, as it was."""
    header = route.spec.credential.header
    given = exchange.request_headers.get(header.lower())
    keyed = given is not None and MASK in given
    return Request(
        step=exchange.step,
        method=exchange.method,
        url=exchange.url,
        body=exchange.request_body,
        content_type=exchange.request_headers.get("content-type"),
        authenticated=keyed,
        credential=None if given is None or keyed else (header, given),
    )


def curl(route: Route, case: Case, shorter: Mapping[str, Json] | None = None) -> str:
    """A case's submit as a command for a shell, the key as a variable that the shell puts in.

    ``shorter`` is a body to show instead.
    """
    shown = case.body if shorter is None else shorter
    return _command(route, _submit(route, replace(case, body=shown)))


def _command(route: Route, request: Request) -> str:
    """A request as a command, or where one would be too long, what it is and where to find it."""
    before, data = _data(request.body or b"")
    kind = f" {request.content_type}" if request.content_type else ""
    address = without_query(request.url)
    if address != request.url:
        return f"A {request.method} of {address} with a query, which may hold a signature and is not shown."
    parts = [
        f"{before}curl --request {request.method} {shlex.quote(address)}",
        *_credential(route, request),
        # curl puts a media type of its own to a body, unless it is told otherwise.
        *([f"--header 'Content-Type:{kind}'"] if kind or request.step == "submit" else []),
        *data,
    ]
    command = " ".join(parts)
    if len(command) <= MOST_COMMAND:
        return command
    size = text.size(len(request.body or b""))
    return (
        f"A {request.method} of {address} with {size}, too long for a command: its body is in the run's blobs, "
        "and `harness report RUN --har FILE` names it."
    )


def _submit(route: Route, case: Case) -> Request:
    return without_key_request(route, case) if asks_without_key(case) else route.submit(case.body, case.sending)


def _credential(route: Route, request: Request) -> Iterator[str]:
    """The header of the credential, if the request has one."""
    if request.credential is not None:
        yield f"--header {shlex.quote(': '.join(request.credential))}"
    elif request.authenticated:
        # The name of the variable is checked by the extension's schema; the words before it come from a file.
        credential = route.spec.credential
        before = shlex.quote(f"{credential.header}: {credential.scheme}".rstrip() + " ")
        yield f'--header {before}"${credential.env}"'


def _data(body: bytes) -> tuple[str, list[str]]:
    """What makes a body for curl, before the command and in it; bytes that no argument can hold come through a pipe."""
    if not body:
        return "", []
    try:
        said = body.decode("utf-8")
    except UnicodeDecodeError:
        said = "\0"
    if "\0" not in said:
        return "", [f"--data-raw {shlex.quote(said)}"]
    octal = "".join(f"\\{byte:03o}" for byte in body[:MOST_COMMAND])  # of more no command is made
    return f"printf '{octal}' | ", ["--data-binary @-"]
