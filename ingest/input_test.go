package ingest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree makes files with their own path as content. A name that ends with a
// slash is a directory, "a -> b" is a symbolic link.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range names {
		link, target, isLink := strings.Cut(name, " -> ")
		path := filepath.Join(root, filepath.FromSlash(link))
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		switch {
		case err != nil:
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o700)
		case isLink:
			err = os.Symlink(target, path)
		default:
			err = os.WriteFile(path, []byte(name), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestDiscover(t *testing.T) {
	root := tree(t,
		"logs/b.jsonl", "logs/a.jsonl.gz", "logs/sub/c.jsonl.zst", "logs/sub/deep/d.zstd", "logs/e.GZ", "logs/.hidden", "logs/.git/x.jsonl",
		"logs/link.jsonl -> ../other/o.jsonl", "logs/linkdir -> ../other", "logs/gone.jsonl -> nowhere",
		"other/o.jsonl", "lake/part.jsonl", "lake/sub/part.jsonl", "empty/", "empty/.x",
		"odd/[a].jsonl", "odd/a.jsonl", "odd/.gz", "odd/\xff.jsonl", "dirlink -> other", "loop -> loop",
	)
	if err := syscall.Mkfifo(filepath.Join(root, "other", "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	lake := filepath.Join(root, "lake")

	for _, tt := range []struct {
		name    string
		args    []string
		want    []string // "File Path", with "!" behind it for an error
		noMatch string
	}{
		{name: "nothing"},
		{name: "file", args: []string{"logs/b.jsonl"}, want: []string{"b.jsonl logs/b.jsonl"}},
		{name: "hidden file", args: []string{"logs/.hidden", "odd/.gz"}, want: []string{".gz odd/.gz", ".hidden logs/.hidden"}},
		{name: "directory", args: []string{"./logs/"}, want: []string{
			"a.jsonl logs/a.jsonl.gz", "b.jsonl logs/b.jsonl", "e.GZ logs/e.GZ", "gone.jsonl logs/gone.jsonl!", "link.jsonl logs/link.jsonl",
			"sub/c.jsonl logs/sub/c.jsonl.zst", "sub/deep/d logs/sub/deep/d.zstd",
		}},
		{name: "linked directory", args: []string{"dirlink"}, want: []string{"o.jsonl dirlink/o.jsonl"}},
		{name: "stdin", args: []string{"-", "-"}, want: []string{"- -"}},
		{name: "glob", args: []string{"logs/*.jsonl"}, want: []string{"b.jsonl logs/b.jsonl", "gone.jsonl logs/gone.jsonl!", "link.jsonl logs/link.jsonl"}},
		{name: "deep glob", args: []string{"logs/sub/**/*.zst*"}, want: []string{"c.jsonl logs/sub/c.jsonl.zst", "deep/d logs/sub/deep/d.zstd"}},
		{name: "glob in the middle", args: []string{"l*/sub/c*"}, want: []string{"logs/sub/c.jsonl logs/sub/c.jsonl.zst"}},
		{name: "alternatives", args: []string{"{other,odd}/[ao].jsonl"}, want: []string{"odd/a.jsonl odd/a.jsonl", "other/o.jsonl other/o.jsonl"}},
		{name: "literal before glob", args: []string{"odd/[a].jsonl"}, want: []string{"[a].jsonl odd/[a].jsonl"}},
		{name: "first argument wins", args: []string{"logs/sub", "logs/sub/c.jsonl.zst", "logs/../logs/sub/deep"}, want: []string{
			"c.jsonl logs/sub/c.jsonl.zst", "deep/d logs/sub/deep/d.zstd",
		}},
		{name: "absolute and relative", args: []string{filepath.Join(root, "other", "o.jsonl"), "other/o.jsonl"}, want: []string{
			"o.jsonl " + filepath.Join(root, "other", "o.jsonl"),
		}},
		{name: "same file name", args: []string{"other", "dirlink"}, want: []string{"o.jsonl dirlink/o.jsonl", "o.jsonl other/o.jsonl"}},
		{name: "fifo", args: []string{"other/fifo"}, want: []string{"fifo other/fifo!"}},
		{name: "fifo in a glob", args: []string{"other/*"}, want: []string{"fifo other/fifo!", "o.jsonl other/o.jsonl"}},
		{name: "device", args: []string{"/dev/null"}, want: []string{"null /dev/null!"}},
		{name: "broken link", args: []string{"logs/gone.jsonl", "loop", "other"}, want: []string{"loop loop!", "o.jsonl other/o.jsonl"}, noMatch: "logs/gone.jsonl"},
		{name: "glob below a loop", args: []string{"loop/*.jsonl", "other"}, want: []string{"*.jsonl loop/*.jsonl!", "o.jsonl other/o.jsonl"}},
		{name: "bad name", args: []string{"odd"}, want: []string{"[a].jsonl odd/[a].jsonl", "a.jsonl odd/a.jsonl", "\uFFFD.jsonl odd/\xff.jsonl"}},
		{name: "below the lake", args: []string{"lake", "lake/part.jsonl"}, noMatch: "lake lake/part.jsonl"},
		{name: "missing", args: []string{"none", "logs/b.jsonl/x", "", "[", "none/**", "empty"}, noMatch: "none logs/b.jsonl/x  [ none/** empty"},
		{name: "one missing", args: []string{"none", "other"}, want: []string{"o.jsonl other/o.jsonl"}, noMatch: "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found, err := Discover(t.Context(), tt.args, lake, nil)
			var got []string
			for _, in := range found {
				s := in.File + " " + in.Path
				if in.Err != nil {
					s += "!"
				} else if in.Path != stdin {
					info, err := os.Stat(in.Path)
					if err != nil || in.Size != info.Size() || !in.ModTime.Equal(info.ModTime()) || in.Inode == 0 {
						t.Errorf("%+v: %v", in, err)
					}
				} else if in.Size != -1 {
					t.Errorf("%+v: want size -1", in)
				}
				got = append(got, s)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if diff := cmp.Diff(tt.noMatch, strings.Join(unmatched(t, err), " ")); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}

	all, err := Discover(t.Context(), []string{"."}, lake, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range all {
		if strings.HasPrefix(in.Path, "lake") {
			t.Errorf("%s was found", in.Path)
		}
	}
	if all, _ = Discover(t.Context(), []string{"**/part.jsonl"}, "", nil); len(all) != 2 {
		t.Errorf("no lake: %v", all)
	}
}

func unmatched(t *testing.T, err error) (args []string) {
	if err == nil {
		return nil
	}
	errs := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs = joined.Unwrap()
	}
	for _, err := range errs {
		var e *NoMatchError
		if !errors.As(err, &e) {
			t.Fatal(err)
		}
		args = append(args, e.Arg)
	}
	return args
}

func TestDiscoverUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	root := tree(t, "a/x.jsonl", "b/y.jsonl", "c/z.jsonl")
	for name, mode := range map[string]fs.FileMode{"a": 0, "b": 0o600} { // b can be listed, but not entered
		dir := filepath.Join(root, name)
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(dir, 0o700) })
	}
	for _, arg := range []string{root, filepath.Join(root, "**"), filepath.Join(root, "*", "*.jsonl")} {
		found, err := Discover(t.Context(), []string{arg}, "", nil)
		if err != nil || len(found) != 3 {
			t.Fatalf("%s: %+v, %v", arg, found, err)
		}
		for i, name := range []string{"a", "b/y.jsonl"} {
			if in := found[i]; in.Path != filepath.Join(root, name) || !errors.Is(in.Err, fs.ErrPermission) {
				t.Errorf("%s: %+v", arg, in)
			}
		}
		if got, err := readStream(t, found[2]); string(got) != "c/z.jsonl" || err != nil {
			t.Errorf("%s: the other input: %q, %v", arg, got, err)
		}
	}
}
