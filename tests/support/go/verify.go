// Verify what the log serves with Go's own transparency-log packages: a verifier that nobody of this project wrote.
//
// Standard input: one JSON document (type evidence). What it names by an address is fetched there, the rest is read from a
// folder. Prints what was verified; ends with status 1 at the first thing that does not hold. Built in GOPATH mode against Debian's golang-golang-x-mod-dev, so that it needs no network.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type inclusion struct {
	Index int64       `json:"index"`
	Leaf  tlog.Hash   `json:"leaf"`
	Proof []tlog.Hash `json:"proof"`
}

type consistency struct {
	Old     int64       `json:"old"`
	OldRoot tlog.Hash   `json:"old_root"`
	Proof   []tlog.Hash `json:"proof"`
}

type evidence struct {
	Vkey        string        `json:"vkey"`
	Checkpoint  string        `json:"checkpoint"`
	Inclusion   []inclusion   `json:"inclusion"`
	Consistency []consistency `json:"consistency"`
	Tiles       string        `json:"tiles"`
	// Of a log that is being served:
	Address  string   `json:"address"`
	Token    string   `json:"token"`
	Receipts []int64  `json:"receipts"`
	Older    []string `json:"older"` // checkpoints that it served before
	Sizes    []int64  `json:"sizes"` // other sizes that it had
}

// tiles reads C2SP tlog-tiles paths from a folder, or from an address. Height 8; the path has no height in it, and bundles
// have their own name.
type tiles struct{ folder, address, token string }

func (t tiles) Height() int { return 8 }

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		data, err := t.read(strings.TrimPrefix(tile.Path(), "tile/8/"))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func (t tiles) read(path string) ([]byte, error) {
	if t.address == "" {
		return os.ReadFile(filepath.Join(t.folder, path))
	}
	return t.get("tile/" + path)
}

// get fetches what the log serves below its prefix.
func (t tiles) get(path string) ([]byte, error) {
	request, err := http.NewRequest("GET", t.address+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+t.token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != 200 {
		err = fmt.Errorf("%s: status %d", path, response.StatusCode)
	}
	return data, err
}

func must(what string, err error) {
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
}

// open verifies the note and reads the checkpoint in it.
func open(vkey, checkpoint string) tlog.Tree {
	verifier, err := note.NewVerifier(vkey)
	must("verifier key", err)
	signed, err := note.Open([]byte(checkpoint), note.VerifierList(verifier))
	must("checkpoint", err)
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		log.Fatalf("checkpoint: not three lines, or not of %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must("size", err)
	root, err := tlog.ParseHash(lines[2])
	must("root", err)
	return tlog.Tree{N: size, Hash: root}
}

// rebuild makes the tree anew from the entry bundles alone, and verifies its root.
func rebuild(served tiles, tree tlog.Tree) tlog.HashReader {
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, index := range indexes {
			found = append(found, hashes[index])
		}
		return found, nil
	})
	for at := int64(0); at < tree.N; {
		tile := tlog.Tile{H: 8, L: 0, N: at / 256, W: 256}
		if left := tree.N - at; left < 256 {
			tile.W = int(left)
		}
		data, err := served.read(strings.Replace(tile.Path(), "tile/8/0/", "entries/", 1))
		must("bundle", err)
		for i := 0; i < tile.W; i++ {
			end := 2 + int(binary.BigEndian.Uint16(data))
			added, err := tlog.StoredHashes(at, data[2:end], reader)
			must("bundle", err)
			hashes, data, at = append(hashes, added...), data[end:], at+1
		}
		if len(data) != 0 {
			log.Fatalf("bundle %s: bytes after the last entry", tile.Path())
		}
	}
	root, err := tlog.TreeHash(tree.N, reader)
	must("bundle", err)
	if root != tree.Hash {
		log.Fatalf("bundle: the entries do not give the root of the checkpoint")
	}
	return reader
}

// compare verifies every hash tile of the tree, byte for byte, against the tree that was made from the entries. (The
// TileHashReader of golang.org/x/mod 0.7 leaves some tiles unauthenticated, so it is not enough.)
func compare(served tiles, tree tlog.Tree, rebuilt tlog.HashReader) int {
	widest := map[tlog.Tile]tlog.Tile{}
	for _, tile := range tlog.NewTiles(8, 0, tree.N) { // the narrower ones of a partial tile come first
		widest[tlog.Tile{H: tile.H, L: tile.L, N: tile.N}] = tile
	}
	for _, tile := range widest {
		want, err := tlog.ReadTileData(tile, rebuilt)
		must("tile", err)
		got, err := served.ReadTiles([]tlog.Tile{tile})
		must("tile", err)
		if !bytes.Equal(got[0], want) {
			log.Fatalf("tile %s is not that of the entries' tree", tile.Path())
		}
	}
	return len(widest)
}

