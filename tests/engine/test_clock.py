"""The boot id of a clock, on systems that have no boot id, a constant one, or several time namespaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.engine.clock import SystemClock

ID = "0f7d2c1e-5a3b-4c6d-8e9f-a0b1c2d3e4f5"


def boot_id(folder: Path, content: bytes | None, namespace: str | None = "time:[4026531834]") -> str:
    """Return the boot id of a clock on a system with these files."""
    if content is not None:
        (folder / "boot_id").write_bytes(content)
    link = folder / "time"
    link.unlink(missing_ok=True)
    if namespace is not None:
        link.symlink_to(namespace)
    return SystemClock(folder / "boot_id", link).now().boot_id


def test_the_boot_id_of_the_kernel_is_used(tmp_path: Path) -> None:
    assert boot_id(tmp_path, f"{ID}\n".encode()) == ID
    assert boot_id(tmp_path, f"{ID}\n".encode(), namespace=None) == ID


def test_another_time_namespace_has_another_boot_id(tmp_path: Path) -> None:
    inner = boot_id(tmp_path, f"{ID}\n".encode(), namespace="time:[4026532290]")
    assert inner != ID
    assert inner == boot_id(tmp_path, f"{ID}\n".encode(), namespace="time:[4026532290]")


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"\xff", b"00000000-0000-0000-0000-000000000000\n"])
def test_without_a_kernel_boot_id_each_clock_has_its_own(tmp_path: Path, content: bytes | None) -> None:
    assert boot_id(tmp_path, content) != boot_id(tmp_path, content)


def test_all_readings_of_one_clock_have_the_same_boot_id() -> None:
    clock = SystemClock()
    assert clock.now().boot_id == clock.now().boot_id
