"""A permutation of digits as the shortest sequence of moves that somebody has.

`steps` says what one move does to a grouping of the digits into axes, `search` finds the sequences, `written` makes
moves with views of them.
"""
