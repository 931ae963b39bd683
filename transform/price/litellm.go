package price

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// Imported is what an importer made of a file.
type Imported struct {
	Entries []Entry // without a time, unless the file has one
	// Left is what the file prices and a book cannot say, for people.
	Left []string
}

// liteFields are the fields of LiteLLM's file that price a meter, without the
// suffixes for tiers and contexts.
var liteFields = map[string]Meter{
	"input_cost_per_token":                      Input,
	"input_cost_per_image_token":                InputImage,
	"input_cost_per_audio_token":                InputAudio,
	"input_cost_per_video_token":                InputVideo,
	"cache_read_input_token_cost":               CacheRead,
	"input_cost_per_token_cache_hit":            CacheRead,
	"cache_read_input_image_token_cost":         CacheReadImage,
	"cache_read_input_audio_token_cost":         CacheReadAudio,
	"cache_creation_input_token_cost":           CacheWrite,
	"cache_creation_input_token_cost_above_1hr": CacheWrite1h,
	"output_cost_per_token":                     Output,
	"output_cost_per_image_token":               OutputImage,
	"output_cost_per_audio_token":               OutputAudio,
	"output_cost_per_reasoning_token":           Reasoning,
	"input_cost_per_query":                      Request,
	"input_cost_per_request":                    Request,
	"input_cost_per_second":                     AudioSecond,
	"input_cost_per_audio_per_second":           AudioSecond,
	"output_cost_per_image":                     Image,
	"input_cost_per_image":                      Image,
}

// liteTiers are suffixes of fields, and the service tiers they are for.
var liteTiers = map[string]string{"_batches": "batch", "_flex": "flex", "_priority": "priority", "_ultrafast": "ultrafast", "_fast": "fast", "_balanced": "balanced"}

// liteProviders are the names that rows have for LiteLLM's providers, where they
// are not the same alone.
var liteProviders = map[string][]string{
	"text-completion-openai": {"openai"},
	"azure":                  {"azure", "azure.ai.openai"},
	"azure_ai":               {"azure_ai", "azure", "azure.ai.inference"},
	"bedrock":                {"aws_bedrock", "bedrock", "aws.bedrock"},
	"bedrock_converse":       {"aws_bedrock", "bedrock", "aws.bedrock"},
	"gemini":                 {"google", "gemini", "gcp.gemini"},
	"vertex_ai":              {"vertex_ai", "gcp.vertex_ai"},
	"xai":                    {"xai", "x_ai"},
	"mistral":                {"mistral", "mistral_ai"},
	"cohere_chat":            {"cohere"},
}

var (
	liteAbove = regexp.MustCompile(`_above_(\d+)k_tokens`)
	liteSize  = regexp.MustCompile(`^(\d+)-x-(\d+)$`)
	// litePrice matches the names of fields on which a price depends.
	litePrice = regexp.MustCompile(`cost|pricing|multiplier|free_requests`)
)

// condition is what a price of the file depends on.
type condition struct {
	tier  string
	above int64
}

func (c condition) compare(o condition) int {
	return cmp.Or(strings.Compare(c.tier, o.tier), cmp.Compare(c.above, o.above))
}

// liteField takes a field's name apart.
func liteField(name string) (m Meter, c condition, ok bool) {
	if at := liteAbove.FindStringSubmatchIndex(name); at != nil {
		k, err := strconv.ParseInt(name[at[2]:at[3]], 10, 64)
		if err != nil || k > 1e9 {
			return 0, c, false
		}
		c.above, name = k*1000, name[:at[0]]+name[at[1]:]
	}
	for suffix, tier := range liteTiers {
		if rest, found := strings.CutSuffix(name, suffix); found {
			c.tier, name = tier, rest
		}
	}
	m, ok = liteFields[name]
	return m, c, ok
}

