r"""Text for people: what came from outside made safe to show, and the few phrases that every report shares.

Rules
-----
* Whatever a provider, a document or a file said is shown through ``visible``: characters that steer a terminal, turn
  the writing direction, hide or cannot be encoded are spelled out (``\u202e``), and long text is cut with a count.
* ``log_line`` makes a line that no CI system reads as a command of its own.
* A command is shown whole or not at all (``command``): cut, it would be another request.
* Durations are in seconds and amounts in USD; a figure that the sample cannot give is an en dash, never a zero.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from urllib.parse import urlsplit

from harness.model import Json, Verdict

LIMIT = 500
NOTHING = "–"
NOT_SEPARABLE = "not separable"
SIMULATED = "says nothing about the real provider"

# Controls, format characters (bidi, zero width, tags), surrogates, private and unassigned ones, line separators.
_SPELLED_OUT = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_ASCII = str.maketrans({"–": "-", "—": "-", "≥": ">=", "≤": "<=", "…": "...", "×": "x", "·": "-", "’": "'"})
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]+")


def visible(text: object, limit: int = LIMIT, *, keep: str = "") -> str:
    """A text as it can be shown anywhere; the characters in ``keep`` (line feeds, say) stay as they are."""
    whole = str(text)
    shown = "".join(c if c in keep else _spelled(c) for c in whole[:limit])
    cut = len(whole) - limit
    return f"{shown} … ({cut} more characters)" if cut > 0 else shown


def is_command(said: str) -> bool:
    """Whether what shows a request is a command; where the body is too long for one, words stand in its place."""
    return said.startswith(("curl ", "printf "))


def command(said: str, limit: int) -> str:
    """A command of at most so many characters; else words that say where it is."""
    return said if len(said) <= limit else "The command is too long to be shown here: report.json has it."


def _spelled(character: str) -> str:
    if character.isascii() and character.isprintable():
        return character
    if unicodedata.category(character) not in _SPELLED_OUT:
        return character
    point = ord(character)
    return _SHORT.get(character) or (f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}")


def log_line(text: str) -> str:
    """One line that GitHub (``::error``, ``##[group]``) and Azure (``##vso[``) take for plain text."""
    return re.sub(r"##(?=\[|vso\[)", "# #", re.sub(r"^(\s*)::", r"\1: :", text))


def ascii_only(text: str) -> str:
    """A text in ASCII: our own typography in plain characters, anything else spelled out."""
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def web_address(text: object) -> str | None:
    """An address that may become a link: plain http(s) to a host, no user name, no surprises; else None."""
    if not isinstance(text, str) or len(text) > LIMIT or visible(text) != text or re.search(r"[\s\\\"'<>`]", text):
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return text if parts.scheme in ("http", "https") and _HOST.fullmatch(parts.netloc) else None


def seconds(value: float | None) -> str:
    """A duration with three significant digits and its unit."""
    return NOTHING if value is None else f"{_three_digits(value)} s"


def _three_digits(value: float) -> str:
    places = next((places for bound, places in ((100, 0), (10, 1), (1, 2)) if value >= bound), 3)
    return f"{value:.{places}f}"


def interval(quantile: Mapping[str, Json]) -> str:
    """The 95 % bounds of a quantile: ``7.90–9.02``, ``≥ 7.90`` where the sample has no upper one, or nothing."""
    low, high = quantile["low"], quantile["high"]
    if low is None:
        return "" if high is None else f"≤ {_three_digits(high)}"
    return f"≥ {_three_digits(low)}" if high is None else f"{_three_digits(low)}–{_three_digits(high)}"


def median(latency: Mapping[str, Json], phase: str) -> str:
    """The p50 of a phase in a few characters: a duration, ``not separable``, or an en dash."""
    found = latency.get(phase)
    if found is None:
        return NOTHING
    return NOT_SEPARABLE if "not_separable" in found else seconds(found["p50"]["value"])


def usd(value: float | None) -> str:
    """An amount, with as many decimals as it has, two to four."""
    if value is None:
        return NOTHING
    whole, _, decimals = f"{value:.4f}".partition(".")
    return f"${whole}.{decimals.rstrip('0'):0<2}"


def percent(share: float | None) -> str:
    """A share of one with three significant digits, and never rounded up to the whole."""
    if share is None:
        return NOTHING
    return f"{min(share * 100, 100 if share >= 1 else 99.9):.3g} %"


def size(number: int | None) -> str:
    """A number of bytes in kB or MB, with three significant digits."""
    if number is None:
        return NOTHING
    unit, scaled = ("MB", number / 1e6) if number >= 1e6 else ("kB", number / 1e3)
    return f"{scaled:.3g} {unit}"


def count(number: int, noun: str) -> str:
    """``1 case``, ``2 cases``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def is_simulated(run: Mapping[str, Json]) -> bool:
    """Whether any answer of the run came from the simulator."""
    return bool(run["mode"] == "simulate" or run["recorded_from"] == "simulator")


def mode_line(run: Mapping[str, Json]) -> str:
    """Where the answers came from: the first thing to know about a report."""
    day = f" on {str(run['recorded_at'])[:10]}" if run["recorded_at"] else ""
    if run["mode"] == "simulate":
        return f"Simulated: {SIMULATED}"
    if run["recorded_from"] == "simulator":
        return f"Simulated (recorded{day}): {SIMULATED}"
    if run["mode"] == "replay":
        return f"Recorded{day} from the live provider, replayed here"
    return "Live, and recorded" if run["mode"] == "record" else "Live"


def _by_checks(target: Mapping[str, Json], verdict: Verdict) -> str:
    found = Counter(finding["check"] for finding in target["findings"] if finding["verdict"] == verdict.value)
    names = [visible(check, 60) for check, _ in found.most_common(4)]
    more = [f"{len(found) - len(names)} more"] if len(found) > len(names) else []
    return f" ({', '.join(names + more)})" if names else ""


def reasons(document: Mapping[str, Json]) -> list[str]:
    """Why the verdict is what it is, in sentences, the heaviest first."""
    run, totals, targets = document["run"], document["totals"], document["targets"]
    said = []
    for verdict, verb in ((Verdict.FAIL, "failed"), (Verdict.UNKNOWN, "could not be judged"), (Verdict.WARN, "warned")):
        with_any = {name: n for name, target in targets.items() if (n := target["cases"][verdict.value])}
        if with_any:
            where = ", ".join(
                f"{visible(name, 60)} {n}{_by_checks(targets[name], verdict)}" for name, n in with_any.items()
            )
            said.append(f"{count(sum(with_any.values()), 'case')} {verb}: {where}.")
    if not run["complete"]:
        missing = sum(target["cases"]["planned"] - target["cases"]["run"] for target in targets.values())
        what = f"{count(missing, 'planned case')} not run" if missing > 0 else "some jobs have no final outcome"
        said.append(f"The run is not complete: {what}.")
    if not run["audit"]["valid"]:
        why = "; ".join(visible(reason, 200) for reason in run["audit"]["reasons"])
        said.append(f"The measurement is not valid: {why or 'this machine was too slow'}.")
    if totals["unknown_charge"]:
        extra = usd(totals["usd_max"] - totals["usd"])
        said.append(f"{count(totals['unknown_charge'], 'submit')} may have been charged: up to {extra} more.")
    if not said:
        run_cases = sum(target["cases"]["run"] for target in targets.values())
        said.append(f"All {run_cases} cases passed." if run_cases else "No case was run.")
    return said
