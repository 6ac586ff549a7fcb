"""Simulated providers: every spec served over HTTP or in-process, with real images and a queue with capacity.

A product, not a fixture: application teams develop against it, and the official SDKs work with it. It is driven by
the spec alone, so that an endpoint described in YAML is simulated without a line of code. From the bottom up:

* ``settings``: seed, durations, capacity.
* ``images``: a real image from a hash.
* ``queue``: when jobs run.
* ``answers``: an answer's body from a schema and values by role.
* ``verdicts``: whether a request body is accepted.
* ``variations``: the seam for planted faults and healthy variants.
* ``provider``: the account and its endpoints.
* ``app``: HTTP (ASGI). ``server``: a socket, a child process.
"""

from harness.simulator.app import HEADER, application, prefixes
from harness.simulator.server import Server, serve, spawned
from harness.simulator.settings import Settings
from harness.simulator.variations import Variation

__all__ = ["HEADER", "Server", "Settings", "Variation", "application", "prefixes", "serve", "spawned"]
