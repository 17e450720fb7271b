"""The log on disk: record format, segments, writer, recovery; shared by all groups of a node."""

from redraft.wal.files import Files, SystemFiles
from redraft.wal.group import GroupLog
from redraft.wal.log import Log
from redraft.wal.options import LogOptions

__all__ = ["Files", "GroupLog", "Log", "LogOptions", "SystemFiles"]
