"""Where settings come from: defaults, then the TOML file, then REDRAFT_* variables, then flags.

The later source wins.  A key of the file that names no setting is an error (a typo must not quietly mean
"default"); of the environment, which others share, `unknown_variables` only lists them for a warning.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path

from redraft.base.config import SETTING_BY_NAME, SETTINGS, Config
from redraft.base.errors import ConfigError

OTHER_VARIABLES = frozenset(
    {"REDRAFT_CONFIG", "REDRAFT_PURE", "REDRAFT_CFLAGS", "REDRAFT_LDFLAGS", "REDRAFT_AT"}
)


def load_config(
    flags: Mapping[str, object] | None = None,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Return the Config the sources add up to; a flag of None is one not given.  Raises ConfigError."""
    environ = environ or {}
    if file is None and environ.get("REDRAFT_CONFIG"):
        file = Path(environ["REDRAFT_CONFIG"])
    values: dict[str, object] = settings_in_file(file) if file is not None else {}
    values |= {each.name: environ[each.variable] for each in SETTINGS if each.variable in environ}
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    read = {name: SETTING_BY_NAME[name].read(value) for name, value in values.items()}
    secret_file = read.get("cluster_secret_file")
    if secret_file is not None and not read.get("cluster_secret"):
        read["cluster_secret"] = read_secret(secret_file)
    return Config(**read)


def read_secret(path: Path) -> str:
    """Return the cluster secret a file holds, without surrounding white space; raises ConfigError."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"The cluster secret file {path} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(
            f"The cluster secret file {path} is not text: openssl rand -hex 32 makes a good one."
        ) from None
    if not secret:
        raise ConfigError(
            f"The cluster secret file {path} is empty: openssl rand -hex 32 makes a good secret."
        )
    return secret


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """REDRAFT_* variables that name no setting."""
    known = OTHER_VARIABLES | {each.variable for each in SETTINGS}
    return sorted(name for name in environ if name.startswith("REDRAFT_") and name not in known)


def settings_in_file(path: Path) -> dict[str, object]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"The configuration file {path} can't be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration file {path} is not valid TOML: {error}.") from None
    values: dict[str, object] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in SETTING_BY_NAME:
            close = difflib.get_close_matches(name, SETTING_BY_NAME, n=1)
            hint = f"did you mean {close[0]}?" if close else "docs/configuration.md lists all settings."
            raise ConfigError(f"The configuration file {path} sets {key}, which is no setting: {hint}")
        if name in values:
            raise ConfigError(f"The configuration file {path} sets {name} twice: keep one of them.")
        values[name] = value
    return values
