"""The flags that several commands share, and what they change in the settings of a run. See docs/command-line.md."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from app.digits import keys_of
from app.mission_links import is_web_address
from app.settings import (
    Account,
    Encryption,
    HostPort,
    IcePolicy,
    Settings,
    SipTransport,
    TrickleMode,
    TurnServer,
    is_shared,
)

AUDIO_CODECS = ("opus", "g722", "pcmu", "pcma")
VIDEO_CODECS = ("vp8", "h264")


def add_always(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """Add the flags of every command. `again`: for a command of a parser that has them; keeps what came before it."""
    unsaid = argparse.SUPPRESS if again else None
    group = parser.add_argument_group("always", argument_default=unsaid)
    group.add_argument("--profile", type=Path, metavar="DIR", help="read and keep everything there, e.g. /tmp/ada")
    group.add_argument(
        "--log-level",
        default=unsaid or "warning",
        choices=("debug", "info", "warning", "error"),
        help="default: warning",
    )
    group.add_argument("--log-to", type=Path, metavar="FILE", help="write the log there, e.g. parley.log")
    group.add_argument("--sip-trace", type=Path, metavar="FILE", help="write every SIP message there, e.g. sip.txt")
    group.add_argument("--pcap", type=Path, metavar="FILE", help="write the packets of calls there, e.g. call.pcap")
    group.add_argument(
        "--json", action="store_true", default=unsaid or False, help="print JSON lines: events, then one report"
    )


def add_account(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("account")
    group.add_argument("--account", type=account, metavar="URI", help="e.g. 'sip:ada@example.org;transport=tcp'")
    group.add_argument(
        "--password-from", type=password_from, metavar="WHERE", help="env:NAME or file:PATH, e.g. env:SIP_PASSWORD"
    )
    group.add_argument("--registrar", type=host_port(0), metavar="HOST:PORT", help="e.g. 192.168.1.2:5060")
    group.add_argument("--no-register", action="store_true", help="call without registering first")
    group.add_argument("--display-name", metavar="TEXT", help="how others see this side, e.g. 'Front desk'")


def add_network(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("network")
    group.add_argument("--stun", type=stun_server, action="append", metavar="HOST:PORT", help="repeatable")
    group.add_argument(
        "--turn", type=turn_server, action="append", metavar="URI", help="repeatable, e.g. turn:192.0.2.1:3478"
    )
    group.add_argument("--turn-user", metavar="NAME", help="who may allocate at the TURN servers")
    group.add_argument("--turn-password-from", type=password_from, metavar="WHERE", help="env:NAME or file:PATH")
    group.add_argument(
        "--turn-secret-from",
        type=password_from,
        metavar="WHERE",
        help="the secret the TURN servers share with you, env:NAME or file:PATH: passwords that end by themselves",
    )
    group.add_argument(
        "--proxy", metavar="URL", help="toward TURN over TCP and TLS, e.g. http://proxy.example.org:8080"
    )
    group.add_argument("--ice-policy", type=IcePolicy, choices=list(IcePolicy), help="which paths may be used")
    group.add_argument(
        "--interface", action="append", metavar="NAME", help="repeatable: an interface or address, e.g. eth0 or lo"
    )
    group.add_argument(
        "--trickle", type=TrickleMode, choices=list(TrickleMode), help="tell addresses as they are found: default auto"
    )
    group.add_argument("--hide-addresses", action="store_true", help="show the other side no address of this machine")
    group.add_argument("--no-ice-tcp", action="store_true", help="no paths over TCP, whatever becomes of UDP")
    group.add_argument(
        "--reconnect-for",
        type=seconds,
        metavar="S",
        help="how long an interrupted call waits for its path before it ends, default 60",
    )
    group.add_argument("--sip-port", type=port, metavar="PORT", help="default: 5060, or any when it is taken")
    group.add_argument(
        "--ca-file", type=existing_file, metavar="PEM", help="authorities to trust for TLS, beside the system's"
    )


def add_media(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("media")
    group.add_argument("--audio-from", type=audio_from, metavar="SOURCE", help="mic, silence, tone:440 or a file")
    group.add_argument("--audio-to", type=audio_to, metavar="SINK", help="speaker, null or FILE.wav")
    group.add_argument(
        "--video-from",
        type=video_from,
        metavar="SOURCE",
        help="camera, pattern, none, screen, screen:NAME, window:TITLE or a file",
    )
    group.add_argument("--record", type=recording, metavar="FILE", help="record the call into talk.mkv, .mp4 or .wav")
    group.add_argument("--video-to", type=video_to, metavar="SINK", help="null or a file such as seen.mkv")
    group.add_argument("--microphone", metavar="NAME", help="as `parley doctor` names it, e.g. 'USB Headset'")
    group.add_argument("--speaker", metavar="NAME", help="e.g. 'Built-in speakers'")
    group.add_argument("--camera", metavar="NAME", help="e.g. 'Integrated Camera'")
    group.add_argument("--no-echo-cancellation", action="store_true", help="leave the echo of the speaker in")
    group.add_argument("--no-noise-suppression", action="store_true", help="leave noise in")
    group.add_argument("--no-gain-control", action="store_true", help="leave the microphone as loud as it is")
    group.add_argument("--process-files", action="store_true", help="clean sound from files and tones as well")
    group.add_argument("--audio-codecs", type=names_of(AUDIO_CODECS), metavar="LIST", help="e.g. opus,pcmu")
    group.add_argument("--dtx", action="store_true", help="send, and ask for, little while nobody speaks")
    group.add_argument("--video-codecs", type=names_of(VIDEO_CODECS), metavar="LIST", help="e.g. h264,vp8")
    group.add_argument("--encryption", type=Encryption, choices=list(Encryption), help="default: best")
    group.add_argument("--size", type=picture_size, metavar="WxH", help="of the own picture, e.g. 1280x720")
    group.add_argument("--fps", type=frames_per_second, metavar="N", help="of the own picture, e.g. 30")
    group.add_argument("--video-kbps", type=picture_rate, metavar="N", help="the most that the own picture may take")


def settings_adjuster(args: argparse.Namespace) -> Callable[[Settings], Settings]:
    """What the flags lay over the kept settings."""

    def adjust(settings: Settings) -> Settings:
        return replace(
            settings,
            accounts=_accounts(args, settings),
            network=_network(args, settings),
            media=_media(args, settings),
            display_name=getattr(args, "display_name", None) or settings.display_name,
            reconnect_for_s=_given(getattr(args, "reconnect_for", None), settings.reconnect_for_s),
            talk_priority=round(_given(getattr(args, "priority", None), settings.talk_priority)),
        )

    return adjust


def _given(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _named(name: str | None, otherwise: str) -> str:
    """A device's name; "" follows the system."""
    return otherwise if name is None else name


