"""What a setting is: its kind (how text becomes a value and back), its place in the docs, its sentence.

`redraft.base.config` declares the settings, `redraft.base.configload` finds their values; flags, TOML
keys, environment variables, CONFIG GET/SET and docs/configuration.md all follow from what is said here.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

from redraft.base.address import Address, parse_address, parse_addresses
from redraft.base.announced import Announced, parse_announced
from redraft.base.errors import ConfigError

SIZE_UNITS = {
    "": 1,
    "b": 1,
    "k": 1000,
    "kb": 1024,
    "m": 1000**2,
    "mb": 1024**2,
    "g": 1000**3,
    "gb": 1024**3,
}


class Kind(NamedTuple):
    """How one kind of value is read and shown; `noun` is for sentences, `placeholder` for help."""

    noun: str
    placeholder: str
    parse: Callable[[str], Any]
    show: Callable[[Any], str] = str


class Setting(NamedTuple):
    """One setting, as its users know it; `name` is the Config field."""

    name: str
    kind: Kind
    section: str
    doc: str
    default: Any
    choices: tuple[str, ...] = ()
    low: int | None = None
    high: int | None = None
    live: bool = False
    secret: bool = False

    @property
    def flag(self) -> str:
        """The command line's name of it."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment's name of it."""
        return "REDRAFT_" + self.name.upper()

    def read(self, value: object) -> Any:
        """Turn a value from text, TOML or a flag into the field's own; raises ConfigError with a sentence."""
        text = _as_text(value)
        try:
            parsed = self.kind.parse(text)
        except ConfigError as error:
            raise ConfigError(f"{self.flag}: {error}") from None
        except ValueError:
            raise ConfigError(f'{self.flag} must be {self.kind.noun}, not "{text}".') from None
        self.check(parsed)
        return parsed

    def check(self, value: object) -> None:
        """Refuse a value outside of the setting's own bounds."""
        for word in value if isinstance(value, tuple) else (value,):
            if self.choices and word not in self.choices:
                known = ", ".join(self.choices)
                raise ConfigError(f'{self.flag} "{word}" is not known here: choose one of {known}.')
        if self.low is not None and isinstance(value, int) and value < self.low:
            raise ConfigError(f"{self.flag} must be at least {self.low}, not {value}.")
        if self.high is not None and isinstance(value, int) and value > self.high:
            raise ConfigError(f"{self.flag} must be at most {self.high}, not {value}.")

    def show(self, value: object) -> str:
        """The value as CONFIG GET and the docs write it."""
        return self.kind.show(value)


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)) and not isinstance(value, (Address, Announced)):
        return ",".join(str(item) for item in value)
    return str(value)


def parse_size(text: str) -> int:
    """Read bytes as Redis's configuration does: 64mb is 64*1024*1024, 64m is 64,000,000."""
    match = re.fullmatch(r"(\d+)\s*([a-z]*)", text.strip().lower())
    if match is None or match[2] not in SIZE_UNITS:
        raise ValueError(text)
    return int(match[1]) * SIZE_UNITS[match[2]]


def show_size(count: int) -> str:
    """Bytes in the largest unit that divides them."""
    for unit in ("gb", "mb", "kb"):
        if count and count % SIZE_UNITS[unit] == 0:
            return f"{count // SIZE_UNITS[unit]}{unit}"
    return str(count)


def _text(value: str) -> str:
    return value.strip()


def _optional_path(text: str) -> Path | None:
    return Path(text).expanduser() if text.strip() else None


def _optional_address(text: str) -> Address | None:
    return parse_address(text) if text.strip() else None


def _optional_announced(text: str) -> Announced | None:
    return parse_announced(text) if text.strip() else None


def _show_optional(value: object) -> str:
    return "" if value is None else str(value)


def _yes_or_no(text: str) -> bool:
    word = text.strip().lower()
    if word in ("yes", "true", "on", "1"):
        return True
    if word in ("no", "false", "off", "0"):
        return False
    raise ValueError(text)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip().lower() for word in text.split(",") if word.strip())


COUNT = Kind("a whole number", "N", int)
MILLISECONDS = Kind("a whole number of milliseconds", "MS", int)
SECONDS = Kind("a whole number of seconds", "SECONDS", int)
PERCENT = Kind("a whole number of percent", "PERCENT", int)
PORT = Kind("a port number", "PORT", int)
SIZE = Kind("a size such as 64mb", "SIZE", parse_size, show_size)
WORD = Kind("a word", "WORD", _text)
YES_OR_NO = Kind("yes or no", "yes|no", _yes_or_no, lambda value: "yes" if value else "no")
WORDS = Kind("words with commas between them", "WORD,...", _words, ",".join)
ADDRESS = Kind("HOST:PORT", "HOST:PORT", parse_address)
OPTIONAL_ADDRESS = Kind("HOST:PORT", "HOST:PORT", _optional_address, _show_optional)
ADDRESSES = Kind("HOST:PORT,...", "HOST:PORT,...", parse_addresses, lambda value: ",".join(map(str, value)))
OPTIONAL_ANNOUNCED = Kind(
    "HOST[:PORT[:PRIMARY:REPLICA]]", "HOST[:PORT...]", _optional_announced, _show_optional
)
PATH = Kind("a path", "DIR", lambda text: Path(text).expanduser())
OPTIONAL_PATH = Kind("a path", "FILE", _optional_path, _show_optional)


def setting(default: Any, kind: Kind, section: str, doc: str, **facts: Any) -> Any:
    """Declare a Config field that is a setting; `facts` are Setting's further fields."""
    metadata = {"kind": kind, "section": section, "doc": " ".join(doc.split()), "facts": facts}
    return dataclasses.field(default=default, metadata=metadata, repr=not facts.get("secret", False))


def settings_of(config_class: type) -> tuple[Setting, ...]:
    """All settings that a Config class declares, in its own order."""
    return tuple(
        Setting(
            field.name,
            cast("Kind", field.metadata["kind"]),
            field.metadata["section"],
            field.metadata["doc"],
            field.default,
            **field.metadata["facts"],
        )
        for field in dataclasses.fields(config_class)
    )
