"""What a pod keeps up beside its workers, in one process: watches, the certificate, webhook configurations, Events."""
