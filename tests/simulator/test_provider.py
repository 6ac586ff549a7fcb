"""What the simulated providers answer, in virtual time: each claim for every flow of every spec that there is."""

from __future__ import annotations

import asyncio
import base64
import itertools

import pytest

from harness.simulator import Settings, Variation


@pytest.fixture
def job(lab):
    """Run one whole job of a flow; the caller that ran it and its last answer."""

    def run(spec, flow, settings=lab.SETTINGS, fetch=False, **by_role):
        async def scenario(client):
            caller = lab.Caller(client, spec, flow)
            answer = await caller.run(lab.body_of(spec, flow, **by_role))
            files = [await bytes_of(client, output) for output in caller.outputs(answer)] if fetch else []
            return caller, answer, files

        return lab.simulate(scenario, settings)

    return run


async def bytes_of(client, output):
    """An output's bytes and media type, whichever way it was sent."""
    if output.base64 is not None or output.url.startswith("data:"):
        header, comma, data = (output.base64 or output.url).rpartition(",")
        media_type = header.removeprefix("data:").removesuffix(";base64") if comma else None
        return base64.b64decode(data, validate=True), media_type
    answer = await client.get(output.url)
    return answer.content, answer.headers["content-type"]


def test_answers_fit_the_documented_shapes(job, lab, spec, flow):
    """From submit to output every answer has a documented status and validates against its step's schema."""
    caller, _, _ = job(spec, flow)
    steps = flow.steps()
    for name, answer in caller.answers:
        assert steps[name].operation.documents(answer.status_code)
        assert lab.faults_in(steps[name].shape, answer.json()) == []
    assert {name for name, _ in caller.answers} == set(steps) - {"cancel"}


def test_states_rise(job, spec, flow):
    """A polled job is queued, then running, then completed, as far as the provider has words for it."""
    caller, _, _ = job(spec, flow)
    polled = [caller.state(answer) for name, answer in caller.answers if name == "status"]
    words = set(flow.states.values())
    expected = [s for s in ("queued", "running", "completed") if s in words] if flow.status else []
    assert [state for state, _ in itertools.groupby(polled)] == expected


def test_pending_status(job, spec, flow):
    """A status answer has the spec's own HTTP status until the job is complete."""
    caller, _, _ = job(spec, flow)
    statuses = [answer.status_code for name, answer in caller.answers if name == "status"]
    pending = len(statuses) - 1 if statuses else 0
    assert statuses == [spec.pending_status] * pending + [200] * bool(statuses)


def test_no_outputs_before_completion(job, spec, flow):
    """Answers about a job that is not complete describe no image."""
    caller, _, _ = job(spec, flow)
    early = [(name, answer) for name, answer in caller.answers[:-1]]
    assert [flow.steps()[name].shape.outputs(answer.json()) for name, answer in early] == [[]] * len(early)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_as_many_images_as_asked(job, spec, flow, count):
    """The number of outputs is what the count parameter asks; one where there is none. All are different images."""
    _, _, files = job(spec, flow, fetch=True, count=count)
    expected = count if spec.parameter("count") else 1
    assert len({data for data, _ in files}) == len(files) == expected


@pytest.mark.parametrize("name", ["jpeg", "png"])
def test_the_format_asked_for(job, lab, spec, flow, name):
    """Bytes, content type and declared type agree with the format asked for; JPEG where none can be."""
    parameter = spec.parameter("format")
    caller, answer, files = job(spec, flow, fetch=True, format=name)
    expected = name if parameter else "jpeg"
    for (data, media_type), output in zip(files, caller.outputs(answer), strict=True):
        assert lab.decoded(data).format == expected.upper()
        assert media_type in (f"image/{expected}", None)
        assert output.media_type in (f"image/{expected}", None)


@pytest.mark.parametrize("ratio", ["21:9", "1:1", "9:16"])
def test_the_ratio_asked_for(job, lab, spec, flow, ratio):
    """Images have the ratio asked for and the size that the answer declares."""
    caller, answer, files = job(spec, flow, fetch=True, ratio=ratio)
    wide, high = map(int, ratio.split(":")) if spec.parameter("ratio") else (1, 1)
    for (data, _), output in zip(files, caller.outputs(answer), strict=True):
        image = lab.decoded(data)
        assert image.width / image.height == pytest.approx(wide / high, rel=0.01)
        assert (output.width, output.height) in ((image.width, image.height), (None, None))


