"""Faults about jobs over time: their life and identity, server errors, keys, reported times, and repetition."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.clock import NS
from harness.model import State
from harness.model import Step as StepName
from harness.simulator.answers import Link
from harness.simulator.edits import patched
from harness.simulator.faults.answers import dotted, still
from harness.simulator.faults.fault import Fault, Hooks, Verdict, always, at, of_answers, plain_body, planted, weighed
from harness.simulator.faults.images import Context, Pictures, said
from harness.simulator.provider import Endpoint, Job, Order, Reply, success
from harness.simulator.variations import Body
from harness.simulator.verdicts import Flaw, Refusal, Verdicts
from harness.spec.contract import Field, Flow, Spec

OTHER_ID = "0b0e1e55-0000-4000-8000-00000000dead"
NEVER = 10 * 365 * 86_400 * NS
UNFINISHED: tuple[State, ...] = ("queued", "running")


def faults(spec: Spec) -> Iterator[Fault]:
    """Every fault of a spec's jobs."""
    flow = spec.default_flow
    yield from _lifecycle(spec, flow)
    yield from _undelivered(spec, flow)
    yield from _identity(spec, flow)
    yield from _reading(spec, flow)
    yield from _server_errors(spec, flow)
    yield from _keys(spec, flow)
    yield from _times(spec, flow)
    yield from _repetition(spec)


# States ------------------------------------------------------------------------------------------------------------


def _polled(*states: State) -> Hooks:
    """Say these states in a job's first status answers, then the truth."""

    def hooks() -> Mapping[str, Callable[..., Any]]:
        polls: Counter[str] = Counter()

        def state(step: StepName, job: Job, truth: State) -> State:
            if step != "status":
                return truth
            polls[job.id] += 1
            return states[polls[job.id] - 1] if polls[job.id] <= len(states) else truth

        return {"state": state}

    return hooks


def _lifecycle(spec: Spec, flow: Flow) -> Iterator[Fault]:
    if flow.status is None:
        return
    field = next(iter(flow.status.shape.with_role("status")), None)
    verdict = weighed(spec, field.source if field else flow.status.operation.source)
    words = set(flow.states.values())
    if {"queued", "running"} <= words:
        states = "A job is queued again after it was running."
        yield planted(spec, "status-goes-back", "job_lifecycle", states, _polled("running", "queued"), verdict=verdict)
    if field:

        def paused(reply: Reply) -> Reply:
            return patched(reply, field.path, lambda _: "PAUSED")

        yield planted(
            spec, "unknown-state", "job_lifecycle", "A job is first in a state that the document does not have.",
            _once_per_job("status", paused), verdict=verdict,
        )  # fmt: skip
    for name in ("submit", "status"):
        outputs = next(iter(flow.steps()[name].shape.with_role("outputs")), None)
        if outputs:

            def early(step: StepName, _job: Job, delivers: bool, name: str = name) -> bool:
                return delivers or step == name

            yield planted(
                spec, f"outputs-in-early-{name}", "job_lifecycle",
                f"The answer to the {name} has the outputs of a job that is not complete.",
                _early(early) if name == "status" else always(delivers=early), verdict=weighed(spec, outputs.source),
            )  # fmt: skip
    if flow.result:
        yield planted(
            spec, "early-result-delivered", "job_lifecycle", "A job that is not complete has a result, and later another.",
            _previewing, verdict=weighed(spec, flow.result.operation.source), shown_by="probes",
        )  # fmt: skip
    if flow.status.shape.with_role("queue_position"):
        sentence = "The position of a waiting job rises from poll to poll."
        yield planted(spec, "queue-position-rises", "timings", sentence, _falling_behind, verdict="warn")
    yield from _cancelled(spec, flow)


def _early(delivers: Callable[..., bool]) -> Hooks:
    """Outputs beside a state that is certainly not the last: a job's first status answer says that it is running."""
    return lambda: {**_polled("running")(), "delivers": delivers}


def _previewing() -> Mapping[str, Callable[..., Any]]:
    early: set[str] = set()

    def state(step: StepName, job: Job, truth: State) -> State:
        early.discard(job.id)
        if step != "result" or truth not in UNFINISHED:
            return truth
        early.add(job.id)
        return "completed"

    def pictures(job: Job, made: Pictures) -> Pictures:
        return tuple(replace(p, key=f"{p.key} preview") for p in made) if job.id in early else made

    return {"state": state, "pictures": pictures}


