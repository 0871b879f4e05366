"""The models of the newest catalogue, and older ones for as long as a question may use them."""

from __future__ import annotations

import asyncio

from ..catalogue.models import Catalogue
from ..settings import Settings
from ..upstream.embedded import EmbeddedAddress
from ..upstream.model_server import ModelServer
from .breakers import Breakers, own_breaker
from .models import Models, open_models

SPARE_SECONDS = 60.0
"""For what a question does beside asking: its records, and the wait for a connection."""


class ModelsInUse:
    """For one event loop. A server that did not change keeps its connections."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, embedded: EmbeddedAddress | None, breakers: Breakers = own_breaker
    ) -> None:
        """Raises ConfigError."""
        self._settings, self._embedded, self._breakers = settings, embedded, breakers
        self._catalogue = catalogue
        self._retired: dict[ModelServer, asyncio.Task[None]] = {}
        self.now: Models = open_models(settings, catalogue, embedded, breakers=breakers)

    def replace(self, catalogue: Catalogue) -> Models:
        """The models of *catalogue*, for questions from now on.

        Raises ConfigError, with nothing changed.
        """
        models = open_models(self._settings, catalogue, self._embedded, self.now.upstreams, self._breakers)
        before = self._catalogue
        longest = max(caps.timeout_seconds + caps.stream_timeout_seconds for caps in (before.caps, *before.role_caps.values()))
        for server, upstream in self.now.upstreams.items():
            if server not in models.upstreams:
                self._retired[upstream] = asyncio.create_task(self._close_later(upstream, longest + SPARE_SECONDS))
        self.now, self._catalogue = models, catalogue
        return models

    async def aclose(self) -> None:
        for task in self._retired.values():
            task.cancel()
        for upstream in (*self._retired, *self.now.upstreams.values()):
            await upstream.aclose()

    async def _close_later(self, upstream: ModelServer, seconds: float) -> None:
        """Idle connections close by themselves before; this frees the rest."""
        await asyncio.sleep(seconds)
        del self._retired[upstream]
        await upstream.aclose()
