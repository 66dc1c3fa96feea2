"""Kubernetes' CEL libraries as plain Python functions; `cel.py` hands them to the binding.

Each module has a table `FUNCTIONS`; this file only puts the tables together. The semantics are those
of `k8s.io/apiserver/pkg/cel/library` (https://kubernetes.io/docs/reference/using-api/cel/).
"""

from __future__ import annotations

from webhook.checks.cellib import cidr, compare, convert, few, format, ip, lists, quantity, regex, semver, url, work
from webhook.checks.cellib.function import Function

FUNCTIONS: tuple[Function, ...] = (
    *quantity.FUNCTIONS,
    *semver.FUNCTIONS,
    *compare.FUNCTIONS,
    *ip.FUNCTIONS,
    *cidr.FUNCTIONS,
    *convert.FUNCTIONS,
    *url.FUNCTIONS,
    *regex.FUNCTIONS,
    *lists.FUNCTIONS,
    *few.FUNCTIONS,
    *format.FUNCTIONS,
    *work.FUNCTIONS,
)
