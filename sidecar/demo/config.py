"""The demo's configuration, written as a file that people can read and use from another terminal."""

import base64
import secrets
from pathlib import Path
from string import Template

from sidecar.demo.receiver import ANALYTICS, CRM, FLAKY
from sidecar.settings.variables import escape

GUEST = "demo"


def write(folder: Path, receiver_url: str, port: int) -> Path:
    """Write `sidecar.yaml` into the folder and return its path."""
    path = folder / "sidecar.yaml"
    text = _CONFIG.substitute(
        moodle=_sqlite(folder / "moodle.sqlite"),
        store=_sqlite(folder / "store.sqlite"),
        receiver=receiver_url,
        crm=CRM,
        analytics=ANALYTICS,
        flaky=FLAKY,
        guest=GUEST,
        password_hash=_nobodys_hash(),
        port=port,
    )
    path.write_text(text, encoding="utf-8")
    return path


def _nobodys_hash() -> str:
    """Return a hash that no known password has: the demo lets its visitor in by a link."""
    salt, digest = (base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m=65536,t=3,p=4${salt}${digest}"


def _sqlite(path: Path) -> str:
    # In single quotes, where YAML knows no escapes but the doubled quote.
    return escape(f"sqlite:///{path}").replace("'", "''")


_CONFIG = Template(r"""# The configuration of the demo. The real one: mih init

site: campus

moodle:
  url: '$moodle'
store:
  url: '$store'

tail:
  start: beginning
  poll: 0.2                # seconds: quick to watch

dispatch:
  poll: 0.5
  shutdown_grace: 3

web:
  port: $port
  users:
    - {name: $guest, password_hash: '$password_hash', role: manage}

services:
  $crm:                      # quick and healthy
    base_url: $receiver/$crm
    timeout: 2
  $analytics:            # takes 100 to 300 ms
    base_url: $receiver/$analytics
    timeout: 2
  $flaky:                    # down for 8 of every 20 seconds
    base_url: $receiver/$flaky
    timeout: 2
    retry: {max_retries: 4, backoff: 0.5}
    circuit_breaker: {failure_threshold: 3, cooldown: 2}

rules:
  # A text: between quotes a value is escaped as JSON, without quotes it becomes a whole JSON value.
  - name: new-user
    event: \core\event\user_created
    service: $crm
    endpoint: /users
    payload: |
      {"id": {{ objectid }}, "name": "{{ relateduser.firstname }} {{ relateduser.lastname }}",
       "email": {{ relateduser.email }}, "city": {{ relateduser.city }}, "by": "{{ userid }}"}

  # A mapping: its values are templates, and a single placeholder keeps its type.
  - name: member
    event: [\core\event\user_enrolment_created, \core\event\user_enrolment_deleted]
    service: $crm
    method: PUT
    endpoint: /courses/{{ courseid }}/members/{{ relateduserid }}
    payload:
      action: "{{ action }}"
      course: {id: "{{ courseid }}", name: "{{ course.fullname }}"}
      member: "{{ relateduser.firstname }} {{ relateduser.lastname }}"

  # A pattern, and no payload: the whole event. Who answered an anonymous feedback stays hidden.
  - name: activity
    event: [\mod_*\event\*, \core\event\course_viewed]
    service: $analytics
    endpoint: /events

  # `where` compares columns; the id of a session never leaves: [redacted].
  - name: session
    event: \core\event\user_logged*
    where: {origin: web}
    service: $analytics
    endpoint: /sessions

  # `when` is a condition on anything. The service refuses what is sent to /grades/deleted: a dead letter.
  - name: grade
    event: [\core\event\user_graded, \core\event\grade_deleted]
    when: (other.finalgrade | float) > 0
    service: $flaky
    endpoint: /grades/{{ action }}
    payload:
      user: "{{ relateduserid }}"
      course: "{{ course.shortname }}"
      grade: "{{ other.finalgrade | float }}"
""")