def passwords_of(args: argparse.Namespace) -> dict[str, str]:
    """The account's password, by the address that asks for it."""
    chosen = getattr(args, "account", None)
    password = getattr(args, "password_from", None)
    return {chosen.address: password} if chosen is not None and password is not None else {}


def _accounts(args: argparse.Namespace, settings: Settings) -> tuple[Account, ...]:
    chosen: Account | None = getattr(args, "account", None)
    return tuple(_with_flags(account, args) for account in ((chosen,) if chosen is not None else settings.accounts))


def _with_flags(account: Account, args: argparse.Namespace) -> Account:
    registrar: HostPort | None = getattr(args, "registrar", None) or account.registrar
    if registrar is not None and registrar.port == 0:  # named by its host alone
        secure = account.transport is SipTransport.TLS or account.address.startswith("sips:")
        registrar = replace(registrar, port=5061 if secure else 5060)
    return replace(
        account,
        registrar=registrar,
        display_name=getattr(args, "display_name", None) or account.display_name,
        register=account.register and not getattr(args, "no_register", False),
    )


def _network(args: argparse.Namespace, settings: Settings):  # type: ignore[no-untyped-def]
    network = settings.network
    turn = getattr(args, "turn", None)
    if turn:
        user, password = args.turn_user or "", args.turn_password_from or ""
        secret = args.turn_secret_from or ""
        turn = tuple(
            replace(server, username=user, password=password, secret=secret, time_limited=bool(secret))
            for server in turn
        )
    return replace(
        network,
        stun_servers=tuple(getattr(args, "stun", None) or network.stun_servers),
        turn_servers=turn or network.turn_servers,
        ice_policy=getattr(args, "ice_policy", None) or network.ice_policy,
        interfaces=tuple(getattr(args, "interface", None) or network.interfaces),
        proxy=getattr(args, "proxy", None) or network.proxy,
        hide_addresses=getattr(args, "hide_addresses", False) or network.hide_addresses,
        ice_tcp=network.ice_tcp and not getattr(args, "no_ice_tcp", False),
        sip_port=getattr(args, "sip_port", None) or network.sip_port,
        trickle=getattr(args, "trickle", None) or network.trickle,
        ca_file=str(args.ca_file) if getattr(args, "ca_file", None) else network.ca_file,
    )


