package sink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"usagelake/schemas"
	"usagelake/sink/encode"
)

// The layout of a file. A page holds a fixed count of rows, counted from the
// start of its row group, whatever the values are.
const (
	groupRows = 1 << 20 // rows of a row group; the last one may hold fewer
	pageRows  = ChunkRows
	textRows  = 8_192   // rows of a page of mostly distinct strings
	dictBytes = 1 << 20 // a dictionary beyond it is given up at the end of the page
	bloomBits = 10      // for each row of request_id

	rootName  = "usagelake"
	createdBy = "usagelake version 1 (build parquet-go)"

	keyVersion   = "usagelake.schema_version"
	keyPartition = "usagelake.partition"
	keyRows      = "usagelake.rows"
)

// sortKey is the order of the rows of a file, strictly ascending.
var sortKey = [...]schemas.Col{
	schemas.EventTime, schemas.SourceFile, schemas.SourceLine, schemas.SourceRow, schemas.SourceID,
}

// pageLen is the count of rows in a page of c.
func pageLen(c schemas.Col) int {
	if schemas.Columns[c].Plain {
		return textRows
	}
	return pageRows
}

// hasDict reports whether the pages of c refer to a dictionary, as long as it
// is not too large. Few programs write other keys than others into extra_json;
// ids are all different.
func hasDict(c schemas.Col) bool {
	switch col := schemas.Columns[c]; col.Kind {
	case schemas.String:
		return !col.Plain || c == schemas.ExtraJSON
	case schemas.Double, schemas.Money:
		return true
	}
	return c == schemas.ImageCount || c == schemas.WebSearchRequests || c == schemas.Requests
}

// layout is how the files of a table are laid out.
type layout struct {
	*encode.Layout
	schema  *parquet.Schema
	columns []schemas.Col // by number in the file
	numbers [schemas.NumColumns]int
	sorting []format.SortingColumn // sortKey as a footer declares it
}

// layouts are made when they are first needed: many runs of the program need none.
var layouts = [schemas.NumTables]func() *layout{
	sync.OnceValue(func() *layout { return newLayout(schemas.Usage) }),
	sync.OnceValue(func() *layout { return newLayout(schemas.Reports) }),
}

func layoutOf(t schemas.Table) *layout { return layouts[t]() }

func newLayout(t schemas.Table) *layout {
	l := &layout{schema: newSchema(t), columns: t.Columns(), sorting: make([]format.SortingColumn, len(sortKey))}
	specs := make([]encode.Spec, len(l.columns))
	for i, c := range l.columns {
		l.numbers[c] = i
		if hasDict(c) {
			specs[i] = encode.Spec{Dict: dictBytes}
		}
	}
	specs[l.numbers[schemas.RequestID]].Bloom = bloomBits
	for i, c := range sortKey {
		l.sorting[i].ColumnIdx = int32(l.numbers[c])
	}
	l.Layout = encode.NewLayout(l.schema, specs, l.sorting, createdBy)
	return l
}

// table is a group of columns in table order. A parquet.Group alone sorts them
// by name.
type table struct {
	parquet.Group
	fields []parquet.Field
}

func (t *table) Fields() []parquet.Field { return t.fields }

func newSchema(t schemas.Table) *parquet.Schema {
	group := parquet.Group{}
	for _, c := range t.Columns() {
		group[c.String()] = node(c)
	}
	fields := make([]parquet.Field, len(t.Columns()))
	for _, f := range group.Fields() {
		c, _ := schemas.Lookup(f.Name())
		fields[slices.Index(t.Columns(), c)] = f
	}
	return parquet.NewSchema(rootName, &table{group, fields})
}

func node(c schemas.Col) parquet.Node {
	var n parquet.Node
	switch schemas.Columns[c].Kind {
	case schemas.Time:
		n = parquet.Timestamp(parquet.Microsecond)
	case schemas.String:
		n = parquet.String()
	case schemas.Double:
		n = parquet.Leaf(parquet.DoubleType)
	case schemas.Int:
		n = parquet.Leaf(parquet.Int64Type)
	case schemas.Bool:
		n = parquet.Leaf(parquet.BooleanType)
	case schemas.Money:
		n = parquet.Decimal(9, 18, parquet.Int64Type)
	}
	if hasDict(c) {
		n = parquet.Encoded(n, &parquet.RLEDictionary)
	} else {
		n = parquet.Encoded(n, &parquet.Plain)
	}
	if !c.Required() {
		n = parquet.Optional(n)
	}
	return parquet.FieldID(n, c.FieldID())
}

