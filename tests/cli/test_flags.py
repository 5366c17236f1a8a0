"""Flags: what they accept, what they refuse and how, and what they change in the settings of a run."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from app.cli.flags import passwords_of, settings_adjuster
from app.cli.main import _name_the_window, build_parser
from app.settings import Account, Encryption, HostPort, IcePolicy, MediaSettings, Settings, SipTransport, TrickleMode


def adjusted(*arguments: str, kept: Settings | None = None) -> Settings:
    return settings_adjuster(build_parser().parse_args(["call", "echo", *arguments]))(kept or Settings())


def test_without_flags_the_kept_settings_hold_but_there_is_no_window() -> None:
    settings = adjusted()
    assert settings.media.video_to == "null"
    assert settings.network == Settings().network


def test_account_flags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIP_PASSWORD", "from the environment")
    who = ["--account", "sip:ada@example.org;transport=tcp", "--password-from", "env:SIP_PASSWORD"]
    where = ["--registrar", "192.0.2.1", "--display-name", "Ada", "--no-register"]
    args = build_parser().parse_args(["listen", *who, *where])
    account = settings_adjuster(args)(Settings()).accounts[0]
    expected = Account("sip:ada@example.org", SipTransport.TCP, HostPort("192.0.2.1", 5060), "Ada", register=False)
    assert account == expected
    assert passwords_of(args) == {"sip:ada@example.org": "from the environment"}


@pytest.mark.parametrize("source", ["screen", "screen:HDMI-1", "window:My notes", "camera"])
def test_a_screen_or_window_as_the_picture(source: str) -> None:
    assert adjusted("--video-from", source).media.video_from == source


@pytest.mark.parametrize(
    ("account", "registrar", "port"),
    [
        ("sip:ada@example.org", "192.0.2.1", 5060),
        ("sip:ada@example.org;transport=tls", "192.0.2.1", 5061),
        ("sips:ada@example.org", "192.0.2.1", 5061),
        ("sip:ada@example.org;transport=tls", "192.0.2.1:5060", 5060),
    ],
)
def test_a_registrar_named_by_its_host_has_the_port_of_its_transport(account: str, registrar: str, port: int) -> None:
    settings = adjusted("--account", account, "--registrar", registrar)
    assert settings.accounts[0].registrar == HostPort("192.0.2.1", port)


def test_a_kept_account_takes_the_flags_of_this_run() -> None:
    kept = Settings(accounts=(Account("sip:ada@example.org", SipTransport.TLS, display_name="Ada"),))
    arguments = ["call", "echo", "--registrar", "192.0.2.1", "--display-name", "Front desk", "--no-register"]
    account = settings_adjuster(build_parser().parse_args(arguments))(kept).accounts[0]
    assert account == Account(
        "sip:ada@example.org", SipTransport.TLS, HostPort("192.0.2.1", 5061), "Front desk", register=False
    )
    assert settings_adjuster(build_parser().parse_args(["call", "echo"]))(kept).accounts == kept.accounts


def test_a_shared_secret_for_turn_and_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURN_SECRET", "shared")
    proxy = ["--proxy", "http://proxy.example.org:8080"]
    network = adjusted("--turn", "turns:t.example.org", "--turn-secret-from", "env:TURN_SECRET", *proxy).network
    (server,) = network.turn_servers
    assert (server.secret, server.time_limited, server.password) == ("shared", True, "")
    assert network.proxy == "http://proxy.example.org:8080"


def test_network_flags(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("turn secret\n")
    network = adjusted(
        *("--stun", "192.0.2.1", "--turn", "turn:192.0.2.2?transport=tcp", "--turn", "turns:turn.example.org"),
        *("--turn-user", "ada", "--turn-password-from", f"file:{secret}", "--ice-policy", "relay"),
        *("--interface", "eth0", "--interface", "192.0.2.7", "--sip-port", "5070"),
    ).network
    assert network.stun_servers == (HostPort("192.0.2.1", 3478),)
    assert [(str(t.server), t.transport, t.username, t.password) for t in network.turn_servers] == [
        ("192.0.2.2:3478", "tcp", "ada", "turn secret"),
        ("turn.example.org", "tls", "ada", "turn secret"),  # the DNS names its port
    ]
    assert network.ice_policy is IcePolicy.RELAY
    assert network.interfaces == ("eth0", "192.0.2.7")
    assert network.sip_port == 5070
    assert (network.hide_addresses, network.ice_tcp) == (False, True)


def test_flags_that_hide_addresses_and_leave_tcp_out() -> None:
    network = adjusted("--hide-addresses", "--no-ice-tcp").network
    assert (network.hide_addresses, network.ice_tcp) == (True, False)


def test_when_addresses_are_told() -> None:
    assert adjusted().network.trickle is TrickleMode.AUTO
    assert adjusted("--trickle", "off").network.trickle is TrickleMode.OFF
    assert adjusted("--trickle", "always").network.trickle is TrickleMode.ALWAYS


def test_media_flags(tmp_path: Path) -> None:
    media = adjusted(
        *("--audio-from", "tone:440", "--audio-to", str(tmp_path / "x.wav"), "--video-from", "pattern"),
        *("--video-to", str(tmp_path / "x.mkv"), "--audio-codecs", "pcmu,opus", "--encryption", "sdes"),
        *("--size", "1280x720", "--fps", "25", "--video-kbps", "1500"),
    ).media
    assert media.audio_codecs == ("pcmu", "opus")
    assert media.encryption is Encryption.SDES
    assert (media.width, media.height, media.fps, media.video_kbps) == (1280, 720, 25, 1_500)


def test_devices_and_what_cleans_the_microphone() -> None:
    kept = MediaSettings(microphone="Headset", speaker="Headset", noise_suppression=False)
    media = adjusted(
        *("--microphone", "Webcam", "--speaker", "", "--no-echo-cancellation", "--process-files"),
        kept=Settings(media=kept),
    ).media
    assert (media.microphone, media.speaker) == ("Webcam", "")
    assert (media.echo_cancellation, media.noise_suppression, media.gain_control) == (False, False, True)
    assert media.process_files
    assert adjusted(kept=Settings(media=kept)).media == replace(kept, video_to="null")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--account", "ada"], "is not an account such as"),
        (["--account", "sip:ada@x;transport=pigeon"], "transport=udp"),
        (["--password-from", "hunter2"], "env:NAME or file:PATH"),
        (["--password-from", "env:NO_SUCH_VARIABLE"], "no environment variable"),
        (["--password-from", "file:/no/such/file"], "cannot be read"),
        (["--stun", "host:99999"], "not a port"),
        (["--turn", "host:3478"], "is not turn:HOST:PORT"),
        (["--turn", "turn:host?transport=sctp"], "transport=udp"),
        (["--ice-policy", "some"], "invalid"),
        (["--audio-from", "tone:1"], "20 to 20000"),
        (["--audio-from", "no-such-file.wav"], "there is no file"),
        (["--audio-to", "heard.mp3"], "must end with .wav"),
        (["--video-to", "/no/such/folder/x.mkv"], "there is no folder"),
        (["--audio-codecs", "opus,mp3"], "known are"),
        (["--size", "big"], "not a size"),
        (["--size", "641x480"], "both even"),
        (["--fps", "0"], "frame rate"),
        (["--video-kbps", "10"], "kbit/s"),
        (["--for", "-1"], "number of seconds"),
        (["--sip-port", "0"], "not a port"),
    ],
)
def test_wrong_usage_is_one_clear_error(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        build_parser().parse_args(["call", "echo", *arguments])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert words in said
    assert "hunter2" not in said


def test_every_flag_is_explained() -> None:
    waiting = [build_parser()]
    while waiting:
        parser = waiting.pop()
        for option in parser._actions:
            if isinstance(option, argparse._SubParsersAction):
                waiting += option.choices.values()
            else:
                assert option.help, f"{parser.prog} {option.dest}"


def test_a_flag_before_the_command_counts_as_one_after_it() -> None:
    for command in (["window"], ["call", "echo"], ["listen"], ["home"], ["doctor"]):
        for words in (["--profile", "/tmp/ada", *command], [*command, "--profile", "/tmp/ada"]):
            args = build_parser().parse_args(words)
            assert str(args.profile) == "/tmp/ada", words
            assert (args.log_level, args.log_to, args.json) == ("warning", None, False)
        assert build_parser().parse_args(["--json", *command]).json
        assert build_parser().parse_args(command).profile is None


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        (["sip:ada@example.org"], ["window", "sip:ada@example.org"]),
        (["--profile", "x", "tel:+4930"], ["--profile", "x", "window", "tel:+4930"]),
        (["call", "sip:ada@example.org"], ["call", "sip:ada@example.org"]),
        (["--json", "listen"], ["--json", "listen"]),
        (["relief.ice"], ["window", "relief.ice"]),
        (["--profile", "x", "parley:mission/??a"], ["--profile", "x", "window", "parley:mission/??a"]),
        (["--profile", "x.ice", "relief.ice"], ["--profile", "x.ice", "window", "relief.ice"]),
        (["mission", "show", "relief.ice"], ["mission", "show", "relief.ice"]),
    ],
)
def test_a_bare_link_is_for_the_window(given: list[str], understood: list[str]) -> None:
    _name_the_window(given)
    assert given == understood


def test_keys_are_checked_before_anybody_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    args = build_parser().parse_args(["call", "sip:bob@example.org", "--digits", "12, 34#a"])
    assert args.digits == "12,34#A"
    with pytest.raises(SystemExit):
        build_parser().parse_args(["call", "sip:bob@example.org", "--digits", "12x"])
    assert "'X' is no key of a telephone" in capsys.readouterr().err


def test_little_is_sent_in_pauses_where_that_is_wanted() -> None:
    assert not adjusted().media.dtx
    assert adjusted("--dtx").media.dtx
