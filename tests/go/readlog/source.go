package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// tileHeight is fixed by tlog-tiles: a full tile is 256 hashes wide.
const tileHeight = 8

// tileWidth is the number of hashes in a full tile and of entries in a full bundle.
const tileWidth = 1 << tileHeight

// maxObject bounds any one thing that is read: a full bundle is at most 256 entries of 2+65,535 bytes.
const maxObject = tileWidth * (2 + 65535)

// errMissing says that a log does not have an object, as opposed to a failure to ask for it.
var errMissing = errors.New("not there")

// source is where a log is read from: a directory or an HTTP URL prefix.
type source interface {
	// get returns the bytes under a path such as "tile/0/000", or errMissing.
	get(path string) ([]byte, error)
}

// openSource takes an http(s) URL prefix or a directory's path.
func openSource(name string) source {
	if strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://") {
		client := &http.Client{Timeout: 30 * time.Second}
		return httpSource{prefix: strings.TrimRight(name, "/"), client: client}
	}
	return dirSource(name)
}

type dirSource string

func (d dirSource) get(path string) ([]byte, error) {
	file, err := os.Open(filepath.Join(string(d), filepath.FromSlash(path)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, errMissing)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readBounded(file, path)
}

type httpSource struct {
	prefix string
	client *http.Client
}

func (h httpSource) get(path string) ([]byte, error) {
	// The transport asks for gzip and undoes it, as tlog-tiles expects of clients.
	response, err := h.client.Get(h.prefix + "/" + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		return readBounded(response.Body, path)
	case http.StatusNotFound, http.StatusGone:
		return nil, fmt.Errorf("%s: %w", path, errMissing)
	default:
		return nil, fmt.Errorf("%s: the server answered %s", path, response.Status)
	}
}

func readBounded(from io.Reader, path string) ([]byte, error) {
	var data bytes.Buffer
	n, err := io.Copy(&data, io.LimitReader(from, maxObject+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %v", path, err)
	}
	if n > maxObject {
		return nil, fmt.Errorf("%s: longer than %d bytes", path, maxObject)
	}
	return data.Bytes(), nil
}

// objectPath is the tlog-tiles path of object n in a folder ("0", "1", ... or "entries"). The sumdb
// package writes the same number encoding, but with the tile height in front, which tlog-tiles
// leaves out, and with "data" for what tlog-tiles calls "entries".
func objectPath(folder string, n int64, width int) string {
	tile := tlog.Tile{H: tileHeight, L: 0, N: n, W: width}
	return "tile/" + folder + strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/0", tileHeight))
}

// tiles hands a log's tiles to the sumdb package. It keeps what it has read: the package asks for
// the same few tiles for every proof.
type tiles struct {
	from source
	kept map[tlog.Tile][]byte
}

func newTiles(from source) *tiles {
	return &tiles{from: from, kept: make(map[tlog.Tile][]byte)}
}

// Height implements tlog.TileReader.
func (t *tiles) Height() int { return tileHeight }

// SaveTiles implements tlog.TileReader.
func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles implements tlog.TileReader.
func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(wanted))
	for i, tile := range wanted {
		one, err := t.read(tile)
		if err != nil {
			return nil, err
		}
		data[i] = one
	}
	return data, nil
}

func (t *tiles) read(tile tlog.Tile) ([]byte, error) {
	if data, ok := t.kept[tile]; ok {
		return data, nil
	}
	folder := fmt.Sprint(tile.L)
	data, full, err := readPartialOrFull(t.from, folder, tile.N, tile.W)
	if err != nil {
		return nil, err
	}
	want := tile.W * tlog.HashSize
	if full {
		want = tileWidth * tlog.HashSize
	}
	if len(data) != want {
		path := objectPath(folder, tile.N, tile.W)
		return nil, fmt.Errorf("%s: %d bytes where a tile has %d", path, len(data), want)
	}
	data = data[:tile.W*tlog.HashSize]
	t.kept[tile] = data
	return data, nil
}

// readPartialOrFull reads an object of the given width. A log may drop a partial object once the full
// one exists, so the full one is asked for next; the second result says that it was the full one.
func readPartialOrFull(from source, folder string, n int64, width int) ([]byte, bool, error) {
	data, err := from.get(objectPath(folder, n, width))
	if width == tileWidth || !errors.Is(err, errMissing) {
		return data, width == tileWidth, err
	}
	if data, fullErr := from.get(objectPath(folder, n, tileWidth)); fullErr == nil {
		return data, true, nil
	}
	return nil, false, err
}