// kindTypes is how each kind is declared in the footer. All of one kind are
// required, or none.
var kindTypes = [...]string{
	schemas.Time:   "REQUIRED INT64 TIMESTAMP(isAdjustedToUTC=true,unit=MICROS)",
	schemas.String: "OPTIONAL BYTE_ARRAY STRING",
	schemas.Double: "OPTIONAL DOUBLE ",
	schemas.Int:    "OPTIONAL INT64 INT(64,true)",
	schemas.Bool:   "OPTIONAL BOOLEAN ",
	schemas.Money:  "OPTIONAL INT64 DECIMAL(18,9)",
}

// guard turns a panic of parquet-go, which is how it answers misuse and some
// damaged files, into an error.
func guard(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v", p)
	}
}

// file is a file of a table whose footer and page index are right.
type file struct {
	*encode.Footer
	layout *layout
	r      io.ReaderAt
}

// chunk is what the footer says of a column in a row group.
func (f *file) chunk(group int, c schemas.Col) *format.ColumnMetaData {
	return &f.Groups[group].Columns[f.layout.numbers[c]].MetaData
}

// pages are where those of a column are in a row group.
func (f *file) pages(group int, c schemas.Col) []format.PageLocation {
	return f.Offsets[group*len(f.layout.columns)+f.layout.numbers[c]].PageLocations
}

// open reads the footer of a file of a table and holds it against the file rules.
// One that is not as this program writes it is for parquet-go to read, or to say
// what is wrong.
func open(r io.ReaderAt, size int64, t schemas.Table) (*file, error) {
	l := layoutOf(t)
	f, err := l.ReadFooter(r, size)
	if errors.Is(err, encode.ErrFooter) {
		f, err = l.foreign(r, size)
	}
	if err != nil {
		return nil, err
	}
	if err := l.checkFooter(f, size); err != nil {
		return nil, fmt.Errorf("footer: %w", err)
	}
	return &file{f, l, r}, nil
}

// foreign reads the footer of any Parquet file that has this layout.
func (l *layout) foreign(r io.ReaderAt, size int64) (*encode.Footer, error) {
	f, err := parquet.OpenFile(r, size, parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, err
	}
	m := f.Metadata()
	if m.CreatedBy != createdBy {
		return nil, fmt.Errorf("footer: created by %q", m.CreatedBy)
	}
	if err := l.checkSchema(m.Schema); err != nil {
		return nil, fmt.Errorf("footer: %w", err)
	}
	for i := range m.RowGroups {
		g := &m.RowGroups[i]
		if !slices.Equal(g.SortingColumns, l.sorting) {
			return nil, fmt.Errorf("footer: row group %d: sorted by %v", i, g.SortingColumns)
		}
		if len(g.Columns) != len(l.columns) {
			return nil, fmt.Errorf("footer: row group %d: %d columns", i, len(g.Columns))
		}
	}
	if n := len(m.RowGroups) * len(l.columns); len(f.ColumnIndexes()) != n || len(f.OffsetIndexes()) != n {
		return nil, errors.New("footer: no page index")
	}
	return &encode.Footer{
		Rows: m.NumRows, Groups: m.RowGroups, Metadata: m.KeyValueMetadata,
		Pages: f.ColumnIndexes(), Offsets: f.OffsetIndexes(),
	}, nil
}

// key is what a footer says by name, "" where it does not.
func key(f *encode.Footer, name string) string {
	for _, kv := range f.Metadata {
		if kv.Key == name {
			return kv.Value
		}
	}
	return ""
}

func (l *layout) checkFooter(f *encode.Footer, size int64) error {
	if v := key(f, keyVersion); v != strconv.Itoa(schemas.Version) {
		return fmt.Errorf("schema version %q", v)
	}
	if v := key(f, keyRows); v != strconv.FormatInt(f.Rows, 10) {
		return fmt.Errorf("%s is %q, want %d", keyRows, v, f.Rows)
	}
	var rows int64
	for i := range f.Groups {
		g := &f.Groups[i]
		last := i == len(f.Groups)-1
		if g.NumRows <= 0 || g.NumRows > groupRows || !last && g.NumRows < groupRows {
			return fmt.Errorf("row group %d of %d: %d rows", i, len(f.Groups), g.NumRows)
		}
		rows += g.NumRows
		if err := l.checkGroup(f, i, size); err != nil {
			return fmt.Errorf("row group %d: %w", i, err)
		}
	}
	if rows != f.Rows || rows == 0 {
		return fmt.Errorf("%d rows in row groups, %d in the file", rows, f.Rows)
	}
	return nil
}

