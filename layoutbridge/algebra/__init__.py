"""Index algebra: patterns, digit permutations, proofs, factorization. Knows NumPy and no framework.

`sizes` (monomials in axis lengths) < `digits` (permutations of digits) < `pattern` (the notation) and `table`
(evaluation) and `fitting` (which shapes fit) < `rearrangement` < `proof`, `factorization` and `moves` (what a
framework is given) < `parts` (moves in several simpler ones); each imports only what stands before it.
"""
