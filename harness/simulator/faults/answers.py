"""Faults about answers as such: fields missing or of another type, bodies that are no JSON, statuses, refusals.

Rules
-----
* A field is spoilt in a healthy answer, and the row exists only if the documented shape then forbids that answer.
* A job that is polled must be able to go on: what would hide its state is done to the first status answer only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from harness.clock import NS, VirtualClock
from harness.model import Fact, Json
from harness.model import Step as StepName
from harness.simulator.edits import REMOVED, edited, patched
from harness.simulator.faults.fault import (
    Fault,
    Hooks,
    Rewrite,
    Verdict,
    always,
    of_answers,
    of_first_answers,
    plain_body,
    planted,
    weighed,
)  # fmt: skip
from harness.simulator.provider import Account, Endpoint, Job, Reply, success
from harness.simulator.settings import Settings
from harness.simulator.verdicts import Flaw, Refusal
from harness.spec.contract import Field, Flow, Shape, Spec
from harness.validation import validator

JSON_TYPE = "application/json"


def faults(spec: Spec) -> Iterator[Fault]:
    """Every fault of a spec's answers."""
    flow, endpoint = spec.default_flow, still(spec)
    for name in _answered(flow):
        yield from _fields(spec, flow, endpoint, name)
    yield from _bodies(spec, flow)
    yield from _statuses(spec, flow)
    yield from _links(spec, flow)
    yield from _refusals(spec, flow, endpoint)


class _Still(VirtualClock):
    """A clock that stands, for answers that nobody waits for."""

    def now_ns(self) -> int:
        return NS


def still(spec: Spec) -> Endpoint:
    """A healthy endpoint outside time, to see what its answers look like."""
    return Endpoint(spec, Account(spec.provider, Settings(epoch=0.0), _Still()))


def _answered(flow: Flow) -> list[StepName]:
    return [name for name in flow.steps() if name != "cancel"]


def final_step(flow: Flow) -> StepName:
    """The step whose answer holds the outputs."""
    return "result" if flow.result else "status" if flow.status else "submit"


# Fields ------------------------------------------------------------------------------------------------------------

_WRONG: Mapping[type, Json] = {
    str: 12345,
    int: "12345",
    float: "1.5",
    bool: "yes",
    list: {},
    dict: [],
    type(None): 12345,
}
_SPOILS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "omits": ("is missing", lambda _: REMOVED),
    "nulls": ("is null", lambda _: None),
    "mistypes": ("is of another type", lambda value: _WRONG[type(value)]),
}


def _fields(spec: Spec, flow: Flow, endpoint: Endpoint, name: StepName) -> Iterator[Fault]:
    shape, healthy = flow.steps()[name].shape, endpoint.specimen(flow, name, plain_body(spec))
    states = {field.path for field in shape.with_role("status")}
    for path, verb, spoilt, change in _spoilt(shape, healthy):
        verdict = violated(spec, shape, spoilt, flow.steps()[name].operation.source)
        if verdict is None:
            continue
        hides = name == "status" and any(state[: len(path)] == path for state in states)
        spread = of_first_answers if hides else of_answers

        def rewrite(reply: Reply, path: tuple[str, ...] = path, change: Any = change) -> Reply:
            return patched(reply, path, change)

        yield planted(
            spec,
            f"{verb}-{name}-{dotted(path)}",
            "response_schema_conformance",
            f"In the answer to the {name} {dotted(path)} {_SPOILS[verb][0]}.",
            spread(name, rewrite),
            verdict=verdict,
        )


def _spoilt(shape: Shape, healthy: Json) -> Iterator[tuple[tuple[str, ...], str, Json, Callable[[Any], Any]]]:
    for path in dict.fromkeys(field.path for field in shape.fields):
        for verb, (_, change) in _SPOILS.items():
            spoilt = edited(healthy, path, change)
            if spoilt != healthy:
                yield path, verb, spoilt, change


def dotted(path: tuple[str, ...]) -> str:
    """A path as people write it; the elements of a list go without saying, unless they are all there is to name."""
    named = ".".join(part for part in path if part != "*")
    return f"{named}.items" if path[-1:] == ("*",) else named


