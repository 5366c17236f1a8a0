"""Interactive Connectivity Establishment, RFC 8445: candidates, checks, gathering, TURN."""
