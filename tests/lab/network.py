"""Networks of their own for tests: hosts in network namespaces around one hub, made and removed by the test.

Every host has one interface `eth0` on the hub's bridge and a default route into the hub, which drops what it gets:
so a packet to anybody else is seen on the wire, but reaches nobody. The name server of every host is such an address
too. A link may be a bad wire (`tests/lab/wire.py`), and the way between two hosts may be blocked.

All names begin with a random prefix. A lock that lives as long as the test tells the next run which namespaces are
left over from a run that was killed; those are removed with whatever still runs in them.
"""

from __future__ import annotations

import ctypes
import fcntl
import ipaddress
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from tests.lab.wire import Wire

ROOT = Path(__file__).resolve().parents[2]
NETWORK_V4 = ipaddress.IPv4Network("10.77.0.0/24")
NETWORK_V6 = ipaddress.IPv6Network("fd77::/64")
SILENT_V4 = "192.0.2.53"  # of the documentation range (RFC 5737): routed into the hub, where nobody answers
TOOLS = ("ip", "nft", "ethtool", "tcpdump", "conntrack")

_MARK = "parleylab"
_LOCKS = Path(tempfile.gettempdir()) / "parley-lab-locks"
_NETNS = Path("/run/netns")
_RESOLVERS = Path("/etc/netns")
_CLONE_NEWNET = 0x40000000
# An IPv6 address that is first tried out for a second can ask for no neighbour until then.
_NO_TRIAL = ("net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")


def missing() -> str | None:
    """Say why namespaces cannot be made here; None when they can."""
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if lacking:
        return f"not installed: {', '.join(lacking)}"
    return None if os.geteuid() == 0 else "network namespaces need root"


def run(*command: str, given: str | None = None) -> str:
    """Run a command and give what it printed; AssertionError with its words when it fails."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
    return done.stdout


@dataclass(frozen=True, slots=True)
class Host:
    """One machine of the network; `v4` or `v6` is None in a network of one family."""

    name: str
    namespace: str
    v4: str | None
    v6: str | None

    @property
    def address(self) -> str:
        """Its address of the network's first family."""
        address = self.v4 or self.v6
        assert address is not None
        return address

    @property
    def in_uri(self) -> str:
        """The same as a URI wants it, IPv6 in brackets."""
        return f"[{self.address}]" if ":" in self.address else self.address

    def command(self, *command: str) -> list[str]:
        """Give the command line that runs a program on this host, with the same process id."""
        return ["ip", "netns", "exec", self.namespace, *command]

    def run(self, *command: str) -> str:
        return run(*self.command(*command))

    def open_socket(
        self, kind: socket.SocketKind = socket.SOCK_DGRAM, *, port: int = 0, address: str | None = None
    ) -> socket.socket:
        """Open an IPv4 or IPv6 socket of this process that stands on this host, at its first address or another."""
        with ThreadPoolExecutor(1) as elsewhere:  # a thread moves alone, and ends there
            return elsewhere.submit(self._open_socket, kind, port, address or self.address).result()

    def enter(self) -> None:
        """Move the calling thread, and it alone, to this host for good."""
        libc = ctypes.CDLL(None, use_errno=True)
        with (_NETNS / self.namespace).open() as namespace:
            if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"cannot enter {self.namespace}")

    def _open_socket(self, kind: socket.SocketKind, port: int, address: str) -> socket.socket:
        self.enter()
        opened = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        opened.settimeout(10)
        opened.bind((address, port))
        return opened

    def popen(self, *command: str, **options: object) -> subprocess.Popen[str]:
        return subprocess.Popen(self.command(*command), text=True, cwd=ROOT, **options)  # type: ignore[call-overload, no-any-return]


