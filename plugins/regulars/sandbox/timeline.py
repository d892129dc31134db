"""The life of each trade: a pure function of the trade, read as of a clock.

``NEVER`` stands for a transition that does not happen. Shares are small, so that the shop's
figures stay close to the source data's, yet large enough for about 420 trades a day to show every
outcome on nearly every night.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from regulars.sandbox.disguise import mixed, shares, spread

Int64s = NDArray[np.int64]

NEVER = int(np.iinfo(np.int64).max)
MINUTE, HOUR, DAY = 60, 3600, 86_400


class Outcome(IntEnum):
    """How a trade ends."""

    FINISHED = 0
    UNPAID = 1
    CLOSED = 2
    PARTLY_REFUNDED = 3
    LATE_REFUNDED = 4
    REFUND_REFUSED = 5


OUTCOME_SHARES = {
    Outcome.UNPAID: 0.020,  # left unpaid and closed by the platform: about 8 a day
    Outcome.CLOSED: 0.008,  # cancelled before shipping, refunded in full: about 3 a day
    Outcome.PARTLY_REFUNDED: 0.012,  # one line refunded, in whole or in half: about 5 a day
    Outcome.LATE_REFUNDED: 0.006,  # one line returned after the trade had finished: 2 to 3 a day
    Outcome.REFUND_REFUSED: 0.003,  # asked for and refused: about 1 a day
}

# Spans in seconds, [shortest, longest).
PAY_AFTER = (MINUTE, 30 * MINUTE)
SHIP_AFTER = (6 * HOUR, 36 * HOUR)
SIGN_AFTER = (24 * HOUR, 96 * HOUR)
# Ten days after shipping the platform confirms by itself: 96 h + 6 days at the latest.
FINISH_AFTER = (HOUR, 6 * DAY)
UNPAID_CLOSE_AFTER = (DAY, DAY + HOUR)
CANCEL_AFTER = (10 * MINUTE, 5 * HOUR)  # before the earliest shipping
CANCEL_REFUND_AFTER = (30 * MINUTE, 20 * HOUR)
COMPLAIN_AFTER = (30 * MINUTE, 12 * HOUR)  # after signing
COMPLAINT_DECIDED_AFTER = (2 * HOUR, 24 * HOUR)
COMPLAINT_ENDED_AFTER = (HOUR, 24 * HOUR)
RETURN_ASKED_AFTER = (DAY, 12 * DAY)  # after finishing
RETURN_AGREED_AFTER = (2 * HOUR, DAY)
RETURN_REFUNDED_AFTER = (DAY, 5 * DAY)


class RefundStatus(IntEnum):
    """A refund's state, in the platform's words (see ``wire.REFUND_STATUS``)."""

    WAIT_SELLER_AGREE = 0
    WAIT_BUYER_RETURN_GOODS = 1
    SELLER_REFUSE_BUYER = 2
    SUCCESS = 3
    CLOSED = 4


@dataclass(frozen=True)
class Transitions:
    """Wall seconds of each trade's transitions; arrays as long as the trades."""

    outcome: NDArray[np.uint8]
    paid: Int64s
    shipped: Int64s
    signed: Int64s
    ended: Int64s


@dataclass(frozen=True)
class Refunds:
    """One row per refund, ordered by line; at most one refund per line.

    Attributes:
        line: index of the line; ``trade``: index of its trade.
        fee: refunded (or asked for) fen.
        decided: wall seconds at which the seller agreed or refused, else NEVER.
        decided_status, ended_status: RefundStatus from those instants on.
        is_return: goods come back; such refunds are asked for after the trade has finished.
    """

    line: Int64s
    trade: Int64s
    fee: Int64s
    requested: Int64s
    decided: Int64s
    ended: Int64s
    decided_status: NDArray[np.uint8]
    ended_status: NDArray[np.uint8]
    is_return: NDArray[np.bool_]


def outcomes(baskets: Int64s, paid_fen: Int64s, coupon_fen: Int64s) -> NDArray[np.uint8]:
    """The outcome of each trade.

    Free baskets always finish (nothing could be refunded), and a basket that used coupons was
    paid, because coupons are only used up by paying.
    """
    draw = shares(baskets, "outcome")
    result = np.zeros(len(baskets), dtype=np.uint8)
    low = 0.0
    for outcome, share in OUTCOME_SHARES.items():
        result[(draw >= low) & (draw < low + share)] = outcome
        low += share
    result[paid_fen == 0] = Outcome.FINISHED
    result[(result == Outcome.UNPAID) & (coupon_fen > 0)] = Outcome.FINISHED
    return result


