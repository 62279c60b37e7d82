package manifest_test

import (
	"fmt"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

func ExampleEditor_Edit() {
	repo, err := image.ParseRepository("ghcr.io/octo-org/app")
	if err != nil {
		fmt.Println(err)
		return
	}
	version, err := image.ParseTag("1.10")
	if err != nil {
		fmt.Println(err)
		return
	}
	editor, err := manifest.NewEditor([]manifest.Update{{Image: repo, Version: version}}, manifest.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}

	result := editor.Edit([]byte(`containers:
  - image: 'ghcr.io/octo-org/app:1.9'   # stays as it is
values:
  image: {registry: ghcr.io, repository: octo-org/app, tag: 1.9-alpine}
  other: ghcr.io/octo-org/app:${TAG}
`))
	fmt.Print(string(result.Content))
	for _, c := range result.Changes {
		fmt.Printf("%d:%d %s %s -> %s\n", c.Line, c.Column, c.Pointer, c.From, c.To)
	}
	for _, s := range result.Skips {
		fmt.Printf("%d:%d %s %s\n", s.Line, s.Column, s.Pointer, s.Reason)
	}
	// Output:
	// containers:
	//   - image: 'ghcr.io/octo-org/app:1.10'   # stays as it is
	// values:
	//   image: {registry: ghcr.io, repository: octo-org/app, tag: "1.10"}
	//   other: ghcr.io/octo-org/app:${TAG}
	// 2:13 /containers/0/image 1.9 -> 1.10
	// 4:61 /values/image/tag 1.9-alpine -> 1.10
	// 5:10 /values/other variable
}
