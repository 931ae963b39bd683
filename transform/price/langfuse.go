package price

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp/syntax"
	"slices"
	"strings"
	"time"
)

// langfuseTypes are Langfuse's usage types: several are names of one meter.
var langfuseTypes = map[string]Meter{
	"input": Input, "input_tokens": Input, "prompt_tokens": Input, "input_text": Input, "input_text_tokens": Input, "input_modality_1": Input, "prompt_token_count": Input, "promptTokenCount": Input,
	"input_image": InputImage, "input_image_tokens": InputImage,
	"input_audio": InputAudio, "input_audio_tokens": InputAudio,
	"input_video": InputVideo, "input_video_tokens": InputVideo,
	"input_cached_tokens": CacheRead, "input_cache_read": CacheRead, "cache_read_input_tokens": CacheRead, "cached_tokens": CacheRead,
	"input_cached_text_tokens": CacheRead, "cached_content_token_count": CacheRead, "cachedContentTokenCount": CacheRead, "input_cached": CacheRead,
	"input_cached_image_tokens": CacheReadImage, "input_cached_audio_tokens": CacheReadAudio,
	"cache_creation_input_tokens": CacheWrite, "input_cache_creation": CacheWrite, "input_cache_creation_5m": CacheWrite, "input_cache_write": CacheWrite,
	"input_cache_creation_1h": CacheWrite1h,
	"output":                  Output, "output_tokens": Output, "completion_tokens": Output, "output_text": Output, "output_text_tokens": Output, "output_modality_1": Output, "candidates_token_count": Output, "candidatesTokenCount": Output,
	"output_image": OutputImage, "output_image_tokens": OutputImage,
	"output_audio": OutputAudio, "output_audio_tokens": OutputAudio,
	"output_reasoning": Reasoning, "output_reasoning_tokens": Reasoning, "reasoning_tokens": Reasoning, "thoughts_token_count": Reasoning, "thoughtsTokenCount": Reasoning,
	"images": Image, "image": Image,
}

type langfuseModel struct {
	ModelName    string                 `json:"modelName"`
	MatchPattern string                 `json:"matchPattern"`
	StartDate    string                 `json:"startDate"`
	Prices       map[string]json.Number `json:"prices"` // of before tiers
	PricingTiers []struct {
		Name       string                 `json:"name"`
		IsDefault  bool                   `json:"isDefault"`
		Prices     map[string]json.Number `json:"prices"`
		Conditions []struct {
			Key      string   `json:"key"`
			Pattern  string   `json:"usageDetailPattern"`
			Operator string   `json:"operator"`
			Value    int64    `json:"value"`
			Values   []string `json:"values"`
		} `json:"conditions"`
	} `json:"pricingTiers"`
}

// ImportLangfuse reads Langfuse's default-model-prices.json.
func ImportLangfuse(r io.Reader) (*Imported, error) {
	var file []langfuseModel
	if err := json.NewDecoder(r).Decode(&file); err != nil {
		return nil, notThe("default-model-prices.json of Langfuse", "a list of models", err)
	}
	out := &Imported{}
	claimed := map[string]string{}
	slices.SortStableFunc(file, func(a, b langfuseModel) int { return strings.Compare(a.ModelName, b.ModelName) })
	for i := range file {
		m := &file[i]
		left := func(format string, args ...any) {
			out.Left = append(out.Left, m.ModelName+": "+fmt.Sprintf(format, args...))
		}
		e := Entry{From: Ever, To: Forever}
		if t, err := time.Parse(time.RFC3339, m.StartDate); err == nil {
			e.From = t.UTC().Truncate(24 * time.Hour).UnixMicro()
		}
		names, err := globs(m.MatchPattern)
		if err != nil {
			left("its matchPattern: %v", err)
			names = []string{m.ModelName}
		}
		for _, n := range names {
			id := fmt.Sprint(fold(n), "\x00", e.From)
			if by, ok := claimed[id]; ok {
				if by != m.ModelName {
					left("%s is %s's too", n, by)
				}
				continue
			}
			claimed[id] = m.ModelName
			e.Model = append(e.Model, n)
		}
		e.Prices = langfusePrices(m.Prices, left)
		for _, t := range m.PricingTiers {
			p := langfusePrices(t.Prices, left)
			if t.IsDefault {
				e.Prices = p
				continue
			}
			v := Variant{Prices: p}
			ok := true
			tiers := []string{""}
			for _, c := range t.Conditions {
				switch {
				case c.Pattern != "" && c.Operator == "gt" && strings.Contains(c.Pattern, "input") && v.Above == 0:
					v.Above = c.Value
				case c.Pattern != "" && c.Operator == "gte" && strings.Contains(c.Pattern, "input") && v.Above == 0:
					v.Above = c.Value - 1
				case c.Key == "service_tier" && c.Operator == "in":
					tiers = c.Values
				default:
					ok = false
				}
			}
			if !ok || v.Above < 0 {
				left("tier %q has conditions that a book cannot have", t.Name)
				continue
			}
			for _, tier := range tiers {
				if v.Tier = tierName(tier); v.Tier != "" || v.Above != 0 {
					e.Variants = append(e.Variants, v)
				}
			}
		}
		if len(e.Model) > 0 && !e.Prices.empty() {
			out.Entries = append(out.Entries, e)
		}
	}
	return out, nil
}

