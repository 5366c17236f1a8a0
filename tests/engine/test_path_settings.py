from __future__ import annotations

from app.engine.kept import turn_secret_name
from app.engine.path_settings import ice_config
from app.settings import HostPort, NetworkSettings, TurnServer

PLAIN = TurnServer(HostPort("turn.example.org", 3478), "udp", "ada")
LIMITED = TurnServer(HostPort("turn.example.net", 5349), "tls", "", time_limited=True)


def test_each_turn_server_gets_what_is_kept_for_it() -> None:
    kept = {turn_secret_name(PLAIN): "hers", turn_secret_name(LIMITED): "shared with the server"}
    network = NetworkSettings(turn_servers=(PLAIN, LIMITED), proxy="none", ice_tcp=False, hide_addresses=True)
    config = ice_config(network, kept.get, patience_s=None, clock_zero=1.0, tap=None)
    first, second = config.turn_servers
    assert (first.password, first.secret) == ("hers", "")
    assert (second.password, second.secret) == ("", "shared with the server")
    assert (config.proxy, config.tcp, config.hide_addresses) == ("none", False, True)


def test_what_a_run_was_given_counts_more_than_what_is_kept() -> None:
    given = TurnServer(PLAIN.server, "udp", "ada", "given")
    config = ice_config(
        NetworkSettings(turn_servers=(given,)), lambda name: "kept", patience_s=None, clock_zero=0.0, tap=None
    )
    assert config.turn_servers == (given,)
