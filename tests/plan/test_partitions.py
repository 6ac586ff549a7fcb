"""What each parameter's values are cut into: independent of the code that reads the schema, by counting."""

from __future__ import annotations

from decimal import Decimal

import pytest

from harness.plan import build
from harness.plan.partitions import ABSENT, partition
from harness.spec import Spec
from tests.calls import FAL, GATEWAY, MULTI, SINGLE, SPECS, WAVESPEED

# As they are now; planning.md's table in brackets where it differs.
SIZES: dict[str, dict[str, int]] = {
    SINGLE.target: {
        "prompt": 5, "image": 1, "n": 5, "strength": 7, "seed": 6, "steps": 7, "guidance_scale": 7,
        "negative_prompt": 4, "response_format": 3,
    },
    MULTI.target: {
        "prompt": 5, "images": 3, "n": 5, "aspect_ratio": 10, "seed": 6, "steps": 7, "guidance_scale": 7,
        "negative_prompt": 4, "response_format": 3,
    },
    WAVESPEED.target: {
        "prompt": 5, "images": 3, "seed": 6, "guidance_scale": 7, "aspect_ratio": 10, "enable_sync_mode": 3,
    },
    FAL.target: {
        "prompt": 5, "image_urls": 3, "seed": 5, "guidance_scale": 7, "sync_mode": 3, "num_images": 5,
        "output_format": 3, "safety_tolerance": 7, "enhance_prompt": 3, "aspect_ratio": 10,
    },
}  # fmt: skip


def labels(spec: Spec) -> dict[str, dict[str, str]]:
    plan = build(spec, flow=spec.default_flow, usd_per_image=Decimal(1))
    return {name: dict(domain) for name, domain in plan.domains.items()}