// notThe tells that a file is not the one that an importer reads.
func notThe(file, is string, err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		err = fmt.Errorf("at byte %d it has a JSON %s that does not belong there", wrong.Offset, wrong.Value)
	}
	return fmt.Errorf("is no %s, which is %s: %w", file, is, err)
}

// ImportLiteLLM reads LiteLLM's model_prices_and_context_window.json.
func ImportLiteLLM(r io.Reader) (*Imported, error) {
	var file map[string]map[string]any
	dec := json.NewDecoder(r)
	dec.UseNumber()
	if err := dec.Decode(&file); err != nil {
		return nil, notThe("model_prices_and_context_window.json of LiteLLM", "an object of models, each an object", err)
	}
	delete(file, "sample_spec")
	in := &liteImport{images: map[string]*Entry{}, claimed: map[string]bool{}}
	names := slices.Sorted(maps.Keys(file))
	names = slices.DeleteFunc(names, func(name string) bool {
		if in.claim(in.provider(file[name]), name) {
			return false
		}
		in.left(name, "another has this name but for its case")
		return true
	})
	for _, name := range names {
		in.model(name, file[name])
	}
	for i := range in.regions {
		in.region(&in.regions[i])
	}
	for _, id := range slices.Sorted(maps.Keys(in.images)) {
		in.out.Entries = append(in.out.Entries, *in.images[id])
	}
	slices.SortStableFunc(in.out.Entries, func(a, b Entry) int {
		return cmp.Or(strings.Compare(a.Model[0], b.Model[0]), slices.Compare(a.Provider, b.Provider))
	})
	return &in.out, nil
}

type liteImport struct {
	out     Imported
	images  map[string]*Entry // models that are priced by images of some size and quality, by name
	regions []regional
	claimed map[string]bool // provider and model that some entry has
}

func (in *liteImport) left(name, what string) {
	in.out.Left = append(in.out.Left, name+": "+what)
}

func (in *liteImport) provider(fields map[string]any) []string {
	name, _ := fields["litellm_provider"].(string)
	if strings.HasPrefix(name, "vertex_ai") {
		name = "vertex_ai"
	}
	if list := liteProviders[name]; list != nil {
		return list
	}
	return []string{cmp.Or(name, "*")}
}

