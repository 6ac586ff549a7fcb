"""Simulated providers: every spec served over HTTP or in-process, with real images and a queue with capacity.

A product, not a fixture: application teams develop against it, and the official SDKs work with it. It is driven by
the spec alone, so that an endpoint described in YAML is simulated without a line of code. From the bottom up:

* ``settings``: seed, durations, capacity.
* ``images``: a real image from a hash.
* ``queue``: when jobs run.
* ``answers``: an answer's body from a schema and values by role.
* ``inputs``: whether an input image could be fetched and decoded. ``verdicts``: whether a request body is accepted.
* ``variations``: the seam for planted faults and healthy variants.
* ``bill``: what was charged.
* ``provider``: the account and its endpoints.
* ``edits``, ``faults``, ``variants``: what an endpoint can be told to do wrong, or otherwise. ``planting``: by id.
* ``app``: HTTP (ASGI). ``server``: a socket, a child process.
"""

from harness.simulator.app import HEADER, LEDGER, Application, application, prefixes
from harness.simulator.faults import Fault, faults_for, list_faults
from harness.simulator.planting import planted
from harness.simulator.server import Server, serve, spawned
from harness.simulator.settings import Settings
from harness.simulator.variants import Variant, variants_for
from harness.simulator.variations import Variation

__all__ = [
    "HEADER",
    "LEDGER",
    "Application",
    "Fault",
    "Server",
    "Settings",
    "Variant",
    "Variation",
    "application",
    "faults_for",
    "list_faults",
    "planted",
    "prefixes",
    "serve",
    "spawned",
    "variants_for",
]
