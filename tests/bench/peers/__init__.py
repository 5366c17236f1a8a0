"""Phones held beside Parley: each as a pair of itself, on the same wire, with the same devices, sound and picture.

`stage.py` makes the two hosts, the wire between them and a sound server for each; `base.py` says what a pair can do,
and each other file is one phone.
"""
