"""The simulator is held against the public facts, by an independent client and by plain HTTP."""
