"""What somebody has to be allowed, in the words of Kubernetes' authorization."""

from __future__ import annotations

from webhook.model.record import record


@record(frozen=True, slots=True)
class Right:
    """A verb on a cluster-scoped resource of an API group; `name` is which one, '' any.

    Neither has to be served: RBAC grants whatever words stand in a role (as with the verb `sign` on `signers`).
    """

    verb: str
    group: str
    resource: str
    name: str = ""

    def __str__(self) -> str:
        """Return what a person reads: `set-mode on namespaces.plimsoll.dev shop`."""
        what = f"{self.verb} on {self.resource}.{self.group}"
        return f"{what} {self.name}" if self.name else what
