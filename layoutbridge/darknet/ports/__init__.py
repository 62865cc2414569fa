"""Whole networks in other frameworks: one module a target, written, run and checked."""
