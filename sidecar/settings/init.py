"""A database URL becomes a first configuration file that loads as it is and says what to do next."""

import json
import re
from string import Template

from sidecar.errors import ConfigError
from sidecar.settings.addresses import database_url_problem, has_password
from sidecar.settings.values import NAME_PATTERN, PATTERN_WORDS
from sidecar.settings.variables import escape


def starter(url: str, site: str) -> str:
    """Return the text of `config/sidecar.yaml`. Raises ConfigError for a bad name or URL.

    A URL with a password stays out of the file: it is read from MOODLE_DB_URL.
    """
    problem = database_url_problem(url)
    problems = [f"the database URL: {problem}"] if problem else []
    if not re.fullmatch(NAME_PATTERN, site) or len(site) > 100:
        problems.append(f'the site "{site[:100]}": {PATTERN_WORDS[NAME_PATTERN]}')
    if problems:
        raise ConfigError(problems)
    secret = has_password(url)
    hint = _FROM_ENVIRONMENT if secret else _IN_FILE
    shown = "${MOODLE_DB_URL}" if secret else json.dumps(escape(url))
    return _STARTER.substitute(site=json.dumps(site), hint=hint, url=shown)


_FROM_ENVIRONMENT = """\
  # It holds a password, so it is read from the environment: set MOODLE_DB_URL before `mih` starts."""
_IN_FILE = """\
  # One with a password belongs into the environment: write ${MOODLE_DB_URL} here and set that variable."""

_STARTER = Template(r"""# yaml-language-server: $$schema=sidecar.schema.json
#
# The configuration of the sidecar. First steps:
#   1. mih check     connects, and says what is missing, with the remedy
#   2. mih migrate   makes the sidecar's own tables (mih_...); Moodle's tables are only read
#   3. mend the service and the rule below, set `enabled: true`
#   4. mih run       starts; a change of this file is taken over while it runs
# Every option with its default: config/sidecar.example.yaml of the source, and sidecar.schema.json here
# Anywhere but in payload and when: $${NAME}, $${NAME:-default}, and file:/run/secrets/name for a whole value.

site: $site                # name of this Moodle; part of every delivery id, so never change it

moodle:
$hint
  url: $url
  prefix: mdl_             # $$CFG->prefix in Moodle's config.php

store:
  url: $${MIH_STORE_URL:-}  # empty: the sidecar's tables stand in Moodle's database

tail:
  start: latest            # at the first start: what happens from now on (or: beginning, a log id, a time)

services:
  crm:
    type: rest
    base_url: https://crm.example.org/api
    # auth: {type: bearer, token: "$${CRM_TOKEN}"}
    timeout: 5             # seconds

rules:
  - name: new-user-to-crm
    enabled: false         # nothing is sent until this is true
    # Without quotes: in double quotes a backslash is an escape. \mod_quiz\event\* is a pattern.
    event: \core\event\user_created
    service: crm
    endpoint: /users       # appended to base_url
    # where: {origin: [web, ws]}       columns of the log row; cheap
    # when: other.auth != 'nologin'    a condition on anything in the event
    # A text, a file under payloads/, or a mapping whose values are templates. Without it: the whole event.
    payload:
      id: "{{ objectid }}"
      name: "{{ relateduser.firstname }} {{ relateduser.lastname }}"
      by: "{{ userid }}"
""")
