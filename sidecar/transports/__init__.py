"""The ways out: one module a protocol, all with the contract of `base`."""
