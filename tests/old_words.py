"""The private vocabulary of version 0.1.0, which must not come back as the name of a class, function or module.

Kept apart because it is a list of names that the rule in `tests/test_house.py` reads.
"""

from __future__ import annotations

import re

OLD_NAMES = frozenset(
    re.findall(
        r"\w+",
        """
        Moment Asking KeyVerdict KeyAnswer judge_key holder_of Standing cap_sentence must_cut_off Missed BadLine Figures
        StandOut standing_out Usual NotEarned Admission
        Desk Rulings Watch Guard Sender Follower Stopper Keeper Scribe Parts StepSeen StepLine Typical TypicalRow Rung
        StageStep Instant ClockWatch Pacing ActRefused LostRun Act
        Instants EvidenceBook Checkup Place KeyStanding Guide
        LogFold Seen Calls Unusable Hiccup Gone StreamFold patiently knowing
        Look Poll Acts Soon Typed Through Told LookAt LineDropped Herald Noticing Farewell Board Acting Ask Form Chooser
        Pages HistoryBook Sight Painter OnlyText deeds farewell herald
        House Leaving Ground laid_out
        Bell Pulse Gate Catalogue Course Beat FaultBoard Switchboard Manner
        Sitting Pseudo Weather Happenings Reaper Books Bench
        """,
    )
)
"""Names of classes, functions and modules."""
OLD_VERBS = frozenset(("look", "see", "tell", "hear", "heard", "mind", "deaf", "let_go", "bury", "wear"))
"""Verbs that say nothing: names of functions and methods."""
