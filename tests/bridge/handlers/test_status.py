from __future__ import annotations

from itertools import product

import pytest

from vitalbridge.bridge.handlers.order_control import ACTIONS, action_of
from vitalbridge.bridge.handlers.status import FINAL, Verdict, has_begun, judge
from vitalbridge.bridge.model import StepStatus, Unprocessable
from vitalbridge.translate.tables import ORDER_CONTROL

ORDER = ["SCHEDULED", "ARRIVED", "READY", "STARTED", "DEPARTED", "COMPLETED"]


@pytest.mark.parametrize(("current", "wanted"), list(product(ORDER, ORDER)))
def test_only_forward(current: str, wanted: str) -> None:
    applies = judge(StepStatus(current), "hl7", StepStatus(wanted)) is Verdict.APPLY
    assert applies == (ORDER.index(wanted) > ORDER.index(current))


@pytest.mark.parametrize("wanted", StepStatus)
@pytest.mark.parametrize("current", sorted(FINAL))
def test_final_is_final(current: StepStatus, wanted: StepStatus) -> None:
    assert judge(current, "hl7", wanted) is not Verdict.APPLY


@pytest.mark.parametrize("wanted", StepStatus)
@pytest.mark.parametrize("current", [StepStatus.STARTED, StepStatus.DEPARTED])
def test_hl7_changes_nothing_that_mpps_began(current: StepStatus, wanted: StepStatus) -> None:
    assert judge(current, "mpps", wanted) is not Verdict.APPLY


@pytest.mark.parametrize("current", [status for status in StepStatus if has_begun(status)])
def test_a_cancel_of_what_has_begun_needs_a_person(current: StepStatus) -> None:
    assert judge(current, "hl7", StepStatus.CANCELLED) is Verdict.REFUSED


def test_every_code_of_the_table_is_known() -> None:
    assert ACTIONS.keys() <= ORDER_CONTROL
    assert all(action_of(code, 1) is ACTIONS.get(code) for code in ORDER_CONTROL)
    with pytest.raises(Unprocessable) as raised:
        action_of("", 3)
    assert (raised.value.code, raised.value.location) == (101, "ORC^3^1")