def test_the_encoding_asked_for(job, spec, flow):
    """Each value of the encoding parameter is answered the way the spec says that it means."""
    parameter = spec.parameter("encoding")
    for row in parameter.detail["encodings"] if parameter else ():
        caller, answer, _ = job(spec, flow, encoding=row["value"])
        (output,) = caller.outputs(answer)
        text = output.url if output.base64 is None else output.base64
        kind = "data_uri" if text.startswith("data:") else "url" if text.startswith("http") else "base64"
        assert kind == row["means"]


def test_seed_prompt_flags_and_model_are_echoed(job, spec, flow):
    """What the final answer repeats of the request is what was sent; one content flag for each image."""
    caller, answer, _ = job(spec, flow, seed=1234, prompt="ein Füchslein 🦊", count=2)
    shape, value = flow.final.shape, answer.json()
    flags = shape.one("content_flags", value)
    expected = {
        "seed": 1234,
        "prompt": "ein Füchslein 🦊",
        "content_flags": [False] * len(caller.outputs(answer)),
    }
    for role, wanted in expected.items():
        if shape.with_role(role):
            assert shape.one(role, value) == wanted
    assert flags is None or flags


def test_a_seed_is_drawn_when_none_is_given(job, spec, flow):
    """Without a seed, or with the one that asks for a random one, the answer names the seed that was drawn."""
    detail = spec.parameter("seed").detail
    for by_role in ({}, {"seed": detail["random"]}) if "random" in detail else ({},):
        _, answer, _ = job(spec, flow, **by_role)
        if flow.final.shape.with_role("seed"):
            assert flow.final.shape.one("seed", answer.json()) not in (None, -1)


def test_equal_seeds_give_equal_images(lab, spec, flow):
    """The same body with a seed gives the same image twice; another seed another; without a seed each one is new."""

    async def scenario(client):
        files = []
        for seed in (7, 7, 8, None, None):
            caller = lab.Caller(client, spec, flow)
            answer = await caller.run(lab.body_of(spec, flow, **({} if seed is None else {"seed": seed})))
            files.append((await bytes_of(client, caller.outputs(answer)[0]))[0])
        return files

    files = lab.simulate(scenario)
    assert files[0] == files[1]
    assert len(set(files)) == 4


def test_explicit_defaults_change_nothing(job, spec, flow):
    """A body with every default written out gives the image of the body without them."""
    defaults = {
        p.role: p.default for p in spec.parameters if p.default is not None and p.role not in ("seed", "images")
    }
    plain, explicit = (
        job(spec, flow, fetch=True, seed=7, **more)[2]
        for more in ({}, {role: value for role, value in defaults.items() if role != "synchronous"})
    )
    assert plain == explicit


def test_inference_time_in_its_unit(job, spec, flow):
    """The reported inference time is the simulated one: positive and not above the time that passed."""
    _, answer, _ = job(spec, flow)
    for field in flow.final.shape.with_role("inference_time"):
        scale = {"s": 1.0, "ms": 0.001}[field.detail["unit"]]
        reported = flow.final.shape.one("inference_time", answer.json()) * scale
        assert 0.8 < reported < 5.0


def test_created_is_dated(job, spec, flow):
    """The date of a job is the clock's, in the field's own unit."""
    _, answer, _ = job(spec, flow)
    for field in flow.final.shape.with_role("created"):
        found = flow.final.shape.one("created", answer.json())
        assert found == {"s": 1_764_000_000, "iso8601": "2025-11-24T16:00:00.000Z"}[field.detail["unit"]]


def test_two_runs_are_equal(job, spec, flow):
    """Two simulators with one seed answer the same bytes to the same requests; another seed answers others."""
    transcripts = [
        [answer.content for _, answer in job(spec, flow, Settings(seed=seed, epoch=0.0), count=2)[0].answers]
        for seed in (1, 1, 2)
    ]
    assert transcripts[0] == transcripts[1]
    assert transcripts[0] != transcripts[2]


def test_zero_durations_complete_at_the_first_poll(job, spec, flow):
    """With no queue and no inference a job is complete when first asked about, and no time passes."""
    caller, _, _ = job(spec, flow, Settings(queue_seconds=0, inference_seconds=0))
    expected = [name for name in ("submit", "status", "result") if name in flow.steps()]
    assert [name for name, _ in caller.answers] == expected


