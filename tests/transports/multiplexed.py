"""A real HTTP/2 server for tests, over TLS: answers 200 to everything and remembers it."""

import contextlib
import socket
import ssl
import threading
from types import TracebackType
from typing import Self

import h2.config
import h2.connection
import h2.events
import h2.exceptions

_PATIENCE_S = 20.0


class Http2Server:
    """One connection at a time. With `goaway` it takes one request a connection and then says so."""

    def __init__(self, tls: ssl.SSLContext, *, goaway: bool = False) -> None:
        self.bodies: list[tuple[int, str, bytes]] = []
        tls.set_alpn_protocols(["h2"])
        self._tls, self._goaway = tls, goaway
        self._wire: socket.socket | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close everything and wait for the thread."""
        for wire in filter(None, (self._listener, self._wire)):
            with contextlib.suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)
        self._thread.join(_PATIENCE_S)
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        number = 0
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                number += 1
                refused = contextlib.suppress(h2.exceptions.ProtocolError)  # who speaks HTTP/1.1 here
                with self._tls.wrap_socket(plain, server_side=True) as self._wire, refused:
                    self._serve(self._wire, number)

    def _serve(self, wire: socket.socket, number: int) -> None:
        state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        state.initiate_connection()
        wire.sendall(state.data_to_send())
        paths: dict[int, str] = {}
        bodies: dict[int, bytes] = {}
        while data := wire.recv(65_536):
            for event in state.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    paths[event.stream_id] = dict(event.headers)[b":path"].decode()
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                    state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    stream = event.stream_id
                    self.bodies.append((number, paths[stream], bodies.get(stream, b"")))
                    state.send_headers(stream, [(":status", "200")])
                    state.send_data(stream, b"ok", end_stream=True)
                    if self._goaway:
                        state.close_connection(last_stream_id=stream)
            wire.sendall(state.data_to_send())
