"""sipp as a scripted phone: steps written in Python become its XML scenario, run once, its media echoed back.

A scenario holds one call. Nothing in it waits for a time: it ends when the far end hangs up, or as its script says.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import quoteattr

from tests.interop.programs import HERE, Program, free_port, is_bound, need

LIMIT_S = 60  # of a whole scenario, on a busy machine


def sdp(direction: str = "sendrecv", *, lines: Iterable[str] = ("audio",), version: int = 1) -> str:
    """A description without ICE and encryption: PCMU at sipp's media port; other kinds in `lines` are refused."""
    rows = ["v=0", f"o=sipp 1 {version} IN IP4 [local_ip]", "s=-", "c=IN IP4 [media_ip]", "t=0 0"]
    for kind in lines:
        if kind == "audio":
            rows += ["m=audio [media_port] RTP/AVP 0", "a=rtpmap:0 PCMU/8000", f"a={direction}"]
        else:
            rows += [f"m={kind} 0 RTP/AVP 97"]
    return "\r\n".join(rows)


def request(method: str, number: int, *headers: str, body: str = "", same_branch_as: int = 0) -> str:
    """Send a request of the caller; the dialog's tag is added once it is known.

    `same_branch_as`: how many steps back the request stands whose branch a CANCEL, or the ACK of a refusal, repeats.
    """
    branch = f"[branch-{same_branch_as}]" if same_branch_as else "[branch]"
    first = method in ("INVITE", "CANCEL") and number == 1
    rows = [
        f"{method} {'sip:[service]@[remote_ip]:[remote_port]' if first else '[next_url]'} SIP/2.0",
        f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}",
        "From: sipp <sip:sipp@[local_ip]:[local_port]>;tag=[pid]-[call_number]",
        f"To: <sip:[service]@[remote_ip]:[remote_port]>{'' if first else '[peer_tag_param]'}",
        "Call-ID: [call_id]",
        f"CSeq: {number} {method}",
        "Contact: <sip:sipp@[local_ip]:[local_port]>",
        "Max-Forwards: 70",
        *headers,
    ]
    return _send(rows, body, repeated=method != "ACK")


def answer(status: str, *headers: str, body: str = "", to_invite: bool = False) -> str:
    """Send a response to the last request; with `to_invite`, to the INVITE although others came since."""
    copied = (
        ["Via:[$via]", "From:[$from]", "To:[$to];tag=[pid]-[call_number]", "Call-ID: [call_id]", "CSeq:[$cseq]"]
        if to_invite
        else ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]"]
    )
    contact = "Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>"
    repeated = to_invite and (int(status[:3]) >= 200 or "Require: 100rel" in headers)
    return _send([f"SIP/2.0 {status}", *copied, contact, *headers], body, repeated=repeated)


def expect_invite() -> str:
    """Take the INVITE and remember what its responses must repeat."""
    kept = "".join(
        f'<ereg regexp=".*" search_in="hdr" header="{header}:" assign_to="{name}"/>'
        for header, name in (("Via", "via"), ("From", "from"), ("To", "to"), ("CSeq", "cseq"))
    )
    return f'<recv request="INVITE" crlf="true"><action>{kept}</action></recv>'


def expect(what: str | int, *, optional: bool = False, body: str = "", header: tuple[str, str] | None = None) -> str:
    """Take a request by its method or a response by its status; what does not match fails the call.

    `body` is a pattern that must be found in its body; `header` a name and a pattern.
    """
    kind = "response" if isinstance(what, int) else "request"
    checks = ""
    if body:
        checks += f'<ereg regexp={quoteattr(body)} search_in="body" check_it="true" assign_to="ignored"/>'
    if header is not None:
        name, pattern = header
        checks += (
            f'<ereg regexp={quoteattr(pattern)} search_in="hdr" header="{name}:" check_it="true" assign_to="ignored"/>'
        )
    action = f"<action>{checks}</action>" if checks else ""
    route = ' rrs="true"' if isinstance(what, int) and not optional else ""
    return f'<recv {kind}="{what}"{route} optional="{str(optional).lower()}">{action}</recv>'


def expect_reliable(status: int, *, body: str = "") -> str:
    """Take a provisional response that wants a PRACK, and remember its number (RFC 3262)."""
    found = f'<ereg regexp={quoteattr(body)} search_in="body" check_it="true" assign_to="ignored"/>' if body else ""
    return (
        f'<recv response="{status}" rrs="true"><action>'
        '<ereg regexp="100rel" search_in="hdr" header="Require:" check_it="true" assign_to="ignored"/>'
        '<ereg regexp="[0-9]+" search_in="hdr" header="RSeq:" check_it="true" assign_to="rseq"/>'
        f"{found}</action></recv>"
    )


def _send(rows: list[str], body: str, *, repeated: bool) -> str:
    """`repeated`: until the far end reacts to it."""
    rows = [*rows, *(["Content-Type: application/sdp"] if body else []), "Content-Length: [len]", "", body]
    retrans = ' retrans="500"' if repeated else ""
    return f"<send{retrans}><![CDATA[\n" + "\n".join(rows).replace("\r\n", "\n") + "\n]]></send>"


class Sipp(Program):
    """A running scenario. Without `remote` it waits to be called."""

    def __init__(self, folder: Path, *steps: str, remote: str = "", user: str = "parley", port: int = 0) -> None:
        need("sipp")
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        script = folder / "scenario.xml"
        used = "".join(f'<Reference variables="{name}"/>' for name in _variables(steps))
        script.write_text(
            '<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="interop">\n'
            + "\n".join(steps)
            + f"\n{used}\n</scenario>\n",
            encoding="utf-8",
        )
        command = ["sipp", "-nostdin", "-sf", str(script), "-m", "1", "-s", user, "-i", HERE, "-p", str(self.port)]
        command += ["-mi", HERE, "-mp", str(free_port()), "-rtp_echo", "-timeout", str(LIMIT_S), "-timeout_error"]
        command += ["-trace_msg", "-message_file", str(folder / "messages.txt")]
        command += ["-trace_err", "-error_file", str(folder / "errors.txt")]
        super().__init__("sipp", folder, *command, *([remote] if remote else []))
        if not remote:
            self.wait_until_ready(lambda: is_bound(self.port))

    @property
    def uri(self) -> str:
        return f"sip:sipp@{HERE}:{self.port}"

    @property
    def messages(self) -> str:
        """Every message of the call, as sipp saw it."""
        return (self.folder / "messages.txt").read_text(encoding="utf-8", errors="replace")

    def finish(self) -> None:
        """Wait for the end of the scenario; it must have gone as scripted."""
        code = self.wait_for_end(LIMIT_S + 10)
        errors = self.folder / "errors.txt"
        told = errors.read_text(encoding="utf-8", errors="replace") if errors.exists() else ""
        assert code == 0, f"sipp ended with {code}: {told}\n{self.story()}"


def _variables(steps: tuple[str, ...]) -> list[str]:
    text = "".join(steps)
    return [name for name in ("ignored", "rseq", "via", "from", "to", "cseq") if f'assign_to="{name}"' in text]
