"""The hand-written part of the client; what is generated from the contract calls it."""
