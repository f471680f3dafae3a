//! Room for walking deep syntax trees.
//!
//! A chain of operators nests as deep as it is long (bounded by
//! [`OPERATOR_CHAIN_MAX`](crate::parse::OPERATOR_CHAIN_MAX)), and walking, copying or planning it takes stack for
//! each level: in builds without optimisation more than a thread has. DataFusion guards many of its own walks in
//! the same way, but not all, such as naming an expression. So planning and running always have room; preparing
//! has it for long statements only, since taking stack costs more than a short walk.
//!
//! On a thread whose stack is larger than what must be left, nothing is taken. Those of
//! [`Workers`](crate::workers::Workers) are.

/// Stack that must be left for a deep tree: several KiB for each level.
const LEFT_BYTES_MIN: usize = 8 << 20;
/// Size of the piece that is taken when there is less.
const PIECE_BYTES: usize = 16 << 20;
/// Stack of a thread that never takes a piece.
pub(crate) const THREAD_STACK_BYTES: usize = LEFT_BYTES_MIN + PIECE_BYTES;

/// Runs `walk`, with enough stack for the deepest tree that parses when the tree may be `long`.
pub(crate) fn deep<R>(long: bool, walk: impl FnOnce() -> R) -> R {
    if long {
        stacker::maybe_grow(LEFT_BYTES_MIN, PIECE_BYTES, walk)
    } else {
        walk()
    }
}
