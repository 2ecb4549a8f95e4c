"""URLs of databases and services, looked at before anybody connects; never repeated: they hold passwords."""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from sidecar.errors import said
from sidecar.settings.broker import ESCAPED, broker_problem

DRIVERS = ("mysql+pymysql", "mariadb+pymysql", "postgresql+psycopg", "sqlite")

_MENDED = {
    "mysql": "mysql+pymysql",
    "mysqli": "mysql+pymysql",
    "mysql+mysqldb": "mysql+pymysql",
    "mysql+mysqlconnector": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "mariadb+mariadbconnector": "mariadb+pymysql",
    "postgres": "postgresql+psycopg",
    "pgsql": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg2": "postgresql+psycopg",
    "postgresql+asyncpg": "postgresql+psycopg",
    "sqlite+pysqlite": "sqlite",
    "sqlite3": "sqlite",
}
_EXAMPLE = "mysql+pymysql://user:password@host/moodle"

# The shape of an SQLAlchemy URL: the user ends at the last @ before the first / of the rest.
_URL = re.compile(
    r"(?P<driver>[A-Za-z0-9+]+)://"
    r"(?:(?P<user>[^:/@]*)(?::(?P<password>[^@]*))?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:?@\[\]]*)(?::(?P<port>[^/?]*))?"
    r"(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?"
)


def database_url_problem(url: str) -> str | None:
    """Say why no database can be behind this URL, None when it has the right shape."""
    if not url.strip():
        return said("this is empty: give the URL of a database, such as %(example)s", example=_EXAMPLE)
    driver = url.partition("://")[0].strip()
    if "://" not in url or driver not in DRIVERS:
        return _driver_problem(driver)
    return _sqlite_problem(url) if driver == "sqlite" else _server_problem(url)


def has_password(url: str) -> bool:
    """Tell whether a database URL holds a password, before the host or as a parameter."""
    parts = _URL.fullmatch(url)
    if parts is None:
        return True  # nobody knows: treat it as a secret
    return bool(parts["password"]) or bool({"password", "passwd"} & set(parse_qs(parts["query"] or "")))


def _driver_problem(driver: str) -> str:
    mended = _MENDED.get(driver.lower())
    if mended:
        return said(
            "this starts with %(driver)s://, which is not one of our drivers: write %(mended)s://",
            driver=driver.lower(),
            mended=mended,
        )
    return said(
        "this is no database URL that is known here: it starts with %(starts)s",
        starts=", ".join(f"{one}://" for one in DRIVERS),
    )


def _sqlite_problem(url: str) -> str | None:
    rest = url.removeprefix("sqlite://")
    path = rest.partition("?")[0]
    if not path.startswith("/"):
        return said(
            "a file of SQLite is written sqlite:///campus.sqlite, or sqlite:////var/lib/campus.sqlite"
        )
    if path in ("/", "/:memory:"):
        return said(
            "SQLite needs a file here, such as sqlite:///campus.sqlite: one in memory is lost at the end"
        )
    return None


def _server_problem(url: str) -> str | None:
    parts = _URL.fullmatch(url)
    if parts is None or not re.fullmatch(r"\d*", parts["port"] or "") or _has_more_password(parts):
        return said("this cannot be read as %(example)s; %(escaped)s", example=_EXAMPLE, escaped=ESCAPED)
    if parts["port"] and not 0 < int(parts["port"][:9]) < 65536:
        return said("the port is not between 1 and 65535")
    if not parts["database"]:
        return said("this names no database at its end, as in %(example)s", example=_EXAMPLE)
    if not parts["host"] and not re.search(r"(unix_socket|host|service)=", parts["query"] or ""):
        return said("this names no host, as in %(example)s", example=_EXAMPLE)
    return None


def _has_more_password(parts: re.Match[str]) -> bool:
    """Tell whether there is another @ behind the host: a password was cut in two, and half would be shown."""
    return "@" in f"{parts['database']}{parts['query']}"


def base_url_problem(transport: str, url: str) -> str | None:
    """Say why a service of this type cannot be behind this URL."""
    check = _BASE_URLS.get(transport)
    return check(url) if check else None


def _soap_problem(url: str) -> str | None:
    """Say why no WSDL can be there; unlike a prefix of URLs, its URL may end in `?wsdl`."""
    if "#" in url:
        return said("no # here: this is the URL of the service's WSDL")
    return web_url_problem(url.partition("?")[0])


def web_url_problem(url: str, example: str = "https://crm.example.org/api") -> str | None:
    """Say why no service that speaks HTTP can be behind this URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return said("this is no URL: its host or port cannot be read")
    if parts.scheme not in ("http", "https") or not host:
        return said("expected a URL such as %(example)s", example=example)
    if parts.username is not None:
        return said("no user and password here: use auth: {type: basic, username: ..., password: ...}")
    if "?" in url or "#" in url:
        return said("no ? and no # here: a rule's endpoint is appended, and it may hold a query")
    if re.search(r"[\x00-\x20\x7f]", url) or port == 0:
        return said("this is no URL: it holds a blank or a control character, or the port 0")
    return None


_BASE_URLS: dict[str, Callable[[str], str | None]] = {
    "amqp": broker_problem,
    "rest": web_url_problem,
    "soap": _soap_problem,
}
