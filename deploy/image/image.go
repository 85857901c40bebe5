// Package image says what the images of Ingot are: of each its program, the files around it, its user and its entrypoint. It is
// data alone. Two things are made of it: the archives of `make images`, and the root file systems from which the lab's kubelet
// runs containers, so that the lab runs what the images have.
package image

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Image describes one image, the same for every architecture but for the program in it.
type Image struct {
	// Name as in the manifests, without registry and tag: ingot/speaker.
	Name string
	// Package is the Go main package of the program, relative to the top of the repository: ./speaker.
	Package string
	// Title and Description are for people who look at an image in a registry.
	Title, Description string
	// Entrypoint is the command; a container's args are appended to it.
	Entrypoint []string
	// User and Group that it runs as unless a manifest says otherwise; numbers, which Kubernetes can tell from root.
	User, Group int
	// Labels besides those that every image has.
	Labels map[string]string
	// Env are the variables that the container starts with, NAME=VALUE.
	Env []string
	// Files of the root file system, sorted by path, each directory before what is in it. They belong to root.
	Files []File
}

// File is a directory, a regular file, a symbolic link or the program.
type File struct {
	// Path is relative to the root, with slashes, and clean: usr/bin/vtysh.
	Path string
	// Mode has the permissions and, but for regular files, the type: fs.ModeDir or fs.ModeSymlink.
	Mode fs.FileMode
	// Target of a symbolic link, absolute in the container.
	Target string
	// Content of a regular file that is not the program.
	Content string
	// Program says that the content is the program, as Go builds it.
	Program bool
}

// Program is the name of the program that the image has: of its package, and of its file under bin/. Where there is none, it is
// what the archive is called all the same.
func (i Image) Program() string { return path.Base(i.Package) }

// search has the root last, where the programs are, so that `kubectl exec … -- speaker show state` finds them.
const search = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/"

// nobody is the user that owns nothing; by this number manifests and Kubernetes know it.
const nobody = 65534

// All returns the images, those of the manifests first. They are the caller's to change.
func All() []Image {
	return []Image{
		daemon("apiserver", nobody, "Ingot API server",
			"Serves the group metallb.io in the host cluster's API, keeps the configuration, and tells speakers what to announce. Called with etcd, it is a member of its store."),
		daemon("controller", nobody, "Ingot controller", "Gives Services of type LoadBalancer addresses out of pools."),
		// Packet sockets are root's; the manifest leaves it the capabilities NET_ADMIN and NET_RAW.
		daemon("speaker", 0, "Ingot speaker", "Announces addresses of Services from a node, by BGP, ARP and NDP. Called vtysh, it answers FRR's commands.",
			// Manifests call a container frr as MetalLB's, for `kubectl exec … -c frr -- vtysh -c "show bgp summary"`.
			File{Path: "usr", Mode: fs.ModeDir | 0o755}, File{Path: "usr/bin", Mode: fs.ModeDir | 0o755},
			File{Path: "usr/bin/vtysh", Mode: fs.ModeSymlink | 0o777, Target: "/speaker"}),
		daemon("webhooks", nobody, "Ingot webhooks", "Says what is wrong with a Service while it is written."),
		mustGather(),
	}
}

// ByName returns the image of that name. A registry before it, and a tag or digest behind it, are passed over.
func ByName(reference string) (Image, bool) {
	name, _, _ := strings.Cut(reference, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name = name[:colon]
	}
	all := All()
	i := slices.IndexFunc(all, func(i Image) bool { return name == i.Name || strings.HasSuffix(name, "/"+i.Name) })
	if i < 0 {
		return Image{}, false
	}
	return all[i], true
}

// daemon is an image with the program at the top and no more around it than a name for its user.
func daemon(program string, user int, title, description string, more ...File) Image {
	return Image{
		Name: "ingot/" + program, Package: "./" + program, Title: title, Description: description,
		Entrypoint: []string{"/" + program}, User: user, Group: user, Env: []string{search},
		Files: sorted(append(accounts(), append(more, File{Path: program, Mode: 0o755, Program: true})...)),
	}
}

// mustGather has the program by the name that `oc adm must-gather` asks for.
func mustGather() Image {
	return Image{
		Name: "ingot/must-gather", Package: "./deploy/must-gather", Title: "Ingot must-gather",
		Description: "Collects what is needed to find out what is wrong with the load balancer of a cluster, without its secrets.",
		Entrypoint:  []string{"/usr/bin/gather"}, User: nobody, Group: nobody, Env: []string{search},
		Files: sorted(append(accounts(),
			File{Path: "usr", Mode: fs.ModeDir | 0o755}, File{Path: "usr/bin", Mode: fs.ModeDir | 0o755},
			File{Path: "usr/bin/gather", Mode: 0o755, Program: true})),
	}
}

// accounts names the users. Resolving names needs no nsswitch.conf: Go's resolver reads /etc/hosts, then asks DNS. Nothing here
// trusts public certificate authorities, whose bundle is therefore missing.
func accounts() []File {
	return []File{
		{Path: "etc", Mode: fs.ModeDir | 0o755},
		{Path: "etc/group", Mode: 0o644, Content: "root:x:0:\nnobody:x:65534:\n"},
		{Path: "etc/passwd", Mode: 0o644, Content: "root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n"},
	}
}

func sorted(files []File) []File {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files
}