// grew verifies, from the tiles that are served, that the log of a size that it had before is the beginning of this one. The
// older tree's own tiles, narrower ones, must give the same root.
func grew(served tiles, tree tlog.Tree, size int64) tlog.Hash {
	what := fmt.Sprintf("growth from %d", size)
	reader := tlog.TileHashReader(tree, served)
	root, err := tlog.TreeHash(size, reader)
	must(what, err)
	proof, err := tlog.ProveTree(tree.N, size, reader)
	must(what, err)
	must(what, tlog.CheckTree(proof, tree.N, tree.Hash, size, root))
	again, err := tlog.TreeHash(size, tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, served))
	must(what, err)
	if again != root {
		log.Fatalf("%s: the narrower tiles give another root", what)
	}
	return root
}

// receipt verifies a C2SP tlog-proof against a checkpoint that is its own, and that against what is served now.
func receipt(served tiles, vkey string, tree tlog.Tree, seq int64) {
	what := fmt.Sprintf("receipt of %d", seq)
	data, err := served.get(fmt.Sprintf("receipts/%d", seq))
	must(what, err)
	head, checkpoint, _ := strings.Cut(string(data), "\n\n")
	lines := strings.Split(head, "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" || lines[2] != fmt.Sprintf("index %d", seq) {
		log.Fatalf("%s: not a tlog-proof of this record", what)
	}
	entry, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	must(what, err)
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		must(what, err)
		proof = append(proof, hash)
	}
	under := open(vkey, checkpoint)
	must(what, tlog.CheckRecord(proof, under.N, under.Hash, seq, tlog.RecordHash(entry)))
	older, newer := under, tree // the record may be newer than the head that was fetched first
	if under.N > tree.N {
		older, newer = tree, under
	}
	if grew(served, newer, older.N) != older.Hash {
		log.Fatalf("%s: its head is not one of this log", what)
	}
}

// live verifies what a running service serves.
func live(given evidence) {
	served := tiles{address: given.Address, token: given.Token}
	key, err := served.get("vkey")
	must("vkey", err)
	checkpoint, err := served.get("checkpoint")
	must("checkpoint", err)
	vkey := strings.TrimSuffix(string(key), "\n")
	tree := open(vkey, string(checkpoint))
	count := compare(served, tree, rebuild(served, tree))
	for _, older := range given.Older {
		if was := open(vkey, older); grew(served, tree, was.N) != was.Hash {
			log.Fatalf("growth from %d: the head that was served then is not of this log", was.N)
		}
	}
	for _, size := range given.Sizes {
		grew(served, tree, size)
	}
	for _, seq := range given.Receipts {
		receipt(served, vkey, tree, seq)
	}
	fmt.Printf("size %d receipts %d older %d sizes %d tiles %d\n", tree.N, len(given.Receipts), len(given.Older),
		len(given.Sizes), count)
}

func main() {
	log.SetFlags(0)
	var given evidence
	must("input", json.NewDecoder(os.Stdin).Decode(&given))
	if given.Address != "" {
		live(given)
		return
	}
	tree := open(given.Vkey, given.Checkpoint)
	for _, one := range given.Inclusion {
		must(fmt.Sprintf("inclusion of %d", one.Index), tlog.CheckRecord(one.Proof, tree.N, tree.Hash, one.Index, one.Leaf))
	}
	for _, one := range given.Consistency {
		must(fmt.Sprintf("consistency with %d", one.Old), tlog.CheckTree(one.Proof, tree.N, tree.Hash, one.Old, one.OldRoot))
	}
	served := tiles{folder: given.Tiles}
	rebuilt := rebuild(served, tree)
	count := compare(served, tree, rebuilt)
	reader := tlog.TileHashReader(tree, served)
	for _, one := range given.Inclusion {
		ours, err := tlog.ProveRecord(tree.N, one.Index, reader)
		must("proof from tiles", err)
		if fmt.Sprint(ours) != fmt.Sprint(tlog.RecordProof(one.Proof)) {
			log.Fatalf("inclusion of %d: the tiles give another proof", one.Index)
		}
	}
	fmt.Printf("size %d root %s inclusion %d consistency %d tiles %d\n", tree.N, base64.StdEncoding.EncodeToString(tree.Hash[:]),
		len(given.Inclusion), len(given.Consistency), count)
}
