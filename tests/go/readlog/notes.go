package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const proofHeader = "c2sp.org/tlog-proof@v1"

// maxProof is the longest inclusion proof of a tree with fewer than 2^63 leaves.
const maxProof = 63

// openCheckpoint verifies a signed checkpoint with the one key it is given and parses it.
func openCheckpoint(signed []byte, key note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(signed, note.VerifierList(key))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %v", err)
	}
	lines := strings.Split(strings.TrimSuffix(opened.Text, "\n"), "\n")
	if len(lines) < 3 {
		return tlog.Tree{}, errors.New("checkpoint: fewer than three lines")
	}
	for _, line := range lines {
		if line == "" {
			return tlog.Tree{}, errors.New("checkpoint: an empty line")
		}
	}
	if lines[0] != key.Name() {
		return tlog.Tree{}, fmt.Errorf("checkpoint: origin %q, but the key is of %q", lines[0], key.Name())
	}
	size, err := parseDecimal(lines[1])
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: size: %v", err)
	}
	root, err := parseHash(lines[2])
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: root: %v", err)
	}
	return tlog.Tree{N: size, Hash: root}, nil
}

// logProof is a tlog-proof file whose checkpoint has been verified and whose inclusion has not.
type logProof struct {
	extra []byte
	index int64
	path  tlog.RecordProof
	tree  tlog.Tree
}

func openProof(file []byte, key note.Verifier) (logProof, error) {
	head, signed, found := strings.Cut(string(file), "\n\n")
	if !found {
		return logProof{}, errors.New("proof: no empty line before the checkpoint")
	}
	lines := strings.Split(head, "\n")
	if lines[0] != proofHeader {
		return logProof{}, fmt.Errorf("proof: the first line is not %s", proofHeader)
	}
	lines = lines[1:]

	var proof logProof
	var err error
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		if proof.extra, err = parse64(strings.TrimPrefix(lines[0], "extra ")); err != nil {
			return logProof{}, fmt.Errorf("proof: extra: %v", err)
		}
		lines = lines[1:]
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return logProof{}, errors.New("proof: no index line")
	}
	if proof.index, err = parseDecimal(strings.TrimPrefix(lines[0], "index ")); err != nil {
		return logProof{}, fmt.Errorf("proof: index: %v", err)
	}
	lines = lines[1:]
	if len(lines) > maxProof {
		return logProof{}, fmt.Errorf("proof: more than %d hashes", maxProof)
	}
	for _, line := range lines {
		hash, err := parseHash(line)
		if err != nil {
			return logProof{}, fmt.Errorf("proof: %v", err)
		}
		proof.path = append(proof.path, hash)
	}
	proof.tree, err = openCheckpoint([]byte(signed), key)
	return proof, err
}

// check proves that record, behind the bytes of the extra line, is the proof's leaf.
func (p logProof) check(record []byte) error {
	if p.index >= p.tree.N {
		return fmt.Errorf("proof: index %d in a tree of %d", p.index, p.tree.N)
	}
	leaf := tlog.RecordHash(append(append([]byte(nil), p.extra...), record...))
	if err := tlog.CheckRecord(p.path, p.tree.N, p.tree.Hash, p.index, leaf); err != nil {
		return fmt.Errorf("proof: entry %d: %v", p.index, err)
	}
	return nil
}

// parseDecimal takes ASCII decimals without a sign or leading zeros, below 2^63.
func parseDecimal(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != text || n < 0 {
		return 0, fmt.Errorf("%q is not a decimal below 2^63", text)
	}
	return n, nil
}

func parseHash(text string) (tlog.Hash, error) {
	var hash tlog.Hash
	data, err := parse64(text)
	if err != nil || len(data) != tlog.HashSize {
		return hash, fmt.Errorf("%q is not the base64 of a hash", text)
	}
	copy(hash[:], data)
	return hash, nil
}

// parse64 takes canonical base64: one text for one value.
func parse64(text string) ([]byte, error) {
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	// The decoder skips line ends, a carriage return among them, so the text must come back the same.
	if err != nil || base64.StdEncoding.EncodeToString(data) != text {
		return nil, fmt.Errorf("%q is not base64", text)
	}
	return data, nil
}