def _media(args: argparse.Namespace, settings: Settings):  # type: ignore[no-untyped-def]
    media = settings.media
    if not hasattr(args, "audio_from"):
        return media
    width, height = args.size or (media.width, media.height)
    return replace(
        media,
        audio_from=args.audio_from or media.audio_from,
        audio_to=args.audio_to or media.audio_to,
        video_from=args.video_from or media.video_from,
        video_to=args.video_to or "null",  # a command has no window
        microphone=_named(args.microphone, media.microphone),
        speaker=_named(args.speaker, media.speaker),
        camera=_named(args.camera, media.camera),
        echo_cancellation=media.echo_cancellation and not args.no_echo_cancellation,
        noise_suppression=media.noise_suppression and not args.no_noise_suppression,
        gain_control=media.gain_control and not args.no_gain_control,
        process_files=media.process_files or args.process_files,
        audio_codecs=args.audio_codecs or media.audio_codecs,
        dtx=media.dtx or args.dtx,
        video_codecs=args.video_codecs or media.video_codecs,
        encryption=args.encryption or media.encryption,
        width=width,
        height=height,
        fps=args.fps or media.fps,
        video_kbps=args.video_kbps or media.video_kbps,
    )


# What one flag's value must look like ------------------------------------------------------------------------


def account(text: str) -> Account:
    head, _, parameters = text.partition(";")
    scheme, colon, rest = head.partition(":")
    user, at, host = rest.partition("@")
    if scheme not in ("sip", "sips") or not colon or not user or not at or not host:
        raise argparse.ArgumentTypeError(f"{text!r} is not an account such as sip:ada@example.org")
    transport: SipTransport | None = SipTransport.TLS if scheme == "sips" else None
    for parameter in filter(None, parameters.split(";")):
        name, _, value = parameter.partition("=")
        if name != "transport" or value not in list(SipTransport):
            raise argparse.ArgumentTypeError(f"{parameter!r} is not transport=udp, tcp, tls, ws or wss")
        transport = SipTransport(value)
    return Account(head, transport)


def password_from(text: str) -> str:
    """The password itself, from where the flag says it is."""
    kind, _, name = text.partition(":")
    if kind == "env":
        if name not in os.environ:
            raise argparse.ArgumentTypeError(f"there is no environment variable {name!r}")
        return os.environ[name]
    if kind == "file":
        try:
            return Path(name).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeError) as error:
            raise argparse.ArgumentTypeError(f"the password file cannot be read: {error}") from error
    raise argparse.ArgumentTypeError("say env:NAME or file:PATH")


def host_port(default: int | None) -> Callable[[str], HostPort]:
    def parse(text: str) -> HostPort:
        try:
            return HostPort.parse(text, default)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse


