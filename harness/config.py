"""Settings: the command line over the environment over ``harness.toml`` or ``[tool.harness]`` in pyproject.toml.

Keys come from the environment only. An unknown name in the file is an error: a misspelt budget must not go unnoticed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.metrics.cost import RATES, Rate
from harness.urls import NO_ORIGIN, fault_of, origin

SLOWEST, FASTEST = 0.001, 1000.0


@dataclass(frozen=True)
class Provider:
    """What a user says about one provider."""

    base_url: str | None = None
    origins: tuple[str, ...] = ()
    credential: tuple[str, str] | None = None
    price: tuple[Decimal, str, str, str] | None = None
    max_concurrency: int | None = None
    rate: float | None = None
    risky_rejects: bool = False


@dataclass(frozen=True)
class Config:
    """The whole configuration file; ``region`` is the user's name for the place that runs are made from."""

    path: Path | None = None
    max_cost: Decimal | None = None
    assets: tuple[str, ...] = ()
    proxy: str | None = None
    ca_bundle: str | None = None
    region: str | None = None
    rates: Mapping[str, Rate] = field(default_factory=lambda: dict(RATES))
    providers: Mapping[str, Provider] = field(default_factory=dict)

    def provider(self, name: str) -> Provider:
        """A provider's settings; empty ones when the file has none."""
        return self.providers.get(name, Provider())


def load(directory: Path) -> Config:
    """The configuration of a directory; empty when it has none.

    Raises:
        UsageError: a file cannot be read, or holds a name or value that is not known.
    """
    for name in ("harness.toml", "pyproject.toml"):
        path = directory / name
        try:
            text = path.read_bytes().decode()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {path}: {error}") from None
        try:
            value: Any = tomllib.loads(text)
        except RecursionError:
            raise UsageError(f"{path}: not TOML that can be read: it nests too deep") from None
        except ValueError as error:  # also a number of more digits than Python reads
            raise UsageError(f"{path}: not TOML: {str(error)[:200]}") from None
        if name == "pyproject.toml" or "tool" in value:  # the same text may stand in either file
            for name_of_table in ("tool", "harness"):
                value = value.get(name_of_table, {}) if isinstance(value, dict) else {}
        if value:
            return _Reader(path).config(value)
    return Config()


