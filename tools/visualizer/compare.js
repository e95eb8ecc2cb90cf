class Comparison {}
