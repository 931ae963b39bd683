package cube

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"usagelake/schemas"
)

var testSpecs = []Spec{
	{Name: "calls", Measures: []Measure{{Name: "n", Weighs: true}, {Name: "usd", Decimals: 9, Weighs: true}, {Name: "tokens", Decimals: 6}}, Cells: 2000, Levels: []Level{
		{Span: Days, Keep: [NumDims]int{10, 40, 20}},
		{Daily: 10, Span: Weeks, Keep: [NumDims]int{10, 20, 10}},
		{Span: Months, Keep: [NumDims]int{2, 4, 2}},
		{Span: All, Keep: [NumDims]int{1, 1, 0}},
	}},
	{Name: "users", Measures: []Measure{{Name: "n", Weighs: true}}, Cells: 1000, Levels: []Level{
		{Span: Days, Keep: [NumDims]int{10, 40, 20, 50}},
		{Span: Months, Keep: [NumDims]int{10, 0, 0, 10}},
	}},
}

// A row of the model.
type modelRow struct {
	day                            schemas.Day
	provider, model, project, user string
	usd, tokens                    int64
}

func randomRows(r *rand.Rand, n, names int) []modelRow {
	name := func(kind string) string {
		if r.IntN(20) == 0 {
			return ""
		}
		return fmt.Sprintf("%s-%d", kind, int(float64(names)*r.Float64()*r.Float64()))
	}
	rows := make([]modelRow, n)
	for i := range rows {
		rows[i] = modelRow{schemas.Day(20000 + r.IntN(60)), []string{"", "a", "b", "c"}[r.IntN(4)], name("m"), name("j"), name("u"), r.Int64N(1e12), r.Int64N(5) * 1e6}
		if r.IntN(50) == 0 {
			rows[i].usd = -rows[i].usd
		}
	}
	slices.SortStableFunc(rows, func(a, b modelRow) int { return int(a.day - b.day) })
	return rows
}

// sumUp adds rows day by day, as a table is read.
func sumUp(rows []modelRow, tune func(*Cube)) *Cube {
	all := New(rows[len(rows)-1].day, testSpecs)
	tune(all)
	for len(rows) > 0 {
		day := rows[0].day
		c := OfDay(day, testSpecs)
		tune(c)
		for len(rows) > 0 && rows[0].day == day {
			row := rows[0]
			rows = rows[1:]
			id := func(n *Names, s string) uint32 {
				if s == "" {
					return None
				}
				return n.ID([]byte(s))
			}
			k := Key{day, [NumDims]uint32{id(&c.Shared[Provider], row.provider), id(&c.Shared[Model], row.model), id(&c.Shared[Project], row.project), None}}
			cell := c.Tables[0].Cell(k)
			for i, v := range []int64{1, row.usd, row.tokens} {
				cell[i] = cell[i].Add(schemas.AmountOf(v))
			}
			k.Is[Item] = id(&c.Tables[1].Items, row.user)
			cell = c.Tables[1].Cell(k)
			cell[0] = cell[0].Add(schemas.AmountOf(1))
			if len(rows)%50 == 0 {
				c.Tidy()
			}
		}
		c.Tidy()
		all.Merge(c)
	}
	return all
}

// shown is a cell as the page reads it.
type shown struct {
	day  int64
	name [NumDims]string
}

// decode reads a sheet, as cube.js does: sums in 10^-9.
func decode(t *testing.T, s *Sheets, table string) map[shown]map[string]*big.Int {
	t.Helper()
	sheet := s.Tables[table]
	numbers := func(data []byte) (list []*big.Int) {
		for len(list) < sheet.Cells {
			v, shift := new(big.Int), uint(0)
			for len(data) > 0 {
				b := data[0]
				data = data[1:]
				v.Or(v, new(big.Int).Lsh(big.NewInt(int64(b&127)), shift))
				shift += 7
				if b < 128 {
					break
				}
			}
			list = append(list, v)
		}
		if len(data) > 0 {
			t.Fatalf("%s: %d bytes are left", table, len(data))
		}
		return list
	}
	cells := make([]shown, sheet.Cells)
	day := int64(0)
	for i, v := range numbers(sheet.Keys["day"]) {
		day += v.Int64()
		cells[i].day = day
	}
	for d, names := range [NumDims][]string{s.Providers, s.Models, s.Projects, sheet.Items} {
		for i, v := range numbers(sheet.Keys[dimNames[d]]) {
			cells[i].name[d] = append([]string{"OTHER", ""}, names...)[v.Int64()]
		}
	}
	out := map[shown]map[string]*big.Int{}
	for name, c := range sheet.Sums {
		total := new(big.Int)
		for i, v := range numbers(c.Data) {
			if c.Signed {
				odd := v.Bit(0) == 1
				if v.Rsh(v, 1); odd {
					v.Neg(v)
				}
			}
			v.Mul(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(9-c.Decimals)), nil))
			total.Add(total, v)
			if out[cells[i]] == nil {
				out[cells[i]] = map[string]*big.Int{}
			}
			out[cells[i]][name] = v
		}
		want, err := schemas.ParseAmount(c.Total, 9)
		if err == nil && new(big.Int).SetInt64(0).Cmp(total) <= 0 {
			if got, _ := schemas.ParseAmount(total.String(), 0); got != want {
				t.Errorf("%s %s: the total is %s, the cells are %s in 10^-9", table, name, c.Total, total)
			}
		}
	}
	if len(out) != sheet.Cells {
		t.Errorf("%s: %d cells, %d of them differ", table, sheet.Cells, len(out))
	}
	return out
}

