"""The state store against what it promises: one claim a key, holds that end once, writes that know their fence."""
