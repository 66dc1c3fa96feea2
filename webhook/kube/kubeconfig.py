"""Reads how to reach an API server: from kubeconfig files, as kubectl does, or from a pod's service account.

Source of the rules: kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig (merging,
relative paths) and /docs/reference/access-authn-authz/authentication#client-go-credential-plugins (exec
plugins).
"""

from __future__ import annotations

import base64
import binascii
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import yaml

from webhook.errors import ConfigError, Problem
from webhook.kube.client import Access, Credential
from webhook.model.record import record

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
REREAD = 60.0
"""Seconds after which a token file is read again; the kubelet replaces it at 80 % of its life."""
PLUGIN_SECONDS = 60.0
"""How long an exec plugin may take; it may have to wait for a person with a browser."""
_EXEC = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


@record(frozen=True, slots=True)
class _Entry:
    """One named entry of a kubeconfig and the file that it came from."""

    value: Mapping[str, Any]
    source: Path


def service_account(host: str, port: str, directory: Path = SERVICE_ACCOUNT) -> Access:
    """Return the access of a pod: `host` and `port` are KUBERNETES_SERVICE_HOST and _PORT.

    The token is read again as the kubelet rotates it. Raises ConfigError where the pod has no service
    account.
    """
    try:
        ca = (directory / "ca.crt").read_bytes()
        namespace = (directory / "namespace").read_text(encoding="utf-8").strip()
    except OSError as error:
        text = f"no service account here ({error.strerror}); is automountServiceAccountToken false?"
        raise ConfigError([Problem(str(directory), 0, "", text)]) from error
    token = _token_file(directory / "token")
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    token(False)  # a pod without a token is told so now, and not at the first review
    return Access(url, lambda refused: Credential(token=token(refused)), ca=ca, namespace=namespace)


def read(paths: Sequence[Path], context: str | None, environ: Mapping[str, str]) -> Access:
    """Return the access that `context` (None: the current one) of the kubeconfig files names.

    Of several files the first that has a name counts, as with kubectl's KUBECONFIG; files that don't exist
    are passed over. `environ` is the environment for exec plugins. Raises ConfigError with what is missing.
    """
    entries, current = _merge(paths)
    source = ":".join(str(path) for path in paths)
    name = context or current
    if not name:
        raise _error(source, "current-context", "no context is chosen; name one, or run kubectl config use-context")
    chosen = _find(entries, "contexts", "context", name, source)
    cluster = _find(entries, "clusters", "cluster", str(chosen.value.get("cluster") or ""), source)
    user = chosen.value.get("user")
    login = _find(entries, "users", "user", str(user), source) if user else _Entry({}, cluster.source)
    value = cluster.value
    return Access(
        url=str(value.get("server") or ""),
        credential=_credential(login, cluster, environ),
        ca=_data(cluster, "certificate-authority"),
        insecure=value.get("insecure-skip-tls-verify") is True,
        server_name=value.get("tls-server-name") or None,
        proxy=_proxy(cluster),
        namespace=str(chosen.value.get("namespace") or "default"),
    )


def _merge(paths: Sequence[Path]) -> tuple[dict[tuple[str, str], _Entry], str]:
    entries: dict[tuple[str, str], _Entry] = {}
    current = ""
    found = [path for path in paths if path.is_file()]
    if not found:
        text = "there is no such file; give one by --kubeconfig or KUBECONFIG"
        raise ConfigError([Problem(str(path), 0, "", text) for path in paths])
    for path in found:
        loaded = _load(path)
        current = current or str(loaded.get("current-context") or "")
        for kind in ("clusters", "contexts", "users"):
            for item in loaded.get(kind) or []:
                if isinstance(item, dict) and isinstance(inner := item.get(kind[:-1]) or {}, dict):
                    entries.setdefault((kind, str(item.get("name"))), _Entry(inner, path))
    return entries, current


