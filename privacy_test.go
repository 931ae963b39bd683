package usagelake_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"usagelake"
	"usagelake/schemas"
	"usagelake/sink/disk"
)

// Marks of planted texts: what begins a content and what stands far behind, an id,
// a credential.
const (
	contentMark = "Zq7canary"
	tailMark    = "Zq7tail"
	idMark      = "Zq7id"
	secretMark  = "Zq7secret"
)

var (
	shortContent = contentMark + " says hi"
	longContent  = contentMark + " " + strings.Repeat("the quick brown fox asks what to do next; ", 15) + tailMark
)

// logsOf are the golden inputs and, where they are, the recorded logs: a file for
// each group of dialects.
func logsOf(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("testdata/golden/*.jsonl")
	if err != nil || len(list) == 0 {
		t.Fatal("no golden inputs", err)
	}
	root := os.Getenv("USAGELAKE_SHARED")
	if root == "" {
		root = filepath.Join("..", "shared")
	}
	samples, _ := filepath.Glob(filepath.Join(root, "samples", "*", "*.jsonl"))
	return append(list, samples...)
}

// linesOf are the lines of a file, of a long one the first.
func linesOf(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	most := 60
	switch {
	case *long:
		most = 5000
	case testing.Short():
		most = 40
	}
	return list[:min(len(list), most)]
}

// A planter puts texts into a document.
type planter struct {
	// text is what becomes of a text at a path.
	text func(path, s string) string
	// more are members that every object gets at whose path with says yes.
	more map[string]any
	with func(path string) bool
}

func (p *planter) line(line string) string {
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	var tree any
	if d.Decode(&tree) != nil || d.More() {
		return line
	}
	out, err := json.Marshal(p.value("", tree))
	if err != nil {
		return line
	}
	return string(out)
}

func (p *planter) value(path string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, member := range v {
			v[k] = p.value(path+"."+k, member)
		}
		if len(v) > 0 && p.more != nil && p.with(path) {
			maps.Copy(v, p.more)
		}
	case []any:
		for i := range v {
			v[i] = p.value(path+"[]", v[i])
		}
	case string:
		if strings.HasPrefix(v, "{") { // JSON as a text
			if inner := p.line(v); inner != v {
				return inner
			}
		}
		var said string
		if json.Unmarshal([]byte(v), &said) == nil { // a text as JSON
			return strconv.Quote(p.text(path, said))
		}
		return p.text(path, v)
	}
	return v
}

