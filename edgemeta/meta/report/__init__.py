"""One page about a run, for people: what was trained, what it reaches, where it errs."""
