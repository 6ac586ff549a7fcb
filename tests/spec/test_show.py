"""What a person sees of a spec."""

from __future__ import annotations

import io

import pytest

from harness.spec import find, parse
from harness.spec.show import WIDTH, console, listing, show


def shown(*targets: str, as_listing: bool = False) -> str:
    stream = io.StringIO()
    specs = find(targets)
    if as_listing:
        listing(specs, console(stream))
    else:
        show(specs[0], console(stream))
    return stream.getvalue()


@pytest.mark.parametrize("spec", find(()), ids=lambda spec: spec.target)
def test_it_reads_at_100_columns_in_plain_text(spec):
    """No line is wider than 100 columns, ends in a blank, or holds an escape sequence."""
    lines = shown(spec.target).splitlines()
    assert [line for line in lines if len(line) > WIDTH or line != line.rstrip() or not line.isprintable()] == []


@pytest.mark.parametrize("spec", find(()), ids=lambda spec: spec.target)
def test_everything_a_reader_needs_is_there(spec):
    """Every parameter, role, interaction, operation, state and ambiguity, the key and the price with its date."""
    text = shown(spec.target)
    words = [*(p.name for p in spec.parameters), *(p.role for p in spec.parameters), *spec.operations]
    words += [operation.path for operation in spec.operations.values()]
    words += [state for flow in spec.flows.values() for state in flow.states]
    words += [ambiguity.id for ambiguity in spec.ambiguities]
    words += [f"{' and '.join(group)} interact" for group in spec.interactions]
    words += [spec.credential.env, str(spec.price.amount), spec.price.currency, spec.price.date]
    assert [word for word in words if word not in text] == []


def test_a_parameter_is_one_row():
    """Name, type, range, default, required and role of a parameter stand on one line."""
    row = next(line for line in shown("fal").splitlines() if line.startswith("guidance_scale"))
    assert row.split()[:9] == ["guidance_scale", "number", "1", "to", "20", "3.5", "no", "guidance", "Input"]


def test_the_listing_has_one_row_for_each_target():
    """Target, flows with the default first, key variable, price, number of parameters."""
    assert [line.split("  ")[0] for line in shown(as_listing=True).splitlines()[1:]] == [s.target for s in find(())]
    row = next(line for line in shown(as_listing=True).splitlines() if line.startswith("wavespeed"))
    assert " ".join(row.split()) == (
        "wavespeed/flux-kontext-pro-multi poll, sync WAVESPEED_API_KEY 0.04 USD (assumed) 6"
    )


def test_a_spec_cannot_speak_to_the_terminal():
    """Control characters and markup of a spec are shown, not obeyed."""
    spec = find(("fal",))[0]
    text = spec.text.replace(b"title: fal / FLUX.1", b'title: "[red]\\e[31m\\u202efal" #', 1)
    stream = io.StringIO()
    show(parse(text, spec.path), console(stream))
    title = stream.getvalue().splitlines()[1]
    assert title == "fal/flux-pro-kontext-multi: [red]\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}fal"
