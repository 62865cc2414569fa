"""Scanning very many models: in processes or by a scheduler, resumable, to a report."""