@pytest.mark.parametrize(
    "fault", [("prompt", 5), ("prompt", None), ("format", "bmp"), ("seed", "x"), ("seed", True)], ids=str
)
def test_invalid_bodies_are_refused_where_the_spec_says(job, lab, spec, flow, fault):
    """An invalid body gets the documented status and shape, at the documented step, and the parameter's name."""
    role, value = fault
    parameter = spec.parameter(role)
    if parameter is None:
        return
    documented = spec.errors["invalid"]
    caller, answer, _ = job(spec, flow, **{role: value})
    late = documented.at == "result" and flow.result is not None
    assert answer.status_code == documented.status
    assert lab.faults_in(documented.shape, answer.json()) == []
    assert parameter.name in answer.text
    assert caller.answers[-1][0] == ("result" if late else "submit")
    assert [caller.state(a) for name, a in caller.answers if name == "status"][-1:] == ["completed"] * late


def test_missing_required_parameters_are_named(lab, spec, flow):
    """What is required and missing is named, unless a document leaves that open."""
    for parameter in spec.parameters:
        body = lab.body_of(spec, flow)
        if parameter.required and not spec.contested({k: v for k, v in body.items() if k != parameter.name}):
            del body[parameter.name]

            async def scenario(client, body=body):
                return await lab.Caller(client, spec, flow).run(body)

            answer = lab.simulate(scenario)
            assert (answer.status_code, parameter.name in answer.text) == (spec.errors["invalid"].status, True)


def test_contested_bodies_are_accepted_and_only_they(lab):
    """A numeric safety tolerance is open at fal, so it is accepted; a guidance scale beside it is not excused."""
    spec = lab.SPECS["fal/flux-pro-kontext-multi"]
    flow = spec.flows["sync"]

    async def scenario(client):
        bodies = [lab.body_of(spec, safety=3), lab.body_of(spec, safety=3, guidance=21), lab.body_of(spec, safety=7)]
        return [(await lab.Caller(client, spec, flow).run(body)).status_code for body in bodies]

    assert lab.simulate(scenario) == [200, 422, 422]


def test_the_documents_own_examples_of_doubt_are_accepted(lab, spec):
    """Every example body that an ambiguity quotes is answered as accepted."""
    import yaml

    node = yaml.safe_load(spec.text)["x-harness"]
    examples = [
        e["value"] for a in node.get("ambiguities", ()) for e in a.get("examples", ()) if e["at"].endswith("Input")
    ]

    async def scenario(client):
        return [(await lab.Caller(client, spec, spec.default_flow).run(body)).status_code for body in examples]

    assert lab.simulate(scenario) == [200] * len(examples)


def test_unknown_job(lab, spec, flow):
    """Every operation on a job that there is none of answers 404 in the provider's shape."""

    async def scenario(client):
        caller = lab.Caller(client, spec, flow)
        submitted = (await caller.submit(lab.body_of(spec, flow))).json()
        job_id = flow.submit.shape.one("job_id", submitted)
        found = []
        for name, step in flow.steps().items():
            if name != "submit":
                url = step.followed(submitted) or caller.base + str(step.path(submitted))
                other = url.replace(job_id, "00000000-0000-4000-8000-000000000000")
                found.append(await caller.send(name, step.operation.method, other))
        return found

    known = spec.errors.get("unknown_job")
    for answer in lab.simulate(scenario):
        assert answer.status_code == (known.status if known else 404)
        assert isinstance(answer.json(), dict)


def test_early_result(lab, spec, flow):
    """The result of a job in progress is refused as documented."""
    if flow.result is None:
        return

    async def scenario(client):
        caller = lab.Caller(client, spec, flow)
        return await caller.read("result", (await caller.submit(lab.body_of(spec, flow))).json())

    answer = lab.simulate(scenario)
    known = spec.errors["early_result"]
    assert (answer.status_code, lab.faults_in(known.shape, answer.json())) == (known.status, [])


def test_cancel(lab, spec, flow):
    """A queued job can be cancelled once; a finished one cannot."""
    if flow.cancel is None:
        return

    async def scenario(client):
        caller = lab.Caller(client, spec, flow)
        first = (await caller.submit(lab.body_of(spec, flow))).json()
        answers = [await caller.read("cancel", first), await caller.read("cancel", first)]
        done = lab.Caller(client, spec, flow)
        await done.run(lab.body_of(spec, flow))
        return [*answers, await caller.read("cancel", done.answers[0][1].json())]

    cancelled, again, late = lab.simulate(scenario)
    operation = flow.cancel.operation
    assert cancelled.is_success
    assert operation.documents(cancelled.status_code)
    assert lab.faults_in(flow.cancel.shape, cancelled.json()) == []
    assert (again.status_code, late.status_code) == (400, 400)


