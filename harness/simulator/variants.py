"""Healthy variants: endpoints that behave otherwise and still keep to their documents.

Rules
-----
* A variant is a row: id, what it does in one sentence, which settings of the simulator it replaces, and hooks. No
  check may ``fail`` on it; ``tolerated`` says whether one may ``warn``, since the documents contradict themselves there.
* There is a row only where the variant can be told from the plain simulator, and where the documented shapes allow
  what it answers.
* Assets on another origin take a run that trusts that origin: the same port under the other name of loopback.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from harness.model import Json, State
from harness.model import Step as StepName
from harness.simulator.answers import Link
from harness.simulator.edits import REMOVED, edited, everywhere, patched, rewritten
from harness.simulator.faults.answers import dotted, final_step, still, violated
from harness.simulator.faults.fault import Hooks, always, plain_body
from harness.simulator.images import Picture
from harness.simulator.provider import Endpoint, Job, Order, Reply
from harness.simulator.variations import Body, Variation
from harness.simulator.verdicts import Flaw, Refusal
from harness.spec.contract import Ambiguity, Flow, Spec

Context = Mapping[str, Any]

ESSENTIAL = frozenset({"outputs", "output_url", "output_base64", "status", "job_id"})
"""Roles that a job cannot do without, whatever a shape calls optional."""

BUSY = 3
"""Which submit finds the provider busy."""

TOGETHER = frozenset({"link_status"})
"""Roles that a document may require following."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One healthy behaviour. ``settings`` replaces fields of the simulator's ``Settings`` for every account."""

    id: str
    target: str
    states: str
    hooks: Hooks = field(default=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    tolerated: bool = False

    def variation(self) -> Variation:
        """How it varies a simulator, with a memory of its own."""
        return Variation(self.id, **self.hooks())


def variants_for(spec: Spec) -> tuple[Variant, ...]:
    """Every healthy variant of a spec's endpoint, in a fixed order."""
    rows = (_times, _refusals, _statuses, _doubts, _optional, _outputs, _texts, _headers, _states)
    return tuple(variant for rows_of in rows for variant in rows_of(spec, spec.default_flow))


def _variant(
    spec: Spec, name: str, states: str, hooks: Hooks = dict, *, tolerated: bool = False, **settings: Any
) -> Variant:
    return Variant(f"{spec.target}:{name}", spec.target, states, hooks, settings, tolerated)


# Time --------------------------------------------------------------------------------------------------------------


def _times(spec: Spec, flow: Flow) -> Iterator[Variant]:
    yield _variant(spec, "capacity-one", "One job runs at a time.", capacity=1)
    yield _variant(spec, "spread-durations", "Durations spread widely around their medians.", sigma=1.0)
    # A time that is told is told as more than nothing.
    shortest = 0.05 if flow.final.shape.with_role("inference_time") else 0.0
    yield _variant(spec, "no-durations", "Jobs take hardly any time.", queue_seconds=0.0, inference_seconds=shortest)


# Refusals ----------------------------------------------------------------------------------------------------------


def _refused(name: StepName, job: Job | None, sent: Reply) -> bool:
    """Whether an answer refuses a body."""
    at_once = name == "submit" and job is None
    return (at_once or (job is not None and job.refusal is not None)) and 400 <= sent.status < 500


def _of_refusals(change: Callable[[Reply], Reply]) -> Hooks:
    def reply(name: StepName, job: Job | None, sent: Reply) -> Reply:
        return change(sent) if _refused(name, job, sent) else sent

    return always(reply=reply)


def _refusals(spec: Spec, flow: Flow) -> Iterator[Variant]:
    invalid = spec.errors.get("invalid")
    if invalid and invalid.at == "result" and flow.result:
        hooks = always(late=lambda _: False)
        yield _variant(spec, "validates-at-submit", "An invalid body is refused by the submit.", hooks)
        if spec.billing_header:
            header = spec.billing_header

            def billed(sent: Reply) -> Reply:
                return replace(sent, headers={**sent.headers, header: "1"})

            yield _variant(spec, "bills-refusals", "A refused result is billed, and says so.", _of_refusals(billed))
    if invalid:
        step = flow.final if invalid.at == "result" and flow.result else flow.submit
        other = 400 if invalid.status == 422 else 422
        if "default" in step.operation.answers and not step.operation.documents(other):

            def answered(sent: Reply) -> Reply:
                return replace(sent, status=other) if sent.status == invalid.status else sent

            states = f"An invalid body is refused with {other}, where no status is documented."
            yield _variant(spec, f"refuses-with-{other}", states, _of_refusals(answered))
        messages = [f.path for f in invalid.shape.with_role("error_message")]

        def reworded(sent: Reply) -> Reply:
            for path in messages:
                sent = patched(sent, path, lambda said: f"参数错误 ({said})" if isinstance(said, str) else said)
            return sent

        def talkative(sent: Reply) -> Reply:
            return rewritten(sent, partial(everywhere, change=lambda node: {**node, "hint": "see our documentation"}))

        if messages:
            yield _variant(spec, "other-error-wording", "Errors are worded otherwise.", _of_refusals(reworded))
        yield _variant(spec, "more-error-members", "Errors have undocumented members.", _of_refusals(talkative))
    yield _variant(spec, "busy-once", "One early submit is answered 429 and may be tried again.", _busy)


def _busy() -> Mapping[str, Callable[..., Any]]:
    asked = [0]

    def instead(endpoint: Endpoint, _body: Any, _refusal: Refusal | None, healthy: Reply | None) -> Reply | None:
        asked[0] += 1
        if asked[0] != BUSY:
            return healthy
        return replace(endpoint.error("too_many", "Slow down."), headers={"retry-after": "1"})

    return {"instead": instead}


# Statuses ----------------------------------------------------------------------------------------------------------


def _statuses(spec: Spec, flow: Flow) -> Iterator[Variant]:
    if flow.status is None:
        return
    for status in (200, 202):
        if status == spec.pending_status or not flow.status.operation.documents(status):
            continue

        def reply(name: StepName, job: Job | None, sent: Reply, status: int = status) -> Reply:
            pending = name == "status" and job is not None and sent.status == spec.pending_status
            return replace(sent, status=status) if pending else sent

        yield _variant(spec, f"pending-{status}", f"A pending status is answered {status}.", always(reply=reply))


# Doubts: the other side of what the documents leave open -----------------------------------------------------------


def _doubts(spec: Spec, flow: Flow) -> Iterator[Variant]:
    for doubt in spec.ambiguities:
        if doubt.contested is None:
            continue
        states = f"Bodies in doubt are refused ({doubt.id})."
        hooks = always(refusal=partial(_strictly, doubt))
        yield _variant(spec, f"refuses-{doubt.id}", states, hooks, tolerated=True)
    yield from _contested_answers(spec, flow)


def _strictly(doubt: Ambiguity, body: Any, healthy: Refusal | None) -> Refusal | None:
    if healthy or not isinstance(body, dict) or not doubt.contests(body):
        return healthy
    return Refusal((Flaw((), f"this body is not supported ({doubt.id})"),))


def _contested_answers(spec: Spec, flow: Flow) -> Iterator[Variant]:
    """Fields that the documents both require and leave out, left out; two encodings at once; a prefix or none."""
    shape, step = flow.final.shape, flow.final.operation
    healthy = still(spec).specimen(flow, final_step(flow), plain_body(spec))
    spare = [f.path for f in shape.fields if not _essential(f.role) and _kept(healthy, f.path) and f.path]
    open_paths = [
        p for p in spare if violated(spec, shape, edited(healthy, p, lambda _: REMOVED), step.source) == "warn"
    ]
    if open_paths and violated(spec, shape, _without(healthy, open_paths), step.source) == "warn":
        names = ", ".join(dotted(path) for path in open_paths)
        states = f"Fields that the documents disagree about are left out: {names}."
        hooks = _of_step(final_step(flow), partial(_without, paths=open_paths))
        yield _variant(spec, "leaves-out-disputed", states, hooks, tolerated=True)
    if shape.with_role("output_url") and shape.with_role("output_base64"):
        yield _variant(
            spec, "url-and-base64", "Images come as an address and as base64.", always(context=_both), tolerated=True
        )

        def prefixed(_name: StepName, _job: Job, known: Context) -> Context:
            made = tuple(
                {**o, "output_base64": f"data:{o['output_type']};base64,{o['output_base64']}"}
                if "output_base64" in o
                else o
                for o in known["outputs"]
            )
            return {**known, "outputs": made}

        states = "Base64 is preceded by a data URI's beginning."
        yield _variant(spec, "base64-as-data-uri", states, always(context=prefixed), tolerated=True)


def _both(_name: StepName, job: Job, known: Context) -> Context:
    import base64

    pairs = zip(known["outputs"], job.pictures, strict=False)
    made = ({"output_base64": base64.b64encode(job.endpoint.encoded(p)).decode(), **output} for output, p in pairs)
    return {**known, "outputs": tuple(made)}


def _essential(role: str) -> bool:
    return role in ESSENTIAL or role in TOGETHER


def _kept(value: Json, path: tuple[str, ...]) -> bool:
    """Whether a value has anything at a path."""
    return bool(edited(value, path, lambda _: REMOVED) != value)


def _changed(value: Json, paths: Iterable[tuple[str, ...]], change: Callable[[Any], Any]) -> Json:
    for path in paths:
        value = edited(value, path, change)
    return value


_without = partial(_changed, change=lambda _: REMOVED)


def _of_step(step: StepName, change: Callable[[Json], Json]) -> Hooks:
    """Rewrite the JSON of a step's successful answers."""

    def reply(name: StepName, job: Job | None, sent: Reply) -> Reply:
        return rewritten(sent, change) if name == step and job is not None and sent.status < 300 else sent

    return always(reply=reply)


# Optional fields ---------------------------------------------------------------------------------------------------

_LESS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "absent": ("Optional fields are left out", lambda _: REMOVED),
    "null": ("Fields that may be null are", lambda _: None),
    "empty": ("Objects and lists that may be empty are", lambda value: type(value)() if isinstance(value, (dict, list)) else value),
}  # fmt: skip


