package export

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names in the system namespace. The newest export is in SecretName, the one before it in PreviousName. What does
// not fit into one Secret goes on in parts, of which there are two sets, so that the parts of the newest export stay while those
// of the next are written.
const (
	SecretName   = "ingot-export"
	PreviousName = "ingot-export-previous"
	// SecretType keeps others from taking the Secrets for something else.
	SecretType corev1.SecretType = "ingot.io/export"
)

// Keys of the Secrets' data.
const (
	// FileKey has the file, compressed, or its first part.
	FileKey = "export.yaml.gz"
	// aboutKey tells of the export.
	aboutKey = "about.json"
	partKey  = "part"
)

// Bounds.
const (
	// partSize is how much of the compressed file one Secret holds. Kubernetes permits 1 MiB in all.
	partSize = 1_000_000
	// maxParts is how many Secrets an export may take.
	maxParts = 4
	// MaxFile is how large a file may be that is read.
	MaxFile = 512 << 20
)

// ErrTooLarge says that an export does not fit into the Secrets that it may take.
var ErrTooLarge = errors.New("the export is too large for its Secrets")

// partSets are the names of the sets of parts.
var partSets = [2]string{"a", "b"}

// Names are those of all Secrets that an export may take: the roles have them, too.
func Names() []string {
	names := []string{SecretName, PreviousName}
	for _, set := range partSets {
		for i := 1; i < maxParts; i++ {
			names = append(names, partName(set, i))
		}
	}
	return names
}

func partName(set string, i int) string { return fmt.Sprintf("%s-%s%d", SecretName, set, i) }

// About tells of an export in a Secret.
type About struct {
	Lineage   string    `json:"lineage"`
	EpochBase int64     `json:"epochBase,omitempty"`
	Epoch     int64     `json:"epoch"`
	Taken     time.Time `json:"taken"`
	// Content is Content.Digest, by which one knows that nothing has changed.
	Content string `json:"content"`
	// Parts are the names of the Secrets in which the file goes on, in their order.
	Parts []string `json:"parts,omitempty"`
	Size  int      `json:"size"`
	// SHA256 is of the compressed file.
	SHA256  string `json:"sha256"`
	Objects int    `json:"objects"`
}

// AboutOf reads what a Secret tells of its export.
func AboutOf(s *corev1.Secret) (*About, error) {
	var a About
	if err := json.Unmarshal(s.Data[aboutKey], &a); err != nil {
		return nil, fmt.Errorf("in Secret %s/%s: %s: %w", s.Namespace, s.Name, aboutKey, err)
	}
	return &a, nil
}

// Pack makes the Secrets of an export: the parts, which have to be written first, and the head. before is the head
// that is there, nil if there is none; its parts are left alone. Labels are for all of them.
func Pack(c *Content, namespace string, labels map[string]string, before *corev1.Secret) (parts []*corev1.Secret, head *corev1.Secret, err error) {
	var compressed bytes.Buffer
	z := gzip.NewWriter(&compressed)
	if _, err := c.WriteTo(z); err != nil {
		return nil, nil, err
	}
	if err := z.Close(); err != nil {
		return nil, nil, fmt.Errorf("compress the export: %w", err)
	}
	file := compressed.Bytes()
	if len(file) > partSize*maxParts {
		return nil, nil, fmt.Errorf("%w: %d bytes, compressed, of %d", ErrTooLarge, len(file), partSize*maxParts)
	}
	sum := sha256.Sum256(file)
	about := About{
		Lineage: c.Lineage, EpochBase: c.EpochBase, Epoch: c.Epoch, Taken: c.Taken.UTC(), Content: c.Digest(), Size: len(file),
		SHA256: hex.EncodeToString(sum[:]), Objects: len(c.Objects),
	}
	secret := func(name string, data map[string][]byte) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels}, Type: SecretType, Data: data}
	}
	set := otherSet(before)
	first := file[:min(len(file), partSize)]
	for rest := file[len(first):]; len(rest) > 0; {
		part := rest[:min(len(rest), partSize)]
		rest = rest[len(part):]
		name := partName(set, len(parts)+1)
		parts = append(parts, secret(name, map[string][]byte{partKey: part}))
		about.Parts = append(about.Parts, name)
	}
	told, err := json.Marshal(about)
	if err != nil {
		return nil, nil, fmt.Errorf("encode what the export is: %w", err)
	}
	return parts, secret(SecretName, map[string][]byte{FileKey: first, aboutKey: told}), nil
}

// otherSet is the set of parts that the export in a head does not use.
func otherSet(head *corev1.Secret) string {
	if head != nil {
		if a, err := AboutOf(head); err == nil && len(a.Parts) > 0 && a.Parts[0] == partName(partSets[0], 1) {
			return partSets[1]
		}
	}
	return partSets[0]
}

// Unpack reads the export of a head, whose parts get finds.
func Unpack(head *corev1.Secret, get func(name string) (*corev1.Secret, error)) (*Content, error) {
	a, err := AboutOf(head)
	if err != nil {
		return nil, err
	}
	if len(a.Parts) >= maxParts {
		return nil, fmt.Errorf("the export in Secret %s/%s says that it has %d parts", head.Namespace, head.Name, len(a.Parts))
	}
	file := bytes.Clone(head.Data[FileKey])
	for _, name := range a.Parts {
		part, err := get(name)
		if err != nil {
			return nil, fmt.Errorf("a part of the export in %s: %w", head.Name, err)
		}
		file = append(file, part.Data[partKey]...)
	}
	if sum := sha256.Sum256(file); hex.EncodeToString(sum[:]) != a.SHA256 {
		return nil, fmt.Errorf("the export in Secret %s/%s is damaged, or its parts are those of a later one", head.Namespace, head.Name)
	}
	return ReadCompressed(file)
}

// ReadCompressed reads a file that may be compressed.
func ReadCompressed(file []byte) (*Content, error) {
	if !bytes.HasPrefix(file, []byte{0x1f, 0x8b}) {
		return Read(file)
	}
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("decompress the export: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(z, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("decompress the export: %w", err)
	}
	return Read(plain)
}
