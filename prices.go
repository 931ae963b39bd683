package usagelake

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/transform/price"
)

// readPrices reads price books and lays each over those before it. It is nil
// where there are none.
func readPrices(paths []string) (*price.List, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	var books []*price.Book
	for _, path := range paths {
		b, err := readBook(path)
		if err != nil {
			return nil, err
		}
		books = append(books, b)
	}
	return price.Overlay(books...)
}

func readBook(path string) (*price.Book, error) {
	f, err := openLimited(path, mostPrices, "price book")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return price.Read(f, path)
}

// mostPrices is how many MiB a book, or a list that is imported, can have.
const mostPrices = 64

// pricer makes a pricer of the run's books, nil where there are none.
func (s *settings) pricer() *price.Pricer {
	if s.prices == nil {
		return nil
	}
	return s.prices.Pricer()
}

// Unpriced is a model whose rows have no cost, or some of them.
type Unpriced struct {
	Provider string   `json:"provider"` // or the vendor whose dialect it is, where rows name none
	Model    string   `json:"model"`
	Rows     int64    `json:"rows"`
	Tokens   string   `json:"tokens"` // input and output of these rows
	Why      []string `json:"why"`
}

// unpriced gathers why rows have no cost.
type unpriced map[sink.Model]price.Missing

func (u unpriced) add(m sink.Model, why price.Missing) {
	if was, ok := u[m]; ok {
		if was|why != was {
			u[m.Clone()] = was | why
		}
		return
	}
	u[m.Clone()] = why
}

func (u unpriced) merge(o unpriced) {
	for m, why := range o {
		u[m] |= why
	}
}

// list is the models of rows that stay.
func (u unpriced) list(rows map[sink.Model]*sink.Tally) []Unpriced {
	var out []Unpriced
	tokens := func(u Unpriced) schemas.Amount {
		t := rows[sink.Model{Provider: u.Provider, Name: u.Model}]
		return t.Sums.At(schemas.InputTokens).Add(t.Sums.At(schemas.OutputTokens))
	}
	for m, t := range rows {
		one := Unpriced{Provider: m.Provider, Model: m.Name, Rows: t.Rows, Why: u[m].Texts()}
		one.Tokens = tokens(one).Text(6)
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b Unpriced) int {
		return cmp.Or(tokens(b).Cmp(tokens(a)), strings.Compare(a.Provider, b.Provider), strings.Compare(a.Model, b.Model))
	})
	return out
}

// PriceProblem is what is wrong with a price book, or looks wrong.
type PriceProblem = price.Problem

// LintPrices looks a price book through.
func LintPrices(path string) ([]PriceProblem, error) {
	f, err := openLimited(path, mostPrices, "price book")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	defer f.Close()
	return price.Lint(f, path)
}

// PriceImport says which prices to bring into which book.
type PriceImport struct {
	From string // litellm or langfuse
	AsOf string // YYYY-MM-DD: the prices are those of this day
	File string
	Out  string // path of the book; made where it is missing
}

// PriceImported is what an import did.
type PriceImported struct {
	Book string `json:"book"`
	price.Changes
	// Left is what the file prices and a book cannot say.
	Left []string `json:"left_out,omitempty"`
}

// ImportPrices brings the prices of a file into a book.
func ImportPrices(cfg PriceImport) (*PriceImported, error) {
	read := price.ImportLiteLLM
	switch cfg.From {
	case "litellm":
	case "langfuse":
		read = price.ImportLangfuse
	default:
		return nil, fmt.Errorf("%w: --from %q: want litellm or langfuse", ErrUsage, cfg.From)
	}
	day, err := time.Parse(time.DateOnly, cfg.AsOf)
	if err != nil {
		return nil, fmt.Errorf("%w: --as-of %q: want a date such as 2026-08-21", ErrUsage, cfg.AsOf)
	}
	if cfg.Out == "" {
		return nil, fmt.Errorf("%w: -o BOOK is missing", ErrUsage)
	}
	f, err := openLimited(cfg.File, mostPrices, "list of prices")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUsage, cfg.File, err)
	}
	in, err := read(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.File, err)
	}
	book, err := readBook(cfg.Out)
	if errors.Is(err, fs.ErrNotExist) {
		name := strings.TrimSuffix(filepath.Base(cfg.Out), filepath.Ext(cfg.Out))
		book, err = &price.Book{Name: name, Source: priceSources[cfg.From]}, nil
	}
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	changes, err := book.Update(in, price.Import{From: cfg.From, AsOf: cfg.AsOf, SHA256: hex.EncodeToString(sum[:])}, day.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Out, err)
	}
	var text bytes.Buffer
	if err := book.Write(&text); err != nil {
		return nil, err
	}
	if _, err := price.Read(bytes.NewReader(text.Bytes()), cfg.Out); err != nil {
		return nil, fmt.Errorf("what was made is no book: %w", err)
	}
	return &PriceImported{Book: cfg.Out, Changes: changes, Left: in.Left}, replaceFile(cfg.Out, text.Bytes())
}

