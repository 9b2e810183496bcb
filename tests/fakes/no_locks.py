"""A file system without locks, as a process sees it: the system call itself refuses (Linux, seccomp)."""

from __future__ import annotations

import ctypes
import fcntl
import platform
import struct

_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_FCNTL = {"x86_64": 72, "aarch64": 25}
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
# Where a filter finds the number of a system call, and its second argument.
_CALL, _COMMAND = 0, 24


def refuse_locks(number: int) -> None:
    """From now on, every lock this process wants is refused with this error number. There is no way back."""
    steps = (
        (_LOAD, 0, 0, _CALL),
        (_IF_EQUAL, 0, 4, _FCNTL[platform.machine()]),
        (_LOAD, 0, 0, _COMMAND),
        (_IF_EQUAL, 1, 0, fcntl.F_SETLK),
        (_IF_EQUAL, 0, 1, fcntl.F_SETLKW),
        (_RETURN, 0, 0, _ERRNO | number),
        (_RETURN, 0, 0, _ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "prctl")
