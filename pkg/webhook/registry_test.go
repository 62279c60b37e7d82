package webhook_test

import (
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

func TestHarbor(t *testing.T) {
	t.Parallel()
	b := push{Image: "harbor.example.com:8443/p/a/b", Tag: "v1", Digest: digest("harbor"), Time: "2026-11-20T09:01:11Z"}
	event := b
	event.ID, event.Time = "66e18103-bf12-4b56-8d0c-a4a1d5e2c0f7", "2026-11-20T09:14:31Z"
	binary := map[string]string{
		"Ce-Specversion": "1.0", "Ce-Type": "harbor.artifact.pushed", "Ce-Id": event.ID, "Ce-Time": event.Time,
	}
	receive(t, webhook.KindHarbor, []reception{
		{name: "a push to a registry with a port", file: "harbor/push.json", want: []push{b}},
		{name: "a CloudEvent, structured", file: "harbor/cloudevent.json", header: map[string]string{"Content-Type": "application/cloudevents+json"}, want: []push{event}},
		{name: "a CloudEvent, binary", file: "harbor/cloudevent-data.json", header: binary, want: []push{event}},
		{name: "CloudEvents, batched", file: "harbor/cloudevents-batch.json", want: []push{event}, dropped: []string{`"harbor.artifact.deleted" is not a push`}},
		{name: "the digest stands for the tag", file: "harbor/untagged.json", ignored: "untagged"},
		{name: "a deletion", file: "harbor/delete.json", ignored: `"DELETE_ARTIFACT" is not a push`},
		{name: "a replication", file: "harbor/replication.json", ignored: `"REPLICATION" is not a push`},
		{name: "a scan", file: "harbor/scanning-completed.json", ignored: `"SCANNING_COMPLETED" is not a push`},
		{
			name: "no resource URL, and the host configured", options: func(o *webhook.Options) { o.Registry = "harbor.example.com" },
			body: `{"type":"PUSH_ARTIFACT","event_data":{"resources":[{"tag":"v1"}],"repository":{"repo_full_name":"p/b"}}}`,
			want: []push{{Image: "harbor.example.com/p/b", Tag: "v1"}},
		},
		{
			name: "the tag stands in the URL alone",
			body: `{"type":"PUSH_ARTIFACT","event_data":{"resources":[{"resource_url":"harbor.example.com/p/b:v7"}]}}`,
			want: []push{{Image: "harbor.example.com/p/b", Tag: "v7"}},
		},
		{name: "no resources", body: `{"type":"PUSH_ARTIFACT","event_data":{"resources":"none"}}`, ignored: "no resources"},
		{name: "a binary CloudEvent that lacks its version", body: `{"resources":[{"resource_url":"harbor.example.com/p/b","tag":"v7"}]}`, header: map[string]string{"Ce-Type": "harbor.artifact.pushed"}, want: []push{{Image: "harbor.example.com/p/b", Tag: "v7"}}},
	})
}

func TestDistribution(t *testing.T) {
	t.Parallel()
	app := push{
		Image: "registry.example.com/team/app", Tag: "x", Digest: digest("dist"),
		ID: "d83e8796-7ba5-46ad-b239-d88473e21b2b", Time: "2026-11-20T09:14:31.859222576Z",
	}
	index := app
	index.Tag, index.ID = "0.02", "a3"
	receive(t, webhook.KindDistribution, []reception{
		{
			name: "a layer, a pull and a tag", file: "distribution/push.json",
			header: map[string]string{"Content-Type": "application/vnd.docker.distribution.events.v2+json"}, want: []push{app},
			dropped: []string{`"application/vnd.docker.image.rootfs.diff.tar.gzip" is not the type of an image`, `"pull" is not a push`},
		},
		{name: "an index and its parts", file: "distribution/index.json", want: []push{index}, dropped: []string{"untagged"}},
		{name: "a deletion without media type", file: "distribution/delete.json", ignored: `"delete" is not a push`},
		{
			name: "GitLab's registry", file: "distribution/gitlab.json",
			want: []push{{
				Image: "registry.gitlab.example.com:5050/octo-org/infra/web", Tag: "2.1.0", Digest: digest("dist"),
				ID: "e94a9e2c-1b7c-4d0f-8e61-0a3f5d8b7c21", Time: "2026-11-20T09:14:31.859222576Z",
			}},
		},
		{
			name: "the host in the target's URL alone",
			body: `{"events":[{"action":"push","target":{"repository":"team/app","tag":"1","url":"https://registry.example.com:5000/v2/team/app/manifests/x"}}]}`,
			want: []push{{Image: "registry.example.com:5000/team/app", Tag: "1"}},
		},
		{name: "an empty envelope", body: `{"events":[]}`, ignored: "no event"},
		{name: "an envelope that is an array", body: `[{"action":"push"}]`, ignored: "no event"},
		{name: "events that are no objects", body: `{"events":["push",7,null,[{}]]}`, ignored: "does not say that it is a push"},
	})
}

func TestZot(t *testing.T) {
	t.Parallel()
	web := push{
		Image: "zot.example.com:5000/octo-org/web", Tag: "1.0", Digest: digest("zot"),
		ID: "1c7f3f0e-9d53-4c46-a0a5-3a0d9f4d4e61", Time: "2026-11-20T09:14:31.123456789Z",
	}
	as := func(kind string) map[string]string {
		return map[string]string{"Ce-Specversion": "1.0", "Ce-Type": kind, "Ce-Id": web.ID, "Ce-Time": web.Time, "Ce-Source": "zotregistry.dev"}
	}
	receive(t, webhook.KindZot, []reception{
		{name: "an update, with the configured host", file: "zot/updated.json", header: as("zotregistry.image.updated"), want: []push{web}},
		{name: "a structured CloudEvent", file: "zot/structured.json", want: []push{web}},
		{name: "data in base64", file: "zot/base64.json", want: []push{web}},
		{name: "an update by digest", file: "zot/updated-by-digest.json", header: as("zotregistry.image.updated"), ignored: "untagged"},
		{name: "a deletion", file: "zot/updated.json", header: as("zotregistry.image.deleted"), ignored: `"zotregistry.image.deleted" is not a push`},
		{
			name: "a chart", header: as("zotregistry.image.updated"), ignored: `"application/vnd.cncf.helm.config.v1+json" is not the type of an image`,
			body: `{"name":"charts/web","reference":"1.0.0","manifest":"{\"config\":{\"mediaType\":\"application/vnd.cncf.helm.config.v1+json\"}}"}`,
		},
		{name: "a new repository", body: `{"name":"octo-org/web"}`, header: as("zotregistry.repository.created"), ignored: "is not a push"},
		{name: "no CloudEvent", file: "zot/updated.json", ignored: "does not say that it is a push"},
	})
}

func TestNexus(t *testing.T) {
	t.Parallel()
	app := push{Image: "nexus.example.com:8082/team/app", Tag: "1.2.3", ID: delivery, Time: "2026-11-20T09:14:31.664Z"}
	connector, byPath := app, app
	connector.Image = "docker.example.com/team/app"
	byPath.Image = "nexus.example.com:8082/docker-hosted/team/app"
	rewrite := func(from, to string) func(*webhook.Options) {
		return func(o *webhook.Options) { o.Rewrite = []webhook.Rewrite{{From: from, To: to}} }
	}
	receive(t, webhook.KindNexus, []reception{
		{name: "a new component", file: "nexus/created.json", want: []push{app}},
		{name: "a component pushed again", file: "nexus/updated.json", want: []push{app}},
		{
			name: "a repository with a host of its own", file: "nexus/created.json",
			options: rewrite("nexus.example.com:8082/docker-hosted", "docker.example.com"), want: []push{connector},
		},
		{
			name: "images pulled by the repository's path", file: "nexus/created.json",
			options: rewrite("nexus.example.com:8082/docker-hosted", "nexus.example.com:8082/docker-hosted"), want: []push{byPath},
		},
		{name: "another repository's rewrite", file: "nexus/created.json", options: rewrite("nexus.example.com:8082/docker", "docker.example.com"), want: []push{app}},
		{name: "a deletion", file: "nexus/deleted.json", ignored: `"DELETED" is not a push`},
		{name: "another format", file: "nexus/maven.json", ignored: `"maven2" is not an image`},
		{name: "an asset", file: "nexus/asset.json", ignored: "no component"},
	})
}

func TestArtifactory(t *testing.T) {
	t.Parallel()
	ubuntu := push{Image: "octo-org.jfrog.io/docker-local/library/ubuntu", Tag: "latest", Digest: digest("jfrog")}
	virtual, nested, release, unusable := ubuntu, ubuntu, ubuntu, ubuntu
	virtual.Image = "octo-org.jfrog.io/docker/library/ubuntu"
	nested.Image, nested.Tag = "octo-org.jfrog.io/docker-local/team/shop/web", "1.2.3"
	release.Image = "octo-org.jfrog.io/docker-release/library/ubuntu"
	unusable.Image, unusable.Name = "", "docker-local/library/ubuntu"
	unusable.Version = "latest"
	unusable.Unusable = "no registry host in the payload: set registry, or a rewrite, on the source"
	configured := ubuntu
	configured.Image = "docker.example.com/docker-local/library/ubuntu"
	rewrite := func(from, to string) func(*webhook.Options) {
		return func(o *webhook.Options) { o.Rewrite = []webhook.Rewrite{{From: from, To: to}} }
	}
	receive(t, webhook.KindArtifactory, []reception{
		{name: "an index", file: "artifactory/pushed.json", want: []push{ubuntu}},
		{name: "a chart", body: `{"domain":"docker","event_type":"pushed","data":{"image_type":"helmoci","repo_key":"helm-local","path":"app/1.0.0/manifest.json","tag":"1.0.0"},"jpd_origin":"https://octo-org.jfrog.io"}`, ignored: `"helmoci" is not the type of an image`},
		{name: "a virtual repository in front", file: "artifactory/pushed.json", options: rewrite("octo-org.jfrog.io/docker-local", "octo-org.jfrog.io/docker"), want: []push{virtual}},
		{name: "an image below folders", file: "artifactory/nested.json", want: []push{nested}},
		{name: "a promotion that says where to", file: "artifactory/promoted.json", want: []push{release}},
		{name: "a promotion that does not", body: `{"domain":"docker","event_type":"promoted","data":{"repo_key":"docker-local","path":"a/1/manifest.json","tag":"1"}}`, ignored: "where to"},
		{name: "no origin and no host configured", file: "artifactory/no-origin.json", want: []push{unusable}},
		{name: "no origin and the host configured", file: "artifactory/no-origin.json", options: func(o *webhook.Options) { o.Registry = "docker.example.com" }, want: []push{configured}},
		{name: "no origin and a rewrite from the repository", file: "artifactory/no-origin.json", options: rewrite("docker-local", "octo-org.jfrog.io/docker"), want: []push{virtual}},
		{name: "a part of an index", file: "artifactory/child.json", ignored: "untagged"},
		{name: "a part of an index under its folder's name", body: `{"domain":"docker","event_type":"pushed","data":{"repo_key":"docker-local","path":"a/sha256__00/manifest.json","tag":"sha256__00"},"jpd_origin":"https://octo-org.jfrog.io"}`, ignored: "untagged"},
		{name: "a deletion", file: "artifactory/deleted.json", ignored: `"deleted" is not a push`},
		{name: "the same push as an artifact", file: "artifactory/deployed.json", ignored: `"artifact" is not docker`},
		{name: "a path without an image", body: `{"domain":"docker","event_type":"pushed","data":{"repo_key":"docker-local","path":"1/manifest.json","tag":"1"},"jpd_origin":"https://octo-org.jfrog.io"}`, ignored: "no repository"},
	})
}