def test_cancellation_words(lab):
    """At fal an answer names what came of a cancellation: requested, too late, no such job."""
    spec = lab.SPECS["fal/flux-pro-kontext-multi"]

    async def scenario(client):
        caller = lab.Caller(client, spec, spec.flows["queue"])
        submitted = (await caller.submit(lab.body_of(spec))).json()
        answers = [await caller.read("cancel", submitted), await caller.read("cancel", submitted)]
        answers.append(await caller.read("cancel", {"request_id": "none"}))
        return [(answer.status_code, answer.json()) for answer in answers]

    assert lab.simulate(scenario) == [
        (202, {"status": "CANCELLATION_REQUESTED"}),
        (400, {"status": "ALREADY_COMPLETED"}),
        (404, {"status": "NOT_FOUND"}),
    ]


def test_a_cancelled_job_has_no_result(lab):
    """At fal the result of a cancelled job is refused, and never becomes available."""
    spec = lab.SPECS["fal/flux-pro-kontext-multi"]

    async def scenario(client):
        caller = lab.Caller(client, spec, spec.flows["queue"])
        submitted = (await caller.submit(lab.body_of(spec))).json()
        await caller.read("cancel", submitted)
        await asyncio.sleep(60)
        return (await caller.read("result", submitted)).status_code

    assert lab.simulate(scenario) == 400


def test_capacity(lab):
    """Four jobs of about two seconds on one place take four times as long as on four, and wait in line."""
    spec = lab.SPECS["fal/flux-pro-kontext-multi"]
    flow = spec.flows["queue"]

    async def scenario(client):
        async def one(number):
            caller = lab.Caller(client, spec, flow, every=0.05)
            await caller.run(lab.body_of(spec, prompt=f"fox {number}"))
            positions = [
                flow.status.shape.one("queue_position", a.json()) for name, a in caller.answers if name == "status"
            ]
            return asyncio.get_running_loop().time(), [p for p in positions if p is not None]

        began = asyncio.get_running_loop().time()
        ended = await asyncio.gather(*(one(number) for number in range(4)))
        return max(end for end, _ in ended) - began, [positions for _, positions in ended]

    def run(capacity):
        return lab.simulate(scenario, Settings(queue_seconds=0, inference_seconds=2, sigma=0, capacity=capacity))

    assert run(1)[0] == pytest.approx(8.0, abs=0.1)
    assert run(4)[0] == pytest.approx(2.0, abs=0.1)
    positions = run(1)[1]
    assert positions[0] == []
    assert [max(seen) for seen in positions[1:]] == [0, 1, 2]
    assert all(seen == sorted(seen, reverse=True) for seen in positions)


def test_durations_spread_around_their_median():
    """Of 2000 jobs half take longer than the median, and the spread is lognormal with the sigma that was set."""
    from math import log
    from statistics import median, stdev

    from harness.simulator.provider import Draw

    seconds = [Draw(0, "t", n).lognormal("inference", 4.0, 0.3) / 1e9 for n in range(2000)]
    assert median(seconds) == pytest.approx(4.0, rel=0.03)
    assert stdev(map(log, seconds)) == pytest.approx(0.3, rel=0.05)


def test_a_body_that_asks_to_wait_gets_its_outputs_at_once(lab):
    """The synchronous parameter makes the submit of a polled flow answer with the finished image, after its time."""
    for target in ("wavespeed/flux-kontext-pro-multi", "miniature/edit"):
        spec = lab.SPECS[target]
        flow = spec.flows["poll"]

        async def scenario(client, spec=spec, flow=flow):
            began = asyncio.get_running_loop().time()
            answer = await lab.Caller(client, spec, flow).submit(lab.body_of(spec, synchronous=True))
            return len(flow.submit.shape.outputs(answer.json())), asyncio.get_running_loop().time() - began

        count, seconds = lab.simulate(scenario, Settings(queue_seconds=1, inference_seconds=2, sigma=0))
        assert (count, seconds) == (1, pytest.approx(3.0))


