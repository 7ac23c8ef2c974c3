"""Text from outside, on every screen and in every output, as raw bytes on a real terminal; and what never gets out."""
