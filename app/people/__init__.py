"""Contacts, history, settings and secrets: what is kept on disk."""