// belowLake calls fn with all that a lake holds: the bytes of every file, and
// the texts of every column.
func belowLake(t *testing.T, lake string, fn func(where string, content []byte)) {
	t.Helper()
	err := filepath.WalkDir(lake, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(lake, path)
		fn("name of "+rel, []byte(rel))
		if d.IsDir() {
			return nil
		}
		data, err := os.ReadFile(path)
		fn(rel, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for table := range schemas.NumTables {
		for _, row := range rowsOf(t, lake, table) {
			for c, text := range row {
				fn(fmt.Sprintf("%s.%s", table, c), []byte(text))
			}
		}
	}
}

// textsOf are all texts of the rows of each line, sorted apart by line.
func textsOf(t *testing.T, lake string) map[string][]string {
	t.Helper()
	m := map[string][]string{}
	for _, row := range slices.Concat(rows(t, lake), rowsOf(t, lake, schemas.Reports)) {
		for name, text := range row {
			c, _ := schemas.Lookup(name)
			if schemas.Columns[c].Kind == schemas.String && c != schemas.SourceFile && c != schemas.SourceID {
				m[row["source_line"]] = append(m[row["source_line"]], text)
			}
		}
	}
	return m
}

var measureLike = regexp.MustCompile(`^[-+0-9.eE:TZ/ ]+$|^(?i:true|false|none|null|nan)$|[0-9]{4}-[0-9]{2}-[0-9]{2}`)

// tagsAt are paths of what becomes tags, which hold what an application has put
// there if it is short.
var tagsAt = regexp.MustCompile(`(?i)(metadata|properties|tags)(\[\])?$`)

// No column can hold the text of a prompt or an answer: what is planted in every
// text of a document that no column took, and in members that nobody knows, is
// nowhere below the lake but, shortened, in the quarantine.
func TestNoContent(t *testing.T) {
	t.Parallel()
	for _, path := range logsOf(t) {
		t.Run(filepath.Base(filepath.Dir(path))+"/"+filepath.Base(path), func(t *testing.T) {
			lines, dir := linesOf(t, path), t.TempDir()
			cfg := usagelake.Config{MaxQuarantine: "100%", Inputs: []string{write(t, filepath.Join(dir, "plain.jsonl"), joined(lines))}, Lake: filepath.Join(dir, "plain")}
			plain := load(t, cfg)
			taken := textsOf(t, cfg.Lake)
			before := map[string]string{} // what a line that others rely on said
			for n := range lines {
				before[strconv.Itoa(n+1)] = strings.Join(taken[strconv.Itoa(n+1)], "\x00")
			}
			everything := strings.Join(slices.Collect(maps.Values(before)), "\x00")
			exact := map[string]bool{}
			for text := range strings.SplitSeq(everything, "\x00") {
				exact[text] = true
			}
			paths := map[string]bool{} // that are taken from
			for n, line := range lines {
				look := planter{text: func(path, s string) string {
					if s != "" && strings.Contains(before[strconv.Itoa(n+1)], s) || len(s) > 3 && exact[s] {
						paths[path] = true
					}
					return s
				}}
				look.line(line)
			}
			for name, content := range map[string]string{"short": shortContent, "long": longContent} {
				if name == "short" && plain.Books.Reports > 0 {
					continue // short texts are what its rows are grouped by
				}
				planted := 0
				p := planter{
					text: func(path, s string) string {
						if paths[path] || s == "" || strings.HasSuffix(path, ".key") || measureLike.MatchString(s) || strings.Contains(everything, s) || strings.Contains(everything, strings.ReplaceAll(s, ",", "%2C")) {
							return s
						}
						planted++
						return strings.Replace(content, " ", fmt.Sprintf(" %d ", planted), 1) // answers differ
					},
					more: map[string]any{"zq7": content, "zq7s": []string{content}, "zq7o": map[string]any{"text": content, content: 7}, content: 8},
					with: func(path string) bool { return name == "long" || !tagsAt.MatchString(path) },
				}
				var changed []string
				for _, line := range lines {
					changed = append(changed, p.line(line))
				}
				in := write(t, filepath.Join(dir, name+".jsonl"), joined(changed))
				keyfile := writeKey(t, filepath.Join(dir, name+".key"), "k")
				for _, key := range []string{"", keyfile} {
					lake := filepath.Join(dir, fmt.Sprintf("lake-%s-%t", name, key != ""))
					r := load(t, usagelake.Config{MaxQuarantine: "100%", Inputs: []string{in}, Lake: lake, HashIDs: key})
					if 2*(r.Books.Rows+r.Books.Reports) < plain.Books.Rows+plain.Books.Reports {
						t.Errorf("%s: %d rows and %d of reports of %d and %d are left", name, r.Books.Rows, r.Books.Reports, plain.Books.Rows, plain.Books.Reports)
					}
					belowLake(t, lake, func(where string, data []byte) {
						shortened := key == "" && strings.HasPrefix(where, "quarantine")
						for _, mark := range []string{contentMark, tailMark} {
							if at := bytes.Index(data, []byte(mark)); at >= 0 && (!shortened || mark == tailMark) {
								t.Errorf("%s content, key %t: %s holds …%q", name, key != "", where, data[max(at-60, 0):min(at+60, len(data))])
							}
						}
					})
				}
				if planted == 0 && plain.Books.Rows > 0 && !strings.Contains(path, "reports") {
					t.Logf("%s: nothing but unknown members to plant in", name)
				}
			}
		})
	}
}

func writeKey(t *testing.T, path, seed string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Repeat(seed, 40)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// hashed is the hash of an id as docs/privacy.md says.
func hashed(seed, domain, text string) string {
	h := hmac.New(sha256.New, []byte(strings.Repeat(seed, 40)))
	fmt.Fprintf(h, "%s\x00%s", domain, text)
	return "h:" + hex.EncodeToString(h.Sum(nil)[:16])
}

var partID = regexp.MustCompile(`(#(step|iteration|attempt|image_gen|model|ai|message|request|run|call|grader)[0-9]*)+$`)

// hashedRow is what a row is to be with --hash-ids.
func hashedRow(row map[string]string) map[string]string {
	out := maps.Clone(row)
	for name, domain := range map[string]string{
		"request_id": "request_id", "transport_id": "request_id", "user_id": "user_id", "session_id": "session_id", "api_key_id": "api_key_id",
	} {
		if id, ok := row[name]; ok {
			behind := ""
			if domain == "request_id" {
				behind = partID.FindString(id)
			}
			out[name] = hashed("k", domain, strings.TrimSuffix(id, behind)) + behind
		}
	}
	if d := row["dialect"]; row["line_item"] != "" && (d == "litellm.daily" || d == "vercel.report") {
		out["line_item"] = hashed("k", "tags", row["line_item"])
	}
	if tags, ok := row["tags"]; ok {
		items := strings.Split(tags, ",")
		for i, item := range items {
			if k, v, ok := strings.Cut(item, "="); ok && v != "" {
				items[i] = k + "=" + hashed("k", "tags."+k, v)
			} else if !ok {
				items[i] = hashed("k", "tags", item)
			}
		}
		slices.Sort(items)
		out["tags"] = strings.Join(items, ",")
	}
	if extra, ok := row["extra_json"]; ok {
		members := map[string]any{}
		d := json.NewDecoder(strings.NewReader(extra))
		d.UseNumber()
		_ = d.Decode(&members)
		for k, v := range members {
			if s, ok := v.(string); ok && s != "" && !apiWords[k] {
				members[k] = hashed("k", "extra_json."+k, s)
			}
		}
		text, _ := json.Marshal(members)
		out["extra_json"] = string(text)
	}
	delete(out, "source_file")
	return out
}

// apiWords are members of extra_json that are no ids.
var apiWords = func() map[string]bool {
	m := map[string]bool{}
	for name := range strings.FieldsSeq(`provider provider_name speed type unit context_window cost_currency currency seconds size
		search_context_size endpoint model_permaslug credential_type object api_version.version`) {
		m[name] = true
	}
	return m
}()

// sortedJSON is an object with its members in order.
func sortedJSON(text string) string {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &members) != nil {
		return text
	}
	out, _ := json.Marshal(members)
	return string(out)
}

// With --hash-ids a lake has the rows that it has without, but for the ids, which
// are the documented hashes. A log that is loaded in two halves comes to the
// same.
func TestHashIDsRows(t *testing.T) {
	t.Parallel()
	ids := 0
	for _, path := range logsOf(t) {
		t.Run(filepath.Base(filepath.Dir(path))+"/"+filepath.Base(path), func(t *testing.T) {
			lines, dir := linesOf(t, path), t.TempDir()
			half := len(lines) / 2
			in := filepath.Join(dir, "log.jsonl")
			key := writeKey(t, filepath.Join(dir, "key"), "k")
			open, sealed := filepath.Join(dir, "clear"), filepath.Join(dir, "sealed")
			for _, n := range []int{half, len(lines)} {
				write(t, in, joined(lines[:n]))
				for lake, key := range map[string]string{open: "", sealed: key} {
					load(t, usagelake.Config{Inputs: []string{in}, Lake: lake, HashIDs: key, MaxQuarantine: "100%"})
				}
			}
			for table := range schemas.NumTables {
				var want []map[string]string
				for _, row := range rowsOf(t, open, table) {
					want = append(want, hashedRow(row))
					if row["request_id"] != "" || row["user_id"] != "" {
						ids++
					}
				}
				got := rowsOf(t, sealed, table)
				for _, row := range got {
					if row["source_file"] != hashed("k", "source_file", "log.jsonl") {
						t.Fatalf("source_file %s", row["source_file"])
					}
					delete(row, "source_file")
					if extra, ok := row["extra_json"]; ok {
						row["extra_json"] = sortedJSON(extra)
					}
				}
				order := cmpopts.SortSlices(func(a, b map[string]string) bool { return fmt.Sprint(a) < fmt.Sprint(b) })
				if d := gocmp.Diff(want, got, order); d != "" {
					t.Fatalf("%s -want +got\n%s", table, d)
				}
			}
			if v, err := usagelake.Verify(context.Background(), sealed, nil); err != nil || len(v.Problems) > 0 {
				t.Errorf("verify: %v %+v", err, v)
			}
		})
	}
	if ids < 100 {
		t.Errorf("only %d rows have ids", ids)
	}
}

// Nothing that --hash-ids covers stands below a lake in clear: not in rows, not
// in the ledger, what lines said, paths or the quarantine, nor in what a crash
// would leave.
func TestHashIDsHide(t *testing.T) {
	t.Parallel()
	covered := map[string]bool{"request_id": true, "transport_id": true, "user_id": true, "session_id": true, "api_key_id": true, "tags": true}
	marked := 0
	for _, path := range logsOf(t) {
		t.Run(filepath.Base(filepath.Dir(path))+"/"+filepath.Base(path), func(t *testing.T) {
			lines, dir := linesOf(t, path), t.TempDir()
			plain := filepath.Join(dir, "plain")
			was := load(t, usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, "plain.jsonl"), joined(lines))}, Lake: plain, MaxQuarantine: "100%"})
			secret, public := map[string]bool{}, map[string]bool{}
			for _, row := range slices.Concat(rows(t, plain), rowsOf(t, plain, schemas.Reports)) {
				for name, text := range row {
					switch base := partID.ReplaceAllString(text, ""); {
					case name == "tags":
						for item := range strings.SplitSeq(text, ",") {
							_, v, ok := strings.Cut(item, "=")
							if !ok {
								v = item
							}
							secret[v] = true
						}
					case covered[name]:
						secret[base] = true
					default:
						public[text] = true
					}
				}
			}
			bad := filepath.Base(path) == "bad.jsonl" // all of it goes to the quarantine
			p := planter{text: func(_, s string) string {
				if bad && !measureLike.MatchString(s) || secret[s] && !public[s] && !measureLike.MatchString(s) {
					marked++
					return s + idMark + fmt.Sprintf("%08x", len(s)*7919+int(s[0]))
				}
				return s
			}}
			var changed []string
			for _, line := range lines {
				changed = append(changed, p.line(line))
			}
			name := filepath.Join(dir, "in", "u-"+idMark, "2026-03-01", "s-"+idMark+".jsonl")
			half := len(changed) / 2
			key := writeKey(t, filepath.Join(dir, "key"), "k")
			find := func(where string, data []byte) {
				if at := bytes.Index(data, []byte(idMark)); at >= 0 {
					t.Errorf("%s holds …%q", where, data[max(at-60, 0):min(at+60, len(data))])
				}
			}
			cfg := usagelake.Config{
				Inputs: []string{filepath.Join(dir, "in")}, Lake: filepath.Join(dir, "lake"), HashIDs: key, MaxQuarantine: "100%",
				PathColumns: "{user_id}/{date}/{session_id}.jsonl", Set: []string{"api_key_id=a-" + idMark, "tags=who=w-" + idMark},
				Memory: 60_000, // rows go through scratch files
				FS:     &tap{find: find},
			}
			var r *usagelake.Report
			for _, n := range []int{half, len(changed)} {
				write(t, name, joined(changed[:n]))
				write(t, filepath.Join(dir, "in", "t-"+idMark, "2026-03-02", "same.jsonl"), joined(changed[:n])) // left out
				r = load(t, cfg)
			}
			if n := int64(len(rows(t, cfg.Lake)) + len(rowsOf(t, cfg.Lake, schemas.Reports))); n < was.Books.Rows+was.Books.Reports && !bad {
				t.Errorf("%d rows of %d", n, was.Books.Rows+was.Books.Reports)
			}
			belowLake(t, cfg.Lake, find)
			if r.Books.Quarantined > 0 { // the files are found again, by a path that does not show
				cfg.Inputs = nil
				again, err := usagelake.Replay(context.Background(), cfg)
				if err != nil || again.Books.Records == 0 || slices.ContainsFunc(again.Problems, func(p string) bool { return strings.Contains(p, "stay") }) {
					t.Errorf("replay: %v, %d records, %q", err, again.Books.Records, again.Problems)
				}
				belowLake(t, cfg.Lake, find)
			}
		})
	}
	if marked < 100 {
		t.Errorf("only %d ids were marked", marked)
	}
}

// tap is a file system that looks at all that is written, also to files that are
// gone in the end.
type tap struct {
	disk.OS
	find func(where string, content []byte)
}

func (f *tap) Create(path string, perm fs.FileMode) (disk.Writer, error) {
	w, err := f.OS.Create(path, perm)
	return &tapped{Writer: w, path: path, find: f.find}, err
}

type tapped struct {
	disk.Writer
	path string
	find func(where string, content []byte)
	last []byte // what may be the beginning of a mark
}

func (w *tapped) Write(b []byte) (int, error) {
	all := slices.Concat(w.last, b)
	w.find("while it was written, "+w.path, all)
	w.last = bytes.Clone(all[max(len(all)-2*len(idMark), 0):])
	return w.Writer.Write(b)
}