def _optional(spec: Spec, flow: Flow) -> Iterator[Variant]:
    """Each answer with as little in it as its shape allows, in three ways."""
    endpoint, body = still(spec), plain_body(spec)
    for name, (states, change) in _LESS.items():
        for step_name, step in flow.steps().items():
            if step_name == "cancel":
                continue
            healthy = endpoint.specimen(flow, step_name, body)
            carries = [f.path for f in step.shape.fields if _essential(f.role) or f.role == "content_flags"]
            paths: list[tuple[str, ...]] = []
            for candidate in dict.fromkeys(f.path for f in step.shape.fields):
                if any(path[: len(candidate)] == candidate for path in carries) or candidate[-1:] == ("*",):
                    continue
                made = edited(healthy, candidate, change)
                if made != healthy and violated(spec, step.shape, made, step.operation.source) is None:
                    healthy, paths = made, [*paths, candidate]
            if not paths:
                continue

            hooks = _of_step(step_name, partial(_changed, paths=paths, change=change))
            shown = ", ".join(dotted(path) for path in paths)
            yield _variant(spec, f"optional-{name}-in-{step_name}", f"{states}: {shown}.", hooks)


# Outputs -----------------------------------------------------------------------------------------------------------


def _outputs(spec: Spec, flow: Flow) -> Iterator[Variant]:
    if flow.final.shape.with_role("output_url"):
        yield _variant(spec, "assets-elsewhere", "Images lie on another origin.", always(address=_elsewhere))
        yield _variant(spec, "signed-assets", "Addresses of images are signed anew whenever they are told.", _signing)

    def larger(_job: Job, made: tuple[Picture, ...]) -> tuple[Picture, ...]:
        return tuple(replace(p, width=p.width * 5 // 4, height=p.height * 5 // 4) for p in made)

    yield _variant(spec, "larger-images", "Images are larger.", always(pictures=larger))
    if spec.parameter("format") is None:
        for kind in ("png", "webp"):

            def order(_body: Body, understood: Order, kind: str = kind) -> Order:
                return replace(understood, format=kind)

            yield _variant(
                spec, f"{kind}-images", f"Images are {kind}, where no format can be asked for.", always(order=order)
            )
    if spec.asked("ratio", {}) is None:

        def shaped(_body: Body, understood: Order) -> Order:
            return understood if understood.ratio is not None else replace(understood, ratio="4:3")

        yield _variant(
            spec, "own-ratio", "Images have a ratio of their own where none is asked for.", always(order=shaped)
        )
    if spec.parameter("enhance") and flow.final.shape.with_role("prompt"):
        yield _variant(spec, "enhances-prompts", "The prompt is rewritten where that is asked for.", _enhancing(spec))
    if flow.final.shape.with_role("seed"):
        yield _variant(spec, "large-seeds", "Seeds that nobody sent have 18 digits.", _large_seeds(spec))


def _elsewhere(_picture: Picture, url: str) -> str:
    parts = urlsplit(url)
    name = "127.0.0.1" if parts.hostname == "localhost" else "localhost"
    return urlunsplit(parts._replace(netloc=f"{name}:{parts.port}" if parts.port else name))


def _signing() -> Mapping[str, Callable[..., Any]]:
    told: Counter[str] = Counter()

    def address(_picture: Picture, url: str) -> str:
        told[url] += 1
        return f"{url}?Expires=1999999999&Signature={told[url]:040x}"

    return {"address": address}


def _enhancing(spec: Spec) -> Hooks:
    """A body is only seen when it is ordered: what its answers say of the prompt is decided there."""

    def order(body: Body, understood: Order) -> Order:
        asked = spec.asked("enhance", body) is True and isinstance(understood.prompt, str)
        return replace(understood, prompt=f"{understood.prompt}, in soft light") if asked else understood

    return always(order=order)


def _large_seeds(spec: Spec) -> Hooks:
    def order(body: Body, understood: Order) -> Order:
        parameter = spec.parameter("seed")
        sent = body.get(parameter.name) if parameter else None
        return understood if sent == understood.seed else replace(understood, seed=understood.seed + 10**17)

    return always(order=order)


# Texts and headers -------------------------------------------------------------------------------------------------


def _texts(spec: Spec, flow: Flow) -> Iterator[Variant]:
    endpoint, body = still(spec), plain_body(spec)

    def annotated(node: Mapping[str, Json]) -> Mapping[str, Json]:
        return {**node, "x_trace": {"region": "eu-1", "attempt": 1}}

    def opened(value: Json) -> Json:
        return everywhere(value, annotated)

    closed = [
        violated(spec, step.shape, opened(endpoint.specimen(flow, name, body)), step.operation.source)
        for name, step in flow.steps().items()
        if name != "cancel"
    ]
    if not any(closed):
        yield _variant(spec, "more-fields", "Every object in every answer has an undocumented field.", _of_all(opened))

    def indented(_name: StepName, _job: Job | None, sent: Reply) -> Reply:
        try:
            value = json.loads(sent.body)
        except ValueError:
            return sent
        return replace(sent, body=json.dumps(_reversed(value), ensure_ascii=True, indent=2).encode() + b"\n")

    states = "Answers are indented, their members in another order, all but ASCII escaped."
    yield _variant(spec, "other-json-text", states, always(reply=indented))


def _reversed(value: Json) -> Json:
    return everywhere(value, lambda node: dict(reversed(list(node.items()))))


def _of_all(change: Callable[[Json], Json]) -> Hooks:
    def reply(_name: StepName, _job: Job | None, sent: Reply) -> Reply:
        return rewritten(sent, change)

    return always(reply=reply)


def _headers(spec: Spec, flow: Flow) -> Iterator[Variant]:
    def charset(_name: StepName, _job: Job | None, sent: Reply) -> Reply:
        return replace(sent, media_type=f"{sent.media_type}; charset=utf-8")

    def capitals(_name: StepName, _job: Job | None, sent: Reply) -> Reply:
        return replace(sent, capitals=True, media_type=sent.media_type.title())

    yield _variant(spec, "charset", "Content types name a character set.", always(reply=charset))
    yield _variant(
        spec, "capital-headers", "Header names are in capitals, media types in mixed letters.", always(reply=capitals)
    )
    if any(field.role.startswith("link_") for field in flow.submit.shape.fields) and not _followed(flow):

        def queried(_name: StepName, _job: Job, known: Context) -> Context:
            links = {role: value for role, value in known.items() if isinstance(value, Link)}
            return {**known, **{role: replace(link, path=f"{link.path}?source=api") for role, link in links.items()}}

        yield _variant(spec, "links-with-query", "Links carry a query of their own.", always(context=queried))


def _followed(flow: Flow) -> bool:
    return any(step.follow for step in flow.steps().values())


# States ------------------------------------------------------------------------------------------------------------

_SKIPS: Mapping[str, tuple[str, State, State]] = {
    "never-queued": ("Jobs are said to run as soon as they are accepted.", "queued", "running"),
    "never-running": ("Jobs are said to wait until they are complete.", "running", "queued"),
}


def _states(spec: Spec, flow: Flow) -> Iterator[Variant]:
    if flow.status is None or not {"queued", "running"} <= set(flow.states.values()):
        return
    for name, (states, skipped, shown) in _SKIPS.items():

        def state(step: StepName, _job: Job, truth: State, skipped: State = skipped, shown: State = shown) -> State:
            return shown if step == "status" and truth == skipped else truth

        yield _variant(spec, name, states, always(state=state))
