"""The simulator is compared with the public facts, through the official client and plain HTTP."""
