//! Room for walking deep syntax trees.
//!
//! A chain of operators nests as deep as it is long (bounded by
//! [`OPERATOR_CHAIN_MAX`](crate::parse::OPERATOR_CHAIN_MAX)), and walking, copying or planning it takes stack for
//! each level: in builds without optimisation more than a thread has. DataFusion guards many of its own walks in
//! the same way, but not all, such as naming an expression. So planning and running always have room; preparing
//! has it for long statements only, since taking stack costs more than a short walk.
//!
//! On a thread whose stack is larger than what must be left, nothing is taken.

/// Stack that must be left for a deep tree: several KiB for each level.
const LEFT_BYTES_MIN: usize = 8 << 20;
/// Size of the piece that is taken when there is less.
const PIECE_BYTES: usize = 16 << 20;

/// Runs `walk`, with enough stack for the deepest tree that parses when the tree may be `long`.
pub(crate) fn deep<R>(long: bool, walk: impl FnOnce() -> R) -> R {
    if long {
        stacker::maybe_grow(LEFT_BYTES_MIN, PIECE_BYTES, walk)
    } else {
        walk()
    }
}

/// The future, each of its polls run with room.
pub(crate) async fn deep_polls<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    std::future::poll_fn(|cx| deep(true, || future.as_mut().poll(cx))).await
}
