"""format.named, format.<name>() and validate: the string formats that Kubernetes knows by name.

Source: k8s.io/apiserver/pkg/cel/library/format.go and k8s.io/apimachinery/pkg/util/validation. In
CEL `validate` and `format.named` give optional values; the binding cannot take one from Python, so
these functions give a list of none or one, and `rewrite.py` adds the `[?0]` that makes it optional.
"""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from webhook.checks.cellib import url
from webhook.checks.cellib.function import Function
from webhook.checks.cellib.opaque import unwrap, wrap

KIND = "format"
LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = LABEL + r"(\." + LABEL + ")*"
DNS1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
VALUE = f"({KEY})?"
UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))")
SEGMENT = re.compile("[a-z0-9-]+")
KEY_CHARACTERS = re.compile("[-A-Za-z0-9_.]+")
ALPHANUMERIC = "alphanumeric characters"
LABEL_RULE = (
    f"a lowercase RFC 1123 label must consist of lower case {ALPHANUMERIC} or '-', and must start and "
    "end with an alphanumeric character"
)
SUBDOMAIN_RULE = (
    f"a lowercase RFC 1123 subdomain must consist of lower case {ALPHANUMERIC}, '-' or '.', and must start "
    "and end with an alphanumeric character"
)
DNS1035_RULE = (
    f"a DNS-1035 label must consist of lower case {ALPHANUMERIC} or '-', start with an alphabetic "
    "character, and end with an alphanumeric character"
)
KEY_RULE = f"must consist of {ALPHANUMERIC}, '-', '_' or '.', and must start and end with an alphanumeric character"
VALUE_RULE = (
    f"a valid label must be an empty string or consist of {ALPHANUMERIC}, '-', '_' or '.', and must start "
    "and end with an alphanumeric character"
)


def _wrong(rule: str, pattern: str, *examples: str) -> str:
    either = ",  or ".join(f"'{example}'" for example in examples)
    return f"{rule} (e.g. {either}, regex used for validation is '{pattern}')"


def _too_long(text: str, most: int, unit: str = "characters") -> list[str]:
    return [f"must be no more than {most} {unit}"] if len(text.encode()) > most else []


def _is_label(text: str) -> bool:
    return SEGMENT.fullmatch(text) is not None and text[0] != "-" and text[-1] != "-"


def _is_subdomain(text: str) -> bool:
    # As the regular expression SUBDOMAIN, which would backtrack on long text.
    return all(_is_label(part) for part in text.split("."))


def _label(text: str) -> list[str]:
    found = _too_long(text, 63)
    if _is_label(text):
        return found
    if _is_subdomain(text):
        return [*found, "must not contain dots"]
    return [*found, _wrong(LABEL_RULE, LABEL, "my-name", "123-abc")]


def _subdomain(text: str) -> list[str]:
    found = _too_long(text, 253)
    return found if _is_subdomain(text) else [*found, _wrong(SUBDOMAIN_RULE, SUBDOMAIN, "example.com")]


def _dns1035(text: str) -> list[str]:
    found = _too_long(text, 63)
    good = _is_label(text) and not text[0].isdigit()
    return found if good else [*found, _wrong(DNS1035_RULE, DNS1035, "my-name", "abc-123")]


def _is_key(text: str) -> bool:
    return KEY_CHARACTERS.fullmatch(text) is not None and text[0].isalnum() and text[-1].isalnum()


def _qualified_name(text: str) -> list[str]:
    prefix, slash, name = text.rpartition("/")
    rule = _wrong(KEY_RULE, KEY, "MyName", "my.name", "123-abc")
    if "/" in prefix:
        optional = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return [f"a valid label key {rule} {optional}"]
    found: list[str] = []
    if slash:
        found += [f"prefix part {text}" for text in (_subdomain(prefix) if prefix else ["must be non-empty"])]
    if not name:
        found.append("name part must be non-empty")
    found += [f"name part {text}" for text in _too_long(name, 63, "bytes")]
    return found if name and _is_key(name) else [*found, f"name part {rule}"]


def _label_value(text: str) -> list[str]:
    found = _too_long(text, 63, "bytes")
    good = not text or _is_key(text)
    return found if good else [*found, _wrong(VALUE_RULE, VALUE, "MyValue", "my_value", "12345")]


def _prefix(check: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    """Return the check for a name that gets a suffix: a trailing dash is allowed."""
    return lambda text: check(text[:-2] + "a" if len(text) > 1 and text.endswith("-") else text)


def _uri(text: str) -> list[str]:
    return [] if url.is_url(text) else [f'parse "{text}": invalid URI for request']


def _matches(pattern: re.Pattern[str], reason: str, text: str) -> list[str]:
    return [] if pattern.fullmatch(text) else [reason]


def _is_date(text: str) -> bool:
    if not DATE.fullmatch(text):
        return False
    year, month, day = (int(part) for part in text.split("-"))
    try:
        # The proleptic calendar repeats every 400 years; Go knows a year 0, Python does not.
        datetime.date(year or 400, month, day)
    except ValueError:
        return False
    return True


def _date(text: str) -> list[str]:
    return [] if _is_date(text) else ["invalid date"]


def _datetime(text: str) -> list[str]:
    parts = text.lower().split("t")
    match = TIME.fullmatch(parts[1]) if len(parts) > 1 and _is_date(parts[0]) else None
    good = match and match[1] <= "23" and match[2] <= "59" and match[3] <= "59"
    return [] if good else ["invalid datetime"]


FORMATS: Mapping[str, Callable[[str], list[str]]] = {
    "dns1123Label": _label,
    "dns1123Subdomain": _subdomain,
    "dns1035Label": _dns1035,
    "qualifiedName": _qualified_name,
    "dns1123LabelPrefix": _prefix(_label),
    "dns1123SubdomainPrefix": _prefix(_subdomain),
    "dns1035LabelPrefix": _prefix(_dns1035),
    "labelValue": _label_value,
    "uri": _uri,
    "uuid": functools.partial(_matches, UUID, "does not match the UUID format"),
    "byte": functools.partial(_matches, BASE64, "invalid base64"),
    "date": _date,
    "datetime": _datetime,
}


def _named(name: str) -> list[dict[int, str]]:
    return [wrap(KIND, name)] if name in FORMATS else []


def _validate(wrapped: Mapping[Any, Any], text: str) -> list[list[str]]:
    found = FORMATS[unwrap(KIND, wrapped)](text)
    return [found] if found else []


FUNCTIONS = (
    Function("format.named", ("STRING",), False, "LIST", _named),
    Function("k8s_validate", ("MAP", "STRING"), True, "LIST", _validate),
    *(Function(f"format.{name}", (), False, "MAP", functools.partial(wrap, KIND, name)) for name in sorted(FORMATS)),
)
