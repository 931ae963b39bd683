// Package secret tells what looks like a credential that is in use, and hides
// it. Logs of gateways hold such where nobody meant to: an API key in place of
// its name, an Authorization header among the metadata.
package secret

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
)

// Masked stands for a credential that could be guessed from its hash.
const Masked = "masked"

// enough is how many characters a credential has that cannot be guessed.
const enough = 24

// prefixes of credentials: OpenAI and those who follow it (Anthropic,
// OpenRouter, LiteLLM, Langfuse), Stripe, xAI, Groq, Cerebras, Hugging Face,
// Replicate, Perplexity, NVIDIA, Together, Vercel, GitHub, GitLab, Slack,
// Google.
var prefixes = []string{
	"sk-", "sk_live_", "sk_test_", "xai-", "gsk_", "csk-", "hf_", "r8_", "pplx-", "nvapi-", "tgp_v1_", "vck_",
	"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "xoxa-", "xoxs-", "AIza", "ya29.",
}

// schemes of an Authorization header, before a space.
var schemes = []string{"bearer", "basic", "apikey", "api-key", "token"}

var (
	// within is a credential at any place of a text, after what stands before it.
	within = regexp.MustCompile(`(^|[^A-Za-z0-9])(?:` +
		`(?i:` + strings.Join(schemes, "|") + `)\s+[A-Za-z0-9+/=._~-]{16,}` +
		`|(?:` + strings.ReplaceAll(strings.Join(prefixes, "|"), ".", `\.`) + `)[A-Za-z0-9_=.-]{16,}` +
		`|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})`)
	// token is a JSON Web Token, which may be cut.
	token = regexp.MustCompile(`(^|[^A-Za-z0-9])eyJ[A-Za-z0-9_-]{8,}[A-Za-z0-9_.-]*`)
	// shown is one that was hidden already: sk-...1234, sk-proj-****.
	shown = regexp.MustCompile(`\.\.|\*\*|…`)
)

// pairs has the two characters that credentials begin with, in both cases.
var pairs = func() (t [1 << 16]bool) {
	for _, p := range slices.Concat([]string{"eyJ"}, prefixes, schemes) {
		for _, q := range []string{p, strings.ToUpper(p), strings.ToUpper(p[:1]) + p[1:]} {
			t[int(q[0])<<8|int(q[1])] = true
		}
	}
	return t
}()

// Begins reports whether a text may begin as a credential does: all that the
// others here look for in most texts, so it is quick.
func Begins(text string) bool {
	return len(text) > 2 && pairs[int(text[0])<<8|int(text[1])]
}

// Text is a text that begins like a credential, as its hash if there is one in it:
// ids that look like credentials by chance must stay apart.
func Text(text string) string {
	if !Begins(text) || Anywhere(text) == text {
		return text
	}
	if scheme, _ := cutScheme(text); scheme == "basic" {
		return Masked
	}
	return digest(text)
}

// Key is Text for a place where the name or the hash of a key belongs: whatever
// begins as OpenAI's keys do, or as a header does, is one, however short.
func Key(text string) string {
	if !Begins(text) {
		return text
	}
	if scheme, rest := cutScheme(text); (scheme != "" || strings.HasPrefix(text, "sk-")) && !shown.MatchString(text) {
		return hash(scheme, rest)
	}
	return Anywhere(text)
}

// Anywhere is a text without a credential at any place of it.
func Anywhere(text string) string {
	switch at := within.FindStringIndex(text); {
	case at == nil || shown.MatchString(text):
		return text
	case at[0] == 0 && at[1] == len(text) && Begins(text):
		return hash(cutScheme(text))
	}
	return Masked
}

// Blot puts Masked in place of every credential in a text, and of what may be the
// beginning of one.
func Blot(text []byte) []byte {
	return token.ReplaceAll(within.ReplaceAll(text, []byte("${1}"+Masked)), []byte("${1}"+Masked))
}

// cutScheme cuts a header into its scheme, in lower case, and the rest.
func cutScheme(text string) (scheme, rest string) {
	name, rest, ok := strings.Cut(text, " ")
	name = strings.ToLower(name)
	for _, s := range schemes {
		if ok && name == s {
			return s, strings.TrimSpace(rest)
		}
	}
	return "", text
}

// hash is the same for equal credentials, and says nothing else of them: the
// first half of the SHA-256 by which LiteLLM names its keys. Passwords can be
// guessed, and so can short keys.
func hash(scheme, rest string) string {
	if scheme == "basic" || len(rest) < enough {
		return Masked
	}
	return digest(rest)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:16])
}
