"""Health has a way of its own, and looks the same as on the usual way, which a browser's request takes."""

from __future__ import annotations

import socket

from ..support.service import HTTP, Service

BROWSER = {"Origin": "https://elsewhere.example"}


def test_both_ways_give_the_same_answer(service: Service) -> None:
    for path in ("/livez", "/readyz", "/health", "/healthz"):
        for method in ("GET", "HEAD"):
            short, usual = HTTP.request(method, service.url + path), HTTP.request(method, service.url + path, headers=BROWSER)
            assert short.status_code == usual.status_code == 200
            assert {name for name in short.headers if name != "vary"} == {name for name in usual.headers if name != "vary"}
            for name in ("content-type", "cache-control", "content-security-policy", "x-frame-options"):
                assert short.headers[name] == usual.headers[name], name
            if method == "GET":
                assert short.json().keys() == usual.json().keys()


def test_a_probe_keeps_its_connection(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port)) as caller:
        for path in (b"/livez", b"/readyz", b"/livez"):
            caller.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
            assert caller.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")


def test_pipelined_probes_are_answered_one_by_one(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port)) as caller:
        last = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        caller.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 50 + last)
        received = b""
        while piece := caller.recv(65536):
            received += piece
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 51
    assert b'"status":"ready"' in received
