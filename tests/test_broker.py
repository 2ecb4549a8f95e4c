"""The broker that other tests stand on: it keeps its queues when it dies, and dies with its session."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.broker import RabbitMQ
from tests.test_servers import _alive, eventually


def test_restart_keeps_address_and_queues(rabbitmq: RabbitMQ) -> None:
    with closing(rabbitmq.connect()) as before:
        before.channel().queue_declare("mih-test-kept", durable=True)
    url = rabbitmq.url()

    rabbitmq.kill()
    rabbitmq.start()

    assert rabbitmq.url() == url
    with closing(rabbitmq.connect()) as after:
        assert after.channel().queue_delete("mih-test-kept").method.message_count == 0


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux ends a child with its parent")
def test_broker_and_its_register_of_names_die_with_their_session(rabbitmq: RabbitMQ) -> None:
    assert rabbitmq.port
    script = (
        "import tests.broker as t; b = t.RabbitMQ(); b.start();"
        " print(b.pid, b._names.pid, b._process.home, b._names.home, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-u", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("MIH_TEST_")},
    ) as session:
        assert session.stdout
        server, names, *homes = session.stdout.readline().split()
        assert _alive(int(server))
        assert _alive(int(names))

        session.send_signal(signal.SIGKILL)

    assert eventually(lambda: not _alive(int(server)) and not _alive(int(names)))
    for home in homes:
        shutil.rmtree(home, ignore_errors=True)
