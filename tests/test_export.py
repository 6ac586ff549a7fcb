"""``--junit`` and ``--markdown`` as a CI job meets them: real processes, files and exit statuses."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.pytest_plugin import pytest_addoption
from harness.report.export import Exports
from tests import xsd
from tests.test_cli import environment, harness, one_line, simulator

SCHEMA = Path(__file__).parent / "data" / "junit.xsd"
QUICK = ("check", "fal", "--simulate", "--max-cases", 1, "--no-rejects")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that had both options; the summary's file held a line before."""
    home = tmp_path_factory.mktemp("home")
    (home / "summary.md").write_text("an earlier step")
    done = harness(*QUICK, "--out", "run", "--junit", "out.xml", "--markdown", "summary.md", "--json", cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (home / "run" / "report.json").read_text()
    return home


def test_check_writes_junit_xml(home: Path) -> None:
    """Of the schema, with as many cases as the report, in the file and in the run directory."""
    source = (home / "out.xml").read_text()
    report = json.loads((home / "run" / "report.json").read_text())
    (target,) = report["targets"].values()
    root = ET.fromstring(source)
    assert xsd.faults(source, SCHEMA) == []
    assert int(root.attrib["tests"]) == target["cases"]["planned"]
    assert float(root.attrib["time"]) > 0
    assert root.attrib["name"].startswith("Simulated: says nothing about the real provider")
    assert (home / "run" / "junit.xml").read_text() == source


def test_check_adds_to_the_summary(home: Path) -> None:
    """What stood there stays; what is added begins after a blank line."""
    before, verdict = (home / "summary.md").read_text().split("\n\n")[:2]
    assert (before, verdict) == (
        "an earlier step",
        "## ✅ pass · `Simulated: says nothing about the real provider`",
    )


def test_an_old_run_is_converted(home: Path, tmp_path: Path) -> None:
    """`report` writes the same files from the history."""
    done = harness("report", "run", "--junit", tmp_path / "a.xml", "--markdown", tmp_path / "a.md", cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "a.xml").read_text() == (home / "out.xml").read_text()
    assert (home / "summary.md").read_text() == "an earlier step\n\n" + (tmp_path / "a.md").read_text()


def test_a_run_is_exported_for_other_programs(home: Path, tmp_path: Path) -> None:
    """Each option writes its file, or its files into a folder that it makes; the page is rebuilt as it was."""
    page = (home / "run" / "report.html").read_bytes()
    files = ("sarif", "code-quality", "badge", "har")
    folders = ("csv", "parquet", "plots")
    options = [word for name in (*files, *folders) for word in (f"--{name}", tmp_path / "out" / name)]
    (tmp_path / "out").mkdir()
    done = harness("report", "run", *options, cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "out" / "badge").read_bytes())["message"] == "1 target pass (simulated)"
    assert json.loads((tmp_path / "out" / "sarif").read_bytes())["version"] == "2.1.0"
    assert json.loads((tmp_path / "out" / "har").read_bytes())["log"]["comment"].startswith("Simulated")
    assert {path.name for path in (tmp_path / "out" / "csv").iterdir()} == {"findings.csv", "measurements.csv"}
    assert {path.suffix for path in (tmp_path / "out" / "plots").iterdir()} == {".svg", ".png"}
    assert (tmp_path / "out" / "parquet" / "findings.parquet").read_bytes().startswith(b"PAR1")
    assert (home / "run" / "report.html").read_bytes() == page


