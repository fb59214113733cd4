"""The same suites side by side: in this code and a peer's, in two commits, on two targets."""
