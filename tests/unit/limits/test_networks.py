"""Which addresses count as one."""

from __future__ import annotations

import pytest

from app.limits.networks import network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0:ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("testclient", "testclient"),
    ],
)
def test_what_one_address_bucket_covers(address: str, network: str) -> None:
    assert network_of(address) == network