func langfusePrices(list map[string]json.Number, left func(string, ...any)) (p Prices) {
	if all, ok := list["total"]; ok && len(list) == 1 { // input and output alike
		list = map[string]json.Number{"input": all, "output": all}
	}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		m, ok := langfuseTypes[name]
		if !ok {
			left("usage type %s", name)
			continue
		}
		usd, err := parseMoney(list[name].String())
		if err != nil {
			left("%s: %v", name, err)
			continue
		}
		if m.Tokens() {
			usd = usd.Shift(6)
		}
		if was, twice := p.Each[m]; twice && !was.Equal(usd) {
			left("%s: %s is priced twice, at %s and %s", name, m, was, usd)
			continue
		}
		p.set(m, usd)
	}
	return p
}

// mostNames is how many names a pattern may stand for.
const mostNames = 128

// globs is the patterns of a book that match what a regular expression does: all
// its texts where they are few, with * for what is not.
func globs(expr string) ([]string, error) {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	list, err := expand(re)
	if err != nil {
		return nil, err
	}
	for i, s := range list {
		begins, ends := strings.HasPrefix(s, "\x02"), strings.HasSuffix(s, "\x03")
		s = strings.Map(func(r rune) rune {
			if r == 2 || r == 3 {
				return -1
			}
			return r
		}, s)
		if !begins {
			s = "*" + s
		}
		if !ends {
			s += "*"
		}
		for strings.Contains(s, "**") {
			s = strings.ReplaceAll(s, "**", "*")
		}
		list[i] = fold(s)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// expand is the texts that an expression stands for; \x02 and \x03 are its
// anchors.
func expand(re *syntax.Regexp) ([]string, error) {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return []string{""}, nil
	case syntax.OpLiteral:
		return []string{string(re.Rune)}, nil
	case syntax.OpBeginText, syntax.OpBeginLine:
		return []string{"\x02"}, nil
	case syntax.OpEndText, syntax.OpEndLine:
		return []string{"\x03"}, nil
	case syntax.OpCapture:
		return expand(re.Sub[0])
	case syntax.OpQuest:
		list, err := expand(re.Sub[0])
		return append([]string{""}, list...), err
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL: // of a version: * would stand for other models, too
		return []string{"."}, nil
	case syntax.OpStar, syntax.OpPlus, syntax.OpRepeat:
		return []string{"*"}, nil
	case syntax.OpCharClass:
		var list []string
		for i := 0; i+1 < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if len(list) == 4 {
					return []string{"*"}, nil
				}
				list = append(list, string(r))
			}
		}
		return list, nil
	case syntax.OpAlternate:
		var list []string
		for _, sub := range re.Sub {
			more, err := expand(sub)
			if err != nil {
				return nil, err
			}
			list = append(list, more...)
		}
		return few(list)
	case syntax.OpConcat:
		list := []string{""}
		for _, sub := range re.Sub {
			tails, err := expand(sub)
			if err != nil {
				return nil, err
			}
			var longer []string
			for _, head := range list {
				for _, tail := range tails {
					longer = append(longer, head+tail)
				}
			}
			if list, err = few(longer); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return nil, fmt.Errorf("%s cannot be told in names", re)
}

func few(list []string) ([]string, error) {
	if len(list) > mostNames {
		return nil, fmt.Errorf("more than %d names", mostNames)
	}
	return list, nil
}
