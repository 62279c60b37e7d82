package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
	_ "time/tzdata" // freeze windows have time zones, and a container may have none

	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
	"github.com/refty-yapi/refty-node-versions-service/pkg/registry"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// retryRegistry is how long to wait for a registry that takes no more questions.
const retryRegistry = time.Minute

// newGate parses what package config leaves to package policy. The error is a
// *config.Error with the key.
func newGate(t config.Target) (g update.Gate, err error) {
	g = update.Gate{RefuseDowngrade: t.RefuseDowngrade, Freeze: policy.Freeze{Reason: t.Frozen}}
	if g.Versions, err = newVersions(t.Versions); err != nil {
		return g, &config.Error{Key: "versions", Detail: err.Error(), Err: err}
	}
	for i, f := range t.Freeze {
		key := fmt.Sprintf("freeze[%d].", i)
		zone, err := time.LoadLocation(f.Timezone)
		if err != nil || f.Timezone == "Local" {
			return g, &config.Error{Key: key + "timezone", Detail: fmt.Sprintf("%q is no time zone, such as Europe/Berlin", f.Timezone), Err: err}
		}
		window, err := policy.NewWindow(f.Schedule, f.Duration, zone, f.Reason)
		var wrong *policy.WindowError
		if errors.As(err, &wrong) {
			return g, &config.Error{Key: key + wrong.Field, Detail: wrong.Detail, Err: err}
		}
		g.Freeze.Windows = append(g.Freeze.Windows, window)
	}
	return g, nil
}

// newRegistries returns what asks registries for versions.
func (s *Settings) newRegistries() (*registries, error) {
	o := registry.Options{Auth: s.registryAuth, Proxy: http.ProxyFromEnvironment}
	for _, r := range s.registryHosts {
		o.Hosts = append(o.Hosts, registry.Host{Name: r.Host, Insecure: r.Insecure})
	}
	client, err := registry.New(o)
	if err != nil {
		return nil, fmt.Errorf("REGISTRY_AUTH_FILE: %w", err)
	}
	return &registries{client: client}, nil
}

// registries is an update.Registry.
type registries struct{ client *registry.Client }

// Digest implements update.Registry.
func (r *registries) Digest(ctx context.Context, repository image.Repository, tag image.Tag) (image.Digest, bool, error) {
	digest, found, err := r.client.Digest(ctx, repository, tag)
	var failed *registry.Error
	if !errors.As(err, &failed) {
		return digest, found, err
	}
	e := &update.RegistryError{Code: update.CodeUpstreamError, Detail: failed.Error(), Err: err}
	switch failed.Kind {
	case registry.Refused:
		e.Code = update.CodeUpstreamUnauthorized
	case registry.Limited:
		e.Code, e.RetryAfter = update.CodeUpstreamRateLimited, retryRegistry
	case registry.Away, registry.Private, registry.Plain:
	}
	return digest, false, e
}

// registryCheck returns the target's check of versions, by asking r.
func registryCheck(c config.RegistryCheck, r update.Registry) update.RegistryCheck {
	if c.Check == "" || c.Check == config.CheckOff {
		return update.RegistryCheck{}
	}
	return update.RegistryCheck{Registry: r, TakeDigest: c.Check == config.CheckDigest, AllowAway: c.Allow}
}
