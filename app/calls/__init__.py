"""A call: one SIP dialog, one ICE session and its media, held together by the table in states.py."""
