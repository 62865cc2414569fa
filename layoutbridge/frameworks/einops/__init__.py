"""einops: code to paste alone, for arrays of any framework; nothing is emitted, saved or run here."""
