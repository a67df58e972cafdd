package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sort"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// provenOneByOne is up to how many entries each get an inclusion proof. Larger logs are proven at
// this many places, spread evenly, and at both ends; every entry is hashed either way.
const provenOneByOne = 2000

// stored holds every stored hash of a tree, in the sumdb package's order. It is filled from the
// entries alone, so nothing in it comes from the tiles that it is compared with.
type stored []tlog.Hash

// ReadHashes implements tlog.HashReader.
func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(s)) {
			return nil, fmt.Errorf("no stored hash %d", x)
		}
		hashes[i] = s[x]
	}
	return hashes, nil
}

// treeHash is tlog.TreeHash, except that the empty tree's root is the one of RFC 6962.
func treeHash(size int64, hashes tlog.HashReader) (tlog.Hash, error) {
	if size == 0 {
		return sha256.Sum256(nil), nil
	}
	return tlog.TreeHash(size, hashes)
}

// checkLog reads a whole log and returns its verified head. The older trees are ones whose signed
// heads somebody kept: each must be a beginning of this one.
func checkLog(from source, key note.Verifier, older []tlog.Tree) (tlog.Tree, error) {
	signed, err := from.get("checkpoint")
	if err != nil {
		return tlog.Tree{}, err
	}
	tree, err := openCheckpoint(signed, key)
	if err != nil {
		return tlog.Tree{}, err
	}
	hashes, err := rebuild(from, tree.N)
	if err != nil {
		return tlog.Tree{}, err
	}
	reader := newTiles(from)
	// Tiles before the root: if an entry was altered, the tile that disagrees names it.
	if err := checkTiles(reader, hashes, tree.N); err != nil {
		return tlog.Tree{}, err
	}
	root, err := treeHash(tree.N, hashes)
	if err != nil {
		return tlog.Tree{}, err
	}
	if root != tree.Hash {
		return tlog.Tree{}, fmt.Errorf("the entries have root %v, the checkpoint says %v", root, tree.Hash)
	}
	if err := checkOlder(hashes, tree, older); err != nil {
		return tlog.Tree{}, err
	}
	if tree.N == 0 {
		return tree, nil
	}
	tileHashes := tlog.TileHashReader(tree, reader)
	if err := checkRoot(tileHashes, tree); err != nil {
		return tlog.Tree{}, err
	}
	if err := checkInclusion(tileHashes, hashes, tree); err != nil {
		return tlog.Tree{}, err
	}
	return tree, checkConsistency(tileHashes, hashes, tree, older)
}

// rebuild hashes every entry out of the bundles and from those hashes the whole tree.
func rebuild(from source, size int64) (stored, error) {
	var hashes stored
	for start := int64(0); start < size; start += tileWidth {
		width := tileWidth
		if size-start < tileWidth {
			width = int(size - start)
		}
		entries, err := readBundle(from, start/tileWidth, width)
		if err != nil {
			return nil, err
		}
		for i, entry := range entries {
			more, err := tlog.StoredHashes(start+int64(i), entry, hashes)
			if err != nil {
				return nil, err
			}
			hashes = append(hashes, more...)
		}
	}
	return hashes, nil
}

// readBundle returns the first width entries of bundle n.
func readBundle(from source, n int64, width int) ([][]byte, error) {
	path := objectPath("entries", n, width)
	data, full, err := readPartialOrFull(from, "entries", n, width)
	if err != nil {
		return nil, err
	}
	count := width
	if full {
		count = tileWidth
	}
	entries := make([][]byte, 0, count)
	for i := 0; i < count; i++ {
		if len(data) < 2 {
			return nil, fmt.Errorf("%s: ends after %d of %d entries", path, i, count)
		}
		length := int(binary.BigEndian.Uint16(data))
		data = data[2:]
		if len(data) < length {
			return nil, fmt.Errorf("%s: entry %d is cut short", path, n*tileWidth+int64(i))
		}
		entries = append(entries, data[:length])
		data = data[length:]
	}
	if len(data) != 0 {
		return nil, fmt.Errorf("%s: %d bytes after the last entry", path, len(data))
	}
	return entries[:width], nil
}

