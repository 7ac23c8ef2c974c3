"""What a take-over does with a run of a dead owner: one table, the same for every process and every crash point.

Recovery is idempotent: a crash within it leaves a row that the same table judges again.
"""

from __future__ import annotations

from enum import StrEnum

from console.domain.run import State


class RecoveryAction(StrEnum):
    """What becomes of the run."""

    LEAVE = "leave"
    """Nothing was sent and a person decides."""
    CONTINUE = "continue"
    """No byte was ever sent and its window is open: go on sending."""
    EXPIRE = "expire"
    """No byte was ever sent and its window is over: end it, give the hold back."""
    ADOPT = "adopt"
    """The id reached the launch journal but not the database: it runs."""
    BLOCK = "block"
    """Bytes may have left, no id is known: unconfirmed, key and hold stay."""
    GUARD = "guard"
    """Go on where the other one stopped."""


def recovery_action(state: State, *, id_in_journal: bool, window_open: bool) -> RecoveryAction:
    """The recovery table.

    | found       | and                      | then     | crash points |
    |-------------|--------------------------|----------|--------------|
    | proposed    |                          | leave    |              |
    | claimed     | window open              | continue | K2 K3        |
    | claimed     | window over              | expire   | K2 K3        |
    | sending     | id in the launch journal | adopt    | K8           |
    | sending     | no id                    | block    | K4-K7        |
    | running     |                          | guard    | K9 K10 K13   |
    | stopping    |                          | guard    | K14-K16      |
    | unconfirmed |                          | guard    | K4-K7 K17    |
    | ended       |                          | leave    | K11 K12      |
    """
    match state:
        case State.CLAIMED:
            return RecoveryAction.CONTINUE if window_open else RecoveryAction.EXPIRE
        case State.SENDING:
            return RecoveryAction.ADOPT if id_in_journal else RecoveryAction.BLOCK
        case State.RUNNING | State.STOPPING | State.UNCONFIRMED:
            return RecoveryAction.GUARD
        case State.PROPOSED | State.ENDED:
            return RecoveryAction.LEAVE
