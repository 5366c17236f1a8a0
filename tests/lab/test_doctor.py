"""`parley doctor` in a house behind each kind of NAT, with coturn at two addresses: it names what stands there."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.nat import Kind, Street
from tests.lab.parley import Parley
from tests.lab.servers import SECRETS, Servers, coturn, make_certificate

LIMIT_S = 60.0
NAMES = {
    Kind.NONE: "none",
    Kind.FULL_CONE: "full-cone",
    Kind.ADDRESS_RESTRICTED: "restricted",
    Kind.PORT_RESTRICTED: "port-restricted",
    Kind.SYMMETRIC: "symmetric",
}
WAYS = {
    Kind.NONE: "direct-udp direct-udp direct-udp direct-udp direct-udp direct-tcp",
    Kind.FULL_CONE: "direct-udp direct-udp direct-udp direct-udp direct-udp relay",
    Kind.ADDRESS_RESTRICTED: "direct-udp direct-udp direct-udp direct-udp direct-udp relay",
    Kind.PORT_RESTRICTED: "direct-udp direct-udp direct-udp direct-udp relay relay",
    Kind.SYMMETRIC: "direct-udp direct-udp direct-udp relay relay relay",
    Kind.UDP_BLOCKED: "direct-tcp relay relay relay relay relay",
    Kind.TCP_443_ONLY: "relay relay relay relay relay relay",
}


@dataclass(frozen=True, slots=True)
class Clinic:
    """A street with coturn, and what doctor said in each house."""

    street: Street
    servers: Servers
    folder: Path

    def examine(self, kind: Kind, *arguments: str) -> dict[str, Any]:
        """Give the report of a doctor in a house of this kind; "code" is the command's exit code."""
        house = self.street.build(kind)
        folder = self.folder / f"{kind.value}-{len(arguments)}"
        try:
            with Parley(house.host, folder, ["doctor", *arguments], SECRETS) as doctor:
                outcome = doctor.finish(limit_s=LIMIT_S)
            assert outcome.report is not None
            return {**outcome.report, "code": outcome.code}
        finally:
            self.street.tear_down(house)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    folder = tmp_path_factory.mktemp("clinic")
    with Street(("turn",)) as street:
        host = street["turn"]
        assert host.v4
        certificate, key = make_certificate(folder, [host.v4])
        with coturn(street, folder / "coturn", certificate, key) as relay:
            yield Clinic(street, Servers((host.v4,), (), certificate, relay), folder)


@pytest.fixture(scope="module")
def reports(clinic: Clinic) -> dict[Kind, dict[str, Any]]:
    """A doctor in a house of each kind, two at a time."""
    flags = [*clinic.servers.all_turn(), "--ca-file", str(clinic.servers.ca_file)]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(Kind, pool.map(lambda kind: clinic.examine(kind, *flags), Kind), strict=True))


@pytest.mark.parametrize("kind", Kind)
def test_the_kind_of_nat_is_named_rightly(reports: dict[Kind, dict[str, Any]], kind: Kind) -> None:
    network = reports[kind]["network"]
    if kind in NAMES:
        assert network["udp"] == "open"
        assert network["nat"]["kind"] == NAMES[kind]
        assert network["nat"]["mapped"].startswith("203.0.113.")
    else:
        assert network["udp"] == "shut"
        assert network["nat"] is None
        assert network["tcp"] == ("open" if kind is Kind.UDP_BLOCKED else "shut")


@pytest.mark.parametrize("kind", Kind)
def test_who_can_be_reached_is_told(reports: dict[Kind, dict[str, Any]], kind: Kind) -> None:
    reach = reports[kind]["network"]["reach"]
    assert [row["way"] for row in reach] == WAYS[kind].split()
    assert reports[kind]["network"]["relay"] is True


def test_each_server_is_told_of(reports: dict[Kind, dict[str, Any]]) -> None:
    states = {(server["transport"], server["state"]) for server in reports[Kind.PORT_RESTRICTED]["network"]["servers"]}
    assert states == {("udp", "answered"), ("tcp", "answered"), ("tls", "answered")}
    assert all(server["rtt"] > 0 for server in reports[Kind.PORT_RESTRICTED]["network"]["servers"])
    shut = {server["transport"]: server["state"] for server in reports[Kind.TCP_443_ONLY]["network"]["servers"]}
    assert shut["tls"] == "answered"
    assert "answered" not in (shut["udp"], shut["tcp"])
    assert reports[Kind.PORT_RESTRICTED]["code"] == 0


@pytest.mark.short
def test_a_wrong_password_and_an_untrusted_certificate_are_told(clinic: Clinic) -> None:
    place = clinic.servers.turn[0]
    flags = ["--turn", f"turn:{place}", "--turn", f"turns:{place}:443", "--turn-user", "alice"]
    report = clinic.examine(Kind.PORT_RESTRICTED, *flags, "--turn-password-from", "env:SIP_PASSWORD")
    assert report["code"] == 1
    servers = {server["transport"]: server for server in report["network"]["servers"]}
    assert {server["state"] for server in servers.values()} == {"refused"}
    assert "password" in servers["udp"]["problem"]
    assert "trusted" in servers["tls"]["problem"] or "certificate" in servers["tls"]["problem"]
    assert report["network"]["nat"]["kind"] == "port-restricted"
    unreachable = [row["peer"] for row in report["network"]["reach"] if row["way"] == "none"]
    assert unreachable == ["symmetric", "udp-shut"]


def test_udp_that_is_shut_is_told_from_a_server_that_is_away(clinic: Clinic) -> None:
    away = clinic.examine(Kind.PORT_RESTRICTED, "--stun", "203.0.113.240:3478")
    assert away["network"]["udp"] == "unknown"
    shut = clinic.examine(Kind.UDP_BLOCKED, "--stun", f"{clinic.servers.turn[0]}:3478", "--no-ice-tcp")
    assert shut["network"]["udp"] == "shut"
    assert any("lets no UDP out" in sentence for sentence in shut["wrong"])
    assert {row["way"] for row in shut["network"]["reach"]} == {"none"}
