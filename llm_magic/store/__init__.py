"""The store: conversations and ledger of one user, in one SQLite file. Values in, values out; it knows no session."""

from __future__ import annotations

from .store import Store
from .values import BusyStoreError, Draft, ForgottenError, Kept, Placed, TakenError, Writing

__all__ = ["BusyStoreError", "Draft", "ForgottenError", "Kept", "Placed", "Store", "TakenError", "Writing"]