def test_parquet_without_pyarrow_is_one_sentence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named before anything is written."""
    monkeypatch.setattr("harness.report.tables.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'image-api-harness\[parquet\]'"):
        Exports(parquet=home / "parquet").try_out()
    assert not (home / "parquet").exists()


def test_a_run_directorys_junit_xml_is_kept_up_to_date(home: Path) -> None:
    """It is one of its reports: judged again, it is written again."""
    before = (home / "run" / "junit.xml").read_text()
    (home / "run" / "junit.xml").write_text("stale")
    assert harness("recheck", "run", cwd=home).returncode == 0
    assert (home / "run" / "junit.xml").read_text() == before


def test_the_run_directory_may_be_the_place(tmp_path: Path) -> None:
    """It is made by the run, before anything is sent."""
    done = harness(*QUICK, "--out", "run", "--junit", "run/junit.xml", "--markdown", "run/a.md", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {"junit.xml", "a.md"} < {path.name for path in (tmp_path / "run").iterdir()}


def test_a_failure_is_told_in_both(tmp_path: Path) -> None:
    """Exit status 1, one failure with the document and a curl command, and no key."""
    fault = "fal/flux-pro-kontext-multi:accepts-guidance_scale-above-maximum"
    with simulator("fal", "--fault", fault, "--queue-seconds", 0, "--inference-seconds", 0, cwd=tmp_path) as urls:
        arguments = ("check", "fal", "--live", "--base-url", f"fal={urls['fal:queue']}", "--max-cost", 1)
        options = ("--case", "*/guidance_scale/above-maximum", "--junit", "a.xml", "--markdown", "a.md")
        done = harness(*arguments, *options, cwd=tmp_path, env=environment(FAL_KEY="some-key"))
    source, summary = (tmp_path / "a.xml").read_text(), (tmp_path / "a.md").read_text()
    (failure,) = ET.fromstring(source).iter("failure")
    assert (done.returncode, failure.attrib["type"]) == (1, "negative_data_rejection")
    assert "\nplace: " in str(failure.text)
    assert str(failure.text).splitlines()[-1].startswith("curl --request POST ")
    assert summary.startswith("## ❌ fail · `Simulated")
    assert "<details><summary>❌ <code>negative_data_rejection</code> <code>guidance_scale</code>" in summary
    assert "some-key" not in source + summary


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (["--junit", "none/a.xml"], 4, "cannot write none/a.xml: there is no folder none; make it first"),
        (["--markdown", "none/a.md"], 4, "cannot write none/a.md: there is no folder none; make it first"),
        (["--junit", "folder"], 4, "cannot write folder: it is a folder; name a file in it"),
        (["--markdown", "folder"], 4, "cannot write folder: it is a folder; name a file in it"),
        (["--junit", "/proc/a.xml"], 4, "cannot write /proc/a.xml: "),
        (["--markdown", "loop"], 4, "cannot write loop: "),
        (["--junit", "a", "--markdown", "./a"], 2, "--junit and --markdown both name a"),
    ],
)
@pytest.mark.parametrize("command", ["check", "report"])
def test_an_unwritable_place_is_found_before_anything_is_sent(
    command: str, options: list[str], status: int, says: str, tmp_path: Path
) -> None:
    """One sentence, exit status 4, and no run was begun."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    before = set(tmp_path.iterdir())
    arguments = (*QUICK, "--out", "run") if command == "check" else ("report", "folder")
    done = harness(*arguments, *options, cwd=tmp_path)
    assert (done.returncode, one_line(done).startswith(f"harness: {says}")) == (status, True), done.stderr
    assert set(tmp_path.iterdir()) == before


def test_a_place_that_is_full_in_the_end_loses_nothing(tmp_path: Path) -> None:
    """Exit status 4, nothing on standard output, and the sentence that gets the file from the run."""
    done = harness(*QUICK, "--out", "run", "--junit", "/dev/full", "--json", cwd=tmp_path)
    assert done.returncode == 4
    assert "No space left on device" in one_line(done)
    assert "harness report run takes the same option" in done.stderr
    assert harness("report", "run", "--junit", "a.xml", cwd=tmp_path).returncode == 0
    assert xsd.faults((tmp_path / "a.xml").read_text(), SCHEMA) == []


def test_pytest_keeps_its_own_option() -> None:
    """The plugin adds neither: --junitxml is pytest's, and a summary is made from the run directory."""
    parser = pytest.Parser(_ispytest=True)
    pytest_addoption(parser)
    names = {name for group in parser._groups for option in group.options for name in option.names()}
    assert "--harness-tier" in names
    assert not {"--harness-junit", "--harness-markdown"} & names