def violated(spec: Spec, shape: Shape, value: Json, otherwise: Fact) -> Verdict | None:
    """How gravely a value breaks a shape; None where it does not."""
    leaves = [leaf for error in validator(shape.schema).iter_errors(value) for leaf in _leaves(error)]
    verdicts = [_leaf_verdict(spec, shape, leaf, otherwise) for leaf in leaves]
    return None if not leaves else "fail" if "fail" in verdicts else "warn"


def _leaves(error: Any) -> Iterator[Any]:
    """The errors to blame: of several alternatives those of the one that fits best."""
    if error.validator not in ("anyOf", "oneOf") or not error.context:
        yield error
        return
    branches: dict[int, list[Any]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    closest = min(branches.values(), key=lambda some: (any(e.validator in ("const", "enum") for e in some), len(some)))
    for inner in closest:
        yield from _leaves(inner)


def _leaf_verdict(spec: Spec, shape: Shape, error: Any, otherwise: Fact) -> Verdict:
    """Weighed like the checks weigh it: by the nearest stated field, and the places that a doubt may be about."""
    place, path = str(error.schema.get("x-at", "#")), tuple(error.absolute_path)
    about = [place, f"{place}/{error.validator}"]
    if error.validator == "required":
        index = next(i for i, name in enumerate(error.validator_value) if error.message.startswith(repr(name)))
        missing = error.validator_value[index]
        known = error.schema.get("properties", {}).get(missing, {}).get("x-at", f"{place}/properties/{missing}")
        place, path, about = str(known), (*path, missing), [str(known), f"{place}/required/{index}"]
    return weighed(spec, _stated(shape, path, place, otherwise), about=about)


def _stated(shape: Shape, path: tuple[Any, ...], place: str, otherwise: Fact) -> Fact:
    general = tuple("*" if isinstance(part, int) else part for part in path)
    for length in range(len(general), 0, -1):
        near = [(f, f.source) for f in shape.fields if f.path == general[:length] and f.source is not None]
        if near:
            return next((source for field, source in near if field.schema["x-at"] == place), near[0][1])
    return firmest(shape, otherwise)


def firmest(shape: Shape, otherwise: Fact) -> Fact:
    """What a shape as a whole rests on."""
    kinds = ("document", "client", "observed", "assumed")
    return min((f.source for f in shape.fields if f.source), key=lambda fact: kinds.index(fact.kind), default=otherwise)


# Bodies, media types, statuses -------------------------------------------------------------------------------------


def _member(text: bytes) -> Callable[[bytes], bytes]:
    """Put a member, as text, at the end of an object."""
    return lambda body: body[:-1] + b"," + text + b"}"


_BODIES: Mapping[str, tuple[str, Callable[[bytes], bytes]]] = {
    "duplicate-keys": ("names a member twice", lambda body: body[:-1] + b"," + body[1:]),
    "nan": ("holds NaN", _member(b'"note":NaN')),
    "infinity": ("holds a number that overflows", _member(b'"note":1e999')),
    "truncated": ("ends in the middle", lambda body: body[: len(body) * 2 // 3]),
    "trailing-text": ("goes on after its JSON", lambda body: body + b"\n-- served in 12 ms"),
    "byte-order-mark": ("begins with a byte order mark", lambda body: b"\xef\xbb\xbf" + body),
    "latin-1": ("is not UTF-8", _member(b'"note":"\xe9"')),
    "half-surrogate": ("holds half of a surrogate pair", _member(b'"note":"\\ud83d"')),
    "nested": ("is nested a thousand levels deep", _member(b'"note":' + b"[" * 1000 + b"]" * 1000)),
}
_TYPES = {"html": "text/html", "text": "text/plain", "binary": "application/octet-stream"}


def _last(flow: Flow, rewrite: Rewrite) -> Hooks:
    """Rewrite the final answer, or where that is a status, a job's first one."""
    name = final_step(flow)
    return of_first_answers(name, rewrite) if name == "status" else of_answers(name, rewrite)


def _bodies(spec: Spec, flow: Flow) -> Iterator[Fault]:
    name = final_step(flow)
    for fault, (states, change) in _BODIES.items():

        def rewrite(reply: Reply, change: Any = change) -> Reply:
            return replace(reply, body=change(reply.body))

        sentence = f"The answer to the {name} {states}."
        yield planted(spec, f"answers-{fault}", "well_formed_json", sentence, _last(flow, rewrite))
    for step in dict.fromkeys(("submit", name)):
        for short, kind in _TYPES.items():
            operation = flow.steps()[step].operation
            if kind in (operation.answer(success(operation)) or {}):
                continue

            def labelled(reply: Reply, kind: str = kind) -> Reply:
                return replace(reply, media_type=kind)

            yield planted(
                spec,
                f"answers-{step}-as-{short}",
                "content_type_conformance",
                f"The answer to the {step} is declared as {kind}.",
                of_answers(step, labelled),
                verdict=weighed(spec, operation.source),
            )
    wide = {"x-padding": "p" * 70_000}
    for fault, states, headers in (
        ("answers-wide-headers", "has headers of 70 kB", wide),
        ("answers-unasked-encoding", "is encoded as nobody asked", {"content-encoding": "br"}),
    ):

        def headed(reply: Reply, headers: Mapping[str, str] = headers) -> Reply:
            return replace(reply, headers={**reply.headers, **headers})

        yield planted(spec, fault, "limits", f"The answer to the {name} {states}.", _last(flow, headed))


def _statuses(spec: Spec, flow: Flow) -> Iterator[Fault]:
    for name in _answered(flow):
        operation = flow.steps()[name].operation
        for status in (201, 203):
            if operation.answer(status) is None:

                def answered(reply: Reply, status: int = status) -> Reply:
                    return replace(reply, status=status)

                yield planted(
                    spec,
                    f"answers-{name}-with-{status}",
                    "status_code_conformance",
                    f"A successful {name} is answered {status}.",
                    of_answers(name, answered),
                    verdict=weighed(spec, operation.source),
                )

        def redirected(_reply: Reply) -> Reply:
            return Reply(307, b"", "text/plain", {"location": "https://elsewhere.example/"})

        spread = of_first_answers if name == "status" else of_answers
        sentence = f"A {name} is redirected to another host."
        yield planted(spec, f"redirects-{name}", "no_redirect", sentence, spread(name, redirected))
    if any(field.role == "code" for field in flow.submit.shape.fields):

        def miscounted(reply: Reply) -> Reply:
            for field in flow.submit.shape.with_role("code"):
                reply = patched(reply, field.path, lambda _: 202)
            return reply

        states = "The code in the body contradicts the HTTP status."
        yield planted(spec, "body-code-differs", "status_code_conformance", states, of_answers("submit", miscounted))


# Links -------------------------------------------------------------------------------------------------------------

_ORIGINS: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "another-host": ("another company's host", lambda _: "api.elsewhere.example"),
    "lookalike-host": ("a host that only begins like the API's", lambda netloc: f"{netloc.partition(':')[0]}.elsewhere.example"),
    "another-port": ("another port of the host", lambda netloc: f"{netloc.partition(':')[0]}:4443"),
    "user-information": ("another host behind an @", lambda netloc: f"{netloc.partition(':')[0]}@elsewhere.example"),
}  # fmt: skip


def _links(spec: Spec, flow: Flow) -> Iterator[Fault]:
    for field in flow.submit.shape.fields:
        if flow.status is None or not field.role.startswith("link_"):
            continue
        for name, (states, change) in _ORIGINS.items():

            def rewrite(reply: Reply, field: Field = field, change: Any = change) -> Reply:
                return patched(reply, field.path, lambda url: _moved(url, change))

            yield planted(
                spec,
                f"{dotted(field.path)}-leads-to-{name}",
                "url_origin",
                f"The submit's {dotted(field.path)} leads to {states}.",
                of_answers("submit", rewrite),
            )


def _moved(url: Any, change: Callable[[str], str]) -> Any:
    if not isinstance(url, str):
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=change(parts.netloc)))


