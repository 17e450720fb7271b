"""docs/configuration.md, made from the settings: `python -m redraft.cli.settingsdoc > docs/configuration.md`.

A test holds the page in the repository and this together.
"""

from __future__ import annotations

import sys

from redraft.base.config import SETTINGS
from redraft.base.setting import Setting

HEAD = """\
# Configuration

Made from `redraft/base/config.py` by `python -m redraft.cli.settingsdoc`; change it there.

Every setting has one name and can be given in four ways; the later ones win:

1. its default;
2. the TOML file of `--config FILE` (or `REDRAFT_CONFIG`): `maxmemory = "1gb"`;
3. the environment: `REDRAFT_MAXMEMORY=1gb`;
4. a flag of `redraft server`: `--maxmemory 1gb`.

In a file `_` and `-` are the same, lists may be TOML arrays, and a key that is no setting is an error.
Sizes are Redis's: `64mb` is 64 x 1024 x 1024 bytes, `64m` is 64,000,000. `redraft local` decides about
`listen`, `cluster`, `dir` and the secret itself; other settings reach its nodes by `--config` and the
environment. A setting marked *live* can be changed while a node runs, by `CONFIG SET`, under the same
name with `-` for `_`.
"""


def configuration_page() -> str:
    """The page as Markdown."""
    parts = [HEAD]
    for section in dict.fromkeys(each.section for each in SETTINGS):
        rows = [_row(each) for each in SETTINGS if each.section == section]
        table = ["| setting | default | meaning |", "| --- | --- | --- |", *rows]
        parts.append(f"## {section}\n\n" + "\n".join(table) + "\n")
    return "\n".join(parts)


def _row(setting: Setting) -> str:
    shown = setting.show(setting.default)
    facts = []
    if len(setting.choices) > 1:
        facts.append("One of " + ", ".join(f"`{choice}`" for choice in setting.choices) + ".")
    if setting.secret:
        facts.append("No flag.")
    if setting.live:
        facts.append("*Live.*")
    default = f"`{shown}`" if shown else ""
    return f"| `{setting.name}` | {default} | {' '.join([setting.doc, *facts])} |"


if __name__ == "__main__":
    sys.stdout.write(configuration_page())
