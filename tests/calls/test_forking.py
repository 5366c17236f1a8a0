"""A call to somebody with two phones: our own proxy forks it, both ring, one answers (RFC 8839 section 7.3)."""

from __future__ import annotations

from app.events import CallState, EndKind
from app.home.accounts import HomeUser
from app.home.config import HomeConfig
from app.home.server import HomeServer
from app.settings import Account
from tests.calls.parties import LOOPBACK, on_the_phone, party


async def test_both_phones_ring_and_the_one_that_answers_gets_the_call() -> None:
    bob = HomeUser.from_password("bob", "parley", "secret")
    home = HomeServer(HomeConfig(listen=(LOOPBACK,), sip_port=0, turn_port=0, realm="parley", users=(bob,)))
    await home.start()
    try:
        ada, desk, mobile = party("ada"), party("desk"), party("mobile")
        desk.account = mobile.account = Account("sip:bob@parley", registrar=home.sip_address)
        async with on_the_phone(ada, desk, mobile):
            outgoing = ada.manager.place(f"sip:bob@{home.sip_address}", "bob", video=True)
            await desk.reaches(CallState.RINGING)
            on_mobile = await mobile.reaches(CallState.RINGING)
            mobile.manager.answer(on_mobile.call_id, video=True)
            await ada.reaches(CallState.CONNECTED)
            await mobile.reaches(CallState.CONNECTED)
            there = await desk.ends()
            assert there.end is not None
            assert there.end.kind in (EndKind.ANSWERED_ELSEWHERE, EndKind.CANCELLED)
            assert len(outgoing.path.legs) == 1
            for one, call in ((ada, outgoing), (mobile, on_mobile)):
                await one.until(lambda call=call: call.figures().video.frames_decoded > 5, "the picture arrives")  # type: ignore[misc]
            outgoing.hang_up()
            await mobile.ends()
    finally:
        await home.close()


async def test_the_phone_that_was_heard_of_first_may_change_the_call_it_answers() -> None:
    """What the other phone said about its own path is nothing to it."""
    bob = HomeUser.from_password("bob", "parley", "secret")
    home = HomeServer(HomeConfig(listen=(LOOPBACK,), sip_port=0, turn_port=0, realm="parley", users=(bob,)))
    await home.start()
    try:
        ada, desk, mobile = (party(name, video=False) for name in ("ada", "desk", "mobile"))
        desk.account = mobile.account = Account("sip:bob@parley", registrar=home.sip_address)
        async with on_the_phone(ada, desk, mobile):
            outgoing = ada.manager.place(f"sip:bob@{home.sip_address}", "bob", video=False)
            ringing = {phone.name: await phone.reaches(CallState.RINGING) for phone in (desk, mobile)}
            await ada.until(lambda: len(outgoing.path.legs) == 2, "both are heard of")
            first_tag = next(iter(outgoing.path.legs))
            first = next(phone for phone in (desk, mobile) if ringing[phone.name].session.local.tag == first_tag)  # type: ignore[union-attr]
            call = ringing[first.name]
            first.manager.answer(call.call_id, video=False)
            await ada.reaches(CallState.CONNECTED)
            await first.reaches(CallState.CONNECTED)
            call.set_held(True)
            await ada.until(lambda: outgoing.info.held, "the pause is told")
    finally:
        await home.close()
