package ddl

import (
	"fmt"
	"strings"

	"usagelake/schemas"
)

// views are over the usage table. Names that a view gives inside are none of
// the table's: ClickHouse takes a name for the nearest of its meanings.
var views = []struct {
	name string
	text func() string
}{
	{"usage_daily", daily},
	{"usage_whole", whole},
	{"usage_focus", focus},
}

// part is a part of a call's tokens, or another quantity. No token is in two.
type part struct {
	name  string
	inner string // its name within views
	meter string // FOCUS: SkuMeter
	unit  string
}

// The parts, in order. Those of the input add up to it, and so do those of the
// output. What transform/price tells apart besides, the kinds of input, is not
// here: a row does not say which of them were cached.
var parts = []part{
	{"fresh_input_tokens", "p_fresh", "Input Tokens", "Tokens"},
	{"cache_read_tokens", "p_read", "Cache Read Tokens", "Tokens"},
	{"cache_write_tokens", "p_write", "Cache Write Tokens", "Tokens"},
	{"cache_write_1h_tokens", "p_hour", "Cache Write Tokens, 1 Hour", "Tokens"},
	{"output_text_tokens", "p_text", "Output Tokens", "Tokens"},
	{"reasoning_tokens", "p_reason", "Reasoning Tokens", "Tokens"},
	{"output_image_tokens", "p_image", "Output Image Tokens", "Tokens"},
	{"output_audio_tokens", "p_audio", "Output Audio Tokens", "Tokens"},
	{"image_count", "n_images", "Images", "Images"},
	{"audio_seconds", "n_seconds", "Audio Seconds", "Seconds"},
	{"web_search_requests", "n_searches", "Web Searches", "Requests"},
}

// calls are the common tables that end in [parts]: a row for each call with its
// parts and these columns. A total that is not told is what its parts come to;
// parts that exceed their total are cut, the first keeps most. What is not told
// at all stays NULL.
func calls(columns string) string {
	return `WITH [told] AS (
  SELECT
    ` + columns + `,
    COALESCE([input_tokens], NULLIF(GREATEST(
      COALESCE([cache_read_tokens], 0) + COALESCE([cache_write_tokens], [cache_write_1h_tokens], 0),
      COALESCE([input_text_tokens], 0) + COALESCE([input_image_tokens], 0) + COALESCE([input_audio_tokens], 0) + COALESCE([input_video_tokens], 0)), 0)) AS [t_in],
    COALESCE([cache_read_tokens], 0) AS [t_read],
    COALESCE([cache_write_tokens], [cache_write_1h_tokens], 0) AS [t_write],
    COALESCE([cache_write_1h_tokens], 0) AS [t_hour],
    COALESCE([output_tokens], NULLIF(GREATEST(
      COALESCE([output_text_tokens], 0) + COALESCE([output_image_tokens], 0) + COALESCE([output_audio_tokens], 0),
      COALESCE([reasoning_tokens], 0)), 0)) AS [t_out],
    COALESCE([output_image_tokens], 0) AS [t_image],
    COALESCE([output_audio_tokens], 0) AS [t_audio],
    COALESCE([reasoning_tokens], 0) AS [t_reason],
    [image_count] AS [n_images],
    [audio_seconds] AS [n_seconds],
    [web_search_requests] AS [n_searches]
  FROM {usage}
), [cut] AS (
  SELECT
    [told].*,
    CASE WHEN [t_in] IS NOT NULL THEN LEAST([t_read], [t_in]) END AS [p_read],
    CASE WHEN [t_in] IS NOT NULL THEN LEAST([t_write], [t_in] - LEAST([t_read], [t_in])) END AS [c_write],
    CASE WHEN [t_out] IS NOT NULL THEN LEAST([t_image], [t_out]) END AS [p_image],
    CASE WHEN [t_out] IS NOT NULL THEN LEAST([t_audio], [t_out] - LEAST([t_image], [t_out])) END AS [p_audio]
  FROM [told]
), [parts] AS (
  SELECT
    [cut].*,
    [t_in] - [p_read] - [c_write] AS [p_fresh],
    CASE WHEN [c_write] IS NOT NULL THEN [c_write] - LEAST([t_hour], [c_write]) END AS [p_write],
    CASE WHEN [c_write] IS NOT NULL THEN LEAST([t_hour], [c_write]) END AS [p_hour],
    CASE WHEN [t_out] IS NOT NULL THEN [t_out] - [p_image] - [p_audio] - LEAST([t_reason], [t_out] - [p_image] - [p_audio]) END AS [p_text],
    CASE WHEN [t_out] IS NOT NULL THEN LEAST([t_reason], [t_out] - [p_image] - [p_audio]) END AS [p_reason]
  FROM [cut]
)`
}

// daily sums up calls by day and what most people group by.
func daily() string {
	const keys = "[event_date], [provider], [model], [operation], [project_id]"
	var sums strings.Builder
	for i, p := range parts {
		if i == 0 {
			sums.WriteString("  SUM([t_in]) AS [input_tokens],\n")
		}
		if p.inner == "p_text" {
			sums.WriteString("  SUM([t_out]) AS [output_tokens],\n")
		}
		fmt.Fprintf(&sums, "  SUM([%s]) AS [%s],\n", p.inner, p.name)
	}
	return calls(keys+", [cost_usd] AS [n_cost], [reported_cost_usd] AS [n_reported]") + `
SELECT
  ` + keys + `,
  COUNT(*) AS [requests],
` + sums.String() + `  SUM([n_cost]) AS [cost_usd],
  SUM([n_reported]) AS [reported_cost_usd],
  COUNT([n_cost]) AS [priced_requests]
FROM [parts]
GROUP BY ` + keys
}

