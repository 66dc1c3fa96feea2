"""no-local-state: what the kinds' own controllers do with the volumes of a template."""

from __future__ import annotations

from webhook.checks import no_local_state
from webhook.model.pods import subjects


def test_of_a_volume_and_a_claim_template_of_one_name_the_claim_is_what_is_mounted():
    template = {"spec": {"volumes": [{"name": "data", "emptyDir": {}}], "containers": [{"name": "orders"}]}}
    claims = [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]
    check = no_local_state.build(no_local_state.DEFAULTS)
    for claimed, found in ((claims, 0), ([], 1)):
        spec = {"template": template, "volumeClaimTemplates": claimed}
        [subject] = subjects({"spec": spec}, "apps", "StatefulSet", "shop", "orders")
        assert len([violation for pod in subject.pods for violation in check.violations(pod)]) == found
