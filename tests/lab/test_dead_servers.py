"""Dead STUN and TURN servers beside live ones cost a call next to nothing: under 50 ms to its first INVITE.

Calls with each sort of dead server, and without any, take turns, so that a busy machine slows all of them alike.
"""

from __future__ import annotations

import socket
import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.lab.nat import Kind, Street
from tests.lab.parley import Outcome, Parley
from tests.lab.servers import SECRETS, Servers, servers
from tests.lab.village import QUIET

ROUNDS = 5
MAY_ADD_S = 0.05
SILENT = "192.0.2.9"  # routed into the hub, where nobody answers
CLOSED_PORT, HANGING_PORT = 3999, 3998
NAMELESS = "nowhere.example"  # the name server is silent too
FROM_LIVE = {"host", "srflx", "relay"}  # what the live servers give all the same
NONE, ALL = "no dead server", "all of them at once"


def dead_flags(where: str) -> dict[str, tuple[str, ...]]:
    """Give each sort of dead server as flags; `where` is the host of the live ones."""
    sorts = {
        "silent": ("--stun", SILENT, "--turn", f"turn:{SILENT}:3478"),
        "silent over TCP": ("--turn", f"turn:{SILENT}:3478?transport=tcp", "--turn", f"turns:{SILENT}:443"),
        "closed port": (
            *("--stun", f"{where}:{CLOSED_PORT}", "--turn", f"turn:{where}:{CLOSED_PORT}"),
            *("--turn", f"turn:{where}:{CLOSED_PORT}?transport=tcp"),
        ),
        "name that nobody resolves": ("--stun", NAMELESS, "--turn", f"turn:{NAMELESS}:3478"),
        "connection that hangs": ("--turn", f"turn:{where}:{HANGING_PORT}?transport=tcp"),
        "TLS that hangs": ("--turn", f"turns:{where}:{HANGING_PORT}"),
    }
    everything = tuple(flag for flags in sorts.values() for flag in flags)
    return {NONE: (), **sorts, ALL: everything}


@dataclass(slots=True)
class Calls:
    """The calls of one sort."""

    outcomes: list[Outcome] = field(default_factory=list)

    def median_s(self) -> float:
        """Seconds from the wish to call to the first INVITE on the wire."""
        return statistics.median(
            outcome.report["milestones"]["invite_sent"] - outcome.report["states"][0]["at"] for outcome in self.outcomes
        )


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Calls]]:
    """All calls of this module: prc to prc, which needs STUN to be direct."""
    folder = tmp_path_factory.mktemp("dead")
    with Street() as street, servers(street, folder / "servers") as serving, ExitStack() as stack:
        hanging = stack.enter_context(street["turn"].open_socket(socket.SOCK_STREAM, port=HANGING_PORT))
        hanging.listen(100)  # connections are made and never read
        yield hold_all(street, serving, folder)


def hold_all(street: Street, serving: Servers, folder: Path) -> dict[str, Calls]:
    """Let ada call bob with each sort of dead server in turn; bob has live ones only, and stays."""
    held: dict[str, Calls] = {}
    live, sorts = serving.all_turn(), dead_flags(serving.turn[0])
    ada, bob = (street.build(Kind.PORT_RESTRICTED) for _ in range(2))
    listening = ["listen", *serving.account("b0", bob.kind), *live, *QUIET, "--calls", str(ROUNDS * len(sorts))]
    with Parley(bob.host, folder / "bob", listening, SECRETS) as listener:
        listener.wait_for("listening")
        for number in range(ROUNDS):
            for sort, dead in sorts.items():
                calling = ["call", serving.target("b0"), *serving.account("a0", ada.kind), *dead, *live, *QUIET]
                place = folder / sort.replace(" ", "-") / str(number)
                with Parley(ada.host, place, [*calling, "--for", "0.5"], SECRETS) as caller:
                    held.setdefault(sort, Calls()).outcomes.append(caller.finish(limit_s=60))
        assert listener.finish().code == 0
    return held


@pytest.mark.timeout(500)
@pytest.mark.parametrize("sort", list(dead_flags("")))
def test_dead_servers_hold_up_no_invite(calls: dict[str, Calls], sort: str) -> None:
    without, with_dead = calls[NONE].median_s(), calls[sort].median_s()
    print(f"{sort}: {with_dead * 1000:.0f} ms to the INVITE, {(with_dead - without) * 1000:+.0f} ms")
    assert with_dead - without < MAY_ADD_S


@pytest.mark.parametrize("sort", list(dead_flags("")))
def test_dead_servers_cost_no_connectivity(calls: dict[str, Calls], sort: str) -> None:
    for outcome in calls[sort].outcomes:
        assert outcome.code == 0
        assert {candidate["type"] for candidate in outcome.report["ice"]["local"]} >= FROM_LIVE
        assert "relay" not in {candidate["type"] for candidate in outcome.selected()}


@pytest.mark.parametrize("sort", [sort for sort in dead_flags("") if sort not in (NONE, ALL)])
def test_each_dead_server_is_named(calls: dict[str, Calls], sort: str) -> None:
    """A person can read what is wrong with it, or that it is still being asked, even though nothing waited for it."""
    marks = (SILENT, NAMELESS, f":{CLOSED_PORT}", f":{HANGING_PORT}")
    for outcome in calls[sort].outcomes:
        dead = [server for server in outcome.report["ice"]["servers"] if any(mark in server["name"] for mark in marks)]
        assert dead
        for server in dead:
            print(server["name"], server["transport"], server["state"], server["problem"])
            assert server["state"] != "answered"
            assert server["problem"] or server["state"] == "asking"