def stun_server(text: str) -> HostPort:
    try:
        return HostPort.parse_server(text, 3478)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def turn_server(text: str) -> TurnServer:
    """`turn:HOST[:PORT][?transport=udp|tcp]` or `turns:…`, RFC 7065."""
    scheme, colon, rest = text.partition(":")
    if scheme not in ("turn", "turns") or not colon:
        raise argparse.ArgumentTypeError(f"{text!r} is not turn:HOST:PORT or turns:HOST:PORT")
    place, _, query = rest.partition("?")
    transport = query.removeprefix("transport=") if query else "udp"
    if transport not in ("udp", "tcp"):
        raise argparse.ArgumentTypeError(f"{query!r} is not transport=udp or transport=tcp")
    if scheme == "turns":
        transport = "tls"
    try:
        return TurnServer(HostPort.parse_server(place, 5349 if scheme == "turns" else 3478), transport)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")
    return int(text)


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def talk_priority(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 255):
        raise argparse.ArgumentTypeError(f"a priority is from 0 to 255, not {text!r}")
    return int(text)


def mission_place(text: str) -> Path | str:
    """A mission's file, or the web address that it is fetched from."""
    return text if is_web_address(text) else Path(text)


def existing_mission(text: str) -> Path | str:
    return text if is_web_address(text) else existing_file(text)


def add_ca_file(parser: argparse.ArgumentParser) -> None:
    """Add what says whom to trust for a web address, beside the system's authorities."""
    parser.add_argument(
        "--ca-file",
        type=existing_file,
        metavar="PEM",
        help="authorities to trust for the mission's web address, beside the system's",
    )


def existing_file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text!r}")
    return path


def audio_from(text: str) -> str:
    if text in ("mic", "silence"):
        return text
    if text.startswith("tone:"):
        if not text[5:].replace(".", "", 1).isdigit() or not 20 <= float(text[5:]) <= 20_000:
            raise argparse.ArgumentTypeError(f"{text!r} is not tone:HZ with 20 to 20000 Hz")
        return text
    return str(existing_file(text))


def audio_to(text: str) -> str:
    if text in ("speaker", "null"):
        return text
    return _writable(text, (".wav",))


def video_from(text: str) -> str:
    return text if text in ("camera", "pattern", "none") or is_shared(text) else str(existing_file(text))


def recording(text: str) -> str:
    return _writable(text, (".mkv", ".mp4", ".wav"))


def video_to(text: str) -> str:
    return "null" if text in ("window", "null") else _writable(text, (".mkv", ".mp4", ".webm"))


def _writable(text: str, endings: tuple[str, ...]) -> str:
    path = Path(text)
    if path.suffix.lower() not in endings:
        raise argparse.ArgumentTypeError(f"{text!r} must end with {' or '.join(endings)}")
    if not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.absolute().parent)!r}")
    return text


def names_of(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
        wrong = [name for name in names if name not in known]
        if wrong or not names:
            raise argparse.ArgumentTypeError(f"{text!r}: known are {', '.join(known)}")
        return names

    return parse


def digits(text: str) -> str:
    try:
        return keys_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def picture_size(text: str) -> tuple[int, int]:
    width, x, height = text.partition("x")
    if not (x and width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 1280x720")
    size = int(width), int(height)
    if not (64 <= size[0] <= 3840 and 64 <= size[1] <= 2160) or size[0] % 2 or size[1] % 2:
        raise argparse.ArgumentTypeError("a picture has 64x64 to 3840x2160 points, both even")
    return size


def picture_rate(text: str) -> int:
    if not (text.isdigit() and 50 <= int(text) <= 50_000):
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate from 50 to 50000 kbit/s")
    return int(text)


def frames_per_second(text: str) -> int:
    if not (text.isdigit() and 1 <= int(text) <= 60):
        raise argparse.ArgumentTypeError(f"{text!r} is not a frame rate from 1 to 60")
    return int(text)
