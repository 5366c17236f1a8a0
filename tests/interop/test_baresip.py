"""Calls between Parley and baresip 1.0 through Kamailio, with coturn as the TURN server of both.

What each side heard is measured by its frequency: Parley says 440 Hz, baresip 880 Hz. What each side saw is read from
the numbers in the pictures: baresip's camera is a film with a number in every picture, which Parley keeps in a file;
and pictures of Parley's test pattern are taken from baresip while it shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop import ours
from tests.interop.baresip import Baresip, Line
from tests.interop.ours import OurPhone, assert_tone
from tests.interop.programs import need, wait_until
from tests.interop.servers import PASSWORDS, Proxy, Relay, coturn, kamailio
from tests.lab.parley import Outcome
from tests.seen import make_video, stamps

OUR_HZ, THEIR_HZ = 440, 880
NO_ICE = "The other side has no ICE: sound goes straight to the address it gave."
NO_DTLS = "The other side has no DTLS: the keys travelled in the signalling."
NO_ENCRYPTION = "The other side has no encryption: anyone on the way can listen."
NO_EARLY_ANSWER = "The other side gave its addresses only at pick-up, so sound began a moment later."
NO_PICTURE = "The other side takes no picture, so this is a voice call."
NO_100REL = "The other side cannot confirm the early answer, so it is repeated until the path works."

pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True)
class Setting:
    """Both servers, a film, and a folder: what every call here needs."""

    folder: Path
    proxy: Proxy
    relay: Relay
    film: Path
    stack: ExitStack

    def baresip(self, **line: object) -> Baresip:
        """Start baresip as bob and wait until it is registered."""
        wanted = {"nat": "ice", "encryption": "dtls_srtp", "turn": self.relay.address, **line}
        phone = self.stack.enter_context(
            Baresip(
                self.folder / "baresip",
                Line("bob", PASSWORDS["bob"], self.proxy.address, **wanted),  # type: ignore[arg-type]
                tone_hz=THEIR_HZ,
                film=self.film,
            )
        )
        phone.wait_until_registered()
        return phone

    def call(self, *flags: str) -> OurPhone:
        """Let Parley call bob."""
        account = ours.account(self.proxy, self.relay)
        return self.stack.enter_context(ours.call(self.folder / "parley", self.proxy.uri("bob"), *account, *flags))

    def listen(self, *flags: str) -> OurPhone:
        """Let Parley take one call as ada."""
        account = ours.account(self.proxy, self.relay)
        return self.stack.enter_context(ours.listen(self.folder / "parley", *account, *flags))

    def allocated(self, user: str) -> bool:
        """Say whether a user got a relay address from coturn."""
        return any(
            f"user <{user}>" in line and "ALLOCATE processed, success" in line for line in self.relay.program.lines
        )


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("film") / "film.mp4", seconds=20.0, fps=25)


@pytest.fixture
def setting(tmp_path: Path, film: Path) -> Iterator[Setting]:
    need("baresip")
    with ExitStack() as stack:
        proxy = stack.enter_context(kamailio(tmp_path / "kamailio"))
        relay = stack.enter_context(coturn(tmp_path / "coturn"))
        yield Setting(tmp_path, proxy, relay, film, stack)


def talk(phone: OurPhone, theirs: Baresip, *, video: bool = True, hang_up: Callable[[], None] | None = None) -> Outcome:
    """From the connected call on: let both hear and see enough, and end it from one side."""
    phone.wait_for_state("connected")
    phone.wait_for_media(frames=40 if video else 0)
    theirs.wait_until_heard(2.5)
    if video:
        numbers = theirs.see_numbers(3)
        print(f"baresip showed pictures {numbers} of the test pattern")
    (hang_up or phone.stop)()
    outcome = phone.finish()
    theirs.wait_for("CALL_CLOSED")
    assert outcome.code == 0
    assert_tone(phone.heard(), THEIR_HZ)
    assert_tone(theirs.heard(), OUR_HZ)
    if video:
        seen = stamps(phone.mkv)
        print(f"Parley showed pictures {seen[0]} to {seen[-1]} of the film, {len(set(seen))} of them")
        assert len(set(seen)) >= 30
        assert seen == sorted(seen)
        assert outcome.report["video"]["frames_decoded"] >= 40
    return outcome


def held(setting: Setting, theirs: Baresip, parley_calls: bool, *flags: str, video: bool = True) -> Outcome:
    """One call in either direction, hung up by who made it."""
    if parley_calls:
        return talk(setting.call(*flags), theirs, video=video)
    phone = setting.listen(*flags)
    theirs.dial(setting.proxy.uri("ada"))
    return talk(phone, theirs, video=video, hang_up=theirs.hang_up)


# The whole call: ICE, DTLS-SRTP, sound and picture ----------------------------------------------------------------


@pytest.mark.short
def test_parley_calls(setting: Setting) -> None:
    theirs = setting.baresip()
    outcome = talk(setting.call(), theirs)
    assert outcome.report["security"]["media"] == "dtls-srtp"
    assert outcome.report["ice"]["state"] == "completed"
    assert outcome.report["audio"]["codec"] == "opus"
    assert outcome.report["poorer"] == [NO_EARLY_ANSWER]
    assert setting.allocated("ada")
    assert setting.allocated("bob")
    sent = [line.split()[0] for line in outcome.lines("out")]
    assert sent[:4] == ["INVITE", "ACK", "INVITE", "ACK"]  # the first INVITE is challenged by the proxy


@pytest.mark.short
def test_baresip_calls(setting: Setting) -> None:
    theirs = setting.baresip()
    phone = setting.listen()
    theirs.dial(setting.proxy.uri("ada"))
    outcome = talk(phone, theirs, hang_up=theirs.hang_up)
    assert outcome.report["ended"]["by"] == "remote"
    assert outcome.report["security"]["media"] == "dtls-srtp"
    assert outcome.report["ice"]["state"] == "completed"
    assert outcome.report["poorer"] == [NO_100REL]
    assert setting.allocated("ada")
    assert setting.allocated("bob")


@pytest.mark.parametrize("parley_calls", [True, False], ids=["we call", "they call"])
def test_h264(setting: Setting, parley_calls: bool) -> None:
    """baresip sends and takes H.264 by its FFmpeg module, in packetization mode 0."""
    line = {"picture_codec": "avcodec"}
    if parley_calls:
        theirs = setting.baresip(**line)
        phone = setting.call()
    else:
        phone = setting.listen()
        theirs = setting.baresip(**line)
        theirs.dial(setting.proxy.uri("ada"))
    outcome = talk(phone, theirs)
    assert outcome.report["video"]["codec"] == "h264"


@pytest.mark.parametrize("parley_calls", [True, False], ids=["parley calls", "baresip calls"])
def test_over_the_relay(setting: Setting, parley_calls: bool) -> None:
    """Parley may use nothing but its relay address: coturn carries everything it hears and shows."""
    theirs = setting.baresip()
    outcome = held(setting, theirs, parley_calls, "--ice-policy", "relay")
    assert {candidate["type"] for candidate in outcome.report["ice"]["local"]} == {"relay"}
    ice = outcome.report["ice"]
    used = [ice["local"][pair["local"]] for pair in ice["pairs"] if pair["selected"]]
    assert [candidate["server"] for candidate in used] == [setting.relay.address] * 2  # baresip does not bundle
    assert outcome.report["security"]["media"] == "dtls-srtp"


@pytest.mark.parametrize("parley_calls", [True, False], ids=["parley calls", "baresip calls"])
def test_over_tcp(setting: Setting, parley_calls: bool) -> None:
    """Both are registered over TCP, and Parley reaches its TURN server over TCP too."""
    theirs = setting.baresip(transport="tcp")
    flags = (
        *ours.account(setting.proxy, setting.relay, transport="tcp"),
        "--turn",
        f"turn:{setting.relay.address}?transport=tcp",
    )
    outcome = held(setting, theirs, parley_calls, *flags)
    assert {entry["transport"] for entry in outcome.report["sip"]} == {"tcp"}
    assert outcome.report["security"]["media"] == "dtls-srtp"
    assert outcome.report["ice"]["state"] == "completed"


# One step poorer at a time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("parley_calls", [True, False], ids=["parley calls", "baresip calls"])
@pytest.mark.parametrize(
    ("nat", "encryption"),
    [("ice", "srtp-mand"), ("", "srtp-mand"), ("ice", "srtp")],
    ids=["with ICE", "without ICE", "with ICE, not insisting"],
)
def test_sdes(setting: Setting, nat: str, encryption: str, parley_calls: bool) -> None:
    """baresip insists on keys in the signalling; Parley, asked for DTLS first, offers that in its second INVITE."""
    theirs = setting.baresip(nat=nat, encryption=encryption)
    outcome = held(setting, theirs, parley_calls)
    assert outcome.report["security"]["media"] == "sdes-srtp"
    assert NO_DTLS in outcome.report["poorer"]
    assert (NO_ICE in outcome.report["poorer"]) is (nat == "")
    if parley_calls:
        assert any(line.startswith("SIP/2.0 488") for line in outcome.lines("in"))


@pytest.mark.parametrize("parley_calls", [True, False], ids=["parley calls", "baresip calls"])
def test_plain_rtp_without_ice(setting: Setting, parley_calls: bool) -> None:
    theirs = setting.baresip(nat="", encryption="")
    outcome = held(setting, theirs, parley_calls)
    assert outcome.report["security"]["media"] == "none"
    assert outcome.report["ice"]["state"] == "disabled"
    assert {NO_ICE, NO_ENCRYPTION} <= set(outcome.report["poorer"])


@pytest.mark.parametrize("parley_calls", [True, False], ids=["parley calls", "baresip calls"])
def test_dtls_without_ice(setting: Setting, parley_calls: bool) -> None:
    theirs = setting.baresip(nat="", encryption="dtls_srtp")
    outcome = held(setting, theirs, parley_calls)
    assert outcome.report["security"]["media"] == "dtls-srtp"
    assert NO_ICE in outcome.report["poorer"]


@pytest.mark.parametrize("parley_calls", [True, False], ids=["parley calls", "baresip calls"])
def test_plain_rtp_with_ice(setting: Setting, parley_calls: bool) -> None:
    theirs = setting.baresip(encryption="")
    outcome = held(setting, theirs, parley_calls)
    assert outcome.report["security"]["media"] == "none"
    assert outcome.report["ice"]["state"] == "completed"
    assert NO_ENCRYPTION in outcome.report["poorer"]


@pytest.mark.parametrize("parley_calls", [True, False], ids=["parley calls", "baresip calls"])
@pytest.mark.parametrize("codec", ["pcmu", "pcma", "g722"])
def test_a_phone_with_an_old_codec_and_no_picture(setting: Setting, codec: str, parley_calls: bool) -> None:
    theirs = setting.baresip(audio=f"{codec}/{16_000 if codec == 'g722' else 8_000}/1", video=False)
    outcome = held(setting, theirs, parley_calls, video=False)
    assert outcome.report["audio"]["codec"] == codec
    assert outcome.report["video"] is None
    assert (NO_PICTURE in outcome.report["poorer"]) is parley_calls
    assert outcome.report["security"]["media"] == "dtls-srtp"


@pytest.mark.parametrize("codec", [pytest.param("opus/48000/2", marks=pytest.mark.short), "G722/16000/1"])
def test_keys_of_the_telephone_go_both_ways(setting: Setting, codec: str) -> None:
    """As events in the sound: baresip knows those of 8 kHz only, beside whichever codec."""
    theirs = setting.baresip(audio=codec, video=False)
    phone = setting.call("--digits", "12#")
    phone.wait_for_state("connected")
    theirs.wait_until_heard(2.0)
    wait_until(lambda: theirs.pressed() == "12#", "the keys at baresip")
    for key in "7*":
        theirs.command("sndcode", key)
        phone.wait_for("digit", digit=key)
    phone.stop()
    outcome = phone.finish()
    assert outcome.code == 0
    assert outcome.report["digits"] == "7*"
    assert not any(line.startswith("INFO") for line in outcome.lines("out"))


def test_keys_reach_a_phone_that_took_the_call(setting: Setting) -> None:
    theirs = setting.baresip(video=False)
    phone = setting.listen()
    theirs.dial(setting.proxy.uri("ada"))
    phone.wait_for_state("connected")
    phone.wait_for_media()
    theirs.command("sndcode", "9")
    phone.wait_for("digit", digit="9")
    theirs.hang_up()
    assert phone.finish().report["digits"] == "9"


def test_encryption_is_never_given_up_against_the_will_of_a_person(setting: Setting) -> None:
    setting.baresip(nat="", encryption="")
    outcome = setting.call("--encryption", "dtls").finish()
    assert outcome.code == 1
    assert outcome.report["ended"]["status"] == 488
    print(outcome.sentences)
    assert len(outcome.sentences) == 1


# Inside the call, and its ends ------------------------------------------------------------------------------------


def test_baresip_holds_and_goes_on(setting: Setting) -> None:
    """Its re-INVITE with a=sendonly silences Parley, and the next one lets it speak again; the path stays."""
    theirs = setting.baresip()
    phone = setting.listen()
    theirs.dial(setting.proxy.uri("ada"))
    phone.wait_for_state("connected")
    theirs.wait_until_heard(1.0)
    theirs.command("hold")
    wait_until(lambda: phone.trace.count("a=recvonly") == 2, "the hold in Parley's trace")
    begun_s, _ = theirs.audio_clocks()
    wait_until(lambda: theirs.audio_clocks()[0] > begun_s + 0.3, "what was on its way")
    begun_s, decoded_s = theirs.audio_clocks()
    wait_until(lambda: theirs.audio_clocks()[0] > begun_s + 1.0, "a second of hold")
    assert theirs.audio_clocks()[1] == decoded_s, "Parley spoke while it was held"
    theirs.command("resume")
    wait_until(lambda: theirs.audio_clocks()[1] > decoded_s + 2.0, "Parley's sound after the hold")
    theirs.hang_up()
    outcome = phone.finish()
    assert outcome.code == 0


def test_baresip_declines(setting: Setting) -> None:
    theirs = setting.baresip(answers=False)
    phone = setting.call()
    theirs.wait_for("CALL_INCOMING")
    theirs.hang_up()
    outcome = phone.finish()
    assert outcome.code == 1
    assert outcome.report["ended"] | {"cause": ""} == {"by": "remote", "cause": "", "status": 486}
    assert len(outcome.sentences) == 1


def test_parley_declines(setting: Setting) -> None:
    theirs = setting.baresip()
    phone = setting.listen("--decline")
    theirs.dial(setting.proxy.uri("ada"))
    closed = theirs.wait_for("CALL_CLOSED")
    assert "603" in closed["param"]
    assert phone.finish().report["ended"]["status"] == 603


def test_parley_gives_up_while_baresip_rings(setting: Setting) -> None:
    theirs = setting.baresip(answers=False)
    phone = setting.call()
    theirs.wait_for("CALL_INCOMING")
    phone.wait_for_state("ringing")
    phone.stop()
    theirs.wait_for("CALL_CLOSED")
    outcome = phone.finish()
    assert [line.split()[0] for line in outcome.lines("out")][-2:] == ["CANCEL", "ACK"]


def test_baresip_gives_up_while_parley_rings(setting: Setting) -> None:
    theirs = setting.baresip()
    phone = setting.listen("--answer-after", "60")
    theirs.dial(setting.proxy.uri("ada"))
    phone.wait_for_state("ringing")
    theirs.hang_up()
    outcome = phone.finish()
    assert outcome.report["ended"]["by"] == "remote"
    assert any(line.startswith("CANCEL") for line in outcome.lines("in"))
