package service

// Files are files that were read.
type Files struct{ files }

// ReadFiles reads the files at the paths.
func ReadFiles(paths ...string) Files {
	f := files{}
	for _, path := range paths {
		_, _ = f.read(path)
	}
	return Files{f}
}

// Changed are the paths whose content is another one now.
func (f Files) Changed() []string { return f.now().changed(f.files) }