class Lab:
    """Use as a context: makes the hosts, and takes everything away again whatever happened in between."""

    network_v4, network_v6 = NETWORK_V4, NETWORK_V6

    def __init__(
        self,
        hosts: Sequence[str] = ("a", "b", "s"),
        *,
        v4: bool = True,
        v6: bool = False,
        wires: Mapping[str, Wire] | None = None,
    ) -> None:
        assert v4 or v6
        self._v4, self._v6, self._wires = v4, v6, dict(wires or {})
        self.prefix = f"{_MARK}-{secrets.token_hex(3)}"
        hub_v4, hub_v6 = str(self.network_v4[254]), str(self.network_v6[254])
        self.hub = Host("hub", f"{self.prefix}-hub", hub_v4 if v4 else None, hub_v6 if v6 else None)
        self.hosts = {name: self._host_at(name, index) for index, name in enumerate(hosts)}
        self._wire_processes: dict[str, subprocess.Popen[str]] = {}
        self._lock: IO[str] | None = None

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def _host_at(self, name: str, index: int) -> Host:
        """Give the host that has the addresses of this place on the hub's network."""
        v4 = str(self.network_v4[10 + index]) if self._v4 else None
        v6 = str(self.network_v6[0x10 + index]) if self._v6 else None
        return Host(name, f"{self.prefix}-{name}", v4, v6)

    def __enter__(self) -> Lab:
        remove_leftovers()
        _LOCKS.mkdir(mode=0o700, exist_ok=True)
        self._lock = (_LOCKS / self.prefix).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            self._make_hub()
            for index, host in enumerate(self.hosts.values()):
                self._make_host(host, index)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for process in self._wire_processes.values():
            process.terminate()
        for process in self._wire_processes.values():
            process.wait(5)
        _remove(self.prefix)
        if self._lock is not None:
            self._lock.close()
            with suppress(FileNotFoundError):
                (_LOCKS / self.prefix).unlink()

    def block(self, one: str, other: str) -> None:
        """Drop what two hosts send each other, as a firewall between them would; IPv6 neighbour discovery goes on."""
        rules = "\n".join(
            f'iifname "{_port(source)}" oifname "{_port(sink)}" ether type {{ip, ip6}} meta l4proto != ipv6-icmp drop'
            for source, sink in ((one, other), (other, one))
        )
        chain = f"chain forward {{\ntype filter hook forward priority 0; policy accept;\n{rules}\n}}"
        run(*self.hub.command("nft", "-f", "-"), given=f"table bridge block {{\n{chain}\n}}\n")

    def unblock(self) -> None:
        """Let everything through again."""
        run(*self.hub.command("nft", "delete", "table", "bridge", "block"))

    def change_wire(self, host: str, wire: Wire) -> None:
        """Make the wire of a host, which must have been made with one, another wire while everything goes on."""
        process = self._wire_processes[host]
        assert process.stdin is not None
        process.stdin.write(json.dumps(wire.as_dict()) + "\n")
        process.stdin.flush()
        self._wait_for_wire(process)

    def _make_hub(self) -> None:
        run("ip", "netns", "add", self.hub.namespace)
        hub = ("ip", "-n", self.hub.namespace)
        self.hub.run("sysctl", "-qw", *_NO_TRIAL)
        run(*hub, "link", "set", "lo", "up")
        run(*hub, "link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        run(*hub, "link", "set", "br0", "up")
        # What is for nobody here ends in the hub without an answer, as in a silent network.
        self.hub.run("sysctl", "-qw", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")
        if self._v4:
            run(*hub, "addr", "add", f"{self.hub.v4}/{self.network_v4.prefixlen}", "dev", "br0")
        if self._v6:
            run(*hub, "-6", "addr", "add", f"{self.hub.v6}/{self.network_v6.prefixlen}", "dev", "br0", "nodad")

    def _make_host(self, host: Host, index: int) -> None:
        make_namespace(host, v6=self._v6)
        inside = ("ip", "-n", host.namespace)
        hub = ("ip", "-n", self.hub.namespace)
        near = f"near-{host.name}" if host.name in self._wires else _port(host.name)
        mac = f"02:77:00:00:00:{0x10 + index:02x}"
        run(*inside, "link", "add", "eth0", "address", mac, "type", "veth", "peer", near, "netns", self.hub.namespace)
        if host.name in self._wires:
            far = f"far-{host.name}"
            run(*hub, "link", "add", _port(host.name), "type", "veth", "peer", far)
            self._no_offloads(host, "eth0", near, far, _port(host.name))
        run(*hub, "link", "set", _port(host.name), "master", "br0")
        for name in (near, f"far-{host.name}") if host.name in self._wires else ():
            run(*hub, "link", "set", name, "up")
        run(*hub, "link", "set", _port(host.name), "up")
        run(*inside, "link", "set", "eth0", "up")
        if host.name in self._wires:
            self._start_wire(host.name, near, f"far-{host.name}")
        if host.v4:
            run(*inside, "addr", "add", f"{host.v4}/{self.network_v4.prefixlen}", "dev", "eth0")
            run(*inside, "route", "add", "default", "via", f"{self.hub.v4}")
        if host.v6:
            run(*inside, "-6", "addr", "add", f"{host.v6}/{self.network_v6.prefixlen}", "dev", "eth0", "nodad")
            run(*inside, "-6", "route", "add", "default", "via", f"{self.hub.v6}")

    def _no_offloads(self, host: Host, inner: str, *in_hub: str) -> None:
        """A frame that a program forwards must carry its own checksums and fit the wire."""
        wanted = ("rx", "off", "tx", "off", "tso", "off", "gso", "off", "gro", "off")
        host.run("ethtool", "-K", inner, *wanted)
        for name in in_hub:
            self.hub.run("ethtool", "-K", name, *wanted)

    def _start_wire(self, host: str, near: str, far: str) -> None:
        command = (sys.executable, "-m", "tests.lab.wire", near, far, json.dumps(self._wires[host].as_dict()))
        process = self.hub.popen(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._wire_processes[host] = process
        self._wait_for_wire(process)

    def _wait_for_wire(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the wire does not forward"


def make_namespace(host: Host, *, v6: bool) -> None:
    """Make the place a host stands in, without any network yet; its name server is a silent one."""
    run("ip", "netns", "add", host.namespace)
    resolver = _RESOLVERS / host.namespace / "resolv.conf"
    resolver.parent.mkdir(parents=True)
    resolver.write_text(f"nameserver {SILENT_V4}\noptions timeout:1 attempts:1\n")
    run("ip", "-n", host.namespace, "link", "set", "lo", "up")
    if v6:
        host.run("sysctl", "-qw", *_NO_TRIAL)
    else:
        host.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")


def remove_namespaces(*hosts: Host) -> None:
    """Take these hosts away with whatever still runs on them."""
    for host in hosts:
        _end_processes(host.namespace)
    for host in hosts:
        run("ip", "netns", "del", host.namespace)
        shutil.rmtree(_RESOLVERS / host.namespace)


def remove_leftovers() -> None:
    """Remove what runs that were killed left behind; what a living run holds is not touched."""
    prefixes = {"-".join(entry.name.split("-")[:2]) for entry in _entries(_NETNS) + _entries(_RESOLVERS)}
    for prefix in sorted(prefixes | {entry.name for entry in _entries(_LOCKS)}):
        path = _LOCKS / prefix
        if not path.exists():
            _remove(prefix)
            continue
        with path.open("r+") as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(prefix)
            path.unlink()


def _remove(prefix: str) -> None:
    namespaces = [entry.name for entry in _entries(_NETNS) if entry.name.startswith(f"{prefix}-")]
    for namespace in namespaces:
        _end_processes(namespace)
    for namespace in namespaces:
        run("ip", "netns", "del", namespace)
    for entry in _entries(_RESOLVERS):
        if entry.name.startswith(f"{prefix}-"):
            shutil.rmtree(entry)


def _end_processes(namespace: str) -> None:
    """End what still runs inside a namespace: first asked, after a second made to."""
    for number, patience_s in ((signal.SIGTERM, 1.0), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + patience_s
        inside = run("ip", "netns", "pids", namespace).split()
        for process in inside:
            with suppress(ProcessLookupError):
                os.kill(int(process), number)
        while inside and time.monotonic() < deadline:
            time.sleep(0.02)
            inside = run("ip", "netns", "pids", namespace).split()


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_MARK}-*")) if folder.is_dir() else []


def _port(name: str) -> str:
    """The name of a host's port on the hub's bridge."""
    return f"to-{name}"