func (l *layout) checkSchema(elements []format.SchemaElement) error {
	if len(elements) != len(l.columns)+1 {
		return fmt.Errorf("%d schema elements", len(elements))
	}
	if elements[0].Name != rootName {
		return fmt.Errorf("root is %q", elements[0].Name)
	}
	for i, c := range l.columns {
		e := &elements[i+1]
		if e.Name != c.String() || int(e.FieldID) != c.FieldID() {
			return fmt.Errorf("column %q with id %d, want %v with id %d", e.Name, e.FieldID, c, c.FieldID())
		}
		kind := fmt.Sprintf("%v %v %v", e.RepetitionType.V, e.Type.V, &e.LogicalType)
		if want := kindTypes[schemas.Columns[c].Kind]; kind != want {
			return fmt.Errorf("%v is %s, want %s", c, kind, want)
		}
	}
	return nil
}

func (l *layout) checkGroup(f *encode.Footer, ordinal int, size int64) error {
	g := &f.Groups[ordinal]
	for k, c := range l.columns {
		chunk := &g.Columns[k]
		if chunk.MetaData.Codec != f.Groups[0].Columns[0].MetaData.Codec {
			return fmt.Errorf("%v: mixed codecs", c)
		}
		if err := checkChunk(c, &chunk.MetaData, g.NumRows); err != nil {
			return fmt.Errorf("%v: %w", c, err)
		}
		i := ordinal*len(l.columns) + k
		if err := checkPages(c, &chunk.MetaData, &f.Offsets[i], &f.Pages[i], size); err != nil {
			return fmt.Errorf("%v: %w", c, err)
		}
	}
	return nil
}

func checkChunk(c schemas.Col, m *format.ColumnMetaData, rows int64) error {
	if m.Codec != format.Zstd && m.Codec != format.Snappy {
		return fmt.Errorf("codec %v", m.Codec)
	}
	if m.NumValues != rows {
		return fmt.Errorf("%d values in %d rows", m.NumValues, rows)
	}
	allowed := func(e format.Encoding) bool {
		return e == format.Plain || e == format.RLE || e == format.RLEDictionary && hasDict(c)
	}
	for _, e := range m.Encoding {
		if !allowed(e) {
			return fmt.Errorf("encoding %v", e)
		}
	}
	for _, p := range m.EncodingStats {
		if p.PageType != format.DataPage && p.PageType != format.DictionaryPage || !allowed(p.Encoding) {
			return fmt.Errorf("%v in %v", p.PageType, p.Encoding)
		}
	}
	s := &m.Statistics
	if s.NullCount < 0 || s.NullCount > rows || s.NullCount > 0 && c.Required() {
		return fmt.Errorf("%d NULLs in %d rows", s.NullCount, rows)
	}
	if some := s.NullCount < rows; some != (s.MinValue != nil) || some != (s.MaxValue != nil) {
		return errors.New("no minimum and maximum")
	}
	if bytes.Compare(s.MinValue, s.MaxValue) > 0 && schemas.Columns[c].Kind == schemas.String {
		return errors.New("minimum over maximum")
	}
	if (m.BloomFilterOffset > 0) != (c == schemas.RequestID) {
		return fmt.Errorf("bloom filter at %d", m.BloomFilterOffset)
	}
	return nil
}

// checkPages holds the page cuts and the page index against the chunk.
func checkPages(c schemas.Col, m *format.ColumnMetaData, offsets *format.OffsetIndex, pages *format.ColumnIndex, size int64) error {
	cut := int64(pageLen(c))
	n := int((m.NumValues + cut - 1) / cut)
	if len(offsets.PageLocations) != n || len(pages.NullCounts) != n || len(pages.NullPages) != n {
		return fmt.Errorf("%d pages, want %d", len(offsets.PageLocations), n)
	}
	end := m.DataPageOffset
	var nulls int64
	for i, p := range offsets.PageLocations {
		if p.FirstRowIndex != int64(i)*cut {
			return fmt.Errorf("page %d starts at row %d", i, p.FirstRowIndex)
		}
		if p.Offset != end {
			return fmt.Errorf("page %d starts at byte %d, want %d", i, p.Offset, end)
		}
		if p.CompressedPageSize <= 0 {
			return fmt.Errorf("page %d has %d bytes", i, p.CompressedPageSize)
		}
		end += int64(p.CompressedPageSize)
		nulls += pages.NullCounts[i]
	}
	start := m.DataPageOffset
	if m.DictionaryPageOffset != 0 {
		start = m.DictionaryPageOffset
	}
	if start <= 0 || start > m.DataPageOffset || end > size {
		return fmt.Errorf("pages from byte %d, %d to %d of %d", start, m.DataPageOffset, end, size)
	}
	if end != start+m.TotalCompressedSize {
		return fmt.Errorf("pages end at byte %d, want %d", end, start+m.TotalCompressedSize)
	}
	if nulls != m.Statistics.NullCount {
		return fmt.Errorf("%d NULLs in pages, %d in the column", nulls, m.Statistics.NullCount)
	}
	return nil
}
