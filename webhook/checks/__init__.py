"""The checks: one standard, one file. `CHECKS` names them all, sorted; adding one is its name, here and there."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

from webhook.checks import (
    api_list_scope,
    approved_base,
    approved_image,
    autoscaling,
    dedicated_nodes,
    disruption_budget,
    dns_config,
    image_config,
    image_digest,
    image_pull,
    jdk_version,
    job_cleanup,
    jvm_flags,
    log_format,
    log_path,
    lossless_release,
    no_host_path,
    no_ip_address,
    no_local_state,
    not_a_vm,
    pod_security,
    probes,
    progressive_delivery,
    requests_equal_limits,
    required_labels,
    resource_shape,
    spread_replicas,
    workload_class,
)
from webhook.checks.check import Check
from webhook.checks.spoken import Speaks


class Module(Protocol):
    """What every module of a check has; its docstring is the check's page.

    `PARAMS` is the JSON Schema of its parameters, `DEFAULTS` their values where a pack gives none, `KINDS` the
    kinds that it judges besides every workload kind, `READS` what it reads of an object: `pod`,
    `object`, and `replicas` where it can judge a Scale, which has nothing else. `CEL` says it in CEL, for policies that
    an API server runs, or, where CEL cannot carry it, says why not.
    """

    ID: str
    PARAMS: dict[str, Any]
    DEFAULTS: dict[str, Any]
    KINDS: tuple[str, ...]
    READS: tuple[str, ...]
    CEL: str | Speaks

    def build(self, params: Mapping[str, Any]) -> Check:
        """Return the check with its parameters built in. Raises ParamError."""
        ...


CHECKS: Mapping[str, Module] = MappingProxyType(
    {
        module.ID: module
        for module in (
            api_list_scope,
            approved_base,
            approved_image,
            autoscaling,
            dedicated_nodes,
            disruption_budget,
            dns_config,
            image_config,
            image_digest,
            image_pull,
            jdk_version,
            job_cleanup,
            jvm_flags,
            log_format,
            log_path,
            lossless_release,
            no_host_path,
            no_ip_address,
            no_local_state,
            not_a_vm,
            pod_security,
            probes,
            progressive_delivery,
            requests_equal_limits,
            required_labels,
            resource_shape,
            spread_replicas,
            workload_class,
        )
    }
)
