"""How amounts of money are written."""

from __future__ import annotations

import math


def dollars(amount_usd: float) -> str:
    """An amount with as many decimals as it needs to be seen: at least four below a dollar.

    >>> dollars(0.0), dollars(12.3), dollars(0.0123), dollars(0.0000042)
    ('$0', '$12.30', '$0.0123', '$0.0000042')
    """
    if not amount_usd:
        return "$0"
    if amount_usd >= 1:
        return f"${amount_usd:,.2f}"
    decimals = max(4, 1 - math.floor(math.log10(amount_usd)))
    return f"${amount_usd:.{decimals}f}"