// checkTiles compares every tile of the tree, at every level, with the tree built from the entries.
// The proofs below would miss some of it: TileHashReader of golang.org/x/mod 0.7.0 leaves a full tile
// unauthenticated when several hashes of the right edge share one tile.
func checkTiles(reader *tiles, hashes stored, size int64) error {
	for level := 0; size>>uint(level*tileHeight) > 0; level++ {
		hashesAtLevel := size >> uint(level*tileHeight)
		for n := int64(0); n*tileWidth < hashesAtLevel; n++ {
			width := tileWidth
			if left := hashesAtLevel - n*tileWidth; left < tileWidth {
				width = int(left)
			}
			tile := tlog.Tile{H: tileHeight, L: level, N: n, W: width}
			want, err := tlog.ReadTileData(tile, hashes)
			if err != nil {
				return err
			}
			got, err := reader.read(tile)
			if err != nil {
				return err
			}
			if !bytes.Equal(got, want) {
				return differs(tile, got, want)
			}
		}
	}
	return nil
}

// differs names the first hash at which a tile and the entries part.
func differs(tile tlog.Tile, got, want []byte) error {
	at := 0
	for got[at] == want[at] {
		at++
	}
	path := objectPath(fmt.Sprint(tile.L), tile.N, tile.W)
	hash := at / tlog.HashSize
	if tile.L == 0 {
		entry := tile.N*tileWidth + int64(hash)
		return fmt.Errorf("%s: entry %d does not have the hash in the tile", path, entry)
	}
	return fmt.Errorf("%s: hash %d is not that of the entries", path, hash)
}

// checkOlder holds the heads that somebody kept against the tree built from the entries.
func checkOlder(hashes stored, tree tlog.Tree, older []tlog.Tree) error {
	for _, old := range older {
		if old.N > tree.N {
			return fmt.Errorf("the log shrank: a head of %d entries was signed, now there are %d", old.N, tree.N)
		}
		root, err := treeHash(old.N, hashes)
		if err != nil {
			return err
		}
		if root != old.Hash {
			return fmt.Errorf("history changed: the head of size %d had root %v, now it is %v", old.N, old.Hash, root)
		}
	}
	return nil
}

func checkRoot(tileHashes tlog.HashReader, tree tlog.Tree) error {
	root, err := tlog.TreeHash(tree.N, tileHashes)
	if err != nil {
		return fmt.Errorf("tiles: %v", err)
	}
	if root != tree.Hash {
		return fmt.Errorf("the tiles have root %v, the checkpoint says %v", root, tree.Hash)
	}
	return nil
}

func checkInclusion(tileHashes tlog.HashReader, hashes stored, tree tlog.Tree) error {
	for _, n := range samples(tree.N, provenOneByOne) {
		proof, err := tlog.ProveRecord(tree.N, n, tileHashes)
		if err != nil {
			return fmt.Errorf("inclusion of entry %d: %v", n, err)
		}
		leaf := hashes[tlog.StoredHashIndex(0, n)]
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, n, leaf); err != nil {
			return fmt.Errorf("inclusion of entry %d: %v", n, err)
		}
	}
	return nil
}

// samples are all numbers below size if there are at most limit, else about limit of them.
func samples(size, limit int64) []int64 {
	var at []int64
	step := int64(1)
	if size > limit {
		step = size / limit
	}
	for n := int64(0); n < size; n += step {
		at = append(at, n)
	}
	if at[len(at)-1] != size-1 {
		at = append(at, size-1)
	}
	return at
}

func checkConsistency(tileHashes tlog.HashReader, hashes stored, tree tlog.Tree, older []tlog.Tree) error {
	for _, size := range olderSizes(tree.N, older) {
		root, err := tlog.TreeHash(size, hashes)
		if err != nil {
			return err
		}
		proof, err := tlog.ProveTree(tree.N, size, tileHashes)
		if err != nil {
			return fmt.Errorf("consistency with size %d: %v", size, err)
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, size, root); err != nil {
			return fmt.Errorf("consistency with size %d: %v", size, err)
		}
	}
	return nil
}

// olderSizes are the sizes where mistakes like to sit: around powers of two and of tiles, some
// between, and those of the heads that were handed in.
func olderSizes(size int64, older []tlog.Tree) []int64 {
	chosen := map[int64]bool{}
	add := func(n int64) {
		if n >= 1 && n <= size {
			chosen[n] = true
		}
	}
	for power := int64(1); power > 0 && power <= size; power *= 2 {
		add(power - 1)
		add(power)
		add(power + 1)
	}
	full := size / tileWidth * tileWidth
	add(full - 1)
	add(full)
	add(full + 1)
	add(size - 1)
	add(size)
	for _, n := range samples(size, 64) {
		add(n)
	}
	for _, old := range older {
		add(old.N)
	}
	sizes := make([]int64, 0, len(chosen))
	for n := range chosen {
		sizes = append(sizes, n)
	}
	sort.Slice(sizes, func(i, j int) bool { return sizes[i] < sizes[j] })
	return sizes
}
