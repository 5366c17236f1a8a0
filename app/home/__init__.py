"""The embedded server: registrar, proxy, STUN and TURN, and finding others on the local network."""