def _falling_behind() -> Mapping[str, Callable[..., Any]]:
    polls: Counter[str] = Counter()

    def context(step: StepName, job: Job, known: Context) -> Context:
        if step != "status" or "queue_position" not in known:
            return known
        polls[job.id] += 1
        return {**known, "queue_position": known["queue_position"] + polls[job.id]}

    return {**_polled("queued", "queued", "queued")(), "context": context}


def _once_per_job(step: StepName, rewrite: Callable[[Reply], Reply]) -> Hooks:
    """Rewrite a job's first answer of a step."""

    def hooks() -> Mapping[str, Callable[..., Any]]:
        seen: set[str] = set()

        def reply(name: StepName, job: Job | None, sent: Reply) -> Reply:
            if name != step or job is None or job.id in seen or sent.status >= 300:
                return sent
            seen.add(job.id)
            return rewrite(sent)

        return {"reply": reply}

    return hooks


def _cancelled(spec: Spec, flow: Flow) -> Iterator[Fault]:
    if flow.cancel is None:
        return
    operation = flow.cancel.operation
    fields = [field for field in flow.cancel.shape.with_role("cancellation") if field.schema.get("enum")]
    if not fields:
        return

    def reply(step: StepName, job: Job | None, sent: Reply) -> Reply:
        if step != "cancel" or job is None or sent.status < 400:
            return sent
        return replace(patched(sent, fields[0].path, lambda _: fields[0].schema["enum"][0]), status=success(operation))

    yield planted(
        spec, "cancels-finished-jobs", "job_lifecycle", "The cancellation of a finished job is said to be on its way.",
        always(reply=reply), verdict=weighed(spec, operation.source), shown_by="probes",
    )  # fmt: skip


# Outputs that never come -------------------------------------------------------------------------------------------


def _undelivered(spec: Spec, flow: Flow) -> Iterator[Fault]:
    check = "job_completes"
    if flow.status:

        def endless(_body: Body, order: Order) -> Order:
            return replace(order, inference_ns=NEVER)

        states = "No job is ever complete."
        yield planted(spec, "never-completes", check, states, always(order=endless), shown_by="deadline")
    if "failed" in flow.states.values():

        def failing(_step: StepName, _job: Job, truth: State) -> State:
            return "failed" if truth == "completed" else truth

        outputs = said(flow, "outputs")
        verdict = weighed(spec, outputs.source if outputs else None)
        yield planted(
            spec, "fails-every-job", check, "Every job ends as failed.", always(state=failing), verdict=verdict
        )
    if flow.result:
        endpoint = still(spec)
        for name, kind, status in (("result-404", "unknown_job", 404), ("result-500", "internal", 500)):

            def gone(_: Reply, kind: str = kind, status: int = status) -> Reply:
                return endpoint.error(kind, "The result is not there.", status=status)

            states = f"The result of a completed job is answered {status}."
            yield planted(spec, name, check, states, of_answers("result", gone))

    def empty(_step: StepName, _job: Job, _delivers: bool) -> bool:
        return False

    outputs = said(flow, "outputs")
    verdict = weighed(spec, outputs.source if outputs else None)
    states = "Completed jobs have no outputs."
    yield planted(spec, "completes-empty", check, states, always(delivers=empty), verdict=verdict)
    if flow.status is None and said(flow, "error_message"):

        def instead(endpoint: Endpoint, _body: Any, refusal: Refusal | None, healthy: Reply | None) -> Reply | None:
            if refusal:
                return healthy
            return replace(endpoint.error("internal", "The model is busy."), status=success(flow.submit.operation))

        states = "Valid bodies are answered with an error under a successful status."
        yield planted(spec, "errors-as-success", "positive_data_acceptance", states, always(instead=instead))


# Identity ----------------------------------------------------------------------------------------------------------


def _identity(spec: Spec, flow: Flow) -> Iterator[Fault]:
    if flow.status is None:
        return
    for name, step in flow.steps().items():
        field = next(iter(step.shape.with_role("job_id")), None)
        if name in ("status", "result") and field:

            def context(step: StepName, _job: Job, known: Context, name: str = name) -> Context:
                return {**known, "job_id": OTHER_ID} if step == name else known

            yield planted(
                spec, f"another-id-in-{name}", "job_identity", f"The answer to the {name} names another job.",
                always(context=context), verdict=weighed(spec, field.source, about=[at(field)]),
            )  # fmt: skip
    own = next(iter(flow.submit.shape.with_role("job_id")), None)
    if own:
        states = "Every job is given the id of the first."
        verdict = weighed(spec, own.source, about=[at(own)])
        yield planted(spec, "shared-id", "job_identity", states, _sharing, verdict=verdict)
    for field in flow.submit.shape.fields:
        if field.role.startswith("link_"):

            def linked(step: StepName, job: Job, known: Context, field: Field = field) -> Context:
                link = known.get(field.role)
                if step != "submit" or not isinstance(link, Link):
                    return known
                return {**known, field.role: replace(link, path=link.path.replace(job.id, OTHER_ID))}

            yield planted(
                spec, f"{dotted(field.path)}-of-another-job", "job_identity",
                f"The submit's {dotted(field.path)} leads to another job.",
                always(context=linked), verdict=weighed(spec, field.source),
            )  # fmt: skip


