"""The one door out: what may be sent now, how it is sent, and what its outcome means."""
