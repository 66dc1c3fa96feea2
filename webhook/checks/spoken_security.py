"""The controls of the Pod Security Standards in CEL, each a text that lists, as texts, what does not keep the control.

By the control's name and the level from which on it holds in this form, as in `security_controls.CONTROLS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from webhook.checks.security_controls import APPARMOR, CAPABILITIES, PROFILES, SELINUX, SYSCTLS, VOLUMES
from webhook.checks.spoken import literal

_NAMED = "'container ' + c.?name.orValue('') + ': '"
_PROFILES = literal(PROFILES)


def _profiles(field: str) -> str:
    """Return what lists the profiles that are set and are no good one, of the pod and of containers."""
    return (
        f"(pod.spec.?securityContext.?{field}.hasValue() && "
        f"!(pod.spec.securityContext.{field}.?type.orValue('') in {_PROFILES}) "
        f"? ['pod: ' + pod.spec.securityContext.{field}.?type.orValue('')] : []) + "
        f"containers.filter(c, c.?securityContext.?{field}.hasValue() && "
        f"!(c.securityContext.{field}.?type.orValue('') in {_PROFILES}))"
        f".map(c, {_NAMED} + c.securityContext.{field}.?type.orValue(''))"
    )


def _each(bad: str, said: str) -> str:
    """Return what lists the containers of which `bad` is true, each with what it says."""
    return f"containers.filter(c, {bad}).map(c, {_NAMED} + {said})"


def _several(bad: str) -> str:
    """Return what lists the containers of which `bad`, a list of texts, has any."""
    rows = f"containers.map(c, [[{_NAMED}], {bad}]).filter(row, row[1].size() > 0)"
    return f"{rows}.map(row, row[0][0] + row[1].join(', '))"


def _spared(where: str, listed: str) -> str:
    return f"{where} ? [] : {listed}"


def _options(options: str) -> str:
    """Return what lists what is wrong with SELinux options."""
    return (
        f"({options}.?type.orValue('') in {literal(SELINUX)} ? [] : ['type ' + {options}.?type.orValue('')]) + "
        f"({options}.?user.orValue('') == '' ? [] : ['user ' + {options}.?user.orValue('')]) + "
        f"({options}.?role.orValue('') == '' ? [] : ['role ' + {options}.?role.orValue('')])"
    )


_WINDOWS = "pod.spec.?os.?name.orValue('') == 'windows'"
_APART = "!pod.spec.?hostUsers.orValue(true)"
_HANDLERS = "[c.?livenessProbe, c.?readinessProbe, c.?startupProbe, c.?lifecycle.?postStart, c.?lifecycle.?preStop]"
_PROC_MOUNT = _each("c.?securityContext.?procMount.orValue('Default') != 'Default'", "c.securityContext.procMount")
_POD_SECCOMP = f"(pod.spec.?securityContext.?seccompProfile.?type.orValue('') in {_PROFILES})"
_POD_NON_ROOT = "pod.spec.?securityContext.?runAsNonRoot"
BASELINE: Mapping[str, str] = MappingProxyType(
    {
        "app-armor-profile": (
            _profiles("appArmorProfile")
            + " + pod.metadata.?annotations.orValue({}).transformList(key, value, "
            + f"key.startsWith({literal(APPARMOR)}) && "
            + "!(value in ['', 'runtime/default']) && !value.startsWith('localhost/'), key + ': ' + value).sort()"
        ),
        "capabilities": _several(
            f"c.?securityContext.?capabilities.?add.orValue([]).filter(a, !(a in {literal(CAPABILITIES)}))"
        ),
        "host-namespaces": (
            "[['hostIPC', pod.spec.?hostIPC.orValue(false)], ['hostNetwork', pod.spec.?hostNetwork.orValue(false)], "
            "['hostPID', pod.spec.?hostPID.orValue(false)]].filter(row, row[1]).map(row, row[0] + ': true')"
        ),
        "host-path-volumes": (
            "pod.spec.?volumes.orValue([]).filter(v, has(v.hostPath))"
            ".map(v, 'volume ' + v.?name.orValue('') + ': ' + v.hostPath.?path.orValue(''))"
        ),
        "host-ports": _several(
            "c.?ports.orValue([]).map(p, p.?hostPort.orValue(0) == 0 && pod.spec.?hostNetwork.orValue(false) "
            "? p.?containerPort.orValue(0) : p.?hostPort.orValue(0)).filter(p, p != 0).map(p, string(p))"
        ),
        "host-probes-and-lifecycle": _several(
            f"{_HANDLERS}.map(h, [h.?httpGet.?host.orValue(''), h.?tcpSocket.?host.orValue('')]).flatten()"
            ".filter(h, h != '')"
        ),
        "privileged": _each("c.?securityContext.?privileged.orValue(false)", "'privileged: true'"),
        "proc-mount": _spared(_APART, _PROC_MOUNT),
        "seccomp-profile": _profiles("seccompProfile"),
        "se-linux-options": (
            f"({_options('pod.spec.?securityContext.?seLinuxOptions')}).map(o, 'pod: ' + o) + "
            + _several(_options("c.?securityContext.?seLinuxOptions"))
        ),
        "sysctls": (
            "pod.spec.?securityContext.?sysctls.orValue([]).map(s, s.?name.orValue(''))"
            f".filter(name, !(name in {literal(SYSCTLS)}))"
        ),
        "windows-host-process": (
            "(pod.spec.?securityContext.?windowsOptions.?hostProcess.orValue(false) ? ['pod: hostProcess: true'] : []) "
            "+ " + _each("c.?securityContext.?windowsOptions.?hostProcess.orValue(false)", "'hostProcess: true'")
        ),
    }
)
"""In the form that holds from the level baseline on."""
RESTRICTED: Mapping[str, str] = MappingProxyType(
    {
        "capabilities": _spared(
            _WINDOWS,
            _each("!('ALL' in c.?securityContext.?capabilities.?drop.orValue([]))", "'does not drop ALL'")
            + " + "
            + _several(
                "c.?securityContext.?capabilities.?add.orValue([]).filter(a, a != 'NET_BIND_SERVICE')"
                ".map(a, 'adds ' + a)"
            ),
        ),
        "privilege-escalation": _spared(
            _WINDOWS,
            _each(
                "c.?securityContext.?allowPrivilegeEscalation.orValue(true)",
                "(c.?securityContext.?allowPrivilegeEscalation.hasValue() ? 'true' : 'not set')",
            ),
        ),
        "proc-mount": _PROC_MOUNT,
        "run-as-non-root": _spared(
            _APART,
            f"({_POD_NON_ROOT}.orValue(true) ? [] : ['pod: false']) + "
            + _each(
                f"!c.?securityContext.?runAsNonRoot.orValue({_POD_NON_ROOT}.orValue(false))",
                "(c.?securityContext.?runAsNonRoot.hasValue() ? 'false' : 'not set')",
            ),
        ),
        "run-as-user": _spared(
            _APART,
            "(pod.spec.?securityContext.?runAsUser.orValue(1) == 0 ? ['pod: 0'] : []) + "
            + _each("c.?securityContext.?runAsUser.orValue(1) == 0", "'0'"),
        ),
        "seccomp-profile": _spared(
            _WINDOWS,
            _profiles("seccompProfile")
            + " + "
            + _each(f"!c.?securityContext.?seccompProfile.hasValue() && !{_POD_SECCOMP}", "'not set'"),
        ),
        "volume-types": (
            "pod.spec.?volumes.orValue([]).filter(v, !v.all(key, key == 'name') && !v.exists(key, key in "
            f"{literal(VOLUMES)})).map(v, 'volume ' + v.?name.orValue('') + ': ' "
            "+ v.map(key, key).filter(key, key != 'name').sort().join(', '))"
        ),
    }
)
"""In the form that holds from the level restricted on."""
