"""Providers as data: where each is, what opens it, how its servers depart from OpenAI's. Users add their own.

``profile.py`` has the values, ``table.py`` and ``local_table.py`` the rows, ``known.py`` the look-up, ``reading.py``
profiles written by users. Nothing here connects or reads a key.
"""

from __future__ import annotations

from .known import at, find, for_model, known_names, named, profiles, read_file, register_profile
from .profile import Profile, Quirks

__all__ = [
    "Profile",
    "Quirks",
    "at",
    "find",
    "for_model",
    "known_names",
    "named",
    "profiles",
    "read_file",
    "register_profile",
]
