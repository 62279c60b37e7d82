package acceptance_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// timed measures what work costs on the line and, unless p is nil, in the program.
func (f *farm) timed(p *program, work func()) measured {
	f.b.Helper()
	requests, transferred := f.line.requests.Load(), f.line.bytes.Load()
	var cpu time.Duration
	if p != nil {
		cpu = p.cpu()
	}
	start := time.Now()
	work()
	m := measured{wall: time.Since(start)}
	m.requests = int(f.line.requests.Load() - requests)
	m.bytes = f.line.bytes.Load() - transferred
	if p != nil {
		m.cpu, m.peak = p.cpu()-cpu, p.peak()
	}
	return m
}

// cold is the first update of a program that was just started.
func (f *farm) cold() measured {
	p := f.program()
	defer p.stop()
	return f.timed(p, func() { p.mustSet(f.image(1), f.version()) })
}

// warm is one update more of a program whose commit is the branch's head. The one
// before it is not measured: others have pushed since the last time.
func (f *farm) warm() measured {
	f.steady.mustSet(f.image(2), f.version())
	return f.timed(f.steady, func() { f.steady.mustSet(f.image(3), f.version()) })
}

// shallow is a clone of the last commit, an edit, a commit and a push.
func (f *farm) shallow() measured {
	return f.clone(cloneJob{Clone: []string{"--depth", "1"}})
}

// sparse is the same with a clone of one folder's files alone.
func (f *farm) sparse() measured {
	return f.clone(cloneJob{Clone: []string{"--depth", "1", "--filter=blob:none", "--sparse"}, Narrow: filepath.Dir(f.path(4))})
}

// clone has the job done by a process of its own: what the system tells of a
// child's memory begins with its parent's, which here holds all of GitHub.
func (f *farm) clone(job cloneJob) measured {
	f.b.Helper()
	f.clones++
	job.URL = f.front.URL + "/" + repoName + ".git"
	job.Dir = filepath.Join(f.scrap, fmt.Sprint("clone-", f.clones))
	job.File, job.Image, job.Version = f.path(4), f.image(4), f.version()
	order, err := json.Marshal(job)
	f.must(err)
	self, err := os.Executable()
	f.must(err)
	cmd := exec.Command(self)
	cmd.Stderr = os.Stderr
	cmd.Env = append(f.environment(), cloneVariable+"="+string(order))
	var out []byte
	m := f.timed(nil, func() {
		out, err = cmd.Output()
		f.must(err)
	})
	var spent cloneReport
	f.must(json.Unmarshal(out, &spent))
	m.wall, m.cpu, m.peak = spent.Wall, spent.CPU, spent.Peak
	return m
}

// setVersion replaces what stands behind the image's colon on its line.
func setVersion(content []byte, image, version string) []byte {
	before, after, found := bytes.Cut(content, []byte(image+":"))
	_, rest, _ := bytes.Cut(after, []byte("\n"))
	if !found {
		return content
	}
	return fmt.Appendf(nil, "%s%s:%s\n%s", before, image, version, rest)
}

// naive reads every file through the API, ten at a time, and writes the one that
// names the image.
func (f *farm) naive() measured {
	f.b.Helper()
	version := f.version()
	return f.timed(nil, func() {
		var ref struct{ Object struct{ SHA string } }
		f.call(http.MethodGet, "git/ref/heads/main", nil, &ref)
		var commit struct{ Tree struct{ SHA string } }
		f.call(http.MethodGet, "git/commits/"+ref.Object.SHA, nil, &commit)
		var listing struct{ Tree []struct{ Path, SHA string } }
		f.call(http.MethodGet, "git/trees/"+commit.Tree.SHA+"?recursive=1", nil, &listing)

		contents := make([][]byte, len(listing.Tree))
		var readers errgroup.Group
		readers.SetLimit(10)
		for i, e := range listing.Tree {
			if strings.HasSuffix(e.Path, ".yaml") {
				readers.Go(func() error {
					var blob struct{ Content []byte }
					f.call(http.MethodGet, "git/blobs/"+e.SHA, nil, &blob)
					contents[i] = blob.Content
					return nil
				})
			}
		}
		f.must(readers.Wait())

		var entries []map[string]string
		for i, e := range listing.Tree {
			if edited := setVersion(contents[i], f.image(5), version); !bytes.Equal(edited, contents[i]) {
				entries = append(entries, map[string]string{"path": e.Path, "mode": "100644", "type": "blob", "content": string(edited)})
			}
		}
		var tree, made struct{ SHA string }
		f.call(http.MethodPost, "git/trees", map[string]any{"base_tree": commit.Tree.SHA, "tree": entries}, &tree)
		f.call(http.MethodPost, "git/commits", map[string]any{
			"message": "Set the version", "tree": tree.SHA, "parents": []string{ref.Object.SHA},
		}, &made)
		f.call(http.MethodPatch, "git/refs/heads/main", map[string]any{"sha": made.SHA}, &ref)
	})
}

// call asks the API. It may be called from any goroutine.
func (f *farm) call(method, path string, body, answer any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		f.b.Error(err)
		return
	}
	if body == nil {
		encoded = nil
	}
	request, err := http.NewRequest(method, f.front.URL+"/repos/"+repoName+"/"+path, bytes.NewReader(encoded))
	if err != nil {
		f.b.Error(err)
		return
	}
	request.Header.Set("Authorization", "Bearer sandbox")
	resp, err := f.front.Client().Do(request)
	if err != nil {
		f.b.Error(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode < 300 {
		err = json.Unmarshal(data, answer)
	}
	if err != nil || resp.StatusCode >= 300 {
		f.b.Errorf("%s %s: %v %d %.200s", method, path, err, resp.StatusCode, data)
	}
}
