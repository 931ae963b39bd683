package secret

import "testing"

func TestURLs(t *testing.T) {
	for text, want := range map[string]string{
		"s3://AK:SE/CR+ET@b/p, or s3://b/q":            "s3://masked@b/p, or s3://b/q",
		"open https://token@host/x: no":                "open https://masked@host/x: no",
		"https://b/k?X-Amz-Signature=abc&partNumber=1": "https://b/k?X-Amz-Signature=masked&partNumber=1",
		"https://b/k?a=1&sig=abc":                      "https://b/k?a=1&sig=masked",
		"s3://bucket/user@example.com/a:b.jsonl":       "s3://bucket/user@example.com/a:b.jsonl",
		"http://host:8080/x, line 3":                   "http://host:8080/x, line 3",
		"s3://b/?.jsonl":                               "s3://b/?.jsonl",
		"logs/user:pass@host.jsonl":                    "logs/user:pass@host.jsonl",
	} {
		if got := URLs(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
