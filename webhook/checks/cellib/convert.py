"""string() of an address or a network, for texts that make them.

Source: `ip_to_string` and `cidr_to_string` in k8s.io/apiserver/pkg/cel/library. `string` is the
binding's own and takes no further overload; `rewrite.py` hands its argument through here first.
"""

from __future__ import annotations

import datetime
from typing import Any

from webhook.checks.cellib import cidr, ip
from webhook.checks.cellib.function import Function
from webhook.checks.cellib.opaque import CONTENT, kind


def _string(values: list[Any]) -> Any:
    """Return what CEL's `string` can convert: the text of an address or a time, all else as it is."""
    value = values[0]
    if kind(value) in (ip.KIND, cidr.KIND):
        return value[CONTENT]
    if isinstance(value, datetime.datetime):
        return _fraction(value.strftime("%Y-%m-%dT%H:%M:%S"), value.microsecond) + "Z"
    if isinstance(value, datetime.timedelta):
        whole, rest = divmod(abs(value), datetime.timedelta(seconds=1))
        return ("-" if value.days < 0 else "") + _fraction(str(whole), rest.microseconds) + "s"
    return value


def _fraction(text: str, microseconds: int) -> str:
    return f"{text}.{microseconds:06}".rstrip("0") if microseconds else text


FUNCTIONS = (Function("k8s_string", ("LIST",), False, "DYN", _string),)
