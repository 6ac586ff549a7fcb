import copy
import pickle
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.model import Request
from harness.secret import BoundKey, Secret, read_key
from harness.urls import origin

KEY = "sk-very-secret"


def bound(scheme="Key", *urls):
    return BoundKey(Secret(KEY), "Authorization", scheme, frozenset(map(origin, urls or ("https://queue.fal.run",))))


def asked(url, *, authenticated=True):
    return Request("status", "GET", url, authenticated=authenticated)


@pytest.mark.parametrize(
    "shown", [repr, str, format, lambda s: f"{s!r}{s}", lambda s: repr([s]), lambda _: repr(bound())]
)
def test_a_secret_does_not_show_itself(shown):
    """No way of making text of a secret, or of what holds it, shows it."""
    assert KEY not in shown(Secret(KEY))


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy, lambda _: asdict(bound())])
def test_a_secret_is_not_copied_out(copied):
    """A secret is neither pickled nor copied."""
    with pytest.raises(TypeError, match="not pickled"):
        copied(Secret(KEY))


def test_a_key_is_stripped_before_a_header_exists():
    """White space around a key, which a shell or file leaves there, never reaches a header."""
    assert read_key("K", {"K": f" \t{KEY}\r\n"}).reveal() == KEY


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "the key variable K is not set"),
        ({"K": ""}, "the key variable K is not set"),
        ({"K": " \n"}, "the key variable K is not set"),
        ({"K": "a b"}, "the key in K holds spaces"),
        ({"K": "a\r\nhost: evil"}, "the key in K holds spaces"),
        ({"K": "schlüssel"}, "the key in K holds spaces"),
        ({"K": "a\x00b"}, "the key in K holds spaces"),
    ],
)
def test_a_key_that_no_header_can_carry_is_a_usage_error(environment, message):
    """A missing or malformed key is refused by the name of its variable, without a character of its value."""
    with pytest.raises(UsageError, match=message) as caught:
        read_key("K", environment)
    assert environment.get("K", "").strip() not in str(caught.value) or not environment.get("K", "").strip()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://queue.fal.run/x", ("Authorization", f"Key {KEY}")),
        ("https://QUEUE.fal.run:443/x", ("Authorization", f"Key {KEY}")),
        ("https://queue.fal.run:8443/x", None),
        ("http://queue.fal.run/x", None),
        ("https://queue.fal.run.evil.example/", None),
        ("https://queue.fal.run@evil.example/", None),
        ("https://queue.fal.run:0/", None),
        ("https://[::1", None),
    ],
)
def test_a_key_goes_to_its_origins_only(url, expected):
    """Scheme, host and port must all be the bound ones; and a request that wants no key gets none."""
    assert bound().header_for(asked(url)) == expected
    assert bound().header_for(asked(url, authenticated=False)) is None


def test_a_scheme_may_be_empty():
    """A key that stands alone in its header has no space before it."""
    assert bound("").header_for(asked("https://queue.fal.run/")) == ("Authorization", KEY)


@given(st.text(min_size=1))
def test_no_text_around_a_bound_host_gets_the_key(text):
    """Whatever stands in a URL, the key goes only where its origin says."""
    url = "https://queue.fal.run" + text
    assert (bound().header_for(asked(url)) is not None) == (origin(url) == ("https", "queue.fal.run", 443))