class _Reader:
    """Reads one file's values, each with its kind; errors name the file and the setting."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def config(self, value: Any) -> Config:
        found = self.table(value, "", ("max_cost", "assets", "proxy", "ca_bundle", "region", "rates", "providers"))
        rates = dict(RATES)
        for currency, rate in self.table(found.get("rates", {}), "rates").items():
            each = self.table(rate, f"rates.{currency}", ("usd", "date"))
            usd = self.decimal(each.get("usd"), f"rates.{currency}.usd")
            rates[currency] = Rate(usd, self.text(each.get("date"), f"rates.{currency}.date"))
        return Config(
            path=self.path,
            max_cost=self.decimal(found["max_cost"], "max_cost") if "max_cost" in found else None,
            assets=self.urls(found.get("assets", []), "assets"),
            proxy=self.base(found["proxy"], "proxy") if "proxy" in found else None,
            ca_bundle=self.text(found["ca_bundle"], "ca_bundle") if "ca_bundle" in found else None,
            region=self.text(found["region"], "region") if "region" in found else None,
            rates=rates,
            providers={
                name: self.provider(table, f"providers.{name}")
                for name, table in self.table(found.get("providers", {}), "providers").items()
            },
        )

    def provider(self, value: Any, where: str) -> Provider:
        known = ("base_url", "origins", "credential", "price", "max_concurrency", "rate", "risky_rejects")
        found = self.table(value, where, known)
        credential = price = None
        if "credential" in found:
            pair = self.table(found["credential"], f"{where}.credential", ("scheme", "env"))
            credential = (
                self.word(pair.get("scheme", ""), f"{where}.credential.scheme", r"[A-Za-z0-9-]*"),
                self.word(pair.get("env"), f"{where}.credential.env", r"[A-Za-z_][A-Za-z0-9_]*"),
            )
        if "price" in found:
            each = self.table(found["price"], f"{where}.price", ("amount", "currency", "source", "date"))
            texts = [self.text(each.get(name), f"{where}.price.{name}") for name in ("currency", "source", "date")]
            price = (self.decimal(each.get("amount"), f"{where}.price.amount"), *texts)
        return Provider(
            base_url=self.base(found["base_url"], f"{where}.base_url") if "base_url" in found else None,
            origins=tuple(self.base(url, f"{where}.origins") for url in self.urls(found.get("origins", []), where)),
            credential=credential,
            price=price,  # type: ignore[arg-type]
            max_concurrency=self.count(found["max_concurrency"], f"{where}.max_concurrency")
            if "max_concurrency" in found
            else None,
            rate=self.rate(found["rate"], f"{where}.rate") if "rate" in found else None,
            risky_rejects=self.boolean(found.get("risky_rejects", False), f"{where}.risky_rejects"),
        )

    def table(self, value: Any, where: str, known: tuple[str, ...] | None = None) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.wrong(where, "a table", value)
        for name in value:
            if known is not None and name not in known:
                place = f"{where}.{name}" if where else name
                raise UsageError(f"{self.path}: {place} is not a setting; known are {', '.join(known)}")
        return value

    def text(self, value: Any, where: str) -> str:
        if not isinstance(value, str):
            raise self.wrong(where, "a text", value)
        return value

    def word(self, value: Any, where: str, pattern: str) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise self.wrong(where, "one word of letters, digits and the like", value)
        return value

    def base(self, value: Any, where: str) -> str:
        fault = fault_of(value) if isinstance(value, str) else "it is no text"
        if fault:
            raise UsageError(f"{self.path}: {where} has to be http(s) URLs: {fault}")
        return str(value)

    def rate(self, value: Any, where: str) -> float:
        per_second = float(self.decimal(value, where))
        if not SLOWEST <= per_second <= FASTEST:
            raise self.wrong(where, f"submits per second, from {SLOWEST} to {FASTEST:g}", value)
        return per_second

    def boolean(self, value: Any, where: str) -> bool:
        if not isinstance(value, bool):
            raise self.wrong(where, "true or false", value)
        return value

    def count(self, value: Any, where: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.wrong(where, "a whole number from 1", value)
        return value

    def decimal(self, value: Any, where: str) -> Decimal:
        try:
            amount = (
                Decimal(str(value)) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
            )
        except InvalidOperation:
            amount = None
        if amount is None or not amount.is_finite() or amount < 0:
            raise self.wrong(where, "a number from 0", value)
        return amount

    def urls(self, value: Any, where: str) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise self.wrong(where, "a list", value)
        for item in value:
            if not isinstance(item, str) or origin(item) == NO_ORIGIN:
                raise self.wrong(where, "http(s) URLs", item)
        return tuple(value)

    def wrong(self, where: str, wanted: str, value: Any) -> UsageError:
        return UsageError(f"{self.path}: {where or 'the top'} has to be {wanted}, not {str(value)[:60]!r}")


def base_urls(options: tuple[str, ...]) -> Mapping[tuple[str, str | None], str]:
    """The ``--base-url PROVIDER[:FLOW]=URL`` options by provider and flow.

    Raises:
        UsageError: one is malformed.
    """
    found: dict[tuple[str, str | None], str] = {}
    for option in options:
        match = re.fullmatch(r"([a-z0-9-]+)(?::([a-z0-9-]+))?=(\S+)", option)
        if match is None:
            raise UsageError(f"--base-url {_shown(option)!r} is not of the form PROVIDER[:FLOW]=URL")
        if fault := fault_of(match[3]):
            raise UsageError(
                f"--base-url {match[1]} is not of the form PROVIDER[:FLOW]=URL with an http(s) URL: {fault}"
            )
        found[match[1], match[2]] = match[3].rstrip("/")
    return found


def _shown(option: str) -> str:
    """An option in a message: whatever stands before an ``@`` may be a password."""
    return option.rpartition("@")[2][:80]


def region_of(settings: Config, environment: Mapping[str, str]) -> str | None:
    """What the place that a run is made from is called: ``HARNESS_REGION`` before the file; None where nobody says."""
    return environment.get("HARNESS_REGION", "").strip() or settings.region


def environment_base_url(provider: str, environment: Mapping[str, str]) -> str | None:
    """The ``<PROVIDER>_BASE_URL`` variable.

    Raises:
        UsageError: it is not an http(s) URL.
    """
    variable = provider.upper().replace("-", "_") + "_BASE_URL"
    url = environment.get(variable, "").strip().rstrip("/")
    if not url:
        return None
    if fault := fault_of(url):
        raise UsageError(f"{variable} is not an http(s) URL: {fault}")
    return url
