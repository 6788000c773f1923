"""Random histories of purchase orders in which people sign another lifecycle now and then: still nothing is billed
twice, and in the end what the last table asks for is there, or the difference has a name.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from tests.flows.test_bill_histories import TABLES, BillHistories
from tests.flows.test_histories import PLAIN


class SignedAnewHistories(BillHistories):
    """What people and cycles do about a few purchase orders while the table changes."""

    @rule(table=st.sampled_from(sorted(TABLES)), cycle=st.booleans())
    def sign_another(self, table: str, cycle: bool) -> None:
        """Operator and finance lead sign another table."""
        self.table = table
        self.world.sign(TABLES[table])
        if cycle:
            self.cycle()


def test_a_few_histories_in_which_the_lifecycle_changes_end_in_agreement_or_in_words() -> None:
    """The same ones in every run."""
    run_state_machine_as_test(
        SignedAnewHistories, settings=settings(PLAIN, derandomize=True, max_examples=15, stateful_step_count=25)
    )


@pytest.mark.sweep
def test_long_many_histories_in_which_the_lifecycle_changes_end_in_agreement_or_in_words() -> None:
    """New ones in every run; what reproduces a failure is printed with it."""
    run_state_machine_as_test(SignedAnewHistories, settings=settings(PLAIN, max_examples=300, stateful_step_count=50))
