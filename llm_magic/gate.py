"""The gate of a session: asks pass it before they are sent, and what they spend is counted behind it.

Comes in: a plan. Goes out: the plan as it is sent, or the error that says why it is not; then what looks at every
request of its turn and at every piece of an answer. A plan stays within the gate until its turn is in the ledger.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .budgets import Purse, Spent, Till, check_left, parse_budget
from .events import Notice
from .preflight import Admission, unknown

if TYPE_CHECKING:
    from .asks import Plan
    from .backends.base import Request
    from .config import Config
    from .events import Event
    from .ledger import Ledger, LedgerRow
    from .rounds import Check
    from .turns import TurnBuilder


class Gate:
    """Lets the asks of one session pass. May be used from any thread.

    Args:
        config: Where the session's budget is set.
        ledger: What the session has spent.

    Attributes:
        till: What has been spent, what is under way included.
    """

    def __init__(self, config: Config, ledger: Ledger) -> None:
        self.till = Till(lambda: ledger.spent)
        self._config = config
        # The models of which the user was told that nobody knows what they can do, and in which turn.
        self._told: dict[str, str] = {}

    def admitted(self, plan: Plan) -> Plan:
        """The plan as it is sent; what it costs is counted from here on.

        Raises:
            LLMMagicError: It is not sent: the model cannot do it, it is too long, or there is no money for it.
        """
        notices: list[Event] = []
        is_new = self.till.purse(plan.base.id) is None
        try:
            request = self.admission(plan)(plan.request, notices.append)
        except BaseException:
            if is_new:
                self.close(plan)
            raise
        lines = [event.text for event in notices if isinstance(event, Notice)]
        line = unknown(plan)
        # A plan that had to wait is admitted again, and its notices are made again.
        if line is not None and self._told.setdefault(plan.request.model, plan.base.id) == plan.base.id:
            lines.append(line)
        return replace(plan, request=request, base=replace(plan.base, notices=(*plan.base.notices, *lines)))

    def admission(self, plan: Plan) -> Admission:
        """What every request of a plan passes before it is sent."""
        return Admission(plan, self._purse(plan))

    def check(self, plan: Plan) -> Check:
        """What looks at every piece of an answer, and raises where a budget is spent."""
        purse = self._purse(plan)

        def watch(_request: Request, builder: TurnBuilder) -> None:
            # An answer that is whole is paid for.
            if builder.completed is None:
                purse.watch(builder.output_bytes)

        return watch

    def pay(self, plan: Plan, row: LedgerRow) -> None:
        """Count what a request has really cost, whose row is in the ledger: more follow, or share its budget."""
        self._purse(plan).pay(Spent(usd=row.cost_usd or 0.0, tokens=row.total_tokens))

    def close(self, plan: Plan) -> None:
        """Count a plan no more: its turn is in the ledger, or was never sent. Harmless when repeated."""
        self.till.close(plan.base.id)
        if plan.pool is not None:
            plan.pool.close(plan.base.id)

    def require(self) -> None:
        """Refuse what has no plan, and may cost something, where the session's budget is spent.

        Raises:
            BudgetExceededError: It is.
        """
        if (budget := self._config.get("budget")) is not None:
            check_left(parse_budget(budget), self.till.spent())

    def told(self) -> str | None:
        """What the session has spent of its budget, for people; None where it has none."""
        budget = self._config.get("budget")
        return None if budget is None else parse_budget(budget).told(self.till.spent())

    def trial(self, plan: Plan) -> Purse:
        """The purse a plan would have; nothing is counted."""
        own, shared = plan.ask.settings.get("budget"), self._config.get("budget")
        return Purse(
            model=plan.request.model,
            own=None if own is None else parse_budget(own),
            shared=None if shared is None else parse_budget(shared),
            till=self.till,
            pool=plan.pool,
        )

    def _purse(self, plan: Plan) -> Purse:
        """That of a plan, made where it has none."""
        purse = self.till.purse(plan.base.id)
        if purse is None:
            purse = self.trial(plan)
            self.till.open(plan.base.id, purse)
            if plan.pool is not None:
                plan.pool.open(plan.base.id, purse)
        return purse