func model(rows []modelRow, key func(modelRow) shown) map[shown]map[string]*big.Int {
	out := map[shown]map[string]*big.Int{}
	add := func(m map[string]*big.Int, name string, v, unit int64) {
		if m[name] == nil {
			m[name] = new(big.Int)
		}
		m[name].Add(m[name], new(big.Int).Mul(big.NewInt(v), big.NewInt(unit)))
	}
	for _, r := range rows {
		k := key(r)
		if out[k] == nil {
			out[k] = map[string]*big.Int{}
		}
		add(out[k], "n", 1, 1e9)
		add(out[k], "usd", r.usd, 1)
		add(out[k], "tokens", r.tokens, 1000)
	}
	return out
}

func equal(t *testing.T, got, want map[shown]map[string]*big.Int, measures ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d cells, want %d", len(got), len(want))
	}
	for k, sums := range want {
		for _, m := range measures {
			if got[k] == nil || got[k][m].Cmp(sums[m]) != 0 {
				t.Errorf("%v %s: %v, want %v", k, m, got[k][m], sums[m])
				return
			}
		}
	}
}

var plenty = map[string]int{"calls": 1 << 30, "users": 1 << 30}

// Without limits every cell is what a plain sum says.
func TestCubeLikeTheModel(t *testing.T) {
	for seed := range uint64(20) {
		rows := randomRows(rand.New(rand.NewPCG(seed, 1)), 1500, 12)
		c := sumUp(rows, func(c *Cube) {
			for _, t := range c.Tables {
				t.most = 1 << 30
			}
		})
		s := c.Fit(plenty, 1<<30)
		equal(t, decode(t, s, "calls"), model(rows, func(r modelRow) shown {
			return shown{int64(r.day), [NumDims]string{r.provider, r.model, r.project, ""}}
		}), "n", "usd", "tokens")
		equal(t, decode(t, s, "users"), model(rows, func(r modelRow) shown {
			return shown{int64(r.day), [NumDims]string{r.provider, r.model, r.project, r.user}}
		}), "n")
		if s.Tables["calls"].Early || len(s.Tables["calls"].Folded) > 0 || s.Tables["calls"].Span != Days {
			t.Errorf("it says that something is folded: %+v", s.Tables["calls"])
		}
	}
}

// Whatever is folded, totals are exact, a name that is kept has all that it has
// unless the sheet says otherwise, and limits hold.
func TestCubeBounded(t *testing.T) {
	folded := map[string]bool{}
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 2))
		rows := randomRows(r, 500+r.IntN(4000), 1+r.IntN(400))
		budget := map[string]int{"calls": 1 << r.IntN(16), "users": 1 << r.IntN(16)}
		names := 40 + r.IntN(400)
		c := sumUp(rows, func(c *Cube) { c.mostNames = names })
		for _, table := range c.Tables {
			if table.Len() > table.most && table.level < len(table.levels)-1 || table.Items.Len() > names || c.Shared[Model].Len() > names {
				t.Fatalf("%s has %d cells, %d items", table.Name, table.Len(), table.Items.Len())
			}
		}
		s := c.Fit(budget, budget["calls"])
		for _, table := range []string{"calls", "users"} {
			sheet, measures := s.Tables[table], []string{"n"}
			if table == "calls" {
				measures = []string{"n", "usd", "tokens"}
			}
			folded[fmt.Sprint(table, sheet.Span, sheet.Early, len(sheet.Folded) > 0)] = true
			got, all := decode(t, s, table), map[string]*big.Int{"n": {}, "usd": {}, "tokens": {}}
			for _, sums := range got {
				for _, m := range measures {
					all[m].Add(all[m], sums[m])
				}
			}
			want := model(rows, func(modelRow) shown { return shown{} })[shown{}]
			for _, m := range measures {
				if all[m].Cmp(want[m]) != 0 {
					t.Fatalf("%s %s: %s in all, want %s", table, m, all[m], want[m])
				}
			}
			if sheet.Early {
				continue
			}
			for d, name := range map[Dim]func(modelRow) string{
				Model: func(r modelRow) string { return r.model }, Project: func(r modelRow) string { return r.project }, Item: func(r modelRow) string { return r.user },
			} {
				if d == Item && table == "calls" {
					continue
				}
				kept, has := map[string]int64{}, map[string]*big.Int{}
				for _, r := range rows {
					kept[name(r)] += 1e9
				}
				for k, sums := range got {
					if has[k.name[d]] == nil {
						has[k.name[d]] = new(big.Int)
					}
					has[k.name[d]].Add(has[k.name[d]], sums["n"])
				}
				for name, n := range has {
					if name != "OTHER" && n.Cmp(big.NewInt(kept[name])) != 0 {
						t.Errorf("%s: %q has %s, want %d", table, name, n, kept[name])
					}
				}
			}
		}
	}
	if len(folded) < 8 {
		t.Errorf("only %v", slices.Sorted(maps.Keys(folded)))
	}
}

