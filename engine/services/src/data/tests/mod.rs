//! Every operation through its service trait, on an in-memory store and a clock that stands still.
