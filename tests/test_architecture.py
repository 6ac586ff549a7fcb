"""The directions of ARCHITECTURE.md, held by reading the imports."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import harness

ROOT = Path(harness.__file__).resolve().parent

LEVELS = (
    {"model", "errors"},
    {"strict", "urls", "clock", "resources", "validation", "process", "files"},
    {"spec"},
    {"secret", "schedule", "traffic", "flow", "isolate", "enough"},
    {"transport", "ledger"},
    {"planning", "history", "engine", "simulator", "metrics", "audit"},
    {"config", "checks", "cassettes"},
    {"report", "targets", "strategies", "resume", "minimise"},
    {"replay", "lifecycle"},
    {"run"},
    {"caller", "compare"},
    {"shell"},
    {"comparing"},
    {"cli"},
    {"pytest_plugin"},
    {"__main__"},
)
"""A module imports from its own level and those before it; ``harness`` itself holds the version only."""

OWNERS = {
    "time": {"clock.py"},
    "socket": {"transport/guard.py", "simulator/server.py"},
    "aiohttp": {"transport/live.py", "transport/guard.py"},
    "httpx": {"transport/live.py", "transport/wire.py"},
    "uvicorn": {"simulator/server.py"},
    "vcr": {"transport/cassette.py"},
    "matplotlib": {f"report/plots/{name}.py" for name in ("latency", "rows", "style", "timeline", "trend", "value")},
    "yaml": {"strict.py"},
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "harness":
                yield from (f"harness.{alias.name}" for alias in node.names)
            yield node.module


def level(name: str) -> int:
    part = name.removesuffix(".py").split("/")[0].split(".")[0]
    found = [number for number, names in enumerate(LEVELS) if part in names]
    assert found, f"{part} has no level: give it one"
    return found[0]


def test_imports_go_one_way() -> None:
    """No module imports from a level after its own."""
    wrong = [
        (path, name)
        for path, tree in modules()
        if path != "__init__.py"
        for name in imported(tree)
        if name.startswith("harness.")
        and name != "harness.__version__"
        and level(name.removeprefix("harness.")) > level(path)
    ]
    assert wrong == []


def test_clock_network_and_plots_have_single_owners() -> None:
    """Only the owning module imports what reads a clock, opens a socket or draws."""
    wrong = [
        (path, name)
        for path, tree in modules()
        for name in imported(tree)
        if name.split(".")[0] in OWNERS and path not in OWNERS[name.split(".")[0]]
    ]
    assert wrong == []


def test_no_provider_is_named_in_code() -> None:
    """Differences between providers are data: no module compares with a provider's name."""
    providers = {"fal", "wavespeed", "umodelverse", "fal-gateway", "bfl"}
    wrong = [
        (path, node.value)
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in providers
    ]
    assert wrong == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["check", "--help"], ["specs", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """Asking for help loads neither plots, numbers, generators nor HTTP clients."""
    program = (
        "import sys\n"
        "from harness.cli import cli\n"
        "try:\n    cli.main(sys.argv[1:], standalone_mode=False)\n"
        "finally:\n"
        "    heavy = {'matplotlib', 'scipy', 'numpy', 'hypothesis', 'aiohttp', 'httpx', 'vcr', 'PIL', 'jsonschema'}\n"
        "    print(sorted(heavy & {name.split('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1:] == ["[]"]
