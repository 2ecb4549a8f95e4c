"""What services, their circuits and their parts are called on the pages."""

from collections.abc import Mapping

from sidecar.model import CircuitState
from sidecar.store.overview import Obstacle
from sidecar.web.pages.languages import N_

WELL = ("ok", N_("healthy"))
OBSTACLES: Mapping[Obstacle, tuple[str, str]] = {
    Obstacle.GONE: ("off", N_("not configured")),
    Obstacle.BROKEN: ("bad", N_("cannot be called")),
    Obstacle.OFF: ("off", N_("switched off")),
    Obstacle.PAUSED: ("pause", N_("paused")),
    Obstacle.CIRCUIT: ("bad", N_("down")),
}
CIRCUITS: Mapping[CircuitState, tuple[str, str]] = {
    CircuitState.CLOSED: ("ok", N_("closed")),
    CircuitState.OPEN: ("bad", N_("open")),
    CircuitState.HALF_OPEN: ("warn", N_("half-open")),
}
AUTHS: Mapping[str, str] = {
    "none": N_("no credentials"),
    "bearer": N_("Bearer token"),
    "apikey": N_("API key"),
    "basic": N_("user and password"),
    "oauth2": N_("OAuth 2, client credentials"),
    "wsse": N_("WS-Security user (SOAP)"),
}
TYPES: Mapping[str, str] = {
    "rest": N_("REST (HTTP)"),
    "amqp": N_("AMQP (RabbitMQ)"),
    "soap": N_("SOAP (WSDL)"),
}
FIELDS: Mapping[str, str] = {
    "name": N_("Name"),
    "type": N_("Type"),
    "base_url": N_("Base URL"),
    "host": N_("Host"),
    "port": N_("Port"),
    "vhost": N_("Virtual host"),
    "exchange": N_("Exchange"),
    "routing_key": N_("Routing key"),
    "queue": N_("Queue to declare"),
    "dlq": N_("Dead letter queue"),
    "soap_service": N_("Service within the WSDL"),
    "soap_port": N_("Port within the WSDL"),
    "soap_address": N_("Address that is called"),
    "auth": N_("Authentication"),
    "auth_token": N_("Token"),
    "auth_key": N_("Key"),
    "auth_header": N_("Header with the key"),
    "auth_query": N_("Query parameter with the key, instead of the header"),
    "auth_username": N_("User"),
    "auth_password": N_("Password"),
    "auth_token_url": N_("URL of the token server"),
    "auth_client_id": N_("Client id"),
    "auth_client_secret": N_("Client secret"),
    "auth_scope": N_("Scope"),
    "auth_client_auth": N_("How the client identifies itself"),
    "auth_digest": N_("Send a digest of the password"),
    "headers": N_("Headers"),
    "timeout": N_("Timeout, seconds"),
    "connect_timeout": N_("Timeout of the connection, seconds"),
    "max_retries": N_("Retries"),
    "backoff": N_("Wait before the first retry, seconds"),
    "max_backoff": N_("Longest wait, seconds"),
    "schedule": N_("Or the waits one by one"),
    "failure_threshold": N_("Failures in a row that open the circuit"),
    "cooldown": N_("Seconds until a probe"),
    "rate_limit": N_("Rate limit"),
    "drain_rate": N_("Rate for a backlog"),
    "max_concurrency": N_("Requests at the same time"),
    "format": N_("Format of payloads"),
    "proxy": N_("Proxy"),
    "signing_secret": N_("Signing secret"),
    "ca": N_("Authority to trust (file)"),
    "cert": N_("Own certificate (file)"),
    "key_file": N_("Its key (file)"),
    "key_password": N_("Password of the key"),
    "more": N_("Other options"),
}
