package certs

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/ingot-lb/ingot/certs/inspect"
)

// FilesOptions name files that somebody else renews, such as a mounted Secret.
type FilesOptions struct {
	// Cert has the certificate with its chain, Key its key, both in PEM.
	Cert, Key string
	// CA has the certificates by which clients know the server; empty: that is not checked.
	CA string
	// Name by which clients call the server; empty: any.
	Name string
	// Component is what metrics call the certificate; empty: the first part of Name.
	Component string
	// Every is how often the files are read again; 0: every 10 s. A mounted Secret takes a minute to follow, so that
	// being told of it at once would gain nothing.
	Every time.Duration
	// Log may be nil.
	Log *slog.Logger
}

// Files is a certificate in files.
type Files struct {
	Serving
	options FilesOptions
	log     *slog.Logger
}

// OpenFiles reads the files, which must be good.
func OpenFiles(o FilesOptions) (*Files, error) {
	component := o.Component
	if component == "" {
		component, _, _ = strings.Cut(o.Name, ".")
	}
	f := &Files{Serving: Serving{name: component}, options: o, log: o.Log}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if f.options.Every == 0 {
		f.options.Every = 10 * time.Second
	}
	fresh, err := f.read()
	if err != nil {
		return nil, err
	}
	f.show(fresh)
	f.log.Info("serving by the certificate in files", append([]any{"event", "certificateLoaded"}, attributes(fresh)...)...)
	return f, nil
}

// Run reads the files again and again until ctx ends, and returns ctx's error. What is wrong is said, and the last good
// certificate served.
func (f *Files) Run(ctx context.Context) error {
	every := time.NewTicker(f.options.Every)
	defer every.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-every.C:
		}
		fresh, err := f.read()
		if err != nil {
			said = f.complain(f.log, "file", f.options.Cert, err, said)
			continue
		}
		said = ""
		if f.take(fresh) {
			f.log.Info("serving by a new certificate", append([]any{"event", "certificateLoaded"}, attributes(fresh)...)...)
		}
	}
}

// read takes all files as they are now. In a mounted Secret they change together; where whoever writes them takes his time, certificate and
// key do not belong together for a moment, which is an error.
func (f *Files) read() (*leaf, error) {
	paths := []string{f.options.Cert, f.options.Key}
	if f.options.CA != "" {
		paths = append(paths, f.options.CA)
	}
	files, err := inspect.Read(paths...)
	if err != nil {
		return nil, fmt.Errorf("read a certificate: %w", err)
	}
	l := leaf{certPEM: files[0], keyPEM: files[1]}
	var roots []byte
	if len(files) > 2 {
		roots = files[2]
	}
	l.pair, err = inspect.Pair(l.certPEM, l.keyPEM, inspect.Wanted{Name: f.options.Name, Roots: roots, Now: time.Now()})
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", f.options.Cert, f.options.Key, err)
	}
	return &l, nil
}

// take shows a certificate if it is another one.
func (s *Serving) take(l *leaf) bool {
	cert, key := s.CertKey()
	if bytes.Equal(cert, l.certPEM) && bytes.Equal(key, l.keyPEM) {
		return false
	}
	s.show(l)
	return true
}

// complain says what is wrong unless it was said already, and returns it.
func (s *Serving) complain(log *slog.Logger, where, what string, err error, said string) string {
	if err.Error() == said {
		return said
	}
	s.refuse()
	args := []any{"event", "certificateRefused", where, what, "error", err}
	if last := s.current(); last != nil {
		log.Error("a certificate is refused; the last good one is served", append(args, "serving", inspect.Describe(last.Leaf))...)
	} else {
		log.Warn("there is no good certificate to serve by yet", args...)
	}
	return err.Error()
}
