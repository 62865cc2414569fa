"""Index algebra: patterns, digit permutations, proofs, factorization. Knows NumPy and no framework.

`sizes` (monomials in axis lengths) < `digits` (permutations of digits) < `pattern` (the notation) and `table`
(evaluation) < `rearrangement` < `proof` and `factorization`; each imports only what stands before it.
"""