def test_a_synchronous_base_url_with_a_body_that_does_not_wait_is_polled(lab):
    """Flows on one server differ by the body alone: a job submitted under one prefix is read under the other."""
    spec = lab.SPECS["wavespeed/flux-kontext-pro-multi"]

    async def scenario(client):
        caller = lab.Caller(client, spec, spec.flows["poll"], base="/wavespeed/sync")
        return caller.outputs(await caller.run(lab.body_of(spec)))

    assert len(lab.simulate(scenario)) == 1


def test_endpoints_that_share_a_path_are_told_apart_by_their_constants(lab):
    """UModelVerse's two endpoints: what one documents the other refuses."""
    single, multi = (lab.SPECS[f"umodelverse/flux-kontext-pro{suffix}"] for suffix in ("", "-multi"))

    async def scenario(client):
        answers = []
        for spec in (single, multi):
            body = lab.body_of(spec) | {single.parameter("guidance").name: 15}
            answers.append((await lab.Caller(client, spec, spec.flows["sync"]).submit(body)).status_code)
        body = lab.body_of(single) | {"model": "no-such-model"}
        answers.append((await lab.Caller(client, single, single.flows["sync"]).submit(body)).status_code)
        return answers

    assert lab.simulate(scenario) == [200, 400, 400]


def test_links_lead_to_the_jobs_own_operations(lab, spec, flow):
    """Links stand on the base in use and can be followed there, except where the document shows a foreign host."""

    async def scenario(client):
        caller = lab.Caller(client, spec, flow)
        submitted = (await caller.submit(lab.body_of(spec, flow))).json()
        followed = {}
        for field in flow.submit.shape.fields:
            if field.role in ("link_status", "link_result"):
                url = flow.submit.shape.one(field.role, submitted)
                foreign = field.detail.get("foreign")
                origin = foreign or f"{lab.ORIGIN}{caller.base}"
                assert url.startswith(origin + "/")
                path = url.replace(foreign, caller.base) if foreign else url
                followed[url] = (await caller.send("status", "GET", path)).status_code
        return followed

    assert set(lab.simulate(scenario).values()) <= {200, 202, 400}


def test_billing_header(job, spec, flow):
    """Where the spec names a header that counts what was billed, the final answer has it, and no other."""
    caller, answer, _ = job(spec, flow, count=2)
    if spec.billing_header:
        assert answer.headers[spec.billing_header] == "2"
        assert [spec.billing_header in a.headers for _, a in caller.answers[:-1]] == [False] * (len(caller.answers) - 1)


def test_variations_enter_where_decisions_are_made(lab):
    """A variation of each hook changes what its hook decides, for its own target only."""
    from dataclasses import replace

    spec = lab.SPECS["fal/flux-pro-kontext-multi"]
    flow = spec.flows["queue"]
    cases = {
        "refusal": Variation("accepts-all", refusal=lambda *_: None),
        "order": Variation("always-three", order=lambda _, order: replace(order, count=3)),
        "pictures": Variation("one-too-few", pictures=lambda _, pictures: pictures[1:]),
        "context": Variation("forgets-prompt", context=lambda *shown: {**shown[-1], "prompt": "x"}),
        "reply": Variation("teapot", reply=lambda *shown: replace(shown[-1], status=418)),
        "asset": Variation("wrong-bytes", asset=lambda _, reply: replace(reply, body=b"GIF89a")),
    }

    async def scenario(client):
        caller = lab.Caller(client, spec, flow)
        answer = await caller.run(lab.body_of(spec, count=2) | {"guidance_scale": 99})
        if answer.status_code != 200:
            return answer.status_code, None, None, None
        outputs = caller.outputs(answer)
        data, _ = await bytes_of(client, outputs[0])
        return answer.status_code, len(outputs), answer.json()["prompt"] == "x", data == b"GIF89a"

    def run(*names):
        return lab.simulate(scenario, variations={spec.target: tuple(cases[name] for name in names)})

    assert run() == (422, None, None, None)
    assert run("refusal") == (200, 2, False, False)
    assert run("refusal", "order") == (200, 3, False, False)
    assert run("refusal", "pictures") == (200, 1, False, False)
    assert run("refusal", "context") == (200, 2, True, False)
    assert run("reply") == (418, None, None, None)
    assert run("refusal", "asset") == (200, 2, False, True)
