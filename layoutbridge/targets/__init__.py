"""The few primitives that a network needs (`primitives`), and what implements them: one module a framework."""