func (in *liteImport) model(name string, fields map[string]any) {
	if strings.Contains(name, "*") || strings.Contains(name, "month-commitment") {
		in.left(name, "no price of a model's calls")
		return
	}
	prices := map[condition]*Prices{}
	at := func(c condition) *Prices {
		if prices[c] == nil {
			prices[c] = &Prices{}
		}
		return prices[c]
	}
	uplift := map[string]decimal.Decimal{} // by region
	var fast decimal.Decimal               // how many times as dear fast mode is; 0: nothing is said of it
	mode, _ := fields["mode"].(string)
	vendor, _ := fields["litellm_provider"].(string)
	for _, f := range slices.Sorted(maps.Keys(fields)) {
		value, isNumber := fields[f].(json.Number)
		switch {
		case f == "tiered_pricing":
			in.tiered(name, fields[f], at)
			continue
		case f == "search_context_cost_per_query":
			if usd, ok := oneSearchPrice(fields[f]); ok {
				at(condition{}).set(Search, usd)
			} else {
				in.left(name, "searches that cost by their size")
			}
			continue
		case f == "provider_specific_entry":
			list, _ := fields[f].(map[string]any)
			for _, what := range slices.Sorted(maps.Keys(list)) {
				n, isNumber := list[what].(json.Number)
				by, err := parseMoney(n.String())
				switch {
				case !isNumber: // how the model is spoken to
				case vendor != "anthropic" || err != nil:
					in.left(name, f+": "+what)
				case what == "fast":
					fast = by
				default:
					uplift[what] = by
				}
			}
			continue
		case !isNumber:
			if _, isList := fields[f].(map[string]any); isList && litePrice.MatchString(f) {
				in.left(name, f)
			}
			continue
		}
		if region, ok := strings.CutPrefix(f, "regional_processing_uplift_multiplier_"); ok {
			if by, err := parseMoney(value.String()); err == nil {
				uplift[region] = by
			}
			continue
		}
		m, c, known := liteField(f)
		known = known && (m != AudioSecond || mode == "audio_transcription") && (m != Image || mode == "image_generation" || f == "output_cost_per_image")
		if !known {
			if litePrice.MatchString(f) && strings.Trim(value.String(), "0.") != "" && f != "input_cost_per_pixel" {
				in.left(name, f)
			}
			continue
		}
		usd, err := parseMoney(value.String())
		if err != nil {
			in.left(name, f+" is "+value.String())
			continue
		}
		if m.Tokens() {
			usd = usd.Shift(6)
		}
		if c.above > 0 && vendor == "xai" { // its prices change where the input reaches the limit
			c.above--
		}
		at(c).set(m, usd)
	}
	if in.image(name, fields, prices) {
		return
	}
	if pixel, ok := fields["input_cost_per_pixel"].(json.Number); ok && strings.Trim(pixel.String(), "0.") != "" {
		in.left(name, "input_cost_per_pixel")
	}
	if fast.IsPositive() {
		for c, p := range maps.Clone(prices) {
			if c.tier == "" {
				*at(condition{"fast", c.above}) = p.times(fast)
			}
		}
	}
	for _, c := range unsaid(prices) {
		in.left(name, fmt.Sprintf("tokens in %s above %d, which the file prices below it only", c.tier, c.above))
	}
	e := Entry{Provider: in.provider(fields), From: Ever, To: Forever}
	e.Source, _ = fields["source"].(string)
	conditions := make([]condition, 0, len(prices))
	for c := range prices {
		conditions = append(conditions, c)
	}
	slices.SortFunc(conditions, condition.compare)
	regions := slices.Sorted(maps.Keys(uplift))
	like := textual(prices[condition{}], fields)
	for _, c := range conditions {
		p := prices[c]
		like.spell(p)
		if base := prices[condition{}]; base != nil && p.Each[Image].IsPositive() && (base.Each[Output].IsPositive() || base.Each[OutputImage].IsPositive()) {
			delete(p.Each, Image) // the tokens of an image are its price; this says it again
		}
		if p.empty() {
			continue
		}
		if c == (condition{}) {
			e.Prices = *p
		} else {
			e.Variants = append(e.Variants, Variant{Tier: c.tier, Above: c.above, Prices: *p})
		}
		for _, region := range regions {
			if there := p.times(uplift[region]); !there.empty() {
				e.Variants = append(e.Variants, Variant{Tier: c.tier, Above: c.above, Region: region, Prices: there})
			}
		}
	}
	if e.Prices.empty() && len(e.Variants) == 0 {
		return
	}
	if region, model, ok := bedrockRegion(name); ok {
		e.Model = []string{model}
		in.regions = append(in.regions, regional{region, e})
		return
	}
	e.Model = in.names(name, fields)
	in.out.Entries = append(in.out.Entries, e)
}

// regional is an entry whose prices are those of one region.
type regional struct {
	region string
	entry  Entry
}

// region makes what a model costs in a region variants of its entry.
func (in *liteImport) region(r *regional) {
	k := r.entry.keys()[0]
	at := slices.IndexFunc(in.out.Entries, func(e Entry) bool { return slices.Contains(e.keys(), k) })
	if at < 0 {
		e := r.entry
		e.Prices, e.Variants = Prices{}, nil
		in.claim(e.Provider, e.Model[0])
		at = len(in.out.Entries)
		in.out.Entries = append(in.out.Entries, e)
	}
	e := &in.out.Entries[at]
	if !r.entry.Prices.empty() {
		e.Variants = append(e.Variants, Variant{Region: r.region, Prices: r.entry.Prices})
	}
	for _, v := range r.entry.Variants {
		v.Region = r.region
		e.Variants = append(e.Variants, v)
	}
}

