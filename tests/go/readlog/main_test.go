package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// testLog is a log in a folder, written by a few lines of test.
type testLog struct {
	dir    string
	vkey   string
	signer note.Signer
	hashes stored
	size   int64
}

const extra = "logged 1795433000 0\n"

func record(n int64) string { return fmt.Sprintf("record %d\n%s", n, strings.Repeat("x", int(n%7))) }

func newLog(t *testing.T, size int64) *testLog {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, "log.example/test")
	must(t, err)
	signer, err := note.NewSigner(skey)
	must(t, err)
	log := &testLog{dir: t.TempDir(), vkey: vkey, signer: signer}
	log.grow(t, size)
	return log
}

// grow appends entries and writes the tiles, bundles and checkpoint of the new size.
func (l *testLog) grow(t *testing.T, size int64) {
	t.Helper()
	for n := l.size; n < size; n++ {
		more, err := tlog.StoredHashes(n, []byte(extra+record(n)), l.hashes)
		must(t, err)
		l.hashes = append(l.hashes, more...)
	}
	l.size = size
	for level := 0; size>>uint(8*level) > 0; level++ {
		count := size >> uint(8*level)
		for n := int64(0); n*256 < count; n++ {
			width := int(min(256, count-n*256))
			data, err := tlog.ReadTileData(tlog.Tile{H: 8, L: level, N: n, W: width}, l.hashes)
			must(t, err)
			l.write(t, path(fmt.Sprint(level), n, width), data)
			if level == 0 {
				l.write(t, path("entries", n, width), bundle(n, width))
			}
		}
	}
	l.write(t, "checkpoint", l.checkpoint(t, l.head(t, size)))
}

func bundle(n int64, width int) []byte {
	var data []byte
	for i := n * 256; i < n*256+int64(width); i++ {
		entry := extra + record(i)
		data = append(data, byte(len(entry)>>8), byte(len(entry)))
		data = append(data, entry...)
	}
	return data
}

// path spells the tlog-tiles path without the code under test.
func path(folder string, n int64, width int) string {
	number := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		number = fmt.Sprintf("x%03d/%s", n%1000, number)
	}
	if width < 256 {
		number += fmt.Sprintf(".p/%d", width)
	}
	return "tile/" + folder + "/" + number
}

func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}

func (l *testLog) head(t *testing.T, size int64) tlog.Tree {
	root, err := treeHash(size, l.hashes)
	must(t, err)
	return tlog.Tree{N: size, Hash: root}
}

func (l *testLog) checkpoint(t *testing.T, tree tlog.Tree) []byte {
	text := fmt.Sprintf("%s\n%d\n%v\n", l.signer.Name(), tree.N, tree.Hash)
	signed, err := note.Sign(&note.Note{Text: text}, l.signer)
	must(t, err)
	return signed
}

func (l *testLog) write(t *testing.T, name string, data []byte) {
	t.Helper()
	file := filepath.Join(l.dir, name)
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	must(t, os.WriteFile(file, data, 0o644))
}

// aside writes a file outside the log's folder and returns its path.
func aside(t *testing.T, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(file, data, 0o644))
	return file
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func accepts(t *testing.T, opts options, want tlog.Tree) {
	t.Helper()
	tree, err := run(opts)
	must(t, err)
	if tree != want {
		t.Fatalf("got %d %v, want %d %v", tree.N, tree.Hash, want.N, want.Hash)
	}
}

func refuses(t *testing.T, opts options, says string) {
	t.Helper()
	if _, err := run(opts); err == nil || !strings.Contains(err.Error(), says) {
		t.Fatalf("got %v, want an error that says %q", err, says)
	}
}

func TestAcceptsGoodLogsOfManySizes(t *testing.T) {
	for _, size := range []int64{0, 1, 2, 3, 255, 256, 257, 300, 512, 2600, 65536, 66000} {
		log := newLog(t, size)
		accepts(t, options{vkey: log.vkey, source: log.dir}, log.head(t, size))
	}
}

func TestReadsOverHTTP(t *testing.T) {
	log := newLog(t, 700)
	server := httptest.NewServer(http.StripPrefix("/a/log", http.FileServer(http.Dir(log.dir))))
	defer server.Close()
	accepts(t, options{vkey: log.vkey, source: server.URL + "/a/log/"}, log.head(t, 700))
	refuses(t, options{vkey: log.vkey, source: server.URL + "/elsewhere"}, "not there")
}

func TestEveryFlippedFileIsRefused(t *testing.T) {
	log := newLog(t, 300)
	opts := options{vkey: log.vkey, source: log.dir}
	files := 0
	must(t, filepath.Walk(log.dir, func(name string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		good, err := os.ReadFile(name)
		must(t, err)
		for _, at := range []int{0, len(good) / 2, len(good) - 2} {
			bad := append([]byte(nil), good...)
			bad[at] ^= 1
			must(t, os.WriteFile(name, bad, 0o644))
			if _, err := run(opts); err == nil {
				t.Errorf("accepted with a flipped bit at byte %d of %s", at, name)
			}
		}
		must(t, os.WriteFile(name, good, 0o644))
		files++
		return nil
	}))
	if files != 6 { // the checkpoint, three tiles, two bundles
		t.Errorf("flipped bits in %d files", files)
	}
	accepts(t, opts, log.head(t, 300))
}

func TestNamesTheAlteredEntry(t *testing.T) {
	log := newLog(t, 300)
	data := bundle(0, 256)
	at := strings.Index(string(data), "record 77\n")
	data[at+3] ^= 0x20
	log.write(t, path("entries", 0, 256), data)
	refuses(t, options{vkey: log.vkey, source: log.dir}, "tile/0/000: entry 77 does not have the hash")
}