// priceSources is where the files of importers are published.
var priceSources = map[string]string{
	"litellm":  "https://github.com/BerriAI/litellm/blob/main/model_prices_and_context_window.json",
	"langfuse": "https://github.com/langfuse/langfuse/blob/main/worker/src/constants/default-model-prices.json",
}

// replaceFile writes a file whole, or leaves the old one.
func replaceFile(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, because(err))
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", path, because(err))
		}
	}()
	_, err = f.Write(data)
	if e := f.Chmod(0o644); err == nil {
		err = e
	}
	if e := f.Sync(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// PricePlace names rows of a lake: those of a call, or those of a line.
type PricePlace struct {
	RequestID string
	File      string // source_file
	Line      int64
}

// PriceExplained is what a row costs, and why.
type PriceExplained struct {
	Partition string       `json:"partition"`
	File      string       `json:"source_file"`
	Line      int64        `json:"source_line"`
	RequestID string       `json:"request_id,omitempty"`
	Time      string       `json:"event_time"`
	Provider  string       `json:"provider"` // or the vendor whose dialect it is, where the row names none
	Model     string       `json:"model"`
	Lines     []price.Line `json:"lines"`
	// Cost is by the books that are given; "" where there is none, and Why says
	// why. Stored is the row's own.
	Cost          string   `json:"cost_usd,omitempty"`
	PriceID       string   `json:"price_id,omitempty"`
	Why           []string `json:"unpriced,omitempty"`
	Assumed       bool     `json:"price_assumed,omitempty"`
	Stored        string   `json:"stored_cost_usd,omitempty"`
	StoredPriceID string   `json:"stored_price_id,omitempty"`
	Reported      string   `json:"reported_cost_usd,omitempty"`
}

// ExplainPrice prices rows of a lake by the books of cfg, line by line. It
// changes nothing.
func ExplainPrice(ctx context.Context, cfg Config, at PricePlace) (out []PriceExplained, err error) {
	s, err := cfg.check()
	if err != nil {
		return nil, err
	}
	if s.prices == nil {
		return nil, fmt.Errorf("%w: --prices BOOK is missing", ErrUsage)
	}
	if (at.RequestID == "") == (at.File == "" || at.Line <= 0) {
		return nil, fmt.Errorf("%w: name a row by --request-id, or by --source-file and --source-line", ErrUsage)
	}
	lake, err := lookAt(s.Lake, s.FS)
	if err != nil {
		return nil, err
	}
	defer lake.Close()
	t := tableOf(ctx, lake)
	units, err := t.units(schemas.Usage)
	if err != nil {
		return nil, err
	}
	p := s.pricer()
	for _, unit := range units {
		err := t.each(unit, at.RequestID, func(r *schemas.Row) {
			src := t.sources.At(r.Source)
			if at.RequestID != "" && r.Str(schemas.RequestID) != at.RequestID || at.File != "" && (src.File != at.File || r.Int(schemas.SourceLine) != at.Line) {
				return
			}
			out = append(out, explainPrice(p, r, src, unit))
		})
		if err != nil {
			return nil, meanwhile(ctx, lake, err)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no such row in the lake")
	}
	return out, nil
}

func explainPrice(p *price.Pricer, r *schemas.Row, src sink.Source, unit schemas.Unit) PriceExplained {
	q, lines := p.Explain(r)
	m := sink.ModelOf(r).Clone()
	e := PriceExplained{
		Partition: unit.Dir(), File: src.File, Line: r.Int(schemas.SourceLine), RequestID: strings.Clone(r.Str(schemas.RequestID)),
		Time:     time.UnixMicro(r.Int(schemas.EventTime)).UTC().Format(time.RFC3339Nano),
		Provider: m.Provider, Model: m.Name, Lines: lines, PriceID: q.ID, Why: q.Missing.Texts(), Assumed: q.Assumed,
		StoredPriceID: strings.Clone(r.Str(schemas.PriceID)),
	}
	if q.Priced() {
		e.Cost = schemas.AmountOf(q.Nanos).Text(9)
	}
	if r.Has(schemas.CostUSD) {
		e.Stored = schemas.AmountOf(r.Int(schemas.CostUSD)).Text(9)
	}
	if r.Has(schemas.ReportedCostUSD) {
		e.Reported = schemas.AmountOf(r.Int(schemas.ReportedCostUSD)).Text(9)
	}
	return e
}