# Refusals ----------------------------------------------------------------------------------------------------------


def _refusing_step(spec: Spec, flow: Flow) -> StepName:
    invalid = spec.errors.get("invalid")
    return "result" if invalid and invalid.at == "result" and flow.result else "submit"


def _of_refusals(rewrite: Rewrite) -> Hooks:
    """Rewrite the refusals of bodies: those of a submit, and late ones."""

    def reply(name: StepName, job: Job | None, sent: Reply) -> Reply:
        refused = (name == "submit" and job is None) or (job is not None and job.refusal is not None)
        return rewrite(sent) if refused and 400 <= sent.status < 500 else sent

    return always(reply=reply)


def _refusals(spec: Spec, flow: Flow, endpoint: Endpoint) -> Iterator[Fault]:
    name = _refusing_step(spec, flow)
    operation = flow.steps()[name].operation
    parameter = next(p.name for p in spec.parameters if p.name not in spec.constants)
    sample = endpoint.refused(Refusal((Flaw((parameter,), f"{parameter}: no"),)), "request")
    shape = (operation.answer(sample.status) or {}).get(JSON_TYPE)
    if shape is not None:
        yield from _misshapen(spec, shape, sample, operation.source)
    if not operation.documents(418) and "default" not in operation.answers:

        def teapot(reply: Reply) -> Reply:
            return replace(reply, status=418)

        sentence = "An invalid body is refused with a status that no document has."
        yield planted(
            spec, "refuses-with-418", "status_code_conformance", sentence, _of_refusals(teapot),
            verdict="warn", shown_by="rejects",
        )  # fmt: skip
    yield from _misnamed(spec, shape)