// whole is the table with its token columns as whole numbers, halves up.
func whole() string {
	var cols []string
	for _, c := range schemas.Usage.Columns() {
		if c.Tokens() {
			cols = append(cols, fmt.Sprintf("  CAST(FLOOR([u].[%s] + 0.5) AS {whole}) AS [%[1]s]", c))
		} else {
			cols = append(cols, fmt.Sprintf("  [u].[%s] AS [%[1]s]", c))
		}
	}
	cols = append(cols, "  [u].[event_date] AS [event_date]")
	return "SELECT\n" + strings.Join(cols, ",\n") + "\nFROM {usage} AS [u]"
}

// focus is a row of charges for each day, account, model and meter. A call's
// cost is one sum, and the table does not say what each meter's price was: it is
// charged to the meter of a call that has one, and to the meter Calls of a call
// that has several, whose own rows then have a quantity and no cost. Calls without
// a cost are among the latter.
func focus() string {
	const keys = "[event_date], [team_id], [project_id], [provider], [k_model], [k_source], [k_only]"
	var used, which, sums, quantities, meters strings.Builder
	for i, p := range parts {
		n := i + 1
		plus := " +"
		if i == len(parts)-1 {
			plus = ""
		}
		fmt.Fprintf(&used, "      CASE WHEN [%s] > 0 THEN 1 ELSE 0 END%s\n", p.inner, plus)
		fmt.Fprintf(&which, "      CASE WHEN [%s] > 0 THEN %d ELSE 0 END%s\n", p.inner, n, plus)
		fmt.Fprintf(&sums, ",\n    SUM([%s]) AS [s_%d]", p.inner, n)
		fmt.Fprintf(&quantities, "\n      WHEN [k_meter] = %d THEN CAST([s_%[1]d] AS {double})", n)
		fmt.Fprintf(&meters, "\n      UNION ALL SELECT %d, '%s', '%s'", n, p.meter, p.unit)
	}
	const price = "CAST([f_cost] AS {double}) / [f_quantity]"
	return calls(`[event_date], [team_id], [project_id], [provider], COALESCE([model], [request_model]) AS [k_model],
    COALESCE([cost_usd], [reported_cost_usd]) AS [n_cost],
    CASE WHEN [cost_usd] IS NOT NULL THEN 'cost_usd' WHEN [reported_cost_usd] IS NOT NULL THEN 'reported_cost_usd' END AS [k_source]`) + `, [counted] AS (
  SELECT
    [parts].*,
    CASE WHEN [k_source] IS NOT NULL AND
` + used.String() + `      = 1 THEN
` + which.String() + `    ELSE 0 END AS [k_only]
  FROM [parts]
), [summed] AS (
  SELECT
    ` + keys + `,
    COUNT(*) AS [s_calls],
    SUM([n_cost]) AS [s_cost]` + sums.String() + `
  FROM [counted]
  GROUP BY ` + keys + `
), [meters] AS (
      SELECT 0 AS [k_meter], 'Calls' AS [k_name], 'Requests' AS [k_unit]` + meters.String() + `
), [charges] AS (
  SELECT
    ` + keys + `, [k_meter], [k_name], [k_unit],
    CASE
      WHEN [k_meter] = 0 AND [k_only] = 0 THEN CAST([s_calls] AS {double})` + quantities.String() + `
    END AS [f_quantity],
    CASE WHEN [k_meter] = [k_only] THEN [s_cost] END AS [f_cost]
  FROM [summed] CROSS JOIN [meters]
)
SELECT
  [f_cost] AS [BilledCost],
  COALESCE([team_id], 'unknown') AS [BillingAccountId],
  [team_id] AS [BillingAccountName],
  'USD' AS [BillingCurrency],
  {monthend} AS [BillingPeriodEnd],
  {month} AS [BillingPeriodStart],
  'Usage' AS [ChargeCategory],
  CAST(NULL AS {string}) AS [ChargeClass],
  [k_name] || ', ' || COALESCE([k_model], 'unknown model') AS [ChargeDescription],
  'Usage-Based' AS [ChargeFrequency],
  {next} AS [ChargePeriodEnd],
  {start} AS [ChargePeriodStart],
  [f_quantity] AS [ConsumedQuantity],
  [k_unit] AS [ConsumedUnit],
  [f_cost] AS [ContractedCost],
  ` + price + ` AS [ContractedUnitPrice],
  [f_cost] AS [EffectiveCost],
  COALESCE([provider], 'unknown') AS [InvoiceIssuerName],
  [f_cost] AS [ListCost],
  ` + price + ` AS [ListUnitPrice],
  'Standard' AS [PricingCategory],
  [f_quantity] AS [PricingQuantity],
  [k_unit] AS [PricingUnit],
  COALESCE([provider], 'unknown') AS [ProviderName],
  COALESCE([provider], 'unknown') AS [PublisherName],
  'AI and Machine Learning' AS [ServiceCategory],
  COALESCE([provider], 'unknown') AS [ServiceName],
  'Generative AI' AS [ServiceSubcategory],
  [k_model] AS [SkuId],
  [k_name] AS [SkuMeter],
  [project_id] AS [SubAccountId],
  [project_id] AS [SubAccountName],
  [k_source] AS [x_CostSource],
  CASE WHEN [k_source] IS NULL THEN 'none' WHEN [k_meter] = [k_only] THEN 'here' ELSE 'Calls' END AS [x_CostIn]
FROM [charges]
WHERE [f_quantity] > 0`
}
