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

func TestListsCounts(t *testing.T) {
	for doc, want := range map[string]bool{
		`{"metrics":{"input_tokens":[100,30],"output_tokens":[20,4]}}`: true,
		`{"metrics":{"outputTokens" : [ 0, 0.0, 4 ]}}`:                 true,
		`{"metrics":{"input_tokens":[0,0]}}`:                           false,
		`{"metrics":{"input_tokens":[]}}`:                              false,
		`{"max_output_tokens":[100]}`:                                  false,
		`{"prompt_token_ids":[100],"tokens":[100]}`:                    false,
		`{"segments":[{"tokens":[50364,11]}]}`:                         false,
		`{"text":"\"input_tokens\":[100]"}`:                            false,
		`{"input_tokens":`:                                             false,
		`okens"`:                                                       false,
	} {
		if listsCounts([]byte(doc)) != want {
			t.Errorf("%s: not %v", doc, want)
		}
	}
}

func TestMeasuresTokens(t *testing.T) {
	for doc, want := range map[string]bool{
		`{"METRICS":[{"key":{"metric":"input","unit":"tokens"},"value":15}]}`: true,
		`{"METRICS":[{"unit":"tokens","value":"0.5"}]}`:                       true,
		`{"METRICS":[{"key":{"metric":"input","unit":"tokens"},"value":0}]}`:  false,
		`{"METRICS":[{"key":{"metric":"input","unit":"pages"},"value":15}]}`:  false,
		`{"text":"{\"unit\":\"tokens\",\"value\":1}"}`:                        false,
		`{"unit":`: false,
	} {
		if measuresTokens([]byte(doc)) != want {
			t.Errorf("%s: not %v", doc, want)
		}
	}
}
