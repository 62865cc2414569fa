"""Which form of a network is fastest on this machine: runtimes, forms, settings and threads tried within a budget."""
