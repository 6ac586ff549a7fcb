import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.urls import NO_ORIGIN, origin, show_origin, without_query


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://queue.fal.run/x", ("https", "queue.fal.run", 443)),
        ("HTTPS://Queue.FAL.run", ("https", "queue.fal.run", 443)),
        ("https://queue.fal.run:443/", ("https", "queue.fal.run", 443)),
        ("https://queue.fal.run:8443/", ("https", "queue.fal.run", 8443)),
        ("http://queue.fal.run/", ("http", "queue.fal.run", 80)),
        ("https://queue.fal.run@evil.example/", ("https", "evil.example", 443)),
        ("https://evil.example\\@queue.fal.run/", ("https", "queue.fal.run", 443)),
        ("https://queue.fal.run\\@evil.example/", ("https", "evil.example", 443)),
        ("https://queue.fal.run.evil.example/", ("https", "queue.fal.run.evil.example", 443)),
        ("http://[::1]:80/", ("http", "::1", 80)),
        ("http://host:0/", ("http", "host", 0)),
    ],
)
def test_an_origin_is_scheme_host_and_port(url, expected):
    """Case and the default port do not matter, every other difference makes another origin."""
    assert origin(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/path",
        "//host/path",
        "ftp://host/",
        "data:image/png;base64,AA",
        "http://",
        "http://[::1",
        "http://h:99999/",
        "http://h:x/",
        "javascript:1",
    ],
)
def test_what_is_no_http_url_has_no_origin(url):
    """Anything but an absolute http(s) URL has no origin, and equals no configured one."""
    assert (origin(url), show_origin(url)) == (NO_ORIGIN, "")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h.example:443/a?b", "https://h.example"),
        ("http://h.example:443/a", "http://h.example:443"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
        ("https://[2001:db8::1]/", "https://[2001:db8::1]"),
    ],
)
def test_an_origin_is_shown_without_its_default_port(url, expected):
    """Shown origins are short, and read back as the same origin."""
    assert (show_origin(url), origin(show_origin(url))) == (expected, origin(url))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h/a%2Fb?X-Amz-Signature=1#f", "https://h/a%2Fb"),
        ("https://h/a", "https://h/a"),
        ("http://[::1?sig=1", "http://[::1"),
    ],
)
def test_signatures_are_dropped_with_the_query(url, expected):
    """What is shown of a URL has neither query nor fragment, also when it is malformed."""
    assert without_query(url) == expected


@given(st.text())
def test_no_text_breaks_them(text):
    """URLs are third parties' text: none of these functions raises for any of it."""
    for url in (text, "https://" + text, "http://[" + text):
        assert (len(origin(url)), "?" in without_query(url).partition("#")[0]) == (3, False)
        show_origin(url)
