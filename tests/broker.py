"""A RabbitMQ server that a test session owns: started, killed, restarted and alarmed at will."""

import json
import os
import random
import shutil
import signal
import socket
import ssl
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pika
import pika.exceptions
import pytest

from tests.process import ChildProcess
from tests.servers import START_LIMIT_S, ServerMissing, find_program
from tests.transports.certificates import Authority

_ACCOUNT = "rabbitmq"
# Debian's own wrapper changes the account and forgets the environment.
_PROGRAMS = Path("/usr/lib/rabbitmq/bin")
# Who changes accounts, for the broker's log.
_SOMEBODY = '<<"tests">>'


class RabbitMQ:
    """A broker: a process of ours, or one that an environment variable names and we never stop."""

    variable = "MIH_TEST_RABBITMQ_URL"

    def __init__(self) -> None:
        self._given = os.environ.get(self.variable)
        self._process: ChildProcess | None = None
        self._names: ChildProcess | None = None
        self._environment: list[str] = []
        self._authority: Authority | None = None
        self._port = self._tls_port = 0
        self._was_up = self._answered = False
        self.node = f"mih-test-{os.getpid()}@localhost"
        self.node_port = _quiet_port()  # where other nodes of a cluster find it

    @property
    def running(self) -> bool:
        """Whether it can be connected to; of a broker that a variable names this is taken for granted."""
        return self._given is not None or (self._process is not None and self._process.running)

    @property
    def pid(self) -> int | None:
        """The number of the process, while there is one of ours."""
        return self._process.pid if self._process else None

    @property
    def port(self) -> int:
        """Where it listens."""
        self._owned()
        return self._port

    @property
    def authority(self) -> Authority:
        """Who has signed the certificate of its TLS port."""
        if self._authority is None:
            pytest.skip("this broker has no TLS port of ours")
        return self._authority

    def url(self, vhost: str = "/", query: str = "") -> str:
        """Return the URL of a virtual host, with user and password."""
        parts = urlsplit(self._given or f"amqp://guest:guest@127.0.0.1:{self.port}")
        return f"{parts.scheme}://{parts.netloc}/{quote(vhost, safe='')}{query and f'?{query}'}"

    def tls_url(self, query: str = "") -> str:
        """Return the URL of the TLS port."""
        assert self.authority
        return f"amqps://guest:guest@127.0.0.1:{self._tls_port}/{query and f'?{query}'}"

    def start(self) -> None:
        """Start the process if it does not run, and return when it answers."""
        # Asked after every test: to greet it each time would cost more than most tests.
        if self._given or (self._answered and self.running):
            return
        deadline = time.monotonic() + START_LIMIT_S
        while not self._answers():
            if time.monotonic() > deadline:
                raise RuntimeError(f"RabbitMQ did not start:\n{self._owned().log_tail}")
            if not self.running:
                self._spawn()
            time.sleep(0.05)
        self._was_up = self._answered = True

    def stop(self) -> None:
        """End the process in good order."""
        self._owned().end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process with SIGKILL, as a crash would."""
        self._owned().end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the process if it runs, and start it on the same port with the same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Leave nothing behind: no process, no folder."""
        for process in (self._process, self._names):
            if process:
                process.remove()

    def alarm(self, *, on: bool) -> None:
        """Have it run out of memory, or recover."""
        self.evaluate(f"vm_memory_monitor:set_vm_memory_high_watermark({0 if on else 0.6})")
        while (self.evaluate("rabbit_alarm:get_alarms()") != "[]") != on:
            time.sleep(0.01)

    def limit(self, size: int) -> int:
        """Have it take messages of at most that many bytes; return how many it took before."""
        before = self.evaluate("element(2, application:get_env(rabbit, max_message_size))")
        self.evaluate(f"application:set_env(rabbit, max_message_size, {size})")
        self.evaluate(f"persistent_term:put({{rabbit_channel, max_message_size}}, {size})")
        return int(before)

    def add_user(self, name: str, password: str, *may: str) -> None:
        """Make an account that may `configure`, `write` and `read` what fits these patterns."""
        self.evaluate(f"rabbit_auth_backend_internal:add_user({_binary(name, password)}, {_SOMEBODY})")
        self.permit(name, *may)

    def permit(self, name: str, configure: str = "", write: str = "", read: str = "") -> None:
        """Let an account do from now on what fits these patterns, and nothing else."""
        given = _binary(name, "/", configure, write, read)
        self.evaluate(f"rabbit_auth_backend_internal:set_permissions({given}, {_SOMEBODY})")

    def permit_topic(self, name: str, exchange: str, write: str) -> None:
        """Let an account send to an exchange only with routing keys that fit this pattern."""
        given = _binary(name, "/", exchange, write, "")
        self.evaluate(f"rabbit_auth_backend_internal:set_topic_permissions({given}, {_SOMEBODY})")

    def remove_user(self, name: str) -> None:
        """Remove an account."""
        self.evaluate(f"rabbit_auth_backend_internal:delete_user({_binary(name)}, {_SOMEBODY})")

    def evaluate(self, expression: str) -> str:
        """Return the value of an Erlang expression, worked out inside the broker.

        It takes 3 ms. rabbitmqctl starts a runtime of its own: half a second of the processor's time.
        """
        call: list[str | Path] = [
            "env",
            *self._environment,
            find_program("erl_call"),
            "-sname",
            self.node,
            "-e",
        ]
        said = self._owned().run(*call, given=f"{expression}.\n")
        if not said.startswith("{ok, "):
            raise RuntimeError(f"RabbitMQ could not work out {expression}: {said}")
        return said.removeprefix("{ok, ").removesuffix("}")

    def control(self, *command: str) -> str:
        """Run rabbitmqctl and return what it printed."""
        return self._owned().run("env", *self._environment, _program("rabbitmqctl"), "--quiet", *command)

    def connect(self) -> Any:
        """Return a connection of pika's own, for tests to look and to tidy up with."""
        return pika.BlockingConnection(pika.URLParameters(self.url()))

    def _owned(self) -> ChildProcess:
        if self._process is None:
            pytest.skip(f"the broker that {self.variable} names is not ours to touch")
        return self._process

    def _answers(self) -> bool:
        """Tell whether both ports are its own and open; the one for TLS opens last."""
        if not self.running:
            return False
        with suppress(pika.exceptions.AMQPError, OSError), closing(self.connect()):
            if self._authority:
                ssl.get_server_certificate(("127.0.0.1", self._tls_port), timeout=START_LIMIT_S / 10)
            return True
        return False

    def _spawn(self) -> None:
        if not self._was_up:
            # If it died of a port that somebody has taken meanwhile, it gets others.
            self.close()
            self._prepare()
        self._answered = False
        self._owned().spawn("env", *self._environment, _program("rabbitmq-server"))

    def _prepare(self) -> None:
        _program("rabbitmq-server")
        # Erlang's register of names would be a daemon that outlives us, if it were not there before.
        self._names = ChildProcess(_ACCOUNT)
        self._names.spawn(find_program("epmd"), "-port", str(self._names.port), "-address", "127.0.0.1")
        self._process = process = ChildProcess(_ACCOUNT)
        self._port, self._tls_port = _quiet_port(), _quiet_port()
        (process.home / "rabbitmq.conf").write_text("\n".join(self._settings(process)) + "\n")
        values = {
            "HOME": process.home,
            "ERL_EPMD_PORT": self._names.port,
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": self.node_port,
            "RABBITMQ_CONFIG_FILE": process.home / "rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": process.home / "none",
            "RABBITMQ_ENABLED_PLUGINS_FILE": process.home / "none",
            "RABBITMQ_MNESIA_BASE": process.home / "data",
            "RABBITMQ_LOG_BASE": process.home / "log",
            "RABBITMQ_LOGS": "-",
            # The server becomes the process that we know, instead of a shell's child that survives its death.
            "RABBITMQ_ALLOW_INPUT": 1,
            "RABBITMQ_SERVER_START_ARGS": "-noinput -kernel inet_dist_use_interface {127,0,0,1}",
            # One scheduler that does not spin while it waits: the tests want the processor, too.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
        }
        self._environment = [f"{name}={value}" for name, value in values.items()]

    def _settings(self, process: ChildProcess) -> list[str]:
        folder = process.home / "tls"
        folder.mkdir()
        self._authority = Authority(folder)
        self._authority.server("IP:127.0.0.1")
        for file in (folder, *folder.iterdir()):
            shutil.chown(file, process.home.owner())
        return [
            f"listeners.tcp.default = 127.0.0.1:{self._port}",
            "log.console.level = warning",
            f"listeners.ssl.default = 127.0.0.1:{self._tls_port}",
            f"ssl_options.cacertfile = {self._authority.file}",
            f"ssl_options.certfile = {folder}/server.pem",
            f"ssl_options.keyfile = {folder}/server.key",
        ]


def _binary(*texts: str) -> str:
    """Write texts as Erlang does; its strings have JSON's escapes."""
    return ", ".join(f"<<{json.dumps(text)}>>" for text in texts)


def _quiet_port() -> int:
    """Return a free port from which no connection goes out: a broker that is down for seconds finds it free.

    Linux gives outgoing connections ports from 32768 upwards.
    """
    while True:
        port = random.randint(20_000, 32_000)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def _program(name: str) -> Path:
    own = _PROGRAMS / name
    if own.exists():
        return own
    try:
        return find_program(name)
    except ServerMissing:
        raise ServerMissing("rabbitmq-server is not installed") from None
