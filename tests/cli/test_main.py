"""The `redraft` command as its users meet it: exit codes, and one sentence for each failure."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from redraft import __version__
from redraft.base.errors import ConfigError
from redraft.cli.main import run, sentence_of
from tests.cluster.ports import free_client_port


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command line that must fail, and return its one line on stderr."""
    assert run(list(arguments)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("redraft: ")
    return lines[0].removeprefix("redraft: ")


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A free client port whose listening socket somebody else holds."""
    with socket.socket() as other:
        port = free_client_port(3)
        other.bind(("127.0.0.1", port))
        other.listen()
        yield port


def test_main_refuses_a_port_in_use(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, taken_port: int
) -> None:
    """The port is named, and what to do; nothing is left in the directory but the lock."""
    sentence = complaint(capsys, "local", "--port", str(taken_port), "--dir", str(tmp_path / "data"))
    assert f"Port {taken_port} of 127.0.0.1 (the client port) is in use" in sentence
    assert sentence.endswith("choose another with --port.")
    assert os.listdir(tmp_path / "data") == ["local.lock"]


def test_main_refuses_a_port_in_use_for_a_server(capsys: pytest.CaptureFixture[str], taken_port: int) -> None:
    """The port that is taken is named by its part: here the peer port."""
    address = f"127.0.0.1:{free_client_port(1)}"
    sentence = complaint(
        capsys,
        "--",
        "server",
        "--listen",
        address,
        "--peer-port",
        str(taken_port),
        "--cluster",
        f"{address}@{taken_port}",
    )
    assert "(the peer port) is in use" in sentence


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["server", "--listen", "0.0.0.0:7000", "--advertise", "10.0.0.1:7000"], "loopback addresses only"),
        (["server", "--engine", "paper"], "choose one of hash"),
        (["server", "--config", "/nowhere.toml"], "/nowhere.toml can't be read"),
        (["local", "--nodes", "0"], "--nodes must be"),
        (["local", "--port", "60000"], "leaves no room"),
        (["status", "--at", "nowhere"], "is not an address"),
        (["ping", "--at", "no.such.host.invalid:1"], "can't be resolved"),
    ],
)
def test_main_tells_failures_in_a_sentence(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    sentence: str,
) -> None:
    """No traceback, no second line, exit code 1."""
    monkeypatch.chdir(tmp_path)
    assert sentence in complaint(capsys, *arguments)


@pytest.mark.parametrize("command", ["status", "ping"])
def test_main_tells_that_nobody_answers(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """Where nothing listens, the address and the reason are named."""
    at = f"127.0.0.1:{free_client_port(1)}"
    assert f"No node answers at {at} (connection refused)." in complaint(capsys, command, "--at", at)


def test_main_keeps_a_server_out_of_a_local_directory(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A node never mixes its files into the directory of a whole local cluster."""
    (tmp_path / "local.json").touch()
    assert "is a directory of `redraft local`" in complaint(capsys, "server", "--dir", str(tmp_path))


def test_main_tells_wrong_usage_with_exit_code_two(capsys: pytest.CaptureFixture[str]) -> None:
    """A flag that does not exist is click's to tell."""
    assert run(["local", "--replicas", "3"]) == 2
    assert "No such option" in capsys.readouterr().err


def test_main_shows_versions(capsys: pytest.CaptureFixture[str]) -> None:
    """`redraft version` and `--version` agree."""
    assert run(["version"]) == 0
    assert f"redraft {__version__}" in capsys.readouterr().out
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"redraft {__version__}\n"


def test_main_finds_the_sentence_in_a_group() -> None:
    """Trio groups failures; a group has a sentence if every failure in it has one, else it is a bug."""
    good = BaseExceptionGroup("", [ConfigError("Say so."), ExceptionGroup("", [ConfigError("Say more.")])])
    assert sentence_of(good) == "Say so."
    assert sentence_of(BaseExceptionGroup("", [ConfigError("Say so."), ValueError("bug")])) is None


def test_main_help_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    """`redraft server --help` lists the settings in their sections."""
    assert run(["server", "--help"]) == 0
    text = capsys.readouterr().out
    for expected in (
        "--listen HOST:PORT",
        "--read-mode index|lease",
        "Consensus and reads:",
        "--config FILE",
    ):
        assert expected in text
    assert "--cluster-secret " not in text


def test_main_can_be_run_as_a_module() -> None:
    """`python -m redraft` is the same command."""
    done = subprocess.run(
        [sys.executable, "-m", "redraft", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"redraft {__version__}\n"


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "stdin"])
def test_server_stops_cleanly(tmp_path: Path, how: str) -> None:
    """A signal, or the end of the process that started it, ends a node with exit code 0 and a last line."""
    command = [sys.executable, "-m", "redraft", "server", "--dir", str(tmp_path / "n"), "--stop-with-stdin"]
    address = f"127.0.0.1:{free_client_port(1)}"
    with subprocess.Popen(
        [*command, "--listen", address], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        first = process.stderr.readline()
        assert f"redraft {__version__}" in first
        lines = [first]
        while "no cluster secret" not in lines[-1]:
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        if how == "stdin":
            process.stdin.close()
        else:
            process.send_signal(signal.Signals[how])
        last = process.stderr.read().splitlines()[-1]
    assert process.returncode == 0
    assert last.endswith("server: stopped")
