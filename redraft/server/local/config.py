"""CONFIG: the settings under the names Redis gives them.

Every setting of `Config` is shown, dashes for underscores, sizes as plain numbers; those marked live
can be set.  A few of Redis's that have one possible value here are shown with it, as tools ask for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redraft.base.config import SETTING_BY_NAME, SETTINGS, Config
from redraft.base.errors import ConfigError
from redraft.base.setting import SIZE
from redraft.commands.glob import compiled
from redraft.server.encode import OK, Value
from redraft.server.outcome import Handler
from redraft.server.words import ReplyError

if TYPE_CHECKING:
    from redraft.server.connection import Connection

FIXED = {
    "appendfsync": "always",
    "appendonly": "yes",
    "databases": "1",
    "io-threads": "1",
    "maxmemory-policy": "noeviction",
    "save": "",
}
_LIMIT = "client-output-buffer-limit"
_LIMIT_FIELDS = (
    "client_output_buffer_limit",
    "client_output_buffer_soft_limit",
    "client_output_buffer_soft_seconds",
)
_ELSEWHERE = frozenset((*_LIMIT_FIELDS, "listen"))


def parameters(connection: Connection) -> dict[str, str]:
    """All parameters with their values as text."""
    config = connection.front.config
    shown = dict(FIXED)
    for setting in SETTINGS:
        if setting.name in _ELSEWHERE or setting.secret:
            continue
        value = getattr(config, setting.name)
        shown[_public(setting.name)] = str(value) if setting.kind is SIZE else setting.show(value)
    shown["bind"] = config.host
    shown["port"] = str(config.port)
    shown[_LIMIT] = "normal " + " ".join(str(getattr(config, name)) for name in _LIMIT_FIELDS)
    shown["cluster-enabled"] = "yes" if connection.port.cluster_enabled else "no"
    return shown


def _public(name: str) -> str:
    return name.replace("_", "-")


def _get(connection: Connection, args: list[bytes]) -> Value:
    shown = parameters(connection)
    patterns = [pattern.lower() for pattern in args[2:]]
    found = {name for name in shown if any(compiled(pattern).match(name.encode()) for pattern in patterns)}
    return {name: shown[name] for name in sorted(found)}


def _set(connection: Connection, args: list[bytes]) -> Value:
    if len(args) % 2:
        raise ReplyError("ERR wrong number of arguments for 'config|set' command")
    shown = parameters(connection)
    changes: dict[str, object] = {}
    for raw_name, raw_value in zip(args[2::2], args[3::2], strict=True):
        name, value = raw_name.decode("utf-8", "replace").lower(), raw_value.decode("utf-8", "replace")
        if name not in shown:
            raise ReplyError(
                f"ERR Unknown option or number of arguments for CONFIG SET - '{_quoted(raw_name)}'"
            )
        fields = _changes(name, value, shown[name])
        if fields.keys() & changes.keys():
            raise _failed(name, "duplicate parameter")
        changes |= fields
    try:
        config = connection.front.config.changed(**changes) if changes else connection.front.config
    except ConfigError as error:
        raise _failed(args[2].decode("utf-8", "replace"), str(error)) from None
    _put_in_force(connection, config)
    return OK


def _changes(name: str, value: str, now: str) -> dict[str, object]:
    """Return the fields of Config that the parameter sets; none when it is so already."""
    if name == _LIMIT:
        return _limit_changes(value)
    setting = SETTING_BY_NAME.get(name.replace("-", "_"))
    if setting is not None and setting.live:
        return {setting.name: value}
    if value == now:
        return {}
    raise _failed(name, "can't set immutable config")


def _limit_changes(value: str) -> dict[str, object]:
    words = value.split()
    if len(words) % 4 or not words:
        raise _failed(_LIMIT, "Wrong number of arguments in buffer limit configuration.")
    changes: dict[str, object] = {}
    for at in range(0, len(words), 4):
        kind = words[at].lower()
        if kind not in ("normal", "slave", "replica", "pubsub"):
            raise _failed(_LIMIT, "Invalid client class specified in buffer limit configuration.")
        if kind == "normal":
            changes.update(zip(_LIMIT_FIELDS, words[at + 1 : at + 4], strict=True))
    return changes


def _quoted(name: bytes) -> str:
    return name[:128].decode("utf-8", "replace")


def _failed(name: str, why: str) -> ReplyError:
    return ReplyError(f"ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")


def _put_in_force(connection: Connection, config: Config) -> None:
    if config is not connection.front.config:
        connection.front.reconfigure(config)


def _resetstat(connection: Connection, _args: list[bytes]) -> Value:
    connection.front.reset_counters()
    return OK


def _rewrite(_connection: Connection, _args: list[bytes]) -> Value:
    raise ReplyError("ERR The server is running without a config file")


SUBCOMMANDS: dict[bytes, Handler] = {
    b"get": _get,
    b"resetstat": _resetstat,
    b"rewrite": _rewrite,
    b"set": _set,
}