// times is the prices of tokens, each so many times as high.
func (p *Prices) times(by decimal.Decimal) (out Prices) {
	out.None = p.None
	for m, usd := range p.Each {
		if m.Tokens() {
			out.set(m, usd.Mul(by))
		}
	}
	return out
}

// unsaid marks what a tier costs in larger contexts as not known, where the file says
// that the usual price is another there and of the tier only what smaller ones cost. It
// returns where.
func unsaid(prices map[condition]*Prices) (list []condition) {
	usual := prices[condition{}]
	if usual == nil {
		return nil
	}
	for c, small := range maps.Clone(prices) {
		if c.tier == "" || c.above != 0 {
			continue
		}
		for large, p := range maps.Clone(prices) {
			if large.tier != "" || large.above == 0 {
				continue
			}
			at := condition{c.tier, large.above}
			for m, usd := range p.Each {
				_, priced := small.Each[m]
				if said := prices[at]; !priced || usd.Equal(usual.Each[m]) || said != nil && said.has(m) {
					continue
				}
				if prices[at] == nil {
					prices[at] = &Prices{}
				}
				prices[at].none(m)
				list = append(list, at)
			}
		}
	}
	slices.SortFunc(list, condition.compare)
	return slices.Compact(list)
}

func (p *Prices) has(m Meter) bool {
	_, ok := p.Each[m]
	return ok
}

// likeText is which kinds of input cost what text does, though the file does not say
// so everywhere.
type likeText struct{ image, cachedImage, video bool }

// textual is what the file means by a model's fields: what reads images or videos and
// has no price for them takes that of text, and so do images whose usual price is that
// of text.
func textual(usual *Prices, fields map[string]any) (l likeText) {
	if usual == nil {
		usual = &Prices{}
	}
	reads := func(kind, flag, price string) bool {
		modes, _ := fields["supported_modalities"].([]any)
		_, apart := fields[price]
		return fields[flag] == true || slices.Contains(modes, any(kind)) && !apart
	}
	own, priced := usual.Each[InputImage]
	l.image = priced && own.Equal(usual.Each[Input]) || !priced && reads("image", "supports_vision", "input_cost_per_image")
	l.cachedImage = l.image && !usual.has(CacheReadImage)
	l.video = !usual.has(InputVideo) && reads("video", "supports_video_input", "input_cost_per_video_per_second")
	return l
}

// spell gives those kinds of input the price of text.
func (l likeText) spell(p *Prices) {
	as := func(is bool, m, like Meter) {
		if usd, ok := p.Each[like]; is && ok && !p.has(m) {
			p.set(m, usd)
		}
		if is && p.unknown(like) {
			p.none(m)
		}
	}
	as(l.image, InputImage, Input)
	as(l.cachedImage, CacheReadImage, CacheRead)
	as(l.video, InputVideo, Input)
}

// names are what rows may call the model: as the file does, and without the
// provider before it.
func (in *liteImport) names(name string, fields map[string]any) []string {
	list := []string{name}
	if strings.HasPrefix(name, "ft:") { // whose it is, and its id, stand behind it
		list = append(list, name+":*")
	}
	prefix, rest, ok := strings.Cut(name, "/")
	provider, _ := fields["litellm_provider"].(string)
	if !ok || prefix != provider && !strings.HasPrefix(provider, prefix) {
		return list
	}
	if in.claim(in.provider(fields), rest) {
		list = append(list, rest)
	}
	return list
}

// claim takes a name for an entry. It reports false where one has it.
func (in *liteImport) claim(providers []string, name string) bool {
	if slices.ContainsFunc(providers, func(p string) bool { return in.claimed[p+"\x00"+fold(name)] }) {
		return false
	}
	for _, p := range providers {
		in.claimed[p+"\x00"+fold(name)] = true
	}
	return true
}

