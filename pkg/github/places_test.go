package github_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

// Files go before trees, each in the order of arrival, and who gives up takes no place.
func TestPlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		enter, leave := github.NewPlaces(1)
		if err := enter(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		var order []string
		gone, cancel := context.WithCancel(t.Context())
		for _, one := range []struct {
			name  string
			files bool
			ctx   context.Context
		}{
			{"a tree", false, t.Context()},
			{"a tree that is given up", false, gone},
			{"another tree", false, t.Context()},
			{"files", true, t.Context()},
			{"files that are given up", true, gone},
			{"other files", true, t.Context()},
		} {
			go func() {
				if err := enter(one.ctx, one.files); err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					return
				}
				order = append(order, one.name)
				leave()
			}()
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		leave()
		synctest.Wait()
		if diff := cmp.Diff([]string{"files", "other files", "a tree", "another tree"}, order); diff != "" {
			t.Error(diff)
		}
		if err := enter(gone, false); err != nil {
			t.Error("the place was not given back")
		}
	})
}
