"""The application in a thread of the test's process, so that a test can inspect and break it."""

from __future__ import annotations

import socket
import threading
from functools import partial
from typing import Any

import uvicorn

from app.limits.bounds import Bounds
from app.main import create_app
from app.serving.connections import Connections
from app.serving.http_protocol import HttpProtocol
from app.settings import load_settings
from app.upstream.embedded import EmbeddedAddress

from .service import Service


class Inside:
    """The application on its own socket, run by a thread of this process."""

    def __init__(self, service: Service, endpoint: EmbeddedAddress, bounds: Bounds | None = None, **how: Any) -> None:
        """*service* must be initialised and not started, and the current folder its folder."""
        self.service = service
        self.app = create_app(load_settings(secret_key=service.secret_key, **how), embedded=endpoint)
        http: Any = partial(HttpProtocol, Connections(bounds or Bounds()))
        config = uvicorn.Config(self.app, http=http, proxy_headers=False, log_config=None, timeout_graceful_shutdown=1)
        self.server = uvicorn.Server(config)

    def __enter__(self) -> Inside:
        listener = socket.create_server(("127.0.0.1", self.service.port))
        self.thread = threading.Thread(target=self.server.run, args=([listener],))
        self.thread.start()
        self.service.wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(30)
        assert not self.thread.is_alive()
