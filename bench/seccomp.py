"""The system calls that a run is refused, as the classic BPF program that the kernel takes (seccomp(2)).

Namespaces leave gaps that this closes: sockets whose family knows no namespace (vsock reaches the host), memory that
belongs to no process and that no limit counts, tracing, and the entrances that kernels have been broken into by. A
refused call fails with EPERM; nothing that a trainer, MLX on a CPU or a compiler does needs one.
"""

import errno
import platform
import struct

ARCHITECTURES = 0xC000003E, 0xC00000B7
"""AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64 of linux/audit.h."""

REFUSED = {
    "socket": (41, 198),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "perf_event_open": (298, 241),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
"""Name, and the number on x86_64 and on aarch64 (arch/x86/entry/syscalls/syscall_64.tbl, asm-generic/unistd.h)."""

X32_BIT = 0x40000000
NUMBER, ARCHITECTURE = 0, 4
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM


def column() -> int | None:
    """Which of the two numbers holds on this processor; None where neither does."""
    return {"x86_64": 0, "aarch64": 1}.get(platform.machine())


def program(*, network: bool = False) -> bytes | None:
    """The filter for this processor, without its word on sockets for a `network`; None for one that is not known."""
    which = column()
    if which is None:
        return None
    numbers = [both[which] for name, both in REFUSED.items() if not (network and name == "socket")]
    # The last two steps are ALLOW and REFUSE; a jump counts the steps it leaves out.
    steps = [(LOAD, 0, 0, ARCHITECTURE), (JUMP_EQUAL, 0, len(numbers) + 3, ARCHITECTURES[which]), (LOAD, 0, 0, NUMBER)]
    steps.append((JUMP_AT_LEAST, len(numbers) + 1, 0, X32_BIT))
    steps += [(JUMP_EQUAL, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
    return b"".join(struct.pack("<HBBI", *step) for step in steps)