// bedrockRegion takes apart names such as bedrock/us-east-1/model.
func bedrockRegion(name string) (region, model string, ok bool) {
	parts := strings.SplitN(name, "/", 3)
	if len(parts) == 3 && parts[0] == "bedrock" && strings.Count(parts[1], "-") >= 2 {
		return parts[1], parts[2], true
	}
	return "", "", false
}

// oneSearchPrice is the price of a search that does not depend on its size.
func oneSearchPrice(v any) (usd decimal.Decimal, ok bool) {
	sizes, _ := v.(map[string]any)
	for _, size := range slices.Sorted(maps.Keys(sizes)) {
		n, isNumber := sizes[size].(json.Number)
		if !isNumber {
			return usd, false
		}
		this, err := parseMoney(n.String())
		if err != nil || ok && !this.Equal(usd) {
			return usd, false
		}
		usd, ok = this, true
	}
	return usd, ok
}

// tiered reads prices by ranges of the context.
func (in *liteImport) tiered(name string, v any, at func(condition) *Prices) {
	list, _ := v.([]any)
	for _, item := range list {
		fields, _ := item.(map[string]any)
		bounds, _ := fields["range"].([]any)
		var from json.Number
		if len(bounds) > 0 {
			from, _ = bounds[0].(json.Number)
		}
		low, err := decimal.NewFromString(from.String())
		if err != nil || !low.IsInteger() || low.IsNegative() {
			in.left(name, "tiered_pricing without a range of tokens")
			continue
		}
		for _, f := range slices.Sorted(maps.Keys(fields)) {
			n, isNumber := fields[f].(json.Number)
			m, c, known := liteField(f)
			if !isNumber {
				continue
			}
			usd, err := parseMoney(n.String())
			if !known || err != nil || !m.Tokens() || c.above != 0 {
				in.left(name, "tiered_pricing: "+f)
				continue
			}
			c.above = low.IntPart()
			at(c).set(m, usd.Shift(6))
		}
	}
}

// image reads models that are named by size and quality, such as
// hd/1024-x-1024/dall-e-3, which is one model with prices for images.
func (in *liteImport) image(name string, fields map[string]any, prices map[condition]*Prices) bool {
	parts := strings.Split(name, "/")
	size := slices.IndexFunc(parts, liteSize.MatchString)
	if size < 0 || size == len(parts)-1 {
		return false
	}
	wide := liteSize.FindStringSubmatch(parts[size])
	i := ImagePrice{Size: wide[1] + "x" + wide[2]}
	vendor, _ := fields["litellm_provider"].(string)
	if size > 0 && !strings.HasPrefix(vendor, parts[size-1]) {
		i.Quality = parts[size-1]
	}
	base := prices[condition{}]
	if base == nil {
		base = &Prices{}
	}
	usd, ok := base.Each[Image]
	if pixel, isNumber := fields["input_cost_per_pixel"].(json.Number); isNumber && !ok {
		if one, err := parseMoney(pixel.String()); err == nil && one.IsPositive() {
			w, _ := decimal.NewFromString(wide[1])
			h, _ := decimal.NewFromString(wide[2])
			usd, ok = one.Mul(w).Mul(h), true
		}
	}
	model := strings.Join(parts[size+1:], "/")
	provider := in.provider(fields)
	if !ok {
		in.left(name, "no price of an image")
		return true
	}
	id := provider[0] + "\x00" + fold(model)
	e := in.images[id]
	if e == nil && !in.claim(provider, model) {
		in.left(name, "images of a model that has prices of its own")
		return true
	}
	if e == nil {
		e = &Entry{Provider: provider, Model: []string{model}, From: Ever, To: Forever}
		e.Source, _ = fields["source"].(string)
		in.images[id] = e
	}
	if slices.ContainsFunc(e.Prices.Images, func(o ImagePrice) bool { return o.Size == i.Size && o.Quality == i.Quality }) {
		in.left(name, "the same size and quality twice")
		return true
	}
	i.USD = usd
	e.Prices.Images = append(e.Prices.Images, i)
	return true
}
