"""A SIP peer written by hand: a UDP socket that sends what the test says, for peers that behave as ours never would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

LOOPBACK = "127.0.0.1"
WAIT_S = 5.0

PLAIN_SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
    "a=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n"
)


def ice_sdp(port: int, *, ufrag: str = "hand", options: str = "", more: str = "", m_port: int | None = None) -> str:
    """A description of sound alone with one host candidate; `more` are further lines of its m-section."""
    head = f"a=ice-options:{options}\r\n" if options else ""
    return (
        f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n{head}"
        f"m=audio {m_port or port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\na=mid:0\r\na=rtcp-mux\r\n"
        f"a=ice-ufrag:{ufrag}\r\na=ice-pwd:0123456789012345678901\r\n"
        f"a=candidate:1 1 UDP 2130706431 127.0.0.1 {port} typ host\r\n{more}"
    )


class ByHand(asyncio.DatagramProtocol):
    """Speaks to one far end. Answers repeat the newest INVITE received; requests stand in one dialog of its own."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.remote: tuple[str, int] = (LOOPBACK, 0)
        self._news = asyncio.Event()
        self._seen = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.remote = addr
        self.received.append(data.decode("utf-8", "replace"))
        self._news.set()

    @property
    def uri(self) -> str:
        return f"sip:hand@{LOOPBACK}:{self.port}"

    def send(self, text: str) -> None:
        self._transport.sendto(text.encode(), self.remote)  # type: ignore[attr-defined]

    async def gets(self, start: str) -> str:
        """The next message, in order, that begins like this."""
        async with asyncio.timeout(WAIT_S):
            while True:
                while self._seen < len(self.received):
                    message = self.received[self._seen]
                    self._seen += 1
                    if message.startswith(start):
                        return message
                self._news.clear()
                await self._news.wait()

    def request(
        self, method: str, cseq: int, *, to: str = "", body: str = "", extra: str = "", branch: str = ""
    ) -> None:
        """Send a request to the remote of this dialog; `to` is a whole To value once there is a tag."""
        host, port = self.remote
        kind = "Content-Type: application/sdp\r\n" if body else ""
        self.send(
            f"{method} sip:bob@{host}:{port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {LOOPBACK}:{self.port};rport;branch=z9hG4bK{branch or f'{method}{cseq}'}\r\n"
            f"Max-Forwards: 70\r\nFrom: <{self.uri}>;tag=hand\r\nTo: {to or f'<sip:bob@{host}>'}\r\n"
            f"Call-ID: by-hand-{self.port}\r\nCSeq: {cseq} {method}\r\nContact: <{self.uri}>\r\n"
            f"{extra}{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def respond(self, to: str, status: str, *, tag: str = "hand", body: str = "", extra: str = "") -> None:
        """Answer the request `to`."""
        copied = "".join(
            f"{name}: {value}\r\n" for name in ("Via", "From", "Call-ID", "CSeq") for value in [header(to, name)]
        )
        target = header(to, "To")
        target = target if ";tag=" in target else f"{target};tag={tag}"
        kind = "Content-Type: application/sdp\r\n" if body else ""
        self.send(
            f"SIP/2.0 {status}\r\n{copied}To: {target}\r\nContact: <{self.uri}>\r\n"
            f"{extra}{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        )


def header(message: str, name: str) -> str:
    """The value of the first header field of that name."""
    for line in message.split("\r\n"):
        key, colon, value = line.partition(":")
        if colon and key.strip().lower() == name.lower():
            return value.strip()
    raise AssertionError(f"no {name} in {message[:200]}")


@asynccontextmanager
async def by_hand() -> AsyncIterator[ByHand]:
    loop = asyncio.get_running_loop()
    transport, peer = await loop.create_datagram_endpoint(ByHand, local_addr=(LOOPBACK, 0))
    try:
        yield peer
    finally:
        transport.close()


class MediaSocket(asyncio.DatagramProtocol):
    """Where sound may be sent to: keeps what arrives."""

    def __init__(self) -> None:
        self.received: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received.append(data)


@asynccontextmanager
async def media_socket() -> AsyncIterator[MediaSocket]:
    loop = asyncio.get_running_loop()
    transport, media = await loop.create_datagram_endpoint(MediaSocket, local_addr=(LOOPBACK, 0))
    try:
        yield media
    finally:
        transport.close()
