"""Puts images into a registry, and looks at what is there: the distribution protocol, as short as it can be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlencode, urljoin

import urllib3

from registry.artifact import DOCKER_LIST, DOCKER_MANIFEST, INDEX, MANIFEST, Artifact, digest
from registry.server import Registry
from registry.tokens import Account

ACCEPT = ", ".join((MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST))
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class Refused(AssertionError):
    """A registry did not do what it was asked for."""

    def __init__(self, what: str, answer: urllib3.BaseHTTPResponse) -> None:
        """Say what was asked, and what came back."""
        self.status = answer.status
        super().__init__(f"{what}: {answer.status} {answer.data[:500].decode(errors='replace')}")


class Pusher:
    """Pushes into one registry as an account, or as nobody."""

    def __init__(self, registry: Registry, account: Account | None, http: urllib3.PoolManager) -> None:
        """Take the HTTP client, which is the caller's to close: `pushing` does."""
        self.address = registry.address
        self._registry = registry
        self._account = account
        self._http = http
        self._authorization: dict[str, str] = {}
        self._uploaded: dict[str, str] = {}

    def push(self, artifact: Artifact, repository: str, *tags: str) -> str:
        """Push an image or index with all that belongs to it; return its digest. Without tags it has that name only."""
        for child in artifact.children:
            self.push(child, repository)
        for blob in artifact.blobs:
            self._upload(repository, blob)
        for reference in tags or (artifact.digest,):
            path = f"/v2/{repository}/manifests/{reference}"
            answer = self._ask("PUT", path, (201,), artifact.content, {"Content-Type": artifact.media_type})
            assert answer.headers["Docker-Content-Digest"] == artifact.digest
        return artifact.digest

    def manifest(self, repository: str, reference: str) -> tuple[str, bytes]:
        """Return media type and bytes of what a tag or a digest stands for."""
        answer = self._ask("GET", f"/v2/{repository}/manifests/{reference}", (200,), None, {"Accept": ACCEPT})
        return answer.headers["Content-Type"], answer.data

    def blob(self, repository: str, of: str) -> bytes:
        """Return a blob."""
        return self._ask("GET", f"/v2/{repository}/blobs/{of}", (200,)).data

    def _upload(self, repository: str, content: bytes) -> None:
        """Upload a blob; one that this pusher uploaded into another repository is mounted, as builders do."""
        named = digest(content)
        origin = self._uploaded.setdefault(named, repository)
        place = f"/v2/{repository}/blobs/uploads/"
        if origin != repository:
            place += "?" + urlencode({"mount": named, "from": origin})
        begun = self._ask("POST", place, (201, 202))
        if begun.status == 202:
            place = begun.headers["Location"]
            place += ("&" if "?" in place else "?") + urlencode({"digest": named})
            self._ask("PUT", place, (201,), content, {"Content-Type": "application/octet-stream"})

    def _ask(
        self,
        method: str,
        path: str,
        wanted: tuple[int, ...],
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        repository = path.partition("/v2/")[2].partition("/blobs/")[0].partition("/manifests/")[0]
        answer = self._send(method, path, body, headers, repository)
        if answer.status == 401 and (self._account or "Bearer" in answer.headers["WWW-Authenticate"]):
            self._authorization[repository] = self._answer(answer.headers["WWW-Authenticate"])
            answer = self._send(method, path, body, headers, repository)
        if answer.status not in wanted:
            raise Refused(f"{method} {path}", answer)
        return answer

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str] | None, repository: str
    ) -> urllib3.BaseHTTPResponse:
        sent = dict(headers or {})
        if repository in self._authorization:
            sent["Authorization"] = self._authorization[repository]
        url = urljoin(self._registry.url, path)
        return self._http.request(method, url, body=body, headers=sent, retries=False, timeout=20)

    def _answer(self, challenge: str) -> str:
        """Return the Authorization that a challenge asks for."""
        basic = self._account.basic if self._account else ""
        if challenge.startswith("Basic"):
            return basic
        asked = dict(_PARAMETER.findall(challenge))
        realm = f"{asked['realm']}?{urlencode({'service': asked['service'], 'scope': asked['scope']})}"
        answer = self._http.request(
            "GET", realm, headers={"Authorization": basic} if basic else {}, retries=False, timeout=20
        )
        if answer.status != 200:
            raise Refused(f"GET {realm}", answer)
        return f"Bearer {answer.json()['token']}"


@contextmanager
def pushing(registry: Registry, account: Account | None = None) -> Iterator[Pusher]:
    """Push into a registry as long as the context lasts, as nobody where no account is given."""
    bundle = str(registry.bundle) if registry.bundle else None
    with urllib3.PoolManager(ca_certs=bundle) as http:
        yield Pusher(registry, account, http)
