// Nothing is built from these: their modules hold the CRDs that the chart's options make objects of.
module plimsoll.dev/tests/helm/crds

go 1.26.0

require (
	github.com/cert-manager/cert-manager v1.21.2
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
