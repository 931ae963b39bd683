package usagelake

// What the page is made of, for tests of its size.
var (
	FigureSpecs  = specs
	FigureBudget = budget
	SourceOf     = sourceOf
)

const FigureSize = figuresSize
