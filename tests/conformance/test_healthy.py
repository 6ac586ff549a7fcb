"""Healthy providers that differ in what the documents leave open are never failed, and the money adds up."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from harness import run
from harness.config import Config, Provider
from harness.report import document
from harness.simulator import Settings, Variant, planted, spawned, variants_for
from harness.targets import Request
from harness.urls import show_origin
from tests.calls import SPECS, TODAY, simulated

ELSEWHERE = "assets-elsewhere"
"""The variant that serves its files from another origin: it needs real hosts, and a user who trusts both."""


def variants() -> Iterator[Any]:
    """Each variant once; on further targets they are swept."""
    seen: set[str] = set()
    for spec in SPECS.values():
        for variant in variants_for(spec):
            name = variant.id.partition(":")[2]
            if name != ELSEWHERE:
                marks = [pytest.mark.exhaustive] if name in seen else []
                seen.add(name)
                yield pytest.param(variant, id=variant.id, marks=marks)


SOME = (
    "accept/*", "repeat/*", "probe/*", "prompt/*", "*/missing", "*/empty", "*/below-minimum", "*/beyond-64-bits", "*/nan",
    "*/item-page", "*/page", "body/root-*", "body/u*", "content-type/*", "method/*",
)  # fmt: skip
"""What variants are asked: all that is paid, all probes, all that is contested, and rejects of each kind.

The whole of the rejects is sent to the plain provider here, and to every variant by ``tests/benchmarks/bench_healthy.py``.
"""


def failures(variant: Variant | None, target: str, seed: int, *, whole: bool = False) -> list[tuple[str, str]]:
    spec = SPECS[target]
    chosen = [variant.id] if variant else []
    variations, settings = planted([spec], replace(TODAY, seed=seed), variants=chosen)
    cases = () if whole else tuple(f"{target}/{name}" for name in SOME)
    request = Request("simulate", seed=seed, repeats=True, cases=cases)
    done = simulated(request, spec, settings=settings, variations=variations)
    assert done.ended.complete
    found = document.build(done.history, done.specs).document["targets"][target]
    return [(one["check"], one["message"]) for one in found["findings"] if one["verdict"] in ("fail", "unknown")]


@pytest.mark.parametrize("variant", list(variants()))
def test_a_healthy_variant_is_never_failed(variant):
    """No check fails, nor gives up, on a provider that does what its documents say."""
    assert failures(variant, variant.target, seed=len(variant.id)) == []


@pytest.mark.parametrize("target", SPECS)
def test_a_healthy_provider_is_never_failed_whatever_the_seed(target):
    """Other plans, durations and images: never a failure. The rejects, which no seed changes, are sent once."""
    assert [failures(None, target, seed, whole=seed == 0) for seed in range(3)] == [[]] * 3


@pytest.mark.parametrize("target", SPECS)
def test_files_on_another_origin_are_fetched_when_it_is_trusted(target, tmp_path):
    """Over HTTP: a provider may keep its images elsewhere, and a user may name that place."""
    spec = SPECS[target]
    with spawned([spec], Settings.quick(), variants=[f"{target}:{ELSEWHERE}"]) as urls:
        url = urls[f"{spec.provider}:{spec.default_flow.name}"]
        there = show_origin(url.replace("127.0.0.1", "localhost"))
        request = Request(
            "live", base_urls={(spec.provider, None): url}, rejects=False, max_cases=3, out=tmp_path / "run"
        )
        settings = Config(providers={spec.provider: Provider(origins=(there,))})
        done = run.check([spec], request, settings, {spec.credential.env: "some-key-of-mine"})
    steps = [e.url for one in done.result.targets[0].judged if one.call for e in one.call.of("asset")]
    assert {show_origin(step) for step in steps} == {there}
    assert done.exit_status == 0