func TestRefusesBundlesOfTheWrongShape(t *testing.T) {
	log := newLog(t, 3)
	opts := options{vkey: log.vkey, source: log.dir}
	good := bundle(0, 3)
	log.write(t, path("entries", 0, 3), append(good, 0))
	refuses(t, opts, "after the last entry")
	log.write(t, path("entries", 0, 3), good[:len(good)-1])
	refuses(t, opts, "entry 2 is cut short")
	binary.BigEndian.PutUint16(good, 0xffff)
	log.write(t, path("entries", 0, 3), good)
	refuses(t, opts, "entry 0 is cut short")
}

func TestFallsBackToTheFullObject(t *testing.T) {
	log := newLog(t, 300)
	earlier := log.checkpoint(t, log.head(t, 300))
	log.grow(t, 600)
	must(t, os.RemoveAll(filepath.Join(log.dir, "tile/0/001.p")))
	must(t, os.RemoveAll(filepath.Join(log.dir, "tile/entries/001.p")))
	log.write(t, "checkpoint", earlier)
	accepts(t, options{vkey: log.vkey, source: log.dir}, log.head(t, 300))
}

func TestHoldsTheLogToEarlierHeads(t *testing.T) {
	log := newLog(t, 300)
	opts := options{vkey: log.vkey, source: log.dir}
	for size := int64(0); size <= 300; size += 50 {
		opts.old = append(opts.old, aside(t, "old", log.checkpoint(t, log.head(t, size))))
	}
	accepts(t, opts, log.head(t, 300))

	forked := log.head(t, 120)
	forked.Hash[0] ^= 1
	opts.old = files{aside(t, "old", log.checkpoint(t, forked))}
	refuses(t, opts, "history changed")

	longer := tlog.Tree{N: 301, Hash: forked.Hash}
	opts.old = files{aside(t, "old", log.checkpoint(t, longer))}
	refuses(t, opts, "the log shrank")
}

func TestRefusesAnotherKeyAndABadCheckpoint(t *testing.T) {
	log := newLog(t, 5)
	refuses(t, options{vkey: newLog(t, 0).vkey, source: log.dir}, "checkpoint")
	root := log.head(t, 5).Hash.String()
	for says, text := range map[string]string{
		"origin":      "other.example\n5\n" + root + "\n",
		"size":        "log.example/test\n05\n" + root + "\n",
		"root":        "log.example/test\n5\n" + root[1:] + "\n",
		"three lines": "log.example/test\n5\n",
	} {
		signed, err := note.Sign(&note.Note{Text: text}, log.signer)
		must(t, err)
		log.write(t, "checkpoint", signed)
		refuses(t, options{vkey: log.vkey, source: log.dir}, says)
	}
}

func (l *testLog) proof(t *testing.T, index int64, extraLine string) string {
	t.Helper()
	tree := l.head(t, l.size)
	path, err := tlog.ProveRecord(tree.N, index, l.hashes)
	must(t, err)
	text := proofHeader + "\n" + extraLine + fmt.Sprintf("index %d\n", index)
	for _, hash := range path {
		text += hash.String() + "\n"
	}
	return text + "\n" + string(l.checkpoint(t, tree))
}

func TestVerifiesProofFiles(t *testing.T) {
	log := newLog(t, 300)
	extraLine := "extra " + base64.StdEncoding.EncodeToString([]byte(extra)) + "\n"
	good := log.proof(t, 299, extraLine)
	opts := options{vkey: log.vkey, record: aside(t, "r", []byte(record(299)))}
	with := func(proof string) options {
		opts.proof = aside(t, "p", []byte(proof))
		return opts
	}
	accepts(t, with(good), log.head(t, 300))
	opts.source = log.dir
	accepts(t, with(good), log.head(t, 300))
	opts.source = ""

	refuses(t, with(log.proof(t, 298, extraLine)), "entry 298")
	refuses(t, with(log.proof(t, 299, "")), "entry 299")
	refuses(t, with(strings.Replace(good, "index 299", "index 300", 1)), "index 300 in a tree of 300")
	refuses(t, with(strings.Replace(good, "index 299", "index +299", 1)), "not a decimal")
	refuses(t, with(strings.Replace(good, "index", "index 1\nindex", 1)), "not the base64 of a hash")
	refuses(t, with(strings.Replace(good, "@v1", "@v2", 1)), "first line")
	refuses(t, with(strings.Replace(good, "\n300\n", "\n301\n", 1)), "checkpoint")
	refuses(t, with(strings.Repeat("x\n", 3)), "no empty line")

	opts.record = aside(t, "r", []byte(record(299)+"\n"))
	refuses(t, with(good), "entry 299")
}

func TestProofOfALogOfOne(t *testing.T) {
	log := newLog(t, 1)
	opts := options{
		vkey:   log.vkey,
		proof:  aside(t, "p", []byte(log.proof(t, 0, ""))),
		record: aside(t, "r", []byte(extra+record(0))),
	}
	accepts(t, opts, log.head(t, 1))
}

func TestRefusesBadUsage(t *testing.T) {
	for _, line := range []string{
		"", "dir", "-vkey k", "-vkey k -proof p", "-vkey k -record r dir", "-vkey k a b",
		"-vkey k -old c -proof p -record r", "-unknown",
	} {
		var out strings.Builder
		if _, err := parse(strings.Fields(line), &out); err == nil {
			t.Errorf("accepted %q", line)
		}
	}
}
