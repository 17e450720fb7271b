"""Packaging files name what exists: paths, commands, settings.  No container engine is needed."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

import redraft
from redraft.base.config import SETTINGS
from redraft.base.configload import load_config
from redraft.cli.main import commands

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
VARIABLES = {each.variable for each in SETTINGS}


def instructions(word: str) -> list[str]:
    """The arguments of every instruction of that name in the Dockerfile."""
    return re.findall(rf"^{word} (.*)$", DOCKERFILE, re.MULTILINE)


def exec_form(text: str) -> list[str]:
    """`["a", "b"]` as a list."""
    return re.findall(r'"([^"]*)"', text)


def test_dockerfile_copies_what_exists() -> None:
    """Every source of a COPY is in the repository, and not held back by .dockerignore."""
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    sources = [
        source for line in instructions("COPY") if "--from" not in line for source in line.split()[:-1]
    ]
    assert "redraft" in sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in kept, source


def test_dockerfile_builds_with_what_setup_reads() -> None:
    """The files the build backend reads are copied before the install."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    copied = DOCKERFILE[: DOCKERFILE.index("pip install")]
    for name in ("pyproject.toml", "setup.py", "native", project["readme"], *project["license-files"]):
        assert name in copied


def test_dockerfile_runs_commands_that_exist() -> None:
    """Entry point, default command and health check are subcommands of redraft, not run as root."""
    assert exec_form(instructions("ENTRYPOINT")[0]) == ["redraft"]
    assert exec_form(instructions("CMD")[0])[0] in commands.commands
    health = exec_form(instructions("HEALTHCHECK")[0].partition(" CMD ")[2])
    assert health[0] == "redraft"
    assert health[1] in commands.commands
    assert instructions("USER") == ["redraft"]
    assert instructions("VOLUME") == ["/data"]


def test_dockerfile_stages_use_the_same_python() -> None:
    """A virtual environment moves between stages only if their interpreters are the same."""
    images = {line.split()[0] for line in instructions("FROM")}
    assert len(images) == 1


def test_dockerfile_and_compose_set_settings_that_exist() -> None:
    """Every REDRAFT_ variable they name is one a node reads."""
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    named = set(re.findall(r"\bREDRAFT_[A-Z_]+", DOCKERFILE + compose))
    assert named
    assert named <= VARIABLES


def test_compose_describes_a_cluster_that_would_start() -> None:
    """Each node's environment makes a Config, and each one is in the list of all of them."""
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    shared = {
        name: re.search(rf"^  {name}: (\S+)", compose, re.MULTILINE)[1]  # type: ignore[index]
        for name in ("REDRAFT_CLUSTER", "REDRAFT_LISTEN")
    }
    names = re.findall(r"REDRAFT_ADVERTISE: (\S+)", compose)
    assert len(names) == 3
    for name in names:
        environ = shared | {"REDRAFT_ADVERTISE": name, "REDRAFT_CLUSTER_SECRET": "x" * 64}
        assert name in [each.client for each in load_config(environ=environ).cluster]
        assert f"\n  {name.split(':')[0]}:\n    <<: *node" in compose


def test_pyproject_and_package_agree() -> None:
    """One version, one command, one licence."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == redraft.__version__
    assert project["scripts"] == {"redraft": "redraft.cli.main:main"}
    assert project["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_ci_runs_the_commands_of_the_readme() -> None:
    """What CI installs and tests with is what a newcomer is told to type."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    tests = ['pytest -n auto -m "not live"', "pytest -m live"]
    assert f"$ python -m pip install '.[test]' && {' && '.join(tests)}\n" in readme
    assert [line for line in script if line.startswith("pytest")] == tests
    assert "python -m pip install '.[test]'" in script


def redraft_lines() -> list[str]:
    """Every `$ … redraft …` command of the README and of the documentation."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    found = re.findall(r"^\$ (?:.* && )?(redraft .*?)(?:\s+#.*)?$", text, re.MULTILINE)
    assert found
    return found


@pytest.mark.parametrize("line", redraft_lines())
def test_readme_commands_parse(line: str) -> None:
    """What the README tells to type is accepted, flags and all."""
    words = shlex.split(line)
    command = commands.commands[words[1]]
    with click.Context(command) as context:
        command.parse_args(context, words[2:])


def test_readme_links_lead_somewhere() -> None:
    """Every file the README and the documentation link to exists."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_readme_begins_with_the_two_commands() -> None:
    """The first two things to type are the cluster and the tests."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    typed = re.findall(r"^\$ (.*)$", readme, re.MULTILINE)
    assert typed[:2] == [
        "python -m pip install . && redraft local",
        "python -m pip install '.[test]' && pytest -n auto -m \"not live\" && pytest -m live",
    ]
