"""Servers that stand beside people's Parleys and help them reach each other. So far: the rallypoint."""