def plan_transitions(baskets: Int64s, created: Int64s, outcome: NDArray[np.uint8]) -> Transitions:
    """When each trade is paid, shipped, signed and ended (finished or closed)."""

    def after(start: Int64s, name: str, span: tuple[int, int]) -> Int64s:
        return start + spread(baskets, name, *span)

    paid = after(created, "pay", PAY_AFTER)
    shipped = after(paid, "ship", SHIP_AFTER)
    signed = after(shipped, "sign", SIGN_AFTER)
    complaint_ended = _complaint(baskets, signed)[2]
    ended = after(signed, "finish", FINISH_AFTER)
    disputed = np.isin(outcome, (Outcome.PARTLY_REFUNDED, Outcome.REFUND_REFUSED))
    # A pending refund holds the platform's confirmation up.
    ended = np.where(disputed, after(complaint_ended, "finish", FINISH_AFTER), ended)
    unpaid, closed = outcome == Outcome.UNPAID, outcome == Outcome.CLOSED
    ended = np.where(unpaid, after(created, "unpaid", UNPAID_CLOSE_AFTER), ended)
    ended = np.where(closed, _cancellation(baskets, paid)[1], ended)
    paid[unpaid] = NEVER
    for instants in (shipped, signed):
        instants[unpaid | closed] = NEVER
    return Transitions(outcome=outcome, paid=paid, shipped=shipped, signed=signed, ended=ended)


def plan_refunds(
    baskets: Int64s, moves: Transitions, line_start: Int64s, line_paid: Int64s
) -> Refunds:
    """All refunds that the outcomes call for."""
    rows: list[tuple[int, int, int]] = []
    picks = mixed(baskets, "refunded line")
    halves = mixed(baskets, "half refund")
    for trade in np.flatnonzero(moves.outcome > Outcome.UNPAID).tolist():
        first = int(line_start[trade])
        paid = line_paid[first : int(line_start[trade + 1])]
        lines = np.flatnonzero(paid)
        if moves.outcome[trade] == Outcome.CLOSED:
            rows += [(first + line, trade, int(paid[line])) for line in lines.tolist()]
            continue
        line = int(lines[int(picks[trade]) % len(lines)])
        fee = int(paid[line])
        if moves.outcome[trade] == Outcome.PARTLY_REFUNDED and int(halves[trade]) % 2:
            fee = (fee + 1) // 2
        rows.append((first + line, trade, fee))
    table = np.array(sorted(rows), dtype=np.int64).reshape(-1, 3)
    return _timed_refunds(baskets, moves, table[:, 0], table[:, 1], table[:, 2])


def _timed_refunds(
    baskets: Int64s, moves: Transitions, line: Int64s, trade: Int64s, fee: Int64s
) -> Refunds:
    outcome, basket = moves.outcome[trade], baskets[trade]
    cancelled = outcome == Outcome.CLOSED
    refused = outcome == Outcome.REFUND_REFUSED
    late = outcome == Outcome.LATE_REFUNDED
    complained, decided, complaint_ended = _complaint(basket, moves.signed[trade], ~cancelled)
    asked = moves.ended[trade] + spread(basket, "return", *RETURN_ASKED_AFTER)
    agreed = asked + spread(basket, "agree", *RETURN_AGREED_AFTER)
    refunded = agreed + spread(basket, "refund", *RETURN_REFUNDED_AFTER)
    cancel_asked, cancel_ended = _cancellation(basket, moves.paid[trade])
    # Complaints that succeed are decided and refunded in one step.
    success_at_once = ~(refused | late)
    return Refunds(
        line=line,
        trade=trade,
        fee=fee,
        requested=np.select([cancelled, late], [cancel_asked, asked], complained),
        decided=np.select([success_at_once, late], [np.int64(NEVER), agreed], decided),
        ended=np.select([cancelled, late], [cancel_ended, refunded], complaint_ended),
        decided_status=np.where(
            refused, RefundStatus.SELLER_REFUSE_BUYER, RefundStatus.WAIT_BUYER_RETURN_GOODS
        ).astype(np.uint8),
        ended_status=np.where(refused, RefundStatus.CLOSED, RefundStatus.SUCCESS).astype(np.uint8),
        is_return=late,
    )


def _complaint(
    baskets: Int64s, signed: Int64s, where: NDArray[np.bool_] | None = None
) -> tuple[Int64s, Int64s, Int64s]:
    start = signed if where is None else np.where(where, signed, 0)
    asked = start + spread(baskets, "complain", *COMPLAIN_AFTER)
    decided = asked + spread(baskets, "decide", *COMPLAINT_DECIDED_AFTER)
    return asked, decided, decided + spread(baskets, "settle", *COMPLAINT_ENDED_AFTER)


def _cancellation(baskets: Int64s, paid: Int64s) -> tuple[Int64s, Int64s]:
    asked = paid + spread(baskets, "cancel", *CANCEL_AFTER)
    return asked, asked + spread(baskets, "cancelled", *CANCEL_REFUND_AFTER)