def _load(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise _error(path, "", f"can't be read: {str(error).partition(chr(10))[0]}") from error
    if not isinstance(loaded, dict):
        raise _error(path, "", "is no kubeconfig: a mapping with clusters, contexts and users is wanted")
    return loaded


def _find(entries: Mapping[tuple[str, str], _Entry], kind: str, word: str, name: str, source: str) -> _Entry:
    try:
        return entries[kind, name]
    except KeyError:
        known = ", ".join(sorted(other for held, other in entries if held == kind)) or "none"
        raise _error(source, kind, f"no {word} is named {name!r}; there are: {known}") from None


def _proxy(cluster: _Entry) -> str | None:
    proxy = cluster.value.get("proxy-url")
    if proxy and not str(proxy).startswith(("http://", "https://")):
        raise _error(
            cluster.source,
            "clusters[].cluster.proxy-url",
            f"{proxy!r}: only http and https proxies work here",
        )
    return str(proxy) if proxy else None


def _data(entry: _Entry, key: str) -> bytes | None:
    """Return what `<key>-data` holds (base64) or the file `<key>` does; the data wins, as in client-go."""
    if inline := entry.value.get(f"{key}-data"):
        try:
            return base64.b64decode(str(inline), validate=True)
        except binascii.Error as error:
            raise _error(entry.source, f"{key}-data", "isn't base64") from error
    if not (name := entry.value.get(key)):
        return None
    path = entry.source.parent / Path(str(name)).expanduser()
    try:
        return path.read_bytes()
    except OSError as error:
        raise _error(entry.source, key, f"{path} can't be read: {error.strerror}") from error


def _credential(user: _Entry, cluster: _Entry, environ: Mapping[str, str]) -> Callable[[bool], Credential]:
    """Return the way to be let in; what is written down counts before a plugin, as in client-go."""
    value = user.value
    for key, advice in (
        ("auth-provider", "was removed from Kubernetes in 1.26; use an exec plugin"),
        ("username", "and password were removed from Kubernetes in 1.19; use a token or a certificate"),
        ("as", "(impersonation) isn't done here; use a user of its own"),
    ):
        if value.get(key):
            raise _error(user.source, f"users[].user.{key}", advice)
    certificate, key_pem = _data(user, "client-certificate"), _data(user, "client-key")
    if value.get("tokenFile") and not value.get("token"):
        token = _token_file(user.source.parent / str(value["tokenFile"]))
        return lambda refused: Credential(token(refused), certificate, key_pem)
    fixed = Credential(str(value.get("token") or "") or None, certificate, key_pem)
    if not isinstance(value.get("exec"), dict) or fixed.token or fixed.certificate:
        return lambda refused: fixed
    return _plugin(user, cluster, environ)


def _token_file(path: Path) -> Callable[[bool], str]:
    held: list[tuple[float, str]] = []
    lock = threading.Lock()

    def token(refused: bool) -> str:
        with lock:
            if not held or refused or time.monotonic() - held[0][0] >= REREAD:
                try:
                    held[:] = [(time.monotonic(), path.read_text(encoding="utf-8").strip())]
                except OSError as error:
                    # The last one may still be good; without any, this is a mistake in the setup.
                    if not held:
                        raise _error(path, "", f"the token can't be read: {error.strerror}") from error
            return held[0][1]

    return token


def _plugin(user: _Entry, cluster: _Entry, environ: Mapping[str, str]) -> Callable[[bool], Credential]:
    spec = user.value["exec"]
    where = "users[].user.exec"
    if spec.get("apiVersion") not in _EXEC:
        raise _error(
            user.source,
            f"{where}.apiVersion",
            f"{spec.get('apiVersion')!r}; one of {', '.join(_EXEC)} is wanted",
        )
    if spec.get("interactiveMode") == "Always":
        raise _error(
            user.source,
            where,
            "the plugin wants a terminal (interactiveMode: Always), which a server has not",
        )
    command = str(spec.get("command") or "")
    if "/" in command:
        command = str(user.source.parent / command)
    line = [command, *(str(argument) for argument in spec.get("args") or [])]
    given = {str(item["name"]): str(item["value"]) for item in spec.get("env") or []}
    info = orjson.dumps(_info(spec, cluster)).decode()
    held: list[tuple[datetime | None, Credential]] = []
    lock = threading.Lock()

    def credential(refused: bool) -> Credential:
        with lock:
            if not held or refused or _over(held[0][0]):
                held[:] = [_run(line, {**environ, **given, "KUBERNETES_EXEC_INFO": info}, user.source)]
            return held[0][1]

    return credential


def _info(spec: Mapping[str, Any], cluster: _Entry) -> dict[str, Any]:
    asked: dict[str, Any] = {"interactive": False}
    if spec.get("provideClusterInfo"):
        asked["cluster"] = {"server": cluster.value.get("server")}
        if ca := _data(cluster, "certificate-authority"):
            asked["cluster"]["certificate-authority-data"] = base64.b64encode(ca).decode()
    return {"apiVersion": spec["apiVersion"], "kind": "ExecCredential", "spec": asked}


def _over(until: datetime | None) -> bool:
    return until is not None and datetime.now(UTC) >= until - timedelta(seconds=10)


def _run(line: Sequence[str], environ: Mapping[str, str], source: Path) -> tuple[datetime | None, Credential]:
    """Run an exec plugin and return its credential and when that ends; ConfigError where it gives none."""
    import subprocess  # a pod's server, which has no plugin, needs it for nothing else

    where = "users[].user.exec"
    try:
        done = subprocess.run(  # noqa: S603 - the user's own kubeconfig names the command, and no shell is used
            line,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PLUGIN_SECONDS,
            check=True,
        )
        status = orjson.loads(done.stdout)["status"]
        token, until = status.get("token"), status.get("expirationTimestamp")
        certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
        ends = datetime.fromisoformat(until).astimezone(UTC) if until else None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:300]
        raise _error(source, where, f"{line[0]} failed with {error.returncode}: {said}") from error
    except subprocess.TimeoutExpired as error:
        raise _error(source, where, f"{line[0]} didn't end within {PLUGIN_SECONDS:.0f} s") from error
    except OSError as error:
        raise _error(source, where, f"{line[0]} can't be run: {error.strerror}") from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _error(source, where, f"{line[0]} didn't answer with an ExecCredential") from error
    return ends, Credential(token, certificate.encode() if certificate else None, key.encode() if key else None)


def _error(source: Path | str, path: str, text: str) -> ConfigError:
    return ConfigError([Problem(str(source), 0, path, text)])