// The names that weigh most are kept.
func TestCubeKeepsTheLargest(t *testing.T) {
	var rows []modelRow
	for i := range 300 {
		usd := int64(1)
		if i == 7 {
			usd = 1e12
		}
		for range 1 + i%3 {
			rows = append(rows, modelRow{day: 20000, model: fmt.Sprintf("m-%03d", i), usd: usd})
		}
	}
	for range 50 {
		rows = append(rows, modelRow{day: 20000, model: "often"})
	}
	s := sumUp(rows, func(*Cube) {}).Fit(nil, 400)
	if got := s.Models[:2]; !slices.Contains(got, "m-007") || !slices.Contains(got, "often") {
		t.Errorf("kept %v", s.Models)
	}
	if s.Tables["calls"].Folded["model"] < 250 {
		t.Errorf("folded %v", s.Tables["calls"].Folded)
	}
}

// The same rows give the same bytes.
func TestCubeDeterministic(t *testing.T) {
	rows := randomRows(rand.New(rand.NewPCG(3, 3)), 3000, 300)
	var before []byte
	for range 5 {
		data, err := json.Marshal(sumUp(rows, func(c *Cube) { c.mostNames = 100 }).Fit(map[string]int{"users": 1000}, 3000))
		if err != nil {
			t.Fatal(err)
		}
		if before != nil && !bytes.Equal(before, data) {
			t.Fatal("other bytes")
		}
		before = data
	}
}

// Sums that no 64 bits hold are written whole.
func TestNumbers(t *testing.T) {
	most := schemas.AmountOf(1<<63 - 1)
	for _, v := range []schemas.Amount{{}, schemas.AmountOf(127), schemas.AmountOf(128), most, most.Add(most), most.Times(1000), most.Times(1 << 40)} {
		got, shift := new(big.Int), uint(0)
		for _, b := range appendNumber(nil, v) {
			got.Or(got, new(big.Int).Lsh(big.NewInt(int64(b&127)), shift))
			shift += 7
		}
		if got.String() != v.Text(0) {
			t.Errorf("%s became %s", v.Text(0), got)
		}
	}
	if b := appendNumber(nil, schemas.AmountOf(300)); !bytes.Equal(b, binary.AppendUvarint(nil, 300)) {
		t.Errorf("300 is %v", b)
	}
}

func TestPeriods(t *testing.T) {
	day := func(s string) schemas.Day {
		d, err := schemas.ParseDay(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	last := day("2026-08-20")
	for _, c := range []struct {
		level     Level
		day, want string
	}{
		{Level{Span: Days}, "2026-08-20", "2026-08-20"},
		{Level{Span: Weeks}, "2026-08-20", "2026-08-17"},
		{Level{Span: Weeks}, "2026-08-17", "2026-08-17"},
		{Level{Span: Weeks}, "2026-08-16", "2026-08-10"},
		{Level{Span: Weeks, Daily: 4}, "2026-08-17", "2026-08-17"},
		{Level{Span: Weeks, Daily: 3}, "2026-08-18", "2026-08-18"},
		{Level{Span: Weeks, Daily: 1}, "2026-08-19", "2026-08-17"},
		{Level{Span: Months}, "2026-08-20", "2026-08-01"},
		{Level{Span: Months}, "2024-02-29", "2024-02-01"},
		{Level{Span: All}, "2026-08-20", "1970-01-01"},
	} {
		if got := c.level.start(day(c.day), last); got.String() != c.want {
			t.Errorf("%s with %+v is in %s, want %s", c.day, c.level, got, c.want)
		}
	}
}

// A name that was folded when it was small, and is large at last, is known to
// lack a part.
func TestCubeFoldedEarly(t *testing.T) {
	var rows []modelRow
	for d := range schemas.Day(30) {
		for i := range 100 {
			rows = append(rows, modelRow{day: 20000 + d, model: fmt.Sprintf("m-%03d", i), usd: int64(2 + 100 - i)})
		}
		n := 1
		if d == 29 {
			n = 500
		}
		for range n {
			rows = append(rows, modelRow{day: 20000 + d, model: "late", usd: 1})
		}
	}
	s := sumUp(rows, func(*Cube) {}).Fit(plenty, 1<<30)
	n := new(big.Int)
	for k, sums := range decode(t, s, "calls") {
		if k.name[Model] == "late" {
			n.Add(n, sums["n"])
		}
	}
	if n.Cmp(big.NewInt(529e9)) == 0 {
		t.Fatal("nothing of it was folded: the test shows nothing")
	}
	if !s.Tables["calls"].Early {
		t.Errorf("late has %s of 529e9, and it does not say so", n)
	}
}
