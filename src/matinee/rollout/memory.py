"""How much memory is there? Linux; elsewhere nothing is known."""

from pathlib import Path

_V2 = Path("/sys/fs/cgroup")
_V1 = Path("/sys/fs/cgroup/memory")


def available() -> int:
    """Bytes that can still be taken: what the machine has free, and what the container may have; 0 for unknown."""
    known = [free for free in (_machine(), _container()) if free is not None]
    return max(min(known), 0) if known else 0


def _machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        return None
    return None


def _container() -> int | None:
    """The control group's limit less what is in use and cannot be dropped (versions 2 and 1)."""
    files = [(_V2, "memory.max", "memory.current", "inactive_file")]
    files.append((_V1, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"))
    for folder, limit, usage, droppable in files:
        try:
            most = int((folder / limit).read_text())
            used = int((folder / usage).read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            return most - used + int(stat.get(droppable, 0))
        except (OSError, ValueError):  # no such group, or no limit ("max")
            continue
    return None
