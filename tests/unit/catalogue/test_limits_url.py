"""What LIMITS_URL may be."""

from __future__ import annotations

import pytest

from app.catalogue.limits_url import LimitsAddress, limits_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("valkey://limits", LimitsAddress("single", False, None, None, (("limits", 6379),), "", 0)),
        ("redis://h:1/3", LimitsAddress("single", False, None, None, (("h", 1),), "", 3)),
        ("rediss://ann:p%40ss@h", LimitsAddress("single", True, "ann", "p@ss", (("h", 6379),), "", 0)),
        ("valkeys://:s3cret@[::1]:7", LimitsAddress("single", True, None, "s3cret", (("::1", 7),), "", 0)),
        ("valkey+cluster://a,b:2,c", LimitsAddress("cluster", False, None, None, (("a", 6379), ("b", 2), ("c", 6379)), "", 0)),
        ("rediss+sentinel://a,b:1/limits", LimitsAddress("sentinel", True, None, None, (("a", 26379), ("b", 1)), "limits", 0)),
    ],
)
def test_it_names_a_server_a_cluster_or_sentinels(url: str, address: LimitsAddress) -> None:
    assert limits_address(url) == address


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://limits", "takes valkey://HOST:6379"),
        ("valkey://", "takes valkey://"),
        ("valkey://h?ssl_cert_reqs=none", "without options"),
        ("valkey://a b", "takes valkey://"),
        ("valkey://h:0", "takes valkey://"),
        ("valkey://h:65536", "takes valkey://"),
        ("valkey://a,b", "names several servers"),
        ("valkey://h/limits", "number of a database"),
        ("valkey+sentinel://h", "needs the name of the primary"),
        ("valkey+cluster://h/1", "a cluster has none"),
    ],
)
def test_anything_else_is_refused_with_what_to_write(url: str, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        limits_address(url)
    assert sentence in str(refused.value)


def test_what_is_shown_of_it_is_no_secret() -> None:
    assert limits_address("valkey://ann:s3cret@h:1").shown == "h:1"
    assert limits_address("valkey+cluster://:s3cret@a,b").shown == "a:6379, b:6379"
