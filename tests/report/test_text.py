import pytest

from harness.report import text
from tests.report import runs


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain – text × 日本", "plain – text × 日本"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31m\x07\x9b", r"\u001b[31m\u0007\u009b"),
        ("\u202egnp.exe\u2066\u200b\u2028\ufeff", r"\u202egnp.exe\u2066\u200b\u2028\ufeff"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("x" * 40, f"{'x' * 30} … (10 more characters)"),
    ],
)
def test_hidden_and_steering_characters_are_spelled_out_and_long_text_is_cut(raw, shown):
    """What a person sees is what is there."""
    assert text.visible(raw, 30) == shown


@pytest.mark.parametrize("line", ["::error::x", "  ::stop-commands::x", "a ##[group]x", "##vso[task.setvariable]"])
def test_no_line_is_a_command_of_a_ci_system(line):
    """GitHub reads ``::`` after blanks and ``##[`` anywhere, Azure ``##vso[`` anywhere."""
    safe = text.log_line(line)
    assert not safe.lstrip().startswith("::")
    assert "##[" not in safe
    assert "##vso[" not in safe


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "//evil.example/x", "https://", "ftp://a/b",
        "https://user:key@host/", "https://a/\u202e", "https://a/ b", "https://a/\nb", "https://[::1", None, 5,
        "https://exämple.com/", "https://a/" + "x" * 600, 'https://a/"onclick',
    ],
)  # fmt: skip
def test_only_plain_web_addresses_become_links(address):
    """A scheme, a host and nothing surprising."""
    assert text.web_address(address) is None


@pytest.mark.parametrize("address", ["https://fal.ai/models/x?y=1#z", "http://127.0.0.1:8000/a", "https://[::1]:80/"])
def test_web_addresses_stay_as_they_are(address):
    """A document's address is not rewritten."""
    assert text.web_address(address) == address


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0.0, "0.000 s"), (0.1234, "0.123 s"), (1.234, "1.23 s"), (12.34, "12.3 s"), (123.4, "123 s")],
)
def test_durations_have_three_digits(value, shown):
    """And a figure that the sample cannot give is a dash."""
    assert text.seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "–"), (0, "$0.00"), (0.04, "$0.04"), (0.0375, "$0.0375"), (12.5, "$12.50")]
)
def test_amounts_have_two_to_four_decimals(value, shown):
    """A list price is never rounded to cents."""
    assert text.usd(value) == shown


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [(7.9, 9.02, "7.90–9.02"), (7.9, None, "≥ 7.90"), (None, 9.02, "≤ 9.02"), (None, None, "")],
)
def test_an_interval_says_which_bound_the_sample_lacks(low, high, shown):
    """Below 72 samples p95 has no upper bound."""
    assert text.interval({"value": None, "low": low, "high": high}) == shown


@pytest.mark.parametrize(
    ("mode", "recorded_from", "line"),
    [
        ("live", None, "Live"),
        ("record", "live", "Live, and recorded"),
        ("replay", "live", "Recorded on 2026-11-18 from the live provider, replayed here"),
        ("replay", "simulator", "Simulated (recorded on 2026-11-18): says nothing about the real provider"),
        ("record", "simulator", "Simulated (recorded on 2026-11-18): says nothing about the real provider"),
        ("simulate", None, "Simulated: says nothing about the real provider"),
    ],
)
def test_the_mode_line_says_where_the_answers_came_from(mode, recorded_from, line):
    """Nobody takes a simulator's verdict for a provider's."""
    assert text.mode_line(runs.realistic(mode, recorded_from).document["run"]) == line


def test_reasons_name_the_targets_and_checks_the_heaviest_first():
    """The verdict's reasons can be read without the tables."""
    assert text.reasons(runs.realistic().document) == [
        "8 cases failed: fal/flux-pro-kontext-multi 8 (image_dimensions, image_count).",
        "4 cases could not be judged: fal/flux-pro-kontext-multi 2 (negative_data_rejection), wavespeed/flux-kontext-pro-multi 2 (job_completes).",
        "1 case warned: fal/flux-pro-kontext-multi 1 (negative_data_rejection).",
        "The run is not complete: 2 planned cases not run.",
        "2 submits may have been charged: up to $0.08 more.",
    ]


def test_a_run_without_faults_says_so():
    """All pass, nothing missing."""
    document = runs.run(runs.umodelverse_sync(), complete=True).document
    document["totals"]["unknown_charge"] = 0
    assert text.reasons(document) == ["All 14 cases passed."]
