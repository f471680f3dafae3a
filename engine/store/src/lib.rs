pub mod error;
pub mod seam;
pub mod types;
pub mod codec;
pub mod column_type;
pub mod datum;
pub mod tables;
pub mod transactions;
