package transform

import "testing"

func TestListsTokens(t *testing.T) {
	for doc, want := range map[string]bool{
		`{"attributes":[{"key":"a","value":{"stringValue":"x"}},{"key":"acme.input_tokens","value":{"intValue":"12"}}]}`:        true,
		`{"attributes" : [ { "key" : "acme.input_tokens" , "value" : { "doubleValue" : 12.0 } } ]}`:                             true,
		`{"tags":[{"key":"tokens.used","type":"int64","value":12}]}`:                                                            true,
		`{"tags":[{"key":"tokens.used","vType":"INT64","value":"12"}]}`:                                                         true,
		`{"attributes":[{"key":"chat.tokenUsage","value":{"stringValue":"{\"input_tokens\": 1}"}}]}`:                            true,
		`{"attributes":[{"key":"acme.metrics","value":{"stringValue":"{\"prompt_tokens\":7}"}}]}`:                               true,
		`{"attributes":[{"key":"acme.input_tokens","value":{"intValue":"0"}}]}`:                                                 false,
		`{"attributes":[{"key":"acme.input_tokens","value":{"stringValue":"many"}}]}`:                                           false,
		`{"attributes":[{"key":"gen_ai.request.max_tokens","value":{"intValue":"12"}}]}`:                                        false,
		`{"attributes":[{"key":"token_expires_in","value":{"intValue":"3600"}},{"key":"token","value":{"stringValue":"123"}}]}`: false,
		`{"attributes":[{"key":"acme.messages","value":{"stringValue":"{\"tokens\":7}"}}]}`:                                     false,
		`{"attributes":[{"key":"acme.metrics","value":{"arrayValue":{"values":[{"intValue":"7"}]}}}]}`:                          false,
		`{"body":"{\"key\":\"input_tokens\",\"value\":12}"}`:                                                                    false,
		`{"keys":["key"],"type":"key","value":12}`:                                                                              false,
		`{"key":"tokens"}`:                  false,
		`{"key":"tokens","value":`:          false,
		`{"key":"usage","value":"{tokens 1`: false,
	} {
		if listsTokens([]byte(doc)) != want {
			t.Errorf("%s: not %v", doc, want)
		}
	}
}
