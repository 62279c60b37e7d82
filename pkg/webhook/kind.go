package webhook

import "slices"

// Kind is a sender's payload format together with its way to prove itself.
type Kind string

// The kinds of senders.
const (
	KindGHCR         Kind = "ghcr"
	KindDockerHub    Kind = "dockerhub"
	KindQuay         Kind = "quay"
	KindHarbor       Kind = "harbor"
	KindDistribution Kind = "distribution"
	KindZot          Kind = "zot"
	KindACR          Kind = "acr"
	KindECR          Kind = "ecr"
	KindGAR          Kind = "gar"
	KindArtifactory  Kind = "artifactory"
	KindNexus        Kind = "nexus"
	KindGitHub       Kind = "github" // moves no image: it says where to look
	KindGeneric      Kind = "generic"
)

// Kinds returns every kind, in the order of the documentation.
func Kinds() []Kind {
	return []Kind{
		KindGHCR, KindDockerHub, KindQuay, KindHarbor, KindDistribution, KindZot,
		KindACR, KindECR, KindGAR, KindArtifactory, KindNexus, KindGitHub, KindGeneric,
	}
}

// SwitchedOnBySecret returns the kinds for which New needs nothing but a secret.
func SwitchedOnBySecret() []Kind {
	return []Kind{
		KindGHCR, KindDockerHub, KindQuay, KindHarbor, KindDistribution, KindACR, KindArtifactory,
	}
}

func (k Kind) known() bool { return slices.Contains(Kinds(), k) }
