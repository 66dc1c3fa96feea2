"""Two errors of the binding in counting references (seen in cel-expr-python 0.1.3), kept harmless.

- It gives away references to None that it does not own: on Python 3.11 a few thousand evaluations
  that give null end the process ("deallocating None"). `keep_none` makes None immortal, as Python
  3.12 does by itself (PEP 683).
- It never lets go of the arguments of a function written in Python, nor of its result: 100 bytes to
  the size of the strings, at each call. `balanced` gives those references back. `cel.py` asks the
  installed binding first whether it has the error, because giving back what is not owed would end
  the process too.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable
from typing import Any

# More references than a process can lose, and far from the limit of the counter (2^63).
IMMORTAL = 1 << 60
METH_VARARGS = 1


class _Method(ctypes.Structure):
    """PyMethodDef of the C API (https://docs.python.org/3/c-api/structures.html)."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


# A builtin of this method calls its `self` with one argument: the very tuple that the caller made.
_PACKED = _Method(
    b"library_function",
    ctypes.cast(ctypes.pythonapi.PyObject_CallOneArg, ctypes.c_void_p).value,
    METH_VARARGS,
    None,
)
_new_builtin = ctypes.pythonapi.PyCFunction_NewEx
_new_builtin.restype = ctypes.py_object
_new_builtin.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
_give_back = ctypes.pythonapi.Py_DecRef
_give_back.restype = None
_give_back.argtypes = (ctypes.py_object,)
# What the last call of this thread owes. It is given back at the next one: only then has the binding
# surely read the result.
_owed = threading.local()


def keep_none() -> None:
    """Make None immortal, once for the process; nothing is done where Python has that itself."""
    if sys.version_info < (3, 12) and sys.getrefcount(None) < IMMORTAL // 2:
        ctypes.c_ssize_t.from_address(id(None)).value += IMMORTAL


def balanced(call: Callable[..., Any], arguments: bool, result: bool) -> Callable[..., Any]:
    """Return `call` for a binding that loses its arguments, its result, or both."""

    def adapter(given: tuple[Any, ...]) -> Any:
        for lost in _owed.__dict__.pop("objects", ()):
            _give_back(lost)
        _owed.objects = (given,) if arguments else ()
        found = call(*given)
        if result:
            _owed.objects = (*_owed.objects, found)
        return found

    made: Callable[..., Any] = _new_builtin(ctypes.addressof(_PACKED), adapter, None)
    return made