_WHOLE: Mapping[str, tuple[str, Rewrite]] = {
    "refuses-with-a-page": ("a web page", lambda sent: replace(sent, body=b"<html>Bad Request</html>", media_type="text/html")),
    "refuses-with-a-list": ("a bare list of texts", lambda sent: replace(sent, body=b'["invalid request"]')),
    "refuses-with-another-object": ("an object of another shape", lambda sent: replace(sent, body=b'{"oops":{"why":7}}')),
}  # fmt: skip


def _misshapen(spec: Spec, shape: Shape, sample: Reply, otherwise: Fact) -> Iterator[Fault]:
    import json

    for name, (states, rewrite) in _WHOLE.items():
        try:
            verdict = violated(spec, shape, json.loads(rewrite(sample).body), otherwise)
        except ValueError:
            verdict = weighed(spec, firmest(shape, otherwise), about=[str(shape.schema["x-at"])])
        if verdict is not None:
            sentence = f"An invalid body is refused with {states}."
            yield planted(
                spec, name, "error_shape", sentence, _of_refusals(rewrite), verdict=verdict, shown_by="rejects"
            )
    for path, verb, spoilt, change in _spoilt(shape, json.loads(sample.body)):
        verdict = violated(spec, shape, spoilt, otherwise)
        if verdict is None:
            continue

        def respelt(reply: Reply, path: tuple[str, ...] = path, change: Any = change) -> Reply:
            return patched(reply, path, change)

        yield planted(
            spec,
            f"{verb}-refusal-{dotted(path)}",
            "error_shape",
            f"In the refusal of a body {dotted(path)} {_SPOILS[verb][0]}.",
            _of_refusals(respelt),
            verdict=verdict,
            shown_by="rejects",
        )


_BLAMED: Mapping[str, tuple[str, Flaw]] = {
    "blames-another-parameter": ("another parameter", Flaw(("callback",), "callback: is not allowed")),
    "blames-nobody": ("no parameter", Flaw((), "The request is not valid.")),
}


def _misnamed(spec: Spec, shape: Shape | None) -> Iterator[Fault]:
    """A refusal names another parameter, or none; only a document that has a field for it promises the right one."""
    field = next(iter(shape.with_role("error_location")), None) if shape else None
    promised = field is not None and field.source is not None and field.source.kind == "document"
    for name, (states, flaw) in _BLAMED.items():

        def refusal(_body: Any, healthy: Refusal | None, flaw: Flaw = flaw) -> Refusal | None:
            return Refusal((flaw,)) if healthy else None

        yield planted(
            spec,
            name,
            "error_names_parameter",
            f"The refusal of a body names {states}.",
            always(refusal=refusal),
            verdict="fail" if promised else "warn",
            shown_by="rejects",
        )
