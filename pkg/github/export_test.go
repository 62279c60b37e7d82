package github

// The parsers of what a server sends, for the fuzz targets.
var (
	ReadArchive = readArchive
	DecodeTree  = decodeTree
	PeekAnswer  = peekAnswer
	BlobSHA     = blobSHA
	EndpointOf  = endpointOf
)
