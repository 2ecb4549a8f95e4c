"""Small programs of the peers, run in an environment of their own: the benchmarks import none of them."""