def _sharing() -> Mapping[str, Callable[..., Any]]:
    first: list[Job] = []

    def context(step: StepName, job: Job, known: Context) -> Context:
        if step != "submit" or job.order.waits:
            return known
        if not first:
            first.append(job)
        own, shared = job.id, first[0].id
        links = {
            role: replace(link, path=link.path.replace(own, shared))
            for role, link in known.items()
            if isinstance(link, Link)
        }
        return {**known, **links, "job_id": shared}

    return {"context": context}


# Reading -----------------------------------------------------------------------------------------------------------


def _reading(spec: Spec, flow: Flow) -> Iterator[Fault]:
    if flow.status is None:
        return
    yield planted(
        spec, "second-read-differs", "repeatable_read", "A result that is read again has other images.", _restless,
        shown_by="probes",
    )  # fmt: skip
    endpoint, body = still(spec), plain_body(spec)
    for name in ("status", "result"):
        if name not in flow.steps():
            continue
        specimen = endpoint.specimen(flow, name, body)

        def reply(step: StepName, job: Job | None, sent: Reply, name: str = name, specimen: Any = specimen) -> Reply:
            return Reply.of(200, specimen) if step == name and job is None else sent

        yield planted(
            spec, f"unknown-id-in-{name}", "unknown_job", f"The {name} of a job that there is none of is answered 200.",
            always(reply=reply), verdict="warn", shown_by="probes",
        )  # fmt: skip


def _restless() -> Mapping[str, Callable[..., Any]]:
    reads: Counter[str] = Counter()

    def pictures(job: Job, made: Pictures) -> Pictures:
        reads[job.id] += 1
        return made if reads[job.id] == 1 else tuple(replace(p, key=f"{p.key} {reads[job.id]}") for p in made)

    return {"pictures": pictures}


# Server errors -----------------------------------------------------------------------------------------------------


def _instead(applies: Callable[[Refusal | None], bool], only: int | None = None) -> Hooks:
    """Answer submits 500: all that apply, or only that one of them."""

    def hooks() -> Mapping[str, Callable[..., Any]]:
        asked = [0]

        def instead(endpoint: Endpoint, _body: Any, refusal: Refusal | None, healthy: Reply | None) -> Reply | None:
            asked[0] += applies(refusal)
            if not applies(refusal) or only not in (None, asked[0]):
                return healthy
            return endpoint.error("internal", "Something went wrong.")

        return {"instead": instead}

    return hooks


_PAGE = Reply(502, b"<html><h1>502 Bad Gateway</h1></html>", "text/html")


def _server_errors(spec: Spec, flow: Flow) -> Iterator[Fault]:
    check = "not_a_server_error"
    yield planted(spec, "500-on-every-submit", check, "Every submit is answered 500.", _instead(lambda _: True))
    yield planted(
        spec, "500-on-invalid-bodies", check, "An invalid body is answered 500.",
        _instead(lambda refusal: refusal is not None), shown_by="rejects",
    )  # fmt: skip
    states = "The third valid submit is answered 500, and no other."
    yield planted(spec, "500-once", check, states, _instead(lambda r: r is None, 3), verdict="warn")
    for name in ("status", "result"):
        if name in flow.steps():
            states = f"A job's first {name} is answered with a gateway's error page."
            hooks = _once_per_job(name, lambda _: _PAGE)
            yield planted(spec, f"502-on-first-{name}", check, states, hooks, verdict="warn")


# Keys --------------------------------------------------------------------------------------------------------------


def _keys(spec: Spec, flow: Flow) -> Iterator[Fault]:
    if spec.credential.optional:
        return
    for name in flow.steps():
        if name == "cancel":
            continue

        def key(step: StepName, accepted: bool, name: str = name) -> bool:
            return accepted or step == name

        states = f"A {name} without a key is served."
        yield planted(spec, f"{name}-without-key", "ignored_auth", states, always(key=key), shown_by="probes")


# Times -------------------------------------------------------------------------------------------------------------


def _telling(role: str, change: Callable[[float], float]) -> Hooks:
    def context(_step: StepName, _job: Job, known: Context) -> Context:
        return {**known, role: change(known[role])} if role in known else known

    return always(context=context)


