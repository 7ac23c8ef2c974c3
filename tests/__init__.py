"""The folders mirror those of `console`; the others hold the proofs and tests of whole processes."""
