package secret

import "regexp"

var (
	// before is what stands before the host of a URL. A secret key of Amazon's may have
	// slashes.
	before = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s/@:]*(?::[^\s@]*)?@`)
	// signed is a member of a URL's query that lets whoever has it in.
	signed = regexp.MustCompile(`(?i)([?&](?:X-(?:Amz|Goog)-[A-Z-]+|AWSAccessKeyId|Signature|Sig|Token|Password|Secret)=)[^&\s"]+`)
)

// URLs is a text with Masked in place of the credentials that URLs in it hold.
func URLs(text string) string {
	return signed.ReplaceAllString(before.ReplaceAllString(text, "${1}"+Masked+"@"), "${1}"+Masked)
}
