"""The doctor on real databases, real accounts and real sockets, each with a real fault."""
