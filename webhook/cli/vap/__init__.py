"""Rules as policies of the API server: ValidatingAdmissionPolicy and MutatingAdmissionPolicy, with their bindings.

A rule is exported where the policy says of every object what the rule says, or it is not, with the reason. What a
policy is: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""
