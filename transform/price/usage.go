package price

import (
	"usagelake/schemas"
)

// Row is what a price depends on: the columns of a call, as it is made or as it
// was read back. *schemas.Row and *schemas.Builder are rows.
type Row interface {
	// Quantities fills in those columns of a set that are not NULL, in 10^-6, and
	// returns a bit for every column that is not NULL.
	Quantities(of uint64, to *[schemas.NumColumns]int64) uint64
	Int(c schemas.Col) int64
	Str(c schemas.Col) string
}

// usage is the meters of a row. Quantities are in 10^-6.
type usage struct {
	q      [NumMeters]int64
	input  int64 // all of it
	told   bool  // token counts are reported
	tokens bool  // and are more than 0
	doubt  bool  // parts overlap, and the row does not say how
}

// A way resolves what a row leaves open.
type way int

const (
	// likely takes cached tokens to be text as far as there is any, since
	// caches hold the beginning of prompts, and tokens that were read and written
	// to be the same ones where both do not fit.
	likely way = iota
	// other is the other end of what is possible.
	other
)

// Kinds of input, in the order in which the likely way takes them to be cached.
const (
	text = iota
	video
	image
	audio
	kinds
)

// measure works out the meters of a row.
func (u *usage) measure(r Row, q *quantities, w way) {
	*u = usage{}
	in, hasIn := q.of(schemas.InputTokens)
	out, hasOut := q.of(schemas.OutputTokens)
	read, hasRead := q.of(schemas.CacheReadTokens)
	write, hasWrite := q.of(schemas.CacheWriteTokens)
	write1h, has1h := q.of(schemas.CacheWrite1hTokens)
	if !hasWrite {
		write, hasWrite = write1h, has1h
	}
	var part [kinds]int64
	var hasPart [kinds]bool
	part[image], hasPart[image] = q.of(schemas.InputImageTokens)
	part[audio], hasPart[audio] = q.of(schemas.InputAudioTokens)
	part[video], hasPart[video] = q.of(schemas.InputVideoTokens)
	u.told = hasIn || hasOut || hasRead || hasWrite || hasPart[image] || hasPart[audio] || hasPart[video]
	write1h = min(write1h, write)

	if !hasIn { // it is at least what its parts are
		told, _ := q.of(schemas.InputTextTokens)
		in = max(read+write, told+part[image]+part[audio]+part[video])
	}
	u.input = in
	u.q[CacheWrite], u.q[CacheWrite1h] = write-write1h, write1h
	if part[image]|part[audio]|part[video] == 0 && read+write <= in { // as a rule
		u.q[Input], u.q[CacheRead] = in-read-write, read
	} else {
		u.split(q, w, in, read, write, &part)
	}
	u.output(q, w, out, hasOut)
	u.tokens = in|u.q[Output]|u.q[Reasoning]|u.q[OutputImage]|u.q[OutputAudio] != 0

	if q.has(schemas.ImageCount) {
		u.q[Image] = r.Int(schemas.ImageCount) * 1e6
	}
	u.q[AudioSecond], _ = q.of(schemas.AudioSeconds)
	if q.has(schemas.WebSearchRequests) {
		u.q[Search] = r.Int(schemas.WebSearchRequests) * 1e6
	}
}

// split works out the input where parts of it overlap.
func (u *usage) split(q *quantities, w way, in, read, write int64, part *[kinds]int64) {
	rest := in
	first := [kinds - 1]int{image, audio, video}
	if w == other {
		first = [kinds - 1]int{video, audio, image}
	}
	for _, k := range first { // parts that exceed the whole are cut
		if part[k] > rest {
			part[k], u.doubt = rest, true
		}
		rest -= part[k]
	}
	part[text] = rest

	order := [kinds]int{text, video, image, audio}
	if w == other {
		order = [kinds]int{image, audio, video, text}
	}
	var cached [kinds]int64
	left := min(read, in)
	told := [kinds]bool{}
	for _, c := range [...]struct {
		kind int
		col  schemas.Col
	}{{image, schemas.CacheReadImageTokens}, {audio, schemas.CacheReadAudioTokens}} {
		var v int64
		if v, told[c.kind] = q.of(c.col); told[c.kind] {
			cached[c.kind] = min(v, part[c.kind], left)
			left -= cached[c.kind]
		}
	}
	for _, stuck := range [...]bool{false, true} { // what is told stands, as long as the rest fits elsewhere
		for _, k := range order {
			if told[k] && !stuck {
				continue
			}
			n := min(left, part[k]-cached[k])
			cached[k] += n
			left -= n
		}
	}
	written := write
	if read+write > in {
		u.doubt = true
		if written = max(write-read, 0); w == other {
			written = max(in-read, 0)
		}
	}
	fresh := *part
	for k := range fresh {
		fresh[k] -= cached[k]
	}
	for _, k := range order {
		n := min(written, fresh[k])
		fresh[k] -= n
		written -= n
	}
	if part[image]|part[audio]|part[video] != 0 && read|write != 0 {
		u.doubt = u.doubt || write != 0 || part[video] != 0 || part[image] != 0 && !told[image] || part[audio] != 0 && !told[audio]
	}
	u.q[Input], u.q[InputVideo], u.q[InputImage], u.q[InputAudio] = fresh[text], fresh[video], fresh[image], fresh[audio]
	u.q[CacheReadImage], u.q[CacheReadAudio] = cached[image], cached[audio]
	u.q[CacheRead] = read - cached[image] - cached[audio]
}

// output works out the output. Reasoning is a part of its text.
func (u *usage) output(q *quantities, w way, out int64, has bool) {
	img, hasImg := q.of(schemas.OutputImageTokens)
	aud, hasAud := q.of(schemas.OutputAudioTokens)
	reasoning, _ := q.of(schemas.ReasoningTokens)
	if !has {
		told, hasText := q.of(schemas.OutputTextTokens)
		out = max(told+img+aud, reasoning)
		u.told = u.told || hasImg || hasAud || hasText
	}
	if img+aud > out { // parts that exceed the whole are cut
		u.doubt = true
		if w == likely {
			img = min(img, out)
			aud = out - img
		} else {
			aud = min(aud, out)
			img = out - aud
		}
	}
	rest := out - img - aud
	reasoning = min(reasoning, rest)
	u.q[OutputImage], u.q[OutputAudio] = img, aud
	u.q[Reasoning], u.q[Output] = reasoning, rest-reasoning
}

// measured are the columns that quantities has.
var measured = func() (set uint64) {
	for _, c := range []schemas.Col{
		schemas.InputTokens, schemas.InputTextTokens, schemas.InputImageTokens, schemas.InputAudioTokens, schemas.InputVideoTokens,
		schemas.CacheReadTokens, schemas.CacheReadImageTokens, schemas.CacheReadAudioTokens,
		schemas.CacheWriteTokens, schemas.CacheWrite1hTokens,
		schemas.OutputTokens, schemas.OutputTextTokens, schemas.OutputImageTokens, schemas.OutputAudioTokens, schemas.ReasoningTokens,
		schemas.AudioSeconds,
	} {
		set |= 1 << c
	}
	return set
}()

// quantities are those of a row, in 10^-6.
type quantities struct {
	set uint64 // a bit for every column of the row that is not NULL
	v   [schemas.NumColumns]int64
}

func (q *quantities) has(c schemas.Col) bool { return q.set&(1<<c) != 0 }

// of is a quantity, and whether it is there.
func (q *quantities) of(c schemas.Col) (int64, bool) {
	if !q.has(c) {
		return 0, false
	}
	return q.v[c], true
}
