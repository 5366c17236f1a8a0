"""A plain reflector: what comes by UDP goes to everybody who has told it of himself. Prints its port at its start."""

from __future__ import annotations

import socket

from tests.bench.channel_ears import HERE, JOIN


def main() -> None:
    listeners = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        here.bind((HERE, 0))
        print(here.getsockname()[1], flush=True)
        while True:
            data, source = here.recvfrom(2048)
            if data == JOIN:
                listeners.append(source)
                here.sendto(b"ok", source)
                continue
            for listener in listeners:
                here.sendto(data, listener)


if __name__ == "__main__":
    main()