_HOUR = 3600.0
_CREATED: Mapping[str, tuple[str, Sequence[str], Callable[[float], float]]] = {
    "created-in-milliseconds": ("in milliseconds", ("s",), lambda seconds: seconds * 1000),
    "created-hours-off": ("eight hours late", ("s", "ms", "iso8601"), lambda seconds: seconds + 8 * _HOUR),
    "created-an-hour-ago": ("an hour early", ("s", "ms", "iso8601"), lambda seconds: seconds - _HOUR),
    "created-at-zero": ("in 1970", ("s", "ms", "iso8601"), lambda _: 0.0),
}
_INFERENCE: Mapping[str, tuple[str, Sequence[str], Callable[[float], float]]] = {
    "inference-in-seconds": ("in seconds where milliseconds are documented", ("ms",), lambda seconds: seconds / 1000),
    "inference-in-milliseconds": ("in milliseconds", ("s",), lambda seconds: seconds * 1000),
    "inference-zero": ("as zero", ("s", "ms"), lambda _: 0.0),
    "inference-negative": ("as a negative number", ("s", "ms"), lambda seconds: -seconds),
    "inference-too-long": ("as an hour longer than it took", ("s", "ms"), lambda seconds: seconds + _HOUR),
}


def _times(spec: Spec, flow: Flow) -> Iterator[Fault]:
    for role, check, what, rows in (
        ("created", "timestamps", "The date of a job is told", _CREATED),
        ("inference_time", "timings", "The inference time is told", _INFERENCE),
    ):
        field = said(flow, role)
        for name, (states, units, change) in rows.items():
            if field and field.detail.get("unit") in units:
                verdict: Verdict = weighed(spec, field.source, about=[at(field)])
                yield planted(spec, name, check, f"{what} {states}.", _telling(role, change), verdict=verdict)


# Repetition --------------------------------------------------------------------------------------------------------


def _repetition(spec: Spec) -> Iterator[Fault]:
    seed = spec.parameter("seed")
    if seed:
        name = seed.name
        # What a parameter means may be in doubt, even where its values are not.
        verdict = weighed(spec, seed.source, about=[f"{seed.at}/x-harness/role"])

        def seedless(body: Body, order: Order) -> Order:
            rest = {key: value for key, value in body.items() if key != name}
            return replace(order, content=hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest())

        yield planted(
            spec, "seed-without-effect", "reproducible_seed", "Another seed gives the same image.",
            always(order=seedless), name, verdict=verdict, shown_by="repeats",
        )  # fmt: skip
        yield planted(
            spec, "seed-not-kept", "reproducible_seed", "The same seed gives another image each time.",
            _unsteady, name, verdict=verdict, shown_by="repeats",
        )  # fmt: skip
    for parameter in spec.parameters:
        if parameter.default is None or parameter.name in spec.constants or parameter.role in _NO_CONTENT:
            continue

        def explicit(body: Body, order: Order, name: str = parameter.name, default: Any = parameter.default) -> Order:
            return replace(order, content=f"{order.content} explicit") if body.get(name) == default else order

        yield planted(
            spec, f"default-differs-{parameter.name}", "default_equals_explicit",
            f"The default of {parameter.name} gives another image when it is written out.",
            always(order=explicit), parameter.name, shown_by="repeats",
        )  # fmt: skip
    if Verdicts(spec).refusal({**plain_body(spec), "undocumented": 1}) is None:
        yield planted(
            spec, "unknown-fields-sometimes", "unknown_field", "Every second body with an undocumented field is refused.",
            lambda: {"refusal": _fickle({parameter.name for parameter in spec.parameters})},
            verdict="warn", shown_by="repeats",
        )  # fmt: skip


_NO_CONTENT = frozenset({"seed", "images", "image", "synchronous"})
"""Roles whose defaults are no value of an image: a random seed, an empty list, a way of waiting."""


def _unsteady() -> Mapping[str, Callable[..., Any]]:
    orders = [0]

    def order(_body: Body, understood: Order) -> Order:
        orders[0] += 1
        return replace(understood, content=f"{understood.content} {orders[0]}")

    return {"order": order}


def _fickle(known: set[str]) -> Callable[[Any, Refusal | None], Refusal | None]:
    seen = [0]

    def refusal(body: Any, healthy: Refusal | None) -> Refusal | None:
        unknown = sorted(set(body) - known) if isinstance(body, dict) else []
        if healthy or not unknown:
            return healthy
        seen[0] += 1
        return None if seen[0] % 2 else Refusal((Flaw((unknown[0],), f"{unknown[0]}: unexpected"),))

    return refusal
