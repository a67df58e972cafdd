// Readlog reads a C2SP tlog-tiles log, or a tlog-proof file, with golang.org/x/mod/sumdb: code that
// shares nothing with ours but the published formats. It exists so that our tests do not only agree
// with themselves.
//
//	readlog -vkey KEY [-old CHECKPOINT]... [-proof FILE -record FILE] [DIR|URL]
//
// With a log it verifies the checkpoint, re-hashes every entry, compares every tile, and proves and
// checks inclusion and consistency. With a proof it verifies that the record file, behind the bytes
// of the proof's extra line, is in the log. It prints "ok SIZE ROOT" (root in base64) and exits 0; it
// says what is wrong and exits 1 otherwise, 2 for a usage error.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// files is a flag that may be given more than once.
type files []string

func (f *files) String() string { return strings.Join(*f, ",") }

func (f *files) Set(name string) error {
	*f = append(*f, name)
	return nil
}

type options struct {
	vkey, proof, record, source string
	old                         files
}

func main() {
	opts, err := parse(os.Args[1:], os.Stderr)
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(os.Stderr, "error: %v\n", err)
		}
		os.Exit(2)
	}
	tree, err := run(opts)
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
	fmt.Printf("ok %d %v\n", tree.N, tree.Hash)
}

func parse(args []string, out io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("readlog", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&opts.vkey, "vkey", "", "the log's verifier `key`")
	flags.StringVar(&opts.proof, "proof", "", "a tlog-proof `file` to verify")
	flags.StringVar(&opts.record, "record", "", "the record `file` that the proof is for")
	flags.Var(&opts.old, "old", "a `file` with an earlier checkpoint of the log; may be repeated")
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if flags.NArg() > 1 {
		return opts, errors.New("more than one log")
	}
	opts.source = flags.Arg(0)
	switch {
	case opts.vkey == "":
		return opts, errors.New("-vkey is missing")
	case (opts.proof == "") != (opts.record == ""):
		return opts, errors.New("-proof and -record go together")
	case opts.source == "" && opts.proof == "":
		return opts, errors.New("neither a log nor a proof to read")
	case opts.source == "" && len(opts.old) > 0:
		return opts, errors.New("-old needs a log")
	}
	return opts, nil
}

// run does what the options ask and returns the head that everything was checked against: the log's
// where there is one, else the proof's.
func run(opts options) (tlog.Tree, error) {
	key, err := note.NewVerifier(opts.vkey)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("-vkey: %v", err)
	}
	var older []tlog.Tree
	for _, name := range opts.old {
		signed, err := os.ReadFile(name)
		if err != nil {
			return tlog.Tree{}, err
		}
		tree, err := openCheckpoint(signed, key)
		if err != nil {
			return tlog.Tree{}, fmt.Errorf("%s: %v", name, err)
		}
		older = append(older, tree)
	}
	var tree tlog.Tree
	if opts.proof != "" {
		if tree, err = checkProofFile(opts.proof, opts.record, key); err != nil {
			return tlog.Tree{}, err
		}
		// A proof is only worth something under a head that the log still stands by.
		older = append(older, tree)
	}
	if opts.source != "" {
		return checkLog(openSource(opts.source), key, older)
	}
	return tree, nil
}

func checkProofFile(proofName, recordName string, key note.Verifier) (tlog.Tree, error) {
	file, err := os.ReadFile(proofName)
	if err != nil {
		return tlog.Tree{}, err
	}
	record, err := os.ReadFile(recordName)
	if err != nil {
		return tlog.Tree{}, err
	}
	proof, err := openProof(file, key)
	if err != nil {
		return tlog.Tree{}, err
	}
	return proof.tree, proof.check(record)
}
